// A test tool: writes a small checkpoint with random weights, so that tests of
// live play need no trained model. Usage: make_model vae|diffusion FILE [SEED]
#include "diffusion_checkpoint.h"
#include "vae_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Larger than an initial weight, so that windows differ from one another.
#define WEIGHT_SCALE 3.0f

static const EncodingStats stats = { .u_mean = 1.6f,
                                     .u_std  = 0.9f,
                                     .w_mean = -1.2f,
                                     .w_std  = 0.8f,
                                     .v_mean = 0.5f,
                                     .v_std  = 0.15f };

// The tensor's values, larger; NULL: no memory.
static float*
larger(Device* device, Tensor weights, size_t count)
{
  float* const values = malloc(count * sizeof *values);
  if (values) {
    tensor_read(device, weights, values);
    for (size_t i = 0; i < count; ++i) {
      values[i] *= WEIGHT_SCALE;
    }
  }
  return values;
}

static Status
write_vae(Device* device, uint64_t seed, const char* path, Error* error)
{
  const VaeSizes sizes = { .pitch_embedding = 16,
                           .encoder_hidden  = 16,
                           .latent          = 32,
                           .decoder_hidden  = 64 };
  Vae*           vae;
  Status status = vae_create(device, &sizes, 1, false, NULL, &vae, error);
  if (status || (status = vae_initialise(vae, seed, error))) {
    return status;
  }
  Parameter    table[VAE_PARAMETER_COUNT];
  const size_t count   = vae_parameters(&sizes, table);
  float* const weights = larger(device, vae_weights(vae), count);
  LatentPrior  prior;
  status = weights ? latent_prior_create(&prior, sizes.latent, error)
                   : error_set(error, STATUS_NO_MEMORY, "no memory");
  if (!status) {
    status = vae_checkpoint_write(
      path, &sizes, &stats, weights, &prior, NULL, 0, error);
    latent_prior_free(&prior);
  }
  free(weights);
  vae_free(vae);
  return status;
}

static Status
write_diffusion(Device* device, uint64_t seed, const char* path, Error* error)
{
  DiffusionSettings settings = { .net         = { .kind       = DENOISER_TRANSFORMER,
                                                  .width      = 32,
                                                  .layers     = 2,
                                                  .heads      = 2,
                                                  .time_width = 32 },
                                 .pitch_code  = PITCH_EMBEDDING,
                                 .prediction  = PREDICT_DATA,
                                 .noise       = NOISE_COSINE,
                                 .noise_steps = 1000,
                                 .self_condition = 1 };
  Diffusion*        diffusion;
  Status            status = diffusion_check_settings(&settings, error);
  if (status || (status = diffusion_create(
                   device, &settings, 1, false, NULL, &diffusion, error))) {
    return status;
  }
  Denoiser* const net = diffusion_net(diffusion);
  Parameter       table[DENOISER_PARAMETERS_MAX];
  uint32_t        tensors;
  const size_t    count = denoiser_parameters(&settings.net, table, &tensors);
  status                = denoiser_initialise(net, seed, error);
  if (!status) {
    float* const weights = larger(device, denoiser_weights(net), count);
    status               = weights ? diffusion_checkpoint_write(
                         path, &settings, &stats, weights, NULL, 0, error)
                                   : error_set(error, STATUS_NO_MEMORY, "no memory");
    free(weights);
  }
  diffusion_free(diffusion);
  return status;
}

int
main(int argc, char** argv)
{
  Error   error  = { .text = "usage: make_model vae|diffusion FILE [SEED]" };
  Status  status = STATUS_BAD_ARGUMENT;
  Device* device;
  const uint64_t seed = argc == 4 ? strtoull(argv[3], NULL, 10) : 1;
  if ((argc == 3 || argc == 4) &&
      !(status = device_open_cpu(NULL, &device, &error))) {
    status = !strcmp(argv[1], "vae")
               ? write_vae(device, seed, argv[2], &error)
               : write_diffusion(device, seed, argv[2], &error);
    device_close(device);
  }
  if (status) {
    fprintf(stderr, "make_model: %s\n", error.text);
  }
  return status ? 1 : 0;
}
