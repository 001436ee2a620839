// The small part of CUDA that kernels/cuda uses, on the CPU: the same .cu
// sources compile as C++17 with -DMEANDER_EMULATED and run, thread for thread,
// inside unit tests. It checks index arithmetic, barriers, shuffles and the
// host calls; it says nothing about a GPU's speed or rounding.
//
// What a source must do, so that nvcc and g++ both take it:
//  - launch through LAUNCH(kernel, grid, block, shared_bytes, stream, ...);
//    a template instance stands in parentheses: LAUNCH((norm<4, true>), ...);
//  - declare dynamic shared memory by DYNAMIC_SHARED(float, name), once a
//    kernel;
//  - a __shared__ variable stands in a kernel, a template or a `static`
//    function (not in one that is only inline), with no initialiser;
//  - no inline PTX, no textures, no cooperative groups, no spinning on memory.
//
// For nvcc the two macros are
//   #define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)
//     kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)
//   #define DYNAMIC_SHARED(type, name)
//     extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[];
//     type* const name = reinterpret_cast<type*>(dynamic_shared_bytes)
//
// C++ only; tests in C steer it through emulator_control.h. Calls may come
// from any thread; they take turns.
#pragma once

#include "emulator_control.h"
#include "emulator_runtime.h"

#include "emulator_launch.h"

#include "emulator_device.h"

#include "emulator_math.h"

#include "emulator_cublas.h"
