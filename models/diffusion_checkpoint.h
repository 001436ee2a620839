// A diffusion model as a checkpoint file: metadata "kind" = "diffusion", the
// settings, the encoding statistics, one tensor for each entry of
// denoiser_parameters(). Any thread except process.
#pragma once

#include "checkpoint.h"
#include "diffusion.h"

// `weights`: host floats laid out as by denoiser_parameters(). `provenance`:
// further metadata, written as given.
Status diffusion_checkpoint_write(const char*              path,
                                  const DiffusionSettings* settings,
                                  const EncodingStats*     stats,
                                  const float*             weights,
                                  const CheckpointText*    provenance,
                                  size_t                   provenance_count,
                                  Error*                   error);
// Settings and statistics, checked. STATUS_UNSUPPORTED: another kind of model.
Status diffusion_checkpoint_settings(const Checkpoint*  checkpoint,
                                     DiffusionSettings* settings,
                                     EncodingStats*     stats,
                                     Error*             error);
// The weights, into a Diffusion of those settings; refuses missing and
// unexpected tensors.
Status diffusion_checkpoint_load(const Checkpoint* checkpoint,
                                 Device*           device,
                                 Diffusion*        diffusion,
                                 Error*            error);
