// Where music lies in a VAE's latent space: a Gaussian fitted to the means of
// encoded training windows, z = mean + factor x. The space of x, in which the
// prior is standard normal, is the one that the instrument walks and
// interpolates in. Without the fit, samples from N(0, I) land between what the
// decoder has seen (Ghosh et al. 2020, "From variational to deterministic
// autoencoders", section 4: ex-post density estimation). Pure; any thread.
#pragma once

#include "status.h"

#include <stdint.h>

typedef struct {
  uint32_t size;   // Z
  float*   mean;   // [Z]
  float*   factor; // [Z][Z], lower triangular, diagonal above 0
} LatentPrior;

// The identity: mean 0, factor I.
Status latent_prior_create(LatentPrior* prior, uint32_t size, Error* error);
void   latent_prior_free(LatentPrior* prior);

// Fits to means[count][Z]: the factor is `spread` times the Cholesky factor of
// their covariance (a little is added to its diagonal, so that few or equal
// means do no harm).
Status latent_prior_fit(LatentPrior* prior,
                        const float* means,
                        uint32_t     count,
                        float        spread,
                        Error*       error);

// The x of a point z; they may be the same. The way there is the decoder's
// first step (vae_set_prior).
void latent_prior_from_latent(const LatentPrior* prior,
                              const float*       z,
                              float*             x);

// Dimensions in which the prior moves: variance above 0.01 (Burda et al. 2016).
uint32_t latent_prior_active(const LatentPrior* prior);
