// Random numbers for the CPU.
#include "rng_portable.h"

#include <math.h>

static const float two_pi = 6.28318530717958647692f;

Rng
rng_make(uint64_t seed, RngUse use, uint64_t index)
{
  return (Rng){ .seed = seed, .stream = rng_stream(use, index) };
}

void
rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4])
{
  philox(seed, stream, counter, out);
}

uint32_t
rng_u32(Rng* rng)
{
  return rng_draw_u32(rng);
}

float
rng_uniform(Rng* rng)
{
  return rng_draw_uniform(rng);
}

uint32_t
rng_below(Rng* rng, uint32_t end)
{
  return rng_draw_below(rng, end);
}

void
rng_normals(Rng* rng, float* out, size_t count)
{
  for (size_t i = 0; i < count; i += 2) {
    uint32_t words[4];
    philox(rng->seed, rng->stream, rng->counter++, words);
    // (0, 1], so that the logarithm is finite.
    const float u      = ((float)(words[0] >> 8) + 1.0f) * 0x1p-24f;
    const float angle  = two_pi * ((float)(words[1] >> 8) * 0x1p-24f);
    const float radius = sqrtf(-2.0f * logf(u));
    out[i]             = radius * cosf(angle);
    if (i + 1 < count) {
      out[i + 1] = radius * sinf(angle);
    }
  }
}
