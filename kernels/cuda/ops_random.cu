// Random numbers: the words of core/rng.c, the same on every device, and
// normals from them by Box-Muller, the same up to rounding. The thread of the
// Device.
#include "ops.h"

#include "rng_portable.h"

#include <string.h>

#define THREADS 128u

// A key's seed and first index, which lie in device memory as bits.
struct Seeds {
  uint64_t seed;
  uint64_t first;
};

__device__ static inline Seeds
seeds_of(const float* key)
{
  uint32_t words[RNG_KEY_FLOATS];
  memcpy(words, key, sizeof words);
  return { words[0] | (uint64_t)words[1] << 32,
           words[2] | (uint64_t)words[3] << 32 };
}

// Block `counter` of a row.
__device__ static inline void
block_of(Seeds seeds, RngUse use, uint32_t row, uint64_t counter, uint32_t c[4])
{
  philox(seeds.seed, rng_stream(use, seeds.first + row), counter, c);
}

// A thread makes one block, two values of a row; y walks rows.
static __global__ void
__launch_bounds__(THREADS) normals(const float* __restrict__ key,
                                   RngUse   use,
                                   uint64_t counter,
                                   Tensor   out)
{
  const Seeds    seeds = seeds_of(key);
  const uint32_t pairs = out.columns / 2 + out.columns % 2;
  const uint32_t step  = gridDim.x * blockDim.x;
  for (size_t r = (size_t)blockIdx.y * blockDim.y + threadIdx.y; r < out.rows;
       r += (size_t)gridDim.y * blockDim.y) {
    float* const to = row_of(out, (uint32_t)r);
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < pairs;
         i += step) {
      uint32_t words[4];
      block_of(seeds, use, (uint32_t)r, counter + i, words);
      // (0, 1], so that the logarithm is finite.
      const float u = ((float)(words[0] >> 8) + 1.0f) * 0x1p-24f;
      const float angle =
        6.28318530717958647692f * ((float)(words[1] >> 8) * 0x1p-24f);
      const float radius = sqrtf(-2.0f * logf(u));
      to[2 * i]          = radius * cosf(angle);
      if (2 * i + 1 < out.columns) {
        to[2 * i + 1] = radius * sinf(angle);
      }
    }
  }
}

static __global__ void
__launch_bounds__(THREADS) uniforms(const float* __restrict__ key,
                                    RngUse   use,
                                    uint64_t counter,
                                    Tensor   out)
{
  const Seeds seeds = seeds_of(key);
  for (size_t r = (size_t)blockIdx.x * THREADS + threadIdx.x; r < out.rows;
       r += (size_t)gridDim.x * THREADS) {
    uint32_t words[4];
    block_of(seeds, use, (uint32_t)r, counter, words);
    *row_of(out, (uint32_t)r) = (float)(words[0] >> 8) * 0x1p-24f;
  }
}

void
cuda_normals(Device*  device,
             Tensor   key,
             RngUse   use,
             uint64_t counter,
             Tensor   out)
{
  CudaDevice* const cuda  = cuda_of(device);
  const uint32_t    pairs = out.columns / 2 + out.columns % 2;
  // Narrow rows share a block.
  uint32_t width = 1;
  while (width < pairs && width < THREADS) {
    width *= 2;
  }
  const dim3     block(width, THREADS / width);
  const uint32_t across = (pairs - 1) / width + 1;
  const uint32_t down   = (out.rows - 1) / block.y + 1;
  const dim3     grid(across < 1024 ? across : 1024, down < 4096 ? down : 4096);
  LAUNCH(normals, grid, block, 0, cuda->stream, key.data, use, counter, out);
  cuda_launched(device, "normals");
}

void
cuda_uniforms(Device*  device,
              Tensor   key,
              RngUse   use,
              uint64_t counter,
              Tensor   out)
{
  CudaDevice* const cuda = cuda_of(device);
  LAUNCH(uniforms,
         cuda_grid(cuda, out.rows, THREADS),
         THREADS,
         0,
         cuda->stream,
         key.data,
         use,
         counter,
         out);
  cuda_launched(device, "uniforms");
}
