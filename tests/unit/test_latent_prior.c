// The latent prior: fitted to draws of a known Gaussian it has its mean and
// covariance, the two maps are each other's inverse, and degenerate means do no
// harm.
#include "latent_prior.h"
#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 4u
#define COUNT 40000u

// z = mean + F x with a factor that is not triangular.
static const float true_mean[SIZE]         = { 0.5f, -1.0f, 0.0f, 2.0f };
static const float true_factor[SIZE][SIZE] = {
  { 1.0f, 0.5f, 0.0f, 0.0f },
  { 0.0f, 0.8f, 0.0f, 0.3f },
  { 0.2f, 0.0f, 0.05f, 0.0f },
  { 0.0f, 0.0f, 0.0f, 0.02f },
};

static float*
draw(void)
{
  float* const z   = malloc(COUNT * SIZE * sizeof *z);
  Rng          rng = rng_make(3, RNG_USE_TEST, 0);
  for (uint32_t k = 0; k < COUNT; ++k) {
    float x[SIZE];
    rng_normals(&rng, x, SIZE);
    for (uint32_t i = 0; i < SIZE; ++i) {
      z[k * SIZE + i] = true_mean[i];
      for (uint32_t j = 0; j < SIZE; ++j) {
        z[k * SIZE + i] += true_factor[i][j] * x[j];
      }
    }
  }
  return z;
}

static double
covariance_of(const float factor[], uint32_t i, uint32_t j)
{
  double sum = 0.0;
  for (uint32_t k = 0; k < SIZE; ++k) {
    sum += (double)factor[i * SIZE + k] * (double)factor[j * SIZE + k];
  }
  return sum;
}

static void
test_fit(void** state)
{
  (void)state;
  LatentPrior  prior;
  float* const z = draw();
  assert_int_equal(latent_prior_create(&prior, SIZE, NULL), 0);
  assert_int_equal(latent_prior_active(&prior), SIZE);
  for (int wide = 0; wide < 2; ++wide) {
    const float spread = wide ? 2.0f : 1.0f;
    assert_int_equal(latent_prior_fit(&prior, z, COUNT, spread, NULL), 0);
    for (uint32_t i = 0; i < SIZE; ++i) {
      assert_true(fabsf(prior.mean[i] - true_mean[i]) < 0.02f);
      for (uint32_t j = 0; j < SIZE; ++j) {
        const double want =
          covariance_of(&true_factor[0][0], i, j) * (double)(spread * spread);
        assert_true(fabs(covariance_of(prior.factor, i, j) - want) <
                    0.02 * (double)(spread * spread));
      }
    }
  }
  assert_int_equal(latent_prior_fit(&prior, z, COUNT, 1.0f, NULL), 0);
  assert_int_equal(latent_prior_active(&prior),
                   SIZE - 1); // the last hardly moves
  latent_prior_free(&prior);
  free(z);
}

// z = mean + factor x
static void
to_latent(const LatentPrior* prior, const float* x, float* z)
{
  for (uint32_t i = 0; i < SIZE; ++i) {
    double sum = (double)prior->mean[i];
    for (uint32_t j = 0; j < SIZE; ++j) {
      sum += (double)prior->factor[i * SIZE + j] * (double)x[j];
    }
    z[i] = (float)sum;
  }
}

static void
test_maps_are_inverse(void** state)
{
  (void)state;
  LatentPrior  prior;
  float* const z = draw();
  assert_int_equal(latent_prior_create(&prior, SIZE, NULL), 0);
  assert_int_equal(latent_prior_fit(&prior, z, COUNT, 1.15f, NULL), 0);
  for (uint32_t k = 0; k < 100; ++k) {
    float x[SIZE];
    float back[SIZE];
    latent_prior_from_latent(&prior, z + k * SIZE, x);
    to_latent(&prior, x, back);
    float place[SIZE];
    memcpy(place, z + k * SIZE, sizeof place);
    latent_prior_from_latent(&prior, place, place); // in place, too
    for (uint32_t i = 0; i < SIZE; ++i) {
      assert_true(fabsf(back[i] - z[k * SIZE + i]) < 1e-5f);
      assert_true(place[i] == x[i]);
    }
  }
  latent_prior_free(&prior);
  free(z);
}

static void
test_degenerate_means(void** state)
{
  (void)state;
  LatentPrior prior;
  const float same[3 * SIZE] = { 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4 };
  assert_int_equal(latent_prior_create(&prior, SIZE, NULL), 0);
  assert_int_equal(latent_prior_fit(&prior, same, 3, 1.0f, NULL), 0);
  for (uint32_t i = 0; i < SIZE; ++i) {
    assert_true(prior.factor[i * SIZE + i] > 0.0f);
    for (uint32_t j = 0; j < SIZE; ++j) {
      assert_true(isfinite(prior.factor[i * SIZE + j]));
    }
  }
  latent_prior_free(&prior);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_fit),
    cmocka_unit_test(test_maps_are_inverse),
    cmocka_unit_test(test_degenerate_means),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
