// From noise to data: the reverse process of a diffusion by DDPM, DDIM or
// DPM-Solver++(2M). What is sampled, and by which network, is the caller's: it
// only says what it believes x_0 to be. On any device; the thread of the
// Device. All memory is the caller's; no allocation.
#pragma once

#include "kernels.h"
#include "noise_schedule.h"

typedef enum {
  SAMPLER_DDPM, // ancestral: the posterior of the jump (Ho et al. 2020)
  SAMPLER_DDIM, // Song et al. 2021, eq. 12 and 16
  SAMPLER_DPM,  // DPM-Solver++(2M), Lu et al. 2022 (2211.01095), algorithm 2;
                // the last step, and the first, are of first order
} SamplerKind;

extern const char* const sampler_names[]; // "ddpm", "ddim", "dpm++", NULL

typedef struct {
  SamplerKind kind;
  uint32_t    steps; // 1 .. start
  float       eta;   // 0..1, DDIM only: 0 is deterministic, 1 adds DDPM's noise
  uint32_t    start; // x comes in at this t, 1 .. schedule's T
} SamplerPlan;

Status sampler_check(const NoiseSchedule* schedule,
                     const SamplerPlan*   plan,
                     Error*               error);
// The i-th time of the plan, i = 0 .. steps: `start` first, 0 last, evenly
// spaced, strictly falling.
uint32_t sampler_time(const SamplerPlan* plan, uint32_t i);

// Writes the estimate of x_0 given x at t into x0, both [R, C]. `next` is the
// time that the sampler will go to (a distilled network wants to know).
typedef void (*SamplerPredict)(void*    context,
                               Tensor   x,
                               uint32_t t,
                               uint32_t next,
                               Tensor   x0);

// What a run needs; x, x0, previous and noise are [R, C].
typedef struct {
  Device*              device;
  const NoiseSchedule* schedule;
  SamplerPredict       predict;
  void*                context;
  Tensor key;      // rng_key(): row r's noise is stream first_index + r
  Tensor x;        // in: at plan->start; out: the sample
  Tensor x0;       // scratch; out: the last estimate, equal to x
  Tensor previous; // scratch
  Tensor noise;    // scratch
} SamplerRun;

// Noise of RNG_USE_NOISE: the starting noise is the caller's, blocks 0 ..
// SAMPLER_BLOCKS_A_STEP - 1 of each stream; step i adds blocks from
// (i + 1) * SAMPLER_BLOCKS_A_STEP on.
#define SAMPLER_BLOCKS_A_STEP 64u

void sampler_run(const SamplerRun* run, const SamplerPlan* plan);
