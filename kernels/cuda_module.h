// What the main program (kernels/open.c) asks of libmeander_cuda.so, which is
// loaded only where there is a GPU, so that the program runs without CUDA.
#pragma once

#include "device.h"

#define CUDA_MODULE_FILE "libmeander_cuda.so"

// Both sides must have been built from one device.h. The hand-set part changes
// where the sizes would not tell.
#define CUDA_MODULE_ABI                                                        \
  ((1u << 24) ^ ((unsigned)sizeof(DeviceOps) << 8) ^ (unsigned)sizeof(Error))

#define CUDA_MODULE_ABI_SYMBOL "meander_cuda_abi"
typedef unsigned (*CudaModuleAbi)(void);

// Opens GPU `gpu`, or the first that works where it is negative. why
// (DEVICE_WHY_BYTES, or NULL): the device's name, or in a few words why there
// is none, which is also the error's text.
#define CUDA_MODULE_OPEN_SYMBOL "meander_cuda_open"
typedef Status (*CudaModuleOpen)(int      gpu,
                                 Device** out,
                                 char*    why,
                                 Error*   error);
