// Noise schedules: closed forms, the step-by-step chain against q(x_t | x_0),
// and the posterior of a jump against Bayes' rule.
#include "noise_schedule.h"
#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const uint32_t lengths[] = { 2, 3, 10, 100, 1000, NOISE_STEPS_MAX };
#define LENGTHS (sizeof lengths / sizeof *lengths)

static NoiseSchedule schedule;

static void
make(NoiseKind kind, uint32_t steps)
{
  memset(&schedule, 0xff, sizeof schedule);
  assert_int_equal(noise_schedule_make(kind, steps, &schedule, NULL), 0);
  assert_int_equal(schedule.kind, kind);
  assert_int_equal(schedule.steps, steps);
}

static void
assert_near(double value, double want, double relative)
{
  if (!(fabs(value - want) <= relative * fabs(want))) {
    fail_msg("%.15g, not %.15g", value, want);
  }
}

static double
beta(uint32_t t)
{
  return 1.0 - schedule.alpha_bar[t] / schedule.alpha_bar[t - 1];
}

static void
test_falls_strictly(void** state)
{
  (void)state;
  for (int kind = NOISE_LINEAR; kind <= NOISE_COSINE; ++kind) {
    for (size_t i = 0; i < LENGTHS; ++i) {
      make((NoiseKind)kind, lengths[i]);
      assert_true(schedule.alpha_bar[0] == 1.0);
      for (uint32_t t = 1; t <= schedule.steps; ++t) {
        assert_true(schedule.alpha_bar[t] < schedule.alpha_bar[t - 1]);
        assert_true(schedule.alpha_bar[t] > 0.0);
        assert_true(beta(t) > 0.0 && beta(t) < 0.999 + 1e-12);
        const double alpha = noise_alpha(&schedule, t);
        const double sigma = noise_sigma(&schedule, t);
        assert_near(alpha * alpha + sigma * sigma, 1.0, 1e-14);
        assert_near(
          noise_snr(&schedule, t), alpha * alpha / sigma / sigma, 1e-9);
        assert_true(t == 1 ||
                    noise_snr(&schedule, t) < noise_snr(&schedule, t - 1));
      }
    }
  }
}

// prod_(j < t) (1 - first - slope j) as a quotient of gamma functions.
static double
linear_alpha_bar(uint32_t t, double first, double slope)
{
  const double x = (1.0 - first) / slope + 1.0;
  return exp(t * log(slope) + lgamma(x) - lgamma(x - t));
}

static void
test_linear(void** state)
{
  (void)state;
  make(NOISE_LINEAR, 1000);
  assert_near(schedule.alpha_bar[1], 0.9999, 1e-14);
  assert_near(beta(1000), 0.02, 1e-9);
  // From the published implementations of DDPM.
  assert_near(schedule.alpha_bar[500], 0.0786, 1e-3);
  assert_near(schedule.alpha_bar[1000], 4.0358e-5, 1e-4);

  static const uint32_t uncapped[] = { 100, 250, 1000, 4000 };
  for (size_t i = 0; i < 4; ++i) {
    const uint32_t steps = uncapped[i];
    const double   first = 0.1 / steps;
    const double   slope = (20.0 / steps - first) / (steps - 1);
    make(NOISE_LINEAR, steps);
    for (uint32_t t = 1; t <= steps; ++t) {
      assert_near(
        schedule.alpha_bar[t], linear_alpha_bar(t, first, slope), 1e-8);
    }
  }
  make(NOISE_LINEAR, 2); // betas 0.05 and 10: the second is capped
  assert_near(schedule.alpha_bar[1], 0.95, 1e-12);
  assert_near(schedule.alpha_bar[2], 0.95 * 0.001, 1e-12);
}

static void
test_cosine(void** state)
{
  (void)state;
  make(NOISE_COSINE, 1000);
  assert_near(schedule.alpha_bar[1], 0.9999587, 1e-7);
  assert_near(schedule.alpha_bar[500], 0.49382, 1e-4);
  assert_near(schedule.alpha_bar[1000], 2.4286e-9, 1e-3);
  const double half_pi = acos(0.0);
  for (size_t i = 0; i < LENGTHS; ++i) {
    make(NOISE_COSINE, lengths[i]);
    for (uint32_t t = 1; t < schedule.steps; ++t) {
      const double place = (double)t / schedule.steps;
      const double c =
        cos((place + 0.008) / 1.008 * half_pi) / cos(0.008 / 1.008 * half_pi);
      assert_near(schedule.alpha_bar[t], c * c, 1e-9);
    }
    assert_near(beta(schedule.steps), 0.999, 1e-9); // the cap's
  }
}

static void
test_refuses(void** state)
{
  (void)state;
  static const uint32_t    wrong[] = { 0, 1, NOISE_STEPS_MAX + 1, UINT32_MAX };
  static const char* const names[] = { " 0 ", " 1 ", " 4001 ", " 4294967295 " };
  for (size_t i = 0; i < 4; ++i) {
    Error error;
    assert_int_equal(
      noise_schedule_make(NOISE_COSINE, wrong[i], &schedule, &error),
      STATUS_BAD_ARGUMENT);
    assert_non_null(strstr(error.text, names[i]));
    assert_non_null(strstr(error.text, "2 to 4000"));
  }
}

