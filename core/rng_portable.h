// The arithmetic of rng.h for code that a GPU runs too (portable.h); rng.c is
// made of it.
#pragma once

#include "portable.h"
#include "rng.h"

// Philox4x32-10: the four words of block `counter`.
PORTABLE void
philox(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4])
{
  uint32_t k0 = (uint32_t)seed;
  uint32_t k1 = (uint32_t)(seed >> 32);
  out[0]      = (uint32_t)counter;
  out[1]      = (uint32_t)(counter >> 32);
  out[2]      = (uint32_t)stream;
  out[3]      = (uint32_t)(stream >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * out[0];
    const uint64_t p1 = (uint64_t)0xCD9E8D57u * out[2];
    out[0]            = (uint32_t)(p1 >> 32) ^ out[1] ^ k0;
    out[2]            = (uint32_t)(p0 >> 32) ^ out[3] ^ k1;
    out[1]            = (uint32_t)p1;
    out[3]            = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

PORTABLE uint64_t
rng_stream(RngUse use, uint64_t index)
{
  return ((uint64_t)use << 56) ^ index;
}

PORTABLE uint32_t
rng_draw_u32(Rng* rng)
{
  uint32_t words[4];
  philox(rng->seed, rng->stream, rng->counter++, words);
  return words[0];
}

PORTABLE float
rng_draw_uniform(Rng* rng)
{
  return (float)(rng_draw_u32(rng) >> 8) * 0x1p-24f;
}

PORTABLE uint32_t
rng_draw_below(Rng* rng, uint32_t end)
{
  return (uint32_t)(((uint64_t)rng_draw_u32(rng) * end) >> 32);
}
