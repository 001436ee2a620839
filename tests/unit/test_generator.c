// live/generator on a model of the test's own (standard normal prior; a decoder
// that shows z): the walk stays on the prior, slerp meets its ends, each window
// is a pure function of seed and number.
#include "live/generator.h"
#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LATENT 24u

struct Model {
  int unused;
};

uint32_t
model_latent_size(const Model* model)
{
  (void)model;
  return LATENT;
}

void
model_sample_prior(const Model* model,
                   uint64_t     seed,
                   uint64_t     first_window,
                   uint32_t     count,
                   float*       z)
{
  (void)model;
  for (uint32_t i = 0; i < count; ++i) {
    Rng rng = rng_make(seed, RNG_USE_LATENT, first_window + i);
    rng_normals(&rng, z + i * LATENT, LATENT);
  }
}

Status
model_decode(Model*       model,
             const float* z,
             uint32_t     count,
             float        temperature,
             uint64_t     seed,
             uint64_t     first_window,
             NoteEvent*   out,
             Error*       error)
{
  (void)model;
  (void)error;
  assert_int_equal(count, 1);
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    out[i] = (NoteEvent){ .pitch      = (uint8_t)(1 + first_window % 127),
                          .velocity   = z[i],
                          .step_s     = temperature,
                          .duration_s = (float)seed };
  }
  return STATUS_OK;
}

static Generator
make(Model* model, GeneratorMode mode, double walk_step, uint64_t seed)
{
  Params params                   = params_standard();
  params.value[PARAM_MODE]        = mode;
  params.value[PARAM_WALK_STEP]   = walk_step;
  params.value[PARAM_LEG_WINDOWS] = 5;
  params.value[PARAM_TEMPERATURE] = 0.5;
  Generator generator;
  generator_init(&generator, model, &params, seed);
  return generator;
}

static double
distance(const float* a, const float* b)
{
  double sum = 0;
  for (uint32_t i = 0; i < LATENT; ++i) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return sqrt(sum / LATENT);
}

static void
test_walk_stays_on_the_prior(void** state)
{
  (void)state;
  const double steps[] = { 0.1, 0.35, 0.9 };
  for (int k = 0; k < 3; ++k) {
    Model     model     = { 0 };
    Generator generator = make(&model, GENERATOR_WALK, steps[k], 7);
    double    sum = 0, squares = 0, moved = 0;
    float     before[LATENT];
    const int windows = 40000;
    for (int i = 0; i < windows; ++i) {
      memcpy(before, generator.z, sizeof before);
      generator_step(&generator);
      moved += i ? pow(distance(before, generator.z), 2) : 0;
      for (uint32_t d = 0; d < LATENT; ++d) {
        sum += generator.z[d];
        squares += generator.z[d] * generator.z[d];
      }
    }
    const double n        = (double)windows * LATENT;
    const double mean     = sum / n;
    const double variance = squares / n - mean * mean;
    assert_true(fabs(mean) < 0.06);
    assert_true(fabs(variance - 1) < 0.06);
    // E|z' - z|^2 = 2 (1 - rho)
    const double rho = sqrt(1 - steps[k] * steps[k]);
    assert_true(fabs(moved / windows - 2 * (1 - rho)) < 0.05 * 2 * (1 - rho));
  }
}

static void
test_interpolation_meets_its_ends(void** state)
{
  (void)state;
  Model     model     = { 0 };
  Generator generator = make(&model, GENERATOR_INTERPOLATE, 0, 9);
  float     before[LATENT];
  for (uint64_t window = 0; window < 40; ++window) {
    float anchor[LATENT];
    memcpy(before, generator.z, sizeof before);
    generator_step(&generator);
    model_sample_prior(&model, 9, window / 5, 1, anchor);
    if (window % 5 == 0) {
      assert_true(distance(generator.z, anchor) < 1e-5);
    }
    assert_true(!window || distance(before, generator.z) < 0.7);
  }
}

static void
test_slerp(void** state)
{
  (void)state;
  const float a[2]        = { 1, 0 };
  const float b[2]        = { 0, 1 };
  const float opposite[2] = { -1, 0 };
  const float zero[2]     = { 0, 0 };
  float       out[2];
  slerp(a, b, 2, 0.5f, out);
  assert_true(fabsf(out[0] - sqrtf(0.5f)) < 1e-6f);
  assert_true(fabsf(out[1] - sqrtf(0.5f)) < 1e-6f);
  slerp(a, b, 2, 1, out);
  assert_true(fabsf(out[0]) < 1e-6f && fabsf(out[1] - 1) < 1e-6f);
  slerp(a, a, 2, 0.3f, out);
  assert_true(fabsf(out[0] - 1) < 1e-6f);
  slerp(a, opposite, 2, 0.25f, out);
  assert_true(fabsf(out[0] - 0.5f) < 1e-6f && fabsf(out[1]) < 1e-6f);
  slerp(zero, b, 2, 0.25f, out);
  assert_true(fabsf(out[1] - 0.25f) < 1e-6f);
}

static void
test_determinism(void** state)
{
  (void)state;
  Model model = { 0 };
  for (int mode = GENERATOR_PRIOR; mode <= GENERATOR_INTERPOLATE; ++mode) {
    Generator one   = make(&model, (GeneratorMode)mode, 0.4, 21);
    Generator two   = make(&model, (GeneratorMode)mode, 0.4, 21);
    Generator other = make(&model, (GeneratorMode)mode, 0.4, 22);
    for (uint64_t window = 0; window < 20; ++window) {
      NoteEvent a[WINDOW_NOTES], b[WINDOW_NOTES], c[WINDOW_NOTES];
      Error     error;
      assert_int_equal(generator_next(&one, a, &error), STATUS_OK);
      assert_int_equal(generator_next(&two, b, &error), STATUS_OK);
      assert_int_equal(generator_next(&other, c, &error), STATUS_OK);
      for (int i = 0; i < WINDOW_NOTES; ++i) {
        assert_true(a[i].velocity == b[i].velocity);
        assert_true(a[i].velocity != c[i].velocity);
        assert_true(a[i].step_s == 0.5f);
        assert_int_equal(a[i].pitch, 1 + window);
      }
    }
  }
}

// A walk of step 1 forgets where it began: what is left is its steps' draws.
static void
test_steps_depend_on_the_seed(void** state)
{
  (void)state;
  Model     model = { 0 };
  Generator one   = make(&model, GENERATOR_WALK, 1, 21);
  Generator other = make(&model, GENERATOR_WALK, 1, 22);
  float     before[LATENT];
  for (int window = 0; window < 20; ++window) {
    memcpy(before, one.z, sizeof before);
    generator_step(&one);
    generator_step(&other);
    assert_true(distance(one.z, other.z) > 0.3);
    assert_true(!window || distance(one.z, before) > 0.3);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_walk_stays_on_the_prior),
    cmocka_unit_test(test_interpolation_meets_its_ends),
    cmocka_unit_test(test_slerp),
    cmocka_unit_test(test_determinism),
    cmocka_unit_test(test_steps_depend_on_the_seed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
