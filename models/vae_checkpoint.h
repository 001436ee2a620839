// A VAE as a checkpoint file: metadata "kind" = "vae", the sizes, the encoding
// statistics, and one tensor for each entry of vae_parameters(). Any thread
// except process.
#pragma once

#include "checkpoint.h"
#include "vae.h"

// `weights`: host floats in the order of vae_parameters(). `provenance`:
// further metadata (training data, seed, step, ...), written as given.
Status vae_checkpoint_write(const char*           path,
                            const VaeSizes*       sizes,
                            const EncodingStats*  stats,
                            const float*          weights,
                            const CheckpointText* provenance,
                            size_t                provenance_count,
                            Error*                error);

// Sizes and statistics, checked. STATUS_UNSUPPORTED: another kind of model.
Status vae_checkpoint_sizes(const Checkpoint* checkpoint,
                            VaeSizes*         sizes,
                            EncodingStats*    stats,
                            Error*            error);
// The weights, into a Vae of those sizes; refuses missing and unexpected ones.
Status vae_checkpoint_weights(const Checkpoint* checkpoint,
                              const VaeSizes*   sizes,
                              Device*           device,
                              Vae*              vae,
                              Error*            error);
