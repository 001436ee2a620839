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
sampler_factors(const NoiseSchedule* schedule,
                const SamplerPlan*   plan,
                uint32_t             i,
                float                factors[SAMPLER_FACTORS])
{
  const NoisePosterior jump =
    jump_of(schedule, plan, sampler_time(plan, i), sampler_time(plan, i + 1));
  const double overshoot =
    plan->kind == SAMPLER_DPM ? dpm_overshoot(schedule, plan, i) : 0.0;
  factors[SAMPLER_X0]       = (float)(jump.x0_share * (1.0 + overshoot));
  factors[SAMPLER_X]        = (float)jump.xt_share;
  factors[SAMPLER_PREVIOUS] = (float)(-jump.x0_share * overshoot);
  factors[SAMPLER_NOISE]    = (float)jump.deviation;
  factors[SAMPLER_ONE]      = 1.0f;
}

SamplerForm
sampler_form(const SamplerPlan* plan)
{
  return (SamplerForm){ .steps        = plan->steps,
                        .second_order = plan->kind == SAMPLER_DPM,
                        .noise =
                          plan->kind == SAMPLER_DDPM ||
                          (plan->kind == SAMPLER_DDIM && plan->eta > 0.0f) };
}

// x = a x + b y, factors of step i.
static void
combine(const SamplerRun* run,
        uint32_t          i,
        uint32_t          a,
        Tensor            x,
        uint32_t          b,
        Tensor            y)
{
  const Tensor row = tensor_rows(run->factors, i, 1);
  op_combine_rows(run->device,
                  tensor_columns(row, a, 1),
                  x,
                  tensor_columns(row, b, 1),
                  y,
                  run->x);
}

void
sampler_run(const SamplerRun* run, SamplerForm form)
{
  for (uint32_t i = 0; i < form.steps; ++i) {
    const bool is_last = i + 1 == form.steps;
    run->predict(run->context, run->x, i, run->x0);
    combine(run, i, SAMPLER_X0, run->x0, SAMPLER_X, run->x);
    if (form.second_order) {
      if (i > 0 && !is_last) {
        combine(run, i, SAMPLER_PREVIOUS, run->previous, SAMPLER_ONE, run->x);
      }
      op_copy(run->device, run->x0, run->previous);
    }
    if (form.noise && !is_last) {
      op_normals(run->device,
                 run->key,
                 RNG_USE_NOISE,
                 (uint64_t)(i + 1) * SAMPLER_BLOCKS_A_STEP,
                 run->noise);
      combine(run, i, SAMPLER_NOISE, run->noise, SAMPLER_ONE, run->x);
    }
  }
}
