// A test tool: writes a small VAE checkpoint with random weights, so that tests
// of live play need no trained model. Usage: make_model FILE.safetensors
#include "vae_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>

// Larger than an initial weight, so that windows differ from one another.
#define WEIGHT_SCALE 3.0f

static Status
write_model(const char* path, Error* error)
{
  const VaeSizes      sizes = { .pitch_embedding = 16,
                                .encoder_hidden  = 16,
                                .latent          = 32,
                                .decoder_hidden  = 64 };
  const EncodingStats stats = { .u_mean = 1.6f,
                                .u_std  = 0.9f,
                                .w_mean = -1.2f,
                                .w_std  = 0.8f,
                                .v_mean = 0.5f,
                                .v_std  = 0.15f };
  Device*             device;
  Vae*                vae;
  Status              status = device_open_cpu(NULL, &device, error);
  if (status ||
      (status = vae_create(device, &sizes, 1, false, NULL, &vae, error)) ||
      (status = vae_initialise(vae, 1, error))) {
    return status;
  }
  Parameter table[VAE_PARAMETER_COUNT];
  const size_t count   = vae_parameters(&sizes, table);
  float* const weights = malloc(count * sizeof *weights);
  if (!weights) {
    return error_set(error, STATUS_NO_MEMORY, "no memory");
  }
  tensor_read(device, vae_weights(vae), weights);
  for (size_t i = 0; i < count; ++i) {
    weights[i] *= WEIGHT_SCALE;
  }
  LatentPrior prior;
  status = latent_prior_create(&prior, sizes.latent, error);
  if (!status) {
    status = vae_checkpoint_write(
      path, &sizes, &stats, weights, &prior, NULL, 0, error);
    latent_prior_free(&prior);
  }
  free(weights);
  vae_free(vae);
  device_close(device);
  return status;
}

int
main(int argc, char** argv)
{
  Error error;
  if (argc != 2 || write_model(argv[1], &error)) {
    fprintf(stderr, "make_model: %s\n", argc == 2 ? error.text : "usage");
    return 1;
  }
  return 0;
}
