// DDPM's noise schedules and the Gaussian posterior of a jump.
#include "noise_schedule.h"

#include <math.h>

static const double half_pi = 1.57079632679489661923;

// Every beta lies in (0, BETA_MAX], so alpha_bar falls strictly and never
// reaches 0: x_T keeps a trace of x_0 and no ratio divides by 0.
#define BETA_MAX 0.999

static double
linear_beta(uint32_t t, uint32_t steps)
{
  const double scale = 1000.0 / steps;
  const double first = 1e-4 * scale;
  const double last  = 0.02 * scale;
  return first + (last - first) * (t - 1) / (steps - 1);
}

static double
cosine_signal(uint32_t t, uint32_t steps)
{
  const double c = cos(((double)t / steps + 0.008) / 1.008 * half_pi);
  return c * c;
}

static double
cosine_beta(uint32_t t, uint32_t steps)
{
  return 1.0 - cosine_signal(t, steps) / cosine_signal(t - 1, steps);
}

Status
noise_schedule_make(NoiseKind      kind,
                    uint32_t       steps,
                    NoiseSchedule* out,
                    Error*         error)
{
  if (steps < 2 || steps > NOISE_STEPS_MAX) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "noise schedule of %u steps: 2 to %u are possible",
                     steps,
                     NOISE_STEPS_MAX);
  }
  out->kind         = kind;
  out->steps        = steps;
  out->alpha_bar[0] = 1.0;
  for (uint32_t t = 1; t <= steps; ++t) {
    const double beta =
      kind == NOISE_LINEAR ? linear_beta(t, steps) : cosine_beta(t, steps);
    out->alpha_bar[t] = out->alpha_bar[t - 1] * (1.0 - fmin(beta, BETA_MAX));
  }
  return STATUS_OK;
}

double
noise_alpha(const NoiseSchedule* schedule, uint32_t t)
{
  return sqrt(schedule->alpha_bar[t]);
}

double
noise_sigma(const NoiseSchedule* schedule, uint32_t t)
{
  return sqrt(1.0 - schedule->alpha_bar[t]);
}

double
noise_snr(const NoiseSchedule* schedule, uint32_t t)
{
  return schedule->alpha_bar[t] / (1.0 - schedule->alpha_bar[t]);
}

NoisePosterior
noise_posterior(const NoiseSchedule* schedule, uint32_t t, uint32_t s)
{
  const double signal_t = schedule->alpha_bar[t];
  const double signal_s = schedule->alpha_bar[s];
  const double jump     = signal_t / signal_s; // alpha of the step from s to t
  const double noise_t  = 1.0 - signal_t;
  const double noise_s  = 1.0 - signal_s;
  return (NoisePosterior){
    .x0_share  = sqrt(signal_s) * (1.0 - jump) / noise_t,
    .xt_share  = sqrt(jump) * noise_s / noise_t,
    .deviation = sqrt((1.0 - jump) * noise_s / noise_t),
  };
}

NoisePosterior
noise_ddim(const NoiseSchedule* schedule, uint32_t t, uint32_t s, double eta)
{
  const double deviation = eta * noise_posterior(schedule, t, s).deviation;
  const double kept =
    sqrt(1.0 - schedule->alpha_bar[s] - deviation * deviation) /
    noise_sigma(schedule, t);
  return (NoisePosterior){
    .x0_share  = noise_alpha(schedule, s) - kept * noise_alpha(schedule, t),
    .xt_share  = kept,
    .deviation = deviation,
  };
}
