// Philox4x32-10.
#include "rng.h"

#include <math.h>

static const float two_pi = 6.28318530717958647692f;

Rng
rng_make(uint64_t seed, RngUse use, uint64_t index)
{
  return (Rng){ .seed = seed, .stream = ((uint64_t)use << 56) ^ index };
}

void
rng_block(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4])
{
  uint32_t c[4] = { (uint32_t)counter,
                    (uint32_t)(counter >> 32),
                    (uint32_t)stream,
                    (uint32_t)(stream >> 32) };
  uint32_t k0   = (uint32_t)seed;
  uint32_t k1   = (uint32_t)(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c[0];
    const uint64_t p1 = (uint64_t)0xCD9E8D57u * c[2];
    const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
    const uint32_t n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
    c[1]              = (uint32_t)p1;
    c[3]              = (uint32_t)p0;
    c[0]              = n0;
    c[2]              = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 4; ++i) {
    out[i] = c[i];
  }
}

uint32_t
rng_u32(Rng* rng)
{
  uint32_t words[4];
  rng_block(rng->seed, rng->stream, rng->counter++, words);
  return words[0];
}

float
rng_uniform(Rng* rng)
{
  return (float)(rng_u32(rng) >> 8) * 0x1p-24f;
}

uint32_t
rng_below(Rng* rng, uint32_t end)
{
  return (uint32_t)(((uint64_t)rng_u32(rng) * end) >> 32);
}

void
rng_normals(Rng* rng, float* out, size_t count)
{
  for (size_t i = 0; i < count; i += 2) {
    uint32_t words[4];
    rng_block(rng->seed, rng->stream, rng->counter++, words);
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
