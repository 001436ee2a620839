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

// What a step weighs with, in memory of the device: a recording of a run holds
// for all plans of one form. Columns of SamplerRun.factors.
enum {
  SAMPLER_X0,
  SAMPLER_X,
  SAMPLER_PREVIOUS, // of the estimate before
  SAMPLER_NOISE,
  SAMPLER_ONE,
  SAMPLER_FACTORS,
};
// Of the i-th step.
void sampler_factors(const NoiseSchedule* schedule,
                     const SamplerPlan*   plan,
                     uint32_t             i,
                     float                factors[SAMPLER_FACTORS]);

// All that the ops of a run follow from.
typedef struct {
  uint32_t steps;
  uint32_t second_order; // 1: DPM-Solver++(2M)
  uint32_t noise;        // 1: every step but the last adds some
} SamplerForm;
SamplerForm sampler_form(const SamplerPlan* plan);

// Writes the estimate of x_0 given x before the i-th step, at
// sampler_time(plan, i), into x0, both [R, C].
typedef void (*SamplerPredict)(void* context, Tensor x, uint32_t i, Tensor x0);

// What a run needs; x, x0, previous and noise are [R, C].
typedef struct {
  Device*        device;
  SamplerPredict predict;
  void*          context;
  Tensor         factors;  // [steps, SAMPLER_FACTORS]
  Tensor         key;      // rng_key(): row r's noise is stream first_index + r
  Tensor         x;        // in: at the plan's start; out: the sample
  Tensor         x0;       // scratch; out: the last estimate, equal to x
  Tensor         previous; // scratch
  Tensor         noise;    // scratch
} SamplerRun;

// Noise of RNG_USE_NOISE: the starting noise is the caller's, blocks 0 ..
// SAMPLER_BLOCKS_A_STEP - 1 of each stream; step i adds blocks from
// (i + 1) * SAMPLER_BLOCKS_A_STEP on.
#define SAMPLER_BLOCKS_A_STEP 64u

void sampler_run(const SamplerRun* run, SamplerForm form);
