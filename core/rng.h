// Seeded counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror,
// Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). A draw is a
// pure function of (seed, stream, counter), so that a window's randomness does
// not depend on what was drawn before it, on the thread, or on the device.
// Any thread; a struct belongs to one thread at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t seed;
  uint64_t stream;  // what the numbers are for, e.g. a window's index
  uint64_t counter; // next block of four 32-bit words
} Rng;

// Streams are told apart by use, so that two uses never share numbers.
typedef enum {
  RNG_USE_WEIGHTS = 1, // initial weights
  RNG_USE_BATCH,       // which windows, augmentation, teacher forcing
  RNG_USE_LATENT,      // reparameterisation, prior and walk
  RNG_USE_TOKENS,      // pitch sampling
  RNG_USE_PRIOR,       // which windows a latent prior is fitted to
  RNG_USE_NOISE,       // a diffusion's starting noise and what its steps add
  RNG_USE_TEST,
  RNG_USE_EVALUATE, // which music an evaluation looks at
} RngUse;

// `index` below 2^56 (a training step, a window's number).
Rng rng_make(uint64_t seed, RngUse use, uint64_t index);

// The four words of block `counter`.
void rng_block(uint64_t seed,
               uint64_t stream,
               uint64_t counter,
               uint32_t out[4]);

uint32_t rng_u32(Rng* rng);
float    rng_uniform(Rng* rng);             // [0, 1), 24 bits
uint32_t rng_below(Rng* rng, uint32_t end); // [0, end), end > 0

// Standard normal (Box-Muller), `count` values; uses ceil(count / 2) blocks.
void rng_normals(Rng* rng, float* out, size_t count);
