// Samplers against closed forms: on Gaussian data every answer is known. Plans,
// noise streams, bytes and batches too.
#include "sample_known.h"

#include <math.h>

// --- A Gaussian: the exact denoiser ----------------------------------------

static const double gauss_mean      = 0.7;
static const double gauss_deviation = 0.5;

// x_t has variance spread^2 in all.
static double
gauss_spread(const NoiseSchedule* schedule, uint32_t t)
{
  return hypot(noise_alpha(schedule, t) * gauss_deviation,
               noise_sigma(schedule, t));
}

// E[x_0 | x_t] = mean + gain (x_t - alpha mean).
static double
gauss_gain(const NoiseSchedule* schedule, uint32_t t)
{
  const double spread = gauss_spread(schedule, t);
  return noise_alpha(schedule, t) * gauss_deviation * gauss_deviation / spread /
         spread;
}

static void
gauss_estimate(const Truth* truth,
               const float* x,
               uint32_t     columns,
               uint32_t     t,
               float*       x0)
{
  const double alpha = noise_alpha(truth->schedule, t);
  const double gain  = gauss_gain(truth->schedule, t);
  for (uint32_t c = 0; c < columns; ++c) {
    x0[c] = (float)(gauss_mean + gain * ((double)x[c] - alpha * gauss_mean));
  }
}

static NoiseSchedule schedules[2]; // linear, cosine, T = 1000
static NoiseSchedule short_schedule;

static int
make_schedules(void** state)
{
  (void)state;
  return noise_schedule_make(NOISE_LINEAR, 1000, &schedules[0], NULL) ||
         noise_schedule_make(NOISE_COSINE, 1000, &schedules[1], NULL) ||
         noise_schedule_make(NOISE_COSINE, 200, &short_schedule, NULL);
}

// --- The plan ----------------------------------------------------------------

