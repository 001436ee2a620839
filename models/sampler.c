// DDPM, DDIM and DPM-Solver++(2M) as one loop. Each step is a weighted sum of
// the estimate of x_0, of x and of new noise; they differ in the weights.
#include "sampler.h"

#include <math.h>

const char* const sampler_names[] = { "ddpm", "ddim", "dpm++", NULL };

Status
sampler_check(const NoiseSchedule* schedule,
              const SamplerPlan*   plan,
              Error*               error)
{
  if (plan->start < 1 || plan->start > schedule->steps) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "sampling from noise level %u: 1 to %u are possible",
                     plan->start,
                     schedule->steps);
  }
  if (plan->steps < 1 || plan->steps > plan->start) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "sampling in %u steps: 1 to %u are possible",
                     plan->steps,
                     plan->start);
  }
  if (!(plan->eta >= 0.0f && plan->eta <= 1.0f)) { // NaN too
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "eta of %g: 0 to 1 are possible",
                     (double)plan->eta);
  }
  return STATUS_OK;
}

uint32_t
sampler_time(const SamplerPlan* plan, uint32_t i)
{
  return (uint32_t)((uint64_t)plan->start * (plan->steps - i) / plan->steps);
}

static NoisePosterior
jump_of(const NoiseSchedule* schedule,
        const SamplerPlan*   plan,
        uint32_t             t,
        uint32_t             s)
{
  switch (plan->kind) {
    case SAMPLER_DDPM:
      return noise_posterior(schedule, t, s);
    case SAMPLER_DDIM:
      return noise_ddim(schedule, t, s, (double)plan->eta);
    case SAMPLER_DPM:
      break;
  }
  return noise_ddim(schedule, t, s, 0.0);
}

// How far the second-order step goes beyond the last estimate, along the line
// from the one before: 1 / 2r of algorithm 2. 0 in the first step, which has
// none before, and in the last, whose log-SNR is infinite.
static double
dpm_overshoot(const NoiseSchedule* schedule,
              const SamplerPlan*   plan,
              uint32_t             i)
{
  if (i == 0 || i + 1 == plan->steps) {
    return 0.0;
  }
  const double before = log(noise_snr(schedule, sampler_time(plan, i - 1)));
  const double now    = log(noise_snr(schedule, sampler_time(plan, i)));
  const double next   = log(noise_snr(schedule, sampler_time(plan, i + 1)));
  return 0.5 * (next - now) / (now - before);
}

void
sampler_run(const SamplerRun* run, const SamplerPlan* plan)
{
  Device* const device = run->device;
  for (uint32_t i = 0; i < plan->steps; ++i) {
    const uint32_t t = sampler_time(plan, i);
    const uint32_t s = sampler_time(plan, i + 1);
    run->predict(run->context, run->x, t, s, run->x0);

    const NoisePosterior jump = jump_of(run->schedule, plan, t, s);
    const double         overshoot =
      plan->kind == SAMPLER_DPM ? dpm_overshoot(run->schedule, plan, i) : 0.0;
    op_combine(device,
               (float)(jump.x0_share * (1.0 + overshoot)),
               run->x0,
               (float)jump.xt_share,
               run->x,
               run->x);
    if (overshoot > 0.0) {
      op_combine(device,
                 (float)(-jump.x0_share * overshoot),
                 run->previous,
                 1.0f,
                 run->x,
                 run->x);
    }
    if (plan->kind == SAMPLER_DPM) {
      op_copy(device, run->x0, run->previous);
    }
    if (jump.deviation > 0.0) {
      op_normals(device,
                 run->key,
                 RNG_USE_NOISE,
                 (uint64_t)(i + 1) * SAMPLER_BLOCKS_A_STEP,
                 run->noise);
      op_combine(
        device, (float)jump.deviation, run->noise, 1.0f, run->x, run->x);
    }
  }
}
