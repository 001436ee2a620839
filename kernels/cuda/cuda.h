// What the CUDA files share: the device, launches, and the check after each.
// The same sources compile with nvcc, and with g++ against the emulator of
// tests/parity (MEANDER_EMULATED). Only kernels/cuda/*.cu include this; the
// thread of the Device.
//
// An op takes its device by cuda_of(), launches through LAUNCH() on its stream,
// and ends in cuda_launched(). It allocates nothing, waits for nothing and
// reads nothing back, so that it can be captured into a graph (recordings); it
// adds up in a fixed order, so that results repeat bit for bit.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef MEANDER_EMULATED
#include <cuda_emulator.h>
#else
#include <cublas_v2.h>
#include <cuda_runtime.h>

// A template instance stands in parentheses: LAUNCH((norm<4>), ...).
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                 \
  kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)
// Once a kernel; 16-byte aligned.
#define DYNAMIC_SHARED(type, name)                                             \
  extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[];        \
  type* const name = reinterpret_cast<type*>(dynamic_shared_bytes)
#endif

extern "C" {
#include "device.h"
}

#define WARP 32u
#define WARP_ALL 0xffffffffu

// Host copies pass through pinned memory, piece after piece.
#define STAGING_PIECES 4u
#define STAGING_PIECE_FLOATS (256u * 1024)

typedef struct {
  Device base; // first: a Device* is a CudaDevice*
  char   name[160];
  int    gpu;

  uint32_t       multiprocessors;
  cudaStream_t   stream; // all work of this device, in order
  cublasHandle_t blas;
  void*          blas_workspace;

  // For one op at a time: it holds nothing from one op to the next.
  float* scratch;
  size_t scratch_floats;

  float*      staging;                // STAGING_PIECES pieces
  cudaEvent_t staged[STAGING_PIECES]; // all was copied out of the piece
  uint32_t    piece;                  // the one being filled
  size_t      piece_used;             // floats
} CudaDevice;

// The device, made current in this thread. First line of every op.
CudaDevice* cuda_of(Device* device);

// True for cudaSuccess. Else records the failure of `op` (sticky: no op runs
// after it) and is false.
bool cuda_check(Device* device, cudaError_t result, const char* op);

// The same for cuBLAS.
bool cuda_check_blas(Device* device, cublasStatus_t result, const char* op);

// After each launch: whether it was accepted.
static inline bool
cuda_launched(Device* device, const char* op)
{
  return cuda_check(device, cudaGetLastError(), op);
}

// Blocks of `block` threads for `items` of work with a grid-stride loop: enough
// to fill the GPU, never more than the work.
static inline unsigned
cuda_grid(const CudaDevice* cuda, size_t items, unsigned block)
{
  const size_t wanted = (items + block - 1) / block;
  const size_t full   = (size_t)cuda->multiprocessors * (2048u / block);
  return (unsigned)(wanted < full ? (wanted ? wanted : 1u) : full);
}

// Whether a tensor's rows can be read and written as float4.
static inline bool
by_four(Tensor x)
{
  return (uintptr_t)x.data % 16 == 0 && x.columns % 4 == 0 &&
         (x.stride % 4 == 0 || x.rows == 1);
}

// Whether its rows follow one another without gaps.
static inline bool
is_packed(Tensor x)
{
  return x.stride == x.columns || x.rows == 1;
}

// --- Within kernels --------------------------------------------------------

__device__ static inline float*
row_of(Tensor x, uint32_t r)
{
  return x.data + (size_t)r * x.stride;
}

// The sum and the largest over a warp, in a fixed order, known to every lane.
template<typename T>
__device__ static inline T
warp_sum(T value)
{
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    value += __shfl_xor_sync(WARP_ALL, value, lanes);
  }
  return value;
}

__device__ static inline float
warp_max(float value)
{
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    value = fmaxf(value, __shfl_xor_sync(WARP_ALL, value, lanes));
  }
  return value;
}