static void
test_times(void** state)
{
  (void)state;
  static const uint32_t cases[][2] = {
    { 1, 1 },       { 2, 1 },       { 3, 2 },     { 10, 10 },
    { 1000, 1 },    { 1000, 7 },    { 1000, 50 }, { 1000, 999 },
    { 1000, 1000 }, { 4000, 4000 }, { 333, 20 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const SamplerPlan plan = { .start = cases[i][0], .steps = cases[i][1] };
    assert_int_equal(sampler_time(&plan, 0), plan.start);
    assert_int_equal(sampler_time(&plan, plan.steps), 0);
    const uint32_t gap = plan.start / plan.steps;
    for (uint32_t k = 0; k < plan.steps; ++k) {
      const uint32_t now  = sampler_time(&plan, k);
      const uint32_t next = sampler_time(&plan, k + 1);
      assert_true(next < now);
      assert_true(now - next == gap || now - next == gap + 1);
    }
  }
}

static void
test_refuses(void** state)
{
  (void)state;
  static const struct {
    SamplerPlan plan;
    const char* value;
    const char* range;
  } wrong[] = {
    { { SAMPLER_DDIM, 0, 0.0f, 1000 }, "0 steps", "1 to 1000" },
    { { SAMPLER_DDIM, 1001, 0.0f, 1000 }, "1001 steps", "1 to 1000" },
    { { SAMPLER_DPM, 41, 0.0f, 40 }, "41 steps", "1 to 40" },
    { { SAMPLER_DDPM, 10, 0.0f, 0 }, "level 0", "1 to 1000" },
    { { SAMPLER_DDIM, 10, 0.0f, 1001 }, "level 1001", "1 to 1000" },
    { { SAMPLER_DDIM, 10, -0.01f, 1000 }, "-0.01", "0 to 1" },
    { { SAMPLER_DDIM, 10, 1.5f, 1000 }, "1.5", "0 to 1" },
    { { SAMPLER_DDIM, 10, NAN, 1000 }, "nan", "0 to 1" },
    { { SAMPLER_DDIM, 10, INFINITY, 1000 }, "inf", "0 to 1" },
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    Error error;
    assert_int_equal(sampler_check(&schedules[0], &wrong[i].plan, &error),
                     STATUS_BAD_ARGUMENT);
    assert_non_null(strstr(error.text, wrong[i].value));
    assert_non_null(strstr(error.text, wrong[i].range));
  }
  static const SamplerPlan right[] = { { SAMPLER_DDIM, 1, 0.0f, 1 },
                                       { SAMPLER_DDIM, 1000, 1.0f, 1000 } };
  for (size_t i = 0; i < 2; ++i) {
    assert_int_equal(sampler_check(&schedules[0], &right[i], NULL), STATUS_OK);
  }
  assert_string_equal(sampler_names[SAMPLER_DDPM], "ddpm");
  assert_string_equal(sampler_names[SAMPLER_DDIM], "ddim");
  assert_string_equal(sampler_names[SAMPLER_DPM], "dpm++");
  assert_null(sampler_names[SAMPLER_DPM + 1]);
}

// --- A Gaussian --------------------------------------------------------------

// The probability flow keeps each value's place in standard deviations:
// x_0 = mean + deviation (x_t - alpha mean) / spread. Returns the root mean
// square of what a run misses it by.
static double
flow_error(const NoiseSchedule* schedule, const SamplerPlan* plan)
{
  enum { ROWS = 50, COLUMNS = 8, COUNT = ROWS * COLUMNS };
  float        x[COUNT];
  float        out[COUNT];
  const double alpha  = noise_alpha(schedule, plan->start);
  const double spread = gauss_spread(schedule, plan->start);
  starting_noise(5, ROWS, COLUMNS, x);
  for (int i = 0; i < COUNT; ++i) {
    x[i] = (float)(alpha * gauss_mean + spread * (double)x[i]);
  }
  const Job job = { .rows     = ROWS,
                    .columns  = COLUMNS,
                    .estimate = gauss_estimate,
                    .schedule = schedule,
                    .x        = x };
  sample(&job, plan, out);
  double sum = 0.0;
  for (int i = 0; i < COUNT; ++i) {
    const double place = ((double)x[i] - alpha * gauss_mean) / spread;
    const double miss  = (double)out[i] - gauss_mean - gauss_deviation * place;
    sum += miss * miss;
  }
  return sqrt(sum / COUNT);
}

static void
test_order_of_convergence(void** state)
{
  (void)state;
  enum { DOUBLINGS = 6 };
  static const double dpm_constant[2] = { 15.0, 4.0 };
  for (int kind = 0; kind < 2; ++kind) {
    for (uint32_t start = 400; start <= 1000; start += 600) {
      double before = 0.0;
      for (uint32_t i = 0; i < DOUBLINGS; ++i) {
        const uint32_t    steps = 10u << i;
        const SamplerPlan first = { SAMPLER_DDIM, steps, 0.0f, start };
        const SamplerPlan other = { SAMPLER_DPM, steps, 0.0f, start };
        const double      ddim  = flow_error(&schedules[kind], &first);
        const double      dpm   = flow_error(&schedules[kind], &other);
        assert_true(!i || (before / ddim > 1.75 && before / ddim < 2.1));
        assert_true(dpm * steps * steps < dpm_constant[kind]);
        assert_true(dpm < (steps == 10 ? 0.75 : 0.4) * ddim);
        before = ddim;
      }
      assert_true(before < 0.005);
    }
  }
}

// Algorithm 2 of Lu et al. 2022 as it is printed, in terms of the log-SNR
// lambda, one value, the first and last steps of first order.
static double
dpm_by_the_book(const NoiseSchedule* schedule,
                const SamplerPlan*   plan,
                double               x)
{
  double estimate_before = 0.0;
  double h_before        = 0.0;
  for (uint32_t i = 1; i <= plan->steps; ++i) {
    const uint32_t t       = plan->start * (plan->steps - i + 1) / plan->steps;
    const uint32_t s       = plan->start * (plan->steps - i) / plan->steps;
    const double   a_t     = noise_alpha(schedule, t);
    const double   a_s     = noise_alpha(schedule, s);
    const double   sigma_t = noise_sigma(schedule, t);
    const double   sigma_s = noise_sigma(schedule, s);
    const double   h       = log(a_s / sigma_s) - log(a_t / sigma_t);
    const double   r       = h_before / h;
    const double   estimate =
      gauss_mean + gauss_gain(schedule, t) * (x - a_t * gauss_mean);
    const double d  = i == 1 || i == plan->steps
                        ? estimate
                        : (1.0 + 0.5 / r) * estimate - 0.5 / r * estimate_before;
    x               = sigma_s / sigma_t * x - a_s * (exp(-h) - 1.0) * d;
    estimate_before = estimate;
    h_before        = h;
  }
  return x;
}

static void
test_dpm_by_the_book(void** state)
{
  (void)state;
  static const uint32_t steps[] = { 1, 2, 3, 10, 37, 333 };
  static const float    x[5]    = { -2.0f, -0.5f, 0.0f, 1.0f, 3.0f };
  for (int kind = 0; kind < 2; ++kind) {
    for (uint32_t start = 333; start <= 1000; start += 667) {
      for (size_t i = 0; i < sizeof steps / sizeof *steps; ++i) {
        const SamplerPlan plan = { SAMPLER_DPM, steps[i], 0.0f, start };
        const Job         job  = { .rows     = 1,
                                   .columns  = 5,
                                   .estimate = gauss_estimate,
                                   .schedule = &schedules[kind],
                                   .x        = x };
        float             out[5];
        sample(&job, &plan, out);
        for (int c = 0; c < 5; ++c) {
          const double want =
            dpm_by_the_book(&schedules[kind], &plan, (double)x[c]);
          assert_true(fabs((double)out[c] - want) < 1e-4);
        }
      }
    }
  }
}

enum { MANY_ROWS = 2500, MANY_COLUMNS = 8, MANY = MANY_ROWS * MANY_COLUMNS };

// MANY samples from noise.
static void
sample_many(const NoiseSchedule* schedule, const SamplerPlan* plan, float* out)
{
  static float x[MANY];
  starting_noise(11, MANY_ROWS, MANY_COLUMNS, x);
  const Job job = { .rows     = MANY_ROWS,
                    .columns  = MANY_COLUMNS,
                    .seed     = 11,
                    .estimate = gauss_estimate,
                    .schedule = schedule,
                    .x        = x };
  sample(&job, plan, out);
}

// 5 standard errors of a mean and of a variance.
static void
assert_moments(const float* values, double mean, double variance)
{
  double sum    = 0.0;
  double square = 0.0;
  for (uint32_t i = 0; i < MANY; ++i) {
    sum += (double)values[i];
    square += (double)values[i] * (double)values[i];
  }
  sum /= MANY;
  square = square / MANY - sum * sum;
  if (!(fabs(sum - mean) < 5.0 * sqrt(variance / MANY)) ||
      !(fabs(square / variance - 1.0) < 5.0 * sqrt(2.0 / MANY))) {
    fail_msg(
      "mean %g, not %g; variance %g, not %g", sum, mean, square, variance);
  }
}

// What the ancestral chain's mean and variance must be: each of its steps is
// linear in x and adds noise of a known variance.
static void
chain_moments(const NoiseSchedule* schedule,
              const SamplerPlan*   plan,
              double*              mean,
              double*              variance)
{
  *mean     = 0.0;
  *variance = 1.0;
  for (uint32_t i = 0; i < plan->steps; ++i) {
    const uint32_t t      = sampler_time(plan, i);
    const uint32_t s      = sampler_time(plan, i + 1);
    const double   before = schedule->alpha_bar[s];
    const double   after  = schedule->alpha_bar[t];
    const double share  = sqrt(before) * (1.0 - after / before) / (1.0 - after);
    const double kept   = sqrt(after / before) * (1.0 - before) / (1.0 - after);
    const double gain   = gauss_gain(schedule, t);
    const double factor = share * gain + kept;
    const double alpha  = noise_alpha(schedule, t);
    *mean     = factor * *mean + share * gauss_mean * (1.0 - gain * alpha);
    *variance = factor * factor * *variance +
                (1.0 - after / before) * (1.0 - before) / (1.0 - after);
  }
}

static void
test_ancestral(void** state)
{
  (void)state;
  static const uint32_t steps[] = { 1, 2, 10, 200 };
  static float          ddpm[MANY];
  static float          ddim[MANY];
  for (size_t i = 0; i < sizeof steps / sizeof *steps; ++i) {
    const SamplerPlan ancestral = { SAMPLER_DDPM, steps[i], 0.0f, 200 };
    const SamplerPlan noisy     = { SAMPLER_DDIM, steps[i], 1.0f, 200 };
    double            mean;
    double            variance;
    chain_moments(&short_schedule, &ancestral, &mean, &variance);
    sample_many(&short_schedule, &ancestral, ddpm);
    sample_many(&short_schedule, &noisy, ddim);
    assert_moments(ddpm, mean, variance);
    for (uint32_t k = 0; k < MANY; ++k) {
      assert_true(fabsf(ddpm[k] - ddim[k]) < 2e-5f);
    }
    if (steps[i] == 200) { // all steps: the data's own
      const double data = gauss_deviation * gauss_deviation;
      assert_true(fabs(mean - gauss_mean) < 0.005);
      assert_true(fabs(variance / data - 1.0) < 0.05);
    }
  }
}

// With any eta the samples are the data's.
static void
test_eta_keeps_the_marginal(void** state)
{
  (void)state;
  static float out[2][MANY];
  for (int i = 0; i < 2; ++i) {
    const SamplerPlan plan = { SAMPLER_DDIM, 200, i ? 0.7f : 0.3f, 200 };
    sample_many(&short_schedule, &plan, out[i]);
    assert_moments(out[i], gauss_mean, gauss_deviation * gauss_deviation);
  }
  assert_memory_not_equal(out[0], out[1], sizeof out[0]);
}

// --- Noise, bytes, batches ---------------------------------------------------

// Step i's noise comes from the blocks that the header says.
static void
test_noise_streams(void** state)
{
  (void)state;
  enum { COLUMNS = 2 * SAMPLER_BLOCKS_A_STEP };
  static float      x[3 * COLUMNS];
  static float      out[3 * COLUMNS];
  const SamplerPlan plan = { SAMPLER_DDPM, 3, 0.0f, 3 };
  const Job         job  = { .rows      = 3,
                             .columns   = COLUMNS,
                             .seed      = 77,
                             .first_row = 1000,
                             .estimate  = gauss_estimate,
                             .schedule  = &schedules[0],
                             .x         = x };
  sample(&job, &plan, out);
  for (uint32_t r = 0; r < 3; ++r) {
    double want[COLUMNS] = { 0 };
    for (uint32_t i = 0; i < 3; ++i) {
      const uint32_t       t    = 3 - i;
      const NoisePosterior q    = noise_posterior(&schedules[0], t, t - 1);
      const double         gain = gauss_gain(&schedules[0], t);
      Rng                  rng  = rng_make(77, RNG_USE_NOISE, 1000 + r);
      float                noise[COLUMNS];
      rng.counter = (i + 1) * SAMPLER_BLOCKS_A_STEP;
      rng_normals(&rng, noise, COLUMNS);
      for (uint32_t c = 0; c < COLUMNS; ++c) {
        const double estimate =
          gauss_mean +
          gain * (want[c] - noise_alpha(&schedules[0], t) * gauss_mean);
        want[c] = q.x0_share * estimate + q.xt_share * want[c] +
                  q.deviation * (double)noise[c];
      }
    }
    for (uint32_t c = 0; c < COLUMNS; ++c) {
      assert_true(fabs((double)out[r * COLUMNS + c] - want[c]) < 1e-5);
    }
  }
}

enum { FEW_ROWS = 7, FEW_COLUMNS = 19, FEW = FEW_ROWS * FEW_COLUMNS };

static Job
few(const float* x)
{
  return (Job){ .rows     = FEW_ROWS,
                .columns  = FEW_COLUMNS,
                .seed     = 3,
                .estimate = gauss_estimate,
                .schedule = &schedules[1],
                .x        = x };
}

static void
test_deterministic(void** state)
{
  (void)state;
  float x[FEW];
  float a[FEW];
  float b[FEW];
  starting_noise(1, FEW_ROWS, FEW_COLUMNS, x);
  for (int kind = SAMPLER_DDPM; kind <= SAMPLER_DPM; ++kind) {
    const SamplerPlan plan = { (SamplerKind)kind, 10, 0.0f, 1000 };
    Job               job  = few(x);
    sample(&job, &plan, a);
    sample(&job, &plan, b);
    assert_memory_equal(a, b, sizeof a);
    job.seed = 4;
    sample(&job, &plan, b);
    if (kind == SAMPLER_DDPM) {
      assert_memory_not_equal(a, b, sizeof a);
    } else {
      assert_memory_equal(a, b, sizeof a); // of the starting noise alone
    }
    float other[FEW];
    starting_noise(2, FEW_ROWS, FEW_COLUMNS, other);
    job = few(other);
    sample(&job, &plan, b);
    assert_memory_not_equal(a, b, sizeof a);
    for (uint32_t i = 0; kind != SAMPLER_DDPM && i < FEW; ++i) {
      assert_true(a[i] != b[i]); // every value has its own noise
    }
  }
}

static void
test_batch_does_not_matter(void** state)
{
  (void)state;
  float x[FEW];
  float all[FEW];
  float alone[FEW_COLUMNS];
  starting_noise(1, FEW_ROWS, FEW_COLUMNS, x);
  static const SamplerPlan plans[]  = { { SAMPLER_DDPM, 12, 0.0f, 1000 },
                                        { SAMPLER_DDIM, 12, 0.0f, 1000 },
                                        { SAMPLER_DDIM, 12, 0.5f, 600 },
                                        { SAMPLER_DPM, 12, 0.0f, 1000 } };
  const char* const*       variants = device_cpu_variants();
  for (size_t v = 0; variants[v]; ++v) {
    for (size_t p = 0; p < sizeof plans / sizeof *plans; ++p) {
      Job job     = few(x);
      job.variant = variants[v];
      sample(&job, &plans[p], all);
      for (uint32_t r = 0; r < FEW_ROWS; ++r) {
        job.rows      = 1;
        job.first_row = r;
        job.x         = x + r * FEW_COLUMNS;
        sample(&job, &plans[p], alone);
        assert_memory_equal(alone, all + r * FEW_COLUMNS, sizeof alone);
      }
    }
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_times),
    cmocka_unit_test(test_refuses),
    cmocka_unit_test(test_order_of_convergence),
    cmocka_unit_test(test_dpm_by_the_book),
    cmocka_unit_test(test_ancestral),
    cmocka_unit_test(test_eta_keeps_the_marginal),
    cmocka_unit_test(test_noise_streams),
    cmocka_unit_test(test_deterministic),
    cmocka_unit_test(test_batch_does_not_matter),
  };
  return cmocka_run_group_tests(tests, make_schedules, NULL);
}
