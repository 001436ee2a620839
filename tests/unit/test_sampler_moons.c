// Samplers on two moons: with the exact denoiser, samples are as near to real
// draws by energy distance as real draws are to each other, and those of a
// wrong sampler are not.
#include "sample_known.h"

#include <math.h>

static NoiseSchedule schedule;

// The truth is a mixture: 500 points on two half circles, each a round Gaussian
// of deviation BLUR. Standardised, about.
enum { POINTS = 500, MOON_SAMPLES = 2000 };
static const double blur = 0.08;
static float        moons[POINTS][2];

static void
make_moons(void)
{
  for (int i = 0; i < POINTS; ++i) {
    const int    upper = i % 2;
    const double angle = acos(-1.0) * (i / 2) / (POINTS / 2 - 1);
    const double x     = upper ? cos(angle) : 1.0 - cos(angle);
    const double y     = upper ? sin(angle) : 0.5 - sin(angle);
    moons[i][0]        = (float)((x - 0.5) / 0.87);
    moons[i][1]        = (float)((y - 0.25) / 0.5);
  }
}

static void
moons_draw(uint64_t stream, float* out)
{
  Rng rng = rng_make(9, RNG_USE_TEST, stream);
  for (int i = 0; i < MOON_SAMPLES; ++i) {
    const uint32_t point = rng_below(&rng, POINTS);
    float          noise[2];
    rng_normals(&rng, noise, 2);
    for (int c = 0; c < 2; ++c) {
      out[2 * i + c] = moons[point][c] + (float)blur * noise[c];
    }
  }
}

// The mixture's weights given x_t, and the mean of each of its Gaussians.
static void
moons_estimate(const Truth* truth,
               const float* x,
               uint32_t     columns,
               uint32_t     t,
               float*       x0)
{
  assert_int_equal(columns, 2);
  const float  alpha = (float)noise_alpha(truth->schedule, t);
  const double spread =
    hypot((double)alpha * blur, noise_sigma(truth->schedule, t));
  const float gain  = (float)((double)alpha * blur * blur / spread / spread);
  const float sharp = (float)(-0.5 / spread / spread);
  float       exponent[POINTS];
  float       top = -INFINITY;
  for (int i = 0; i < POINTS; ++i) {
    const float dx = x[0] - alpha * moons[i][0];
    const float dy = x[1] - alpha * moons[i][1];
    exponent[i]    = sharp * (dx * dx + dy * dy);
    top            = fmaxf(top, exponent[i]);
  }
  double weights = 0.0;
  double sum[2]  = { 0.0, 0.0 };
  for (int i = 0; i < POINTS; ++i) {
    if (exponent[i] - top < -25.0f) {
      continue;
    }
    const double weight = (double)expf(exponent[i] - top);
    weights += weight;
    for (int c = 0; c < 2; ++c) {
      const float away = x[c] - alpha * moons[i][c];
      sum[c] += weight * (double)(moons[i][c] + gain * away);
    }
  }
  x0[0] = (float)(sum[0] / weights);
  x0[1] = (float)(sum[1] / weights);
}

static double
mean_distance(const float* a, const float* b)
{
  double sum = 0.0;
  for (int i = 0; i < MOON_SAMPLES; ++i) {
    float row = 0.0f;
    for (int k = 0; k < MOON_SAMPLES; ++k) {
      const float dx = a[2 * i] - b[2 * k];
      const float dy = a[2 * i + 1] - b[2 * k + 1];
      row += sqrtf(dx * dx + dy * dy);
    }
    sum += (double)row;
  }
  return sum / MOON_SAMPLES / MOON_SAMPLES;
}

// Szekely and Rizzo's two-sample statistic: 0 only for equal distributions.
static double
energy_distance(const float* a, const float* b)
{
  return 2.0 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b);
}

static double
moons_distance(const SamplerPlan*   plan,
               const NoiseSchedule* told,
               const float*         real)
{
  static float x[2 * MOON_SAMPLES];
  static float out[2 * MOON_SAMPLES];
  starting_noise(21, MOON_SAMPLES, 2, x);
  const Job job = { .rows     = MOON_SAMPLES,
                    .columns  = 2,
                    .seed     = 21,
                    .estimate = moons_estimate,
                    .schedule = &schedule,
                    .told     = told,
                    .x        = x };
  sample(&job, plan, out);
  return energy_distance(real, out);
}

static void
test_two_moons(void** state)
{
  (void)state;
  static float         real[2 * MOON_SAMPLES];
  static float         other[2 * MOON_SAMPLES];
  static NoiseSchedule wrong;
  assert_int_equal(noise_schedule_make(NOISE_COSINE, 200, &schedule, NULL), 0);
  make_moons();
  moons_draw(0, real);
  double floor_max = 0.0;
  for (uint64_t i = 1; i <= 6; ++i) {
    moons_draw(i, other);
    floor_max = fmax(floor_max, energy_distance(real, other));
  }
  print_message("real against real: at most %.5f\n", floor_max);

  static const SamplerPlan plans[] = { { SAMPLER_DDIM, 50, 0.0f, 200 },
                                       { SAMPLER_DPM, 20, 0.0f, 200 },
                                       { SAMPLER_DDIM, 50, 0.5f, 200 },
                                       { SAMPLER_DDPM, 100, 0.0f, 200 } };
  for (size_t i = 0; i < sizeof plans / sizeof *plans; ++i) {
    const double distance = moons_distance(&plans[i], NULL, real);
    print_message("%s, %u steps, eta %g: %.5f\n",
                  sampler_names[plans[i].kind],
                  plans[i].steps,
                  (double)plans[i].eta,
                  distance);
    assert_true(distance < 1.5 * floor_max);
  }
  // The reference system's mistake: alpha_bar where its root belongs. The
  // deterministic samplers cannot make up for it.
  wrong = schedule;
  for (uint32_t t = 0; t <= wrong.steps; ++t) {
    wrong.alpha_bar[t] *= wrong.alpha_bar[t];
  }
  for (size_t i = 0; i < 2; ++i) {
    const double distance = moons_distance(&plans[i], &wrong, real);
    print_message("with alpha_bar for its root: %.5f\n", distance);
    assert_true(distance > 2.0 * 1.5 * floor_max);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_two_moons) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
