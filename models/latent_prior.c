// The Gaussian prior in latent space.
#include "latent_prior.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RIDGE 1e-4

Status
latent_prior_create(LatentPrior* prior, uint32_t size, Error* error)
{
  *prior = (LatentPrior){
    .size   = size,
    .mean   = calloc(size, sizeof(float)),
    .factor = calloc((size_t)size * size, sizeof(float)),
  };
  if (!prior->mean || !prior->factor) {
    latent_prior_free(prior);
    return error_set(error, STATUS_NO_MEMORY, "no memory for a latent prior");
  }
  for (uint32_t i = 0; i < size; ++i) {
    prior->factor[(size_t)i * size + i] = 1.0f;
  }
  return STATUS_OK;
}

void
latent_prior_free(LatentPrior* prior)
{
  free(prior->mean);
  free(prior->factor);
  *prior = (LatentPrior){ 0 };
}

// covariance[Z][Z], lower half; also sets the prior's mean.
static void
take_moments(LatentPrior* prior,
             const float* means,
             uint32_t     count,
             double*      covariance)
{
  const uint32_t size = prior->size;
  for (uint32_t i = 0; i < size; ++i) {
    double sum = 0.0;
    for (uint32_t k = 0; k < count; ++k) {
      sum += (double)means[(size_t)k * size + i];
    }
    prior->mean[i] = (float)(sum / count);
  }
  memset(covariance, 0, (size_t)size * size * sizeof *covariance);
  for (uint32_t k = 0; k < count; ++k) {
    const float* const z = means + (size_t)k * size;
    for (uint32_t i = 0; i < size; ++i) {
      const double d = (double)(z[i] - prior->mean[i]);
      for (uint32_t j = 0; j <= i; ++j) {
        covariance[(size_t)i * size + j] +=
          d * (double)(z[j] - prior->mean[j]) / count;
      }
    }
  }
}

// Cholesky, in place in the lower half.
static void
factorise(double* a, uint32_t size)
{
  for (uint32_t i = 0; i < size; ++i) {
    for (uint32_t j = 0; j <= i; ++j) {
      double sum = a[(size_t)i * size + j] + (i == j ? RIDGE : 0.0);
      for (uint32_t k = 0; k < j; ++k) {
        sum -= a[(size_t)i * size + k] * a[(size_t)j * size + k];
      }
      a[(size_t)i * size + j] =
        i == j ? sqrt(fmax(sum, RIDGE)) : sum / a[(size_t)j * size + j];
    }
  }
}

Status
latent_prior_fit(LatentPrior* prior,
                 const float* means,
                 uint32_t     count,
                 float        spread,
                 Error*       error)
{
  const uint32_t size       = prior->size;
  double* const  covariance = malloc((size_t)size * size * sizeof *covariance);
  if (!covariance) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory to fit a latent prior");
  }
  take_moments(prior, means, count, covariance);
  factorise(covariance, size);
  for (uint32_t i = 0; i < size; ++i) {
    for (uint32_t j = 0; j < size; ++j) {
      const size_t at   = (size_t)i * size + j;
      prior->factor[at] = j <= i ? spread * (float)covariance[at] : 0.0f;
    }
  }
  free(covariance);
  return STATUS_OK;
}

void
latent_prior_from_latent(const LatentPrior* prior, const float* z, float* x)
{
  for (uint32_t i = 0; i < prior->size; ++i) {
    const float* const row = prior->factor + (size_t)i * prior->size;
    double             sum = (double)z[i] - (double)prior->mean[i];
    for (uint32_t j = 0; j < i; ++j) {
      sum -= (double)row[j] * (double)x[j];
    }
    x[i] = (float)(sum / (double)row[i]);
  }
}

uint32_t
latent_prior_active(const LatentPrior* prior)
{
  uint32_t active = 0;
  for (uint32_t i = 0; i < prior->size; ++i) {
    const float* const row      = prior->factor + (size_t)i * prior->size;
    double             variance = 0.0;
    for (uint32_t j = 0; j <= i; ++j) {
      variance += (double)row[j] * (double)row[j];
    }
    active += variance > 0.01;
  }
  return active;
}
