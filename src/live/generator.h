// Decides what comes next: one window of notes after another, each a pure
// function of seed, mode and its number. Worker thread (or whoever runs the
// worker synchronously).
#pragma once

#include "live/params.h"
#include "model.h"

#include <stdint.h>

typedef struct {
  Model*        model; // not owned
  GeneratorMode mode;
  float         walk_step; // 0..1
  uint32_t      leg_windows;
  float         temperature;
  uint64_t      seed;
  uint64_t      window; // the number of the next one
  uint32_t      latent_size;
  float         z[MODEL_LATENT_MAX]; // the next window's latent
} Generator;

void generator_init(Generator*    generator,
                    Model*        model,
                    const Params* params,
                    uint64_t      seed);

// Moves z to the next window's latent, without decoding it.
void generator_step(Generator* generator);

// generator_step(), decoded.
Status generator_next(Generator* generator,
                      NoteEvent  out[WINDOW_NOTES],
                      Error*     error);

// From a (t = 0) to b (t = 1) along the great circle; out may be neither.
void slerp(const float* a, const float* b, uint32_t size, float t, float* out);
