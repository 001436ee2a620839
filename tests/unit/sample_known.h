// Runs a sampler on data whose denoiser is exact, so that whatever is wrong is
// the sampler's. Any thread.
#pragma once

#include "sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define VALUES_MAX 20000u

typedef struct Truth {
  // E[x_0 | x_t] of one row.
  void (*estimate)(const struct Truth*,
                   const float* x,
                   uint32_t     columns,
                   uint32_t     t,
                   float*       x0);
  const NoiseSchedule* schedule;
  Device*              device; // set by sample()
  const SamplerPlan*   plan;
  uint32_t             calls;
} Truth;

static inline void
predict(void* context, Tensor x, uint32_t step, Tensor x0)
{
  static float in[VALUES_MAX];
  static float out[VALUES_MAX];
  Truth* const truth = context;
  assert_true(x.rows * x.columns <= VALUES_MAX);
  assert_int_equal(step, truth->calls++);
  const uint32_t t = sampler_time(truth->plan, step);
  assert_true(sampler_time(truth->plan, step + 1) < t);
  tensor_read(truth->device, x, in);
  for (uint32_t r = 0; r < x.rows; ++r) {
    const size_t at = (size_t)r * x.columns;
    truth->estimate(truth, in + at, x.columns, t, out + at);
  }
  tensor_write(truth->device, x0, out);
}

static inline void
write_factors(const NoiseSchedule* schedule,
              const SamplerPlan*   plan,
              SamplerRun*          run)
{
  assert_int_equal(
    tensor_allocate(
      run->device, plan->steps, SAMPLER_FACTORS, &run->factors, NULL),
    STATUS_OK);
  for (uint32_t i = 0; i < plan->steps; ++i) {
    float factors[SAMPLER_FACTORS];
    sampler_factors(schedule, plan, i, factors);
    tensor_write(run->device, tensor_rows(run->factors, i, 1), factors);
  }
}

typedef struct {
  const char* variant; // of the CPU
  uint32_t    rows;
  uint32_t    columns;
  uint64_t    seed;
  uint64_t    first_row;
  void (*estimate)(const Truth*, const float*, uint32_t, uint32_t, float*);
  const NoiseSchedule* schedule;
  const NoiseSchedule* told; // to the sampler; NULL: the same
  const float*         x;    // in
} Job;

static inline void
sample(const Job* job, const SamplerPlan* plan, float* out)
{
  Truth      truth = { .estimate = job->estimate,
                       .schedule = job->schedule,
                       .plan     = plan };
  SamplerRun run   = { .predict = predict, .context = &truth };
  Error      error;
  assert_int_equal(sampler_check(job->schedule, plan, NULL), STATUS_OK);
  assert_int_equal(device_open_cpu(job->variant, &run.device, &error), 0);
  truth.device             = run.device;
  Tensor* const tensors[4] = { &run.x, &run.x0, &run.previous, &run.noise };
  static float  rubbish[VALUES_MAX];
  memset(rubbish, 0x7f, sizeof rubbish); // 3e38: scratch is not read
  for (int i = 0; i < 4; ++i) {
    assert_int_equal(
      tensor_allocate(run.device, job->rows, job->columns, tensors[i], &error),
      0);
    tensor_write(run.device, *tensors[i], i ? rubbish : job->x);
  }
  float key[RNG_KEY_FLOATS];
  rng_key(job->seed, job->first_row, key);
  assert_int_equal(
    tensor_allocate(run.device, 1, RNG_KEY_FLOATS, &run.key, &error), 0);
  tensor_write(run.device, run.key, key);
  write_factors(job->told ? job->told : job->schedule, plan, &run);
  sampler_run(&run, sampler_form(plan));
  assert_int_equal(truth.calls, plan->steps);
  assert_int_equal(sampler_time(plan, plan->steps), 0);
  static float estimate[VALUES_MAX];
  tensor_read(run.device, run.x, out);
  tensor_read(run.device, run.x0, estimate);
  assert_int_equal(device_status(run.device, &error), STATUS_OK);
  for (uint32_t i = 0; i < job->rows * job->columns; ++i) {
    assert_true(out[i] == estimate[i]); // no noise in the last step
  }
  for (int i = 0; i < 4; ++i) {
    tensor_free(run.device, tensors[i]);
  }
  tensor_free(run.device, &run.key);
  tensor_free(run.device, &run.factors);
  device_close(run.device);
}

// As the caller of a sampler makes it.
static inline void
starting_noise(uint64_t seed, uint32_t rows, uint32_t columns, float* x)
{
  for (uint32_t r = 0; r < rows; ++r) {
    Rng rng = rng_make(seed, RNG_USE_NOISE, r);
    rng_normals(&rng, x + (size_t)r * columns, columns);
  }
}
