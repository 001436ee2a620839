// How much noise a diffusion adds at each of its steps: the forward process of
// DDPM (Ho et al. 2020) in the words of its cumulative product alpha_bar. Pure
// data; any thread.
//
// q(x_t | x_0) = N(sqrt(alpha_bar[t]) x_0, (1 - alpha_bar[t]) I), t = 0 .. T.
// alpha_bar[0] = 1 and it falls strictly.
#pragma once

#include "status.h"

#include <stdint.h>

typedef enum {
  // beta from 1e-4 to 0.02 over T = 1000 (Ho et al. 2020); for other T both
  // ends are scaled by 1000 / T, and each beta is at most 0.999.
  NOISE_LINEAR,
  // alpha_bar = cos^2((t/T + 0.008) / 1.008 * pi/2) over its value at 0, each
  // beta at most 0.999 (Nichol and Dhariwal 2021, eq. 17).
  NOISE_COSINE,
} NoiseKind;

#define NOISE_STEPS_MAX 4000u

typedef struct {
  NoiseKind kind;
  uint32_t  steps; // T, 2..NOISE_STEPS_MAX
  double    alpha_bar[NOISE_STEPS_MAX + 1];
} NoiseSchedule;

Status noise_schedule_make(NoiseKind      kind,
                           uint32_t       steps,
                           NoiseSchedule* out,
                           Error*         error);

double noise_alpha(const NoiseSchedule* schedule,
                   uint32_t             t); // sqrt(alpha_bar)
double noise_sigma(const NoiseSchedule* schedule, uint32_t t);
double noise_snr(const NoiseSchedule* schedule, uint32_t t); // t >= 1

// The posterior q(x_s | x_t, x_0) of any s < t: N(x0_share x_0 + xt_share x_t,
// deviation^2 I) (Ho et al. 2020, eq. 6 and 7, for a jump of any length).
typedef struct {
  double x0_share;
  double xt_share;
  double deviation;
} NoisePosterior;
NoisePosterior noise_posterior(const NoiseSchedule* schedule,
                               uint32_t             t,
                               uint32_t             s);
// DDIM's jump in the same terms (Song et al. 2021, eq. 12 and 16): eta scales
// the posterior's noise, and the rest of the noise at s is x's own, carried
// over. With eta 0 it is also the first-order step of DPM-Solver++ (Lu et al.
// 2022, section 4).
NoisePosterior noise_ddim(const NoiseSchedule* schedule,
                          uint32_t             t,
                          uint32_t             s,
                          double               eta);