// Noise added step by step: after t steps the draws have the mean and the
// variance that q(x_t | x_0) says.
static void
test_forward_draws(void** state)
{
  (void)state;
  enum { DRAWS = 20000, STEPS = 60 };
  static float x[DRAWS];
  static float noise[DRAWS];
  for (int kind = NOISE_LINEAR; kind <= NOISE_COSINE; ++kind) {
    make((NoiseKind)kind, STEPS);
    for (int n = 0; n < DRAWS; ++n) {
      x[n] = 1.5f;
    }
    for (uint32_t t = 1; t <= STEPS; ++t) {
      Rng         rng  = rng_make(1, RNG_USE_TEST, t);
      const float keep = (float)sqrt(1.0 - beta(t));
      const float add  = (float)sqrt(beta(t));
      rng_normals(&rng, noise, DRAWS);
      double sum    = 0.0;
      double square = 0.0;
      for (int n = 0; n < DRAWS; ++n) {
        x[n] = keep * x[n] + add * noise[n];
        sum += (double)x[n];
        square += (double)x[n] * (double)x[n];
      }
      const double mean     = sum / DRAWS;
      const double variance = square / DRAWS - mean * mean;
      const double sigma    = noise_sigma(&schedule, t);
      // 5 standard errors.
      assert_true(fabs(mean - 1.5 * noise_alpha(&schedule, t)) <
                  5.0 * sigma / sqrt(DRAWS));
      assert_near(variance, sigma * sigma, 5.0 * sqrt(2.0 / DRAWS));
    }
  }
}

// x_s has the prior N(alpha_s x_0, sigma_s^2) and x_t = gain x_s + noise is an
// observation of it: precisions add.
static void
assert_bayes(uint32_t t, uint32_t s)
{
  const double         ratio = schedule.alpha_bar[t] / schedule.alpha_bar[s];
  const double         gain  = sqrt(ratio);
  const double         prior = 1.0 / (1.0 - schedule.alpha_bar[s]);
  const double         observation = 1.0 / (1.0 - ratio);
  const double         precision   = prior + gain * gain * observation;
  const NoisePosterior q           = noise_posterior(&schedule, t, s);
  assert_near(
    q.x0_share, sqrt(schedule.alpha_bar[s]) * prior / precision, 1e-8);
  assert_near(q.xt_share, gain * observation / precision, 1e-8);
  assert_near(q.deviation, 1.0 / sqrt(precision), 1e-8);
}

static void
assert_composes(uint32_t t, uint32_t s, uint32_t r)
{
  const NoisePosterior whole  = noise_posterior(&schedule, t, r);
  const NoisePosterior first  = noise_posterior(&schedule, t, s);
  const NoisePosterior second = noise_posterior(&schedule, s, r);
  assert_near(
    whole.x0_share, second.x0_share + second.xt_share * first.x0_share, 1e-8);
  assert_near(whole.xt_share, second.xt_share * first.xt_share, 1e-8);
  assert_near(whole.deviation,
              hypot(second.deviation, second.xt_share * first.deviation),
              1e-8);
}

static void
test_posterior(void** state)
{
  (void)state;
  for (int kind = NOISE_LINEAR; kind <= NOISE_COSINE; ++kind) {
    for (size_t i = 0; i < LENGTHS; ++i) {
      make((NoiseKind)kind, lengths[i]);
      const uint32_t stride = lengths[i] / 8 + 1;
      for (uint32_t t = lengths[i]; t >= 1; t -= t > stride ? stride : 1) {
        for (uint32_t s = 1; s < t; s += stride) {
          assert_bayes(t, s);
          for (uint32_t r = 0; r < s; r += stride) {
            assert_composes(t, s, r);
          }
        }
        const NoisePosterior to_data = noise_posterior(&schedule, t, 0);
        assert_near(to_data.x0_share, 1.0, 1e-12);
        assert_true(to_data.xt_share == 0.0);
        assert_true(to_data.deviation == 0.0);
      }
    }
  }
}

// Equations 6 and 7 of Ho et al. for one step.
static void
test_posterior_of_one_step(void** state)
{
  (void)state;
  make(NOISE_LINEAR, 1000);
  for (uint32_t t = 2; t <= 1000; t += 7) {
    const double         noise  = 1.0 - schedule.alpha_bar[t];
    const double         before = schedule.alpha_bar[t - 1];
    const double         b      = (0.0199 * (t - 1) / 999.0 + 1e-4);
    const NoisePosterior q      = noise_posterior(&schedule, t, t - 1);
    assert_near(q.x0_share, sqrt(before) * b / noise, 1e-8);
    assert_near(q.xt_share, sqrt(1.0 - b) * (1.0 - before) / noise, 1e-8);
    assert_near(q.deviation, sqrt(b * (1.0 - before) / noise), 1e-8);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_falls_strictly),
    cmocka_unit_test(test_linear),
    cmocka_unit_test(test_cosine),
    cmocka_unit_test(test_refuses),
    cmocka_unit_test(test_forward_draws),
    cmocka_unit_test(test_posterior),
    cmocka_unit_test(test_posterior_of_one_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
