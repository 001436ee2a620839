// A VAE as a checkpoint file: metadata "kind" = "vae", the sizes, the encoding
// statistics, one tensor for each entry of vae_parameters(), then its latent
// prior as latent.mean [1, Z] and latent.factor [Z, Z]. Any thread except
// process.
#pragma once

#include "checkpoint.h"
#include "latent_prior.h"
#include "vae.h"

// `weights`: host floats laid out as by vae_parameters(). `provenance`:
// further metadata (training data, seed, step, ...), written as given.
Status vae_checkpoint_write(const char*           path,
                            const VaeSizes*       sizes,
                            const EncodingStats*  stats,
                            const float*          weights,
                            const LatentPrior*    prior,
                            const CheckpointText* provenance,
                            size_t                provenance_count,
                            Error*                error);

// Sizes and statistics, checked. STATUS_UNSUPPORTED: another kind of model.
Status vae_checkpoint_sizes(const Checkpoint* checkpoint,
                            VaeSizes*         sizes,
                            EncodingStats*    stats,
                            Error*            error);
// The weights, into a Vae of those sizes, and the prior, into one of its
// latent's size; refuses missing and unexpected tensors, and a factor that is
// not lower triangular with a diagonal above 0.
Status vae_checkpoint_load(const Checkpoint* checkpoint,
                           const VaeSizes*   sizes,
                           Device*           device,
                           Vae*              vae,
                           LatentPrior*      prior,
                           Error*            error);
