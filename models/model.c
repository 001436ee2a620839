// One face for every kind of model; for now there is one kind, the VAE.
#include "model.h"

#include "vae_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>

struct Model {
  Device*       device;
  Vae*          vae;
  VaeSizes      sizes;
  EncodingStats stats;
  LatentPrior   prior;
  uint32_t      batch_max;
  char          digest[24];
  float*        z;        // [batch_max][latent]
  float*        pitch;    // [WINDOW_NOTES][batch_max]
  float*        channels; // [WINDOW_NOTES][batch_max][CHANNEL_COUNT]
};

static Status
load_network(Model* model, const Checkpoint* checkpoint, Error* error)
{
  Status status =
    vae_checkpoint_sizes(checkpoint, &model->sizes, &model->stats, error);
  if (status == STATUS_OK) {
    status = device_open_cpu(NULL, &model->device, error);
  }
  if (status == STATUS_OK) {
    status = vae_create(model->device,
                        &model->sizes,
                        model->batch_max,
                        false,
                        NULL,
                        &model->vae,
                        error);
  }
  if (status == STATUS_OK) {
    status = latent_prior_create(&model->prior, model->sizes.latent, error);
  }
  if (status == STATUS_OK) {
    status = vae_checkpoint_load(checkpoint,
                                 &model->sizes,
                                 model->device,
                                 model->vae,
                                 &model->prior,
                                 error);
  }
  if (status == STATUS_OK) {
    model->z =
      malloc((size_t)model->batch_max * model->sizes.latent * sizeof(float));
    status = model->z
               ? STATUS_OK
               : error_set(error, STATUS_NO_MEMORY, "no memory for a model");
  }
  return status;
}

static Status
allocate_rows(Model* model, Error* error)
{
  const size_t rows = (size_t)WINDOW_NOTES * model->batch_max;
  model->pitch      = malloc(rows * sizeof(float));
  model->channels   = malloc(rows * CHANNEL_COUNT * sizeof(float));
  return model->pitch && model->channels
           ? STATUS_OK
           : error_set(error, STATUS_NO_MEMORY, "no memory for a model");
}

Status
model_load(const char* path,
           uint32_t    batch_windows_max,
           Model**     out,
           Error*      error)
{
  *out = NULL;
  if (batch_windows_max < 1 || batch_windows_max > MODEL_BATCH_MAX) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "a batch of %u windows: must be 1 to %u",
                     batch_windows_max,
                     MODEL_BATCH_MAX);
  }
  Checkpoint* checkpoint;
  Status      status = checkpoint_open(path, &checkpoint, error);
  if (status != STATUS_OK) {
    return status;
  }
  Model* const model = calloc(1, sizeof *model);
  if (model) {
    model->batch_max = batch_windows_max;
    snprintf(
      model->digest, sizeof model->digest, "%s", checkpoint_digest(checkpoint));
    status = allocate_rows(model, error);
    if (status == STATUS_OK) {
      status = load_network(model, checkpoint, error);
    }
  } else {
    status = error_set(error, STATUS_NO_MEMORY, "no memory for a model");
  }
  checkpoint_close(checkpoint);
  if (status != STATUS_OK) {
    model_free(model);
    return status;
  }
  *out = model;
  return STATUS_OK;
}

void
model_free(Model* model)
{
  if (model) {
    vae_free(model->vae);
    device_close(model->device);
    latent_prior_free(&model->prior);
    free(model->z);
    free(model->pitch);
    free(model->channels);
    free(model);
  }
}

const char*
model_kind(const Model* model)
{
  (void)model;
  return "vae";
}

uint32_t
model_latent_size(const Model* model)
{
  return model->sizes.latent;
}

uint32_t
model_active_latents(const Model* model)
{
  return latent_prior_active(&model->prior);
}

const char*
model_digest(const Model* model)
{
  return model->digest;
}

void
model_sample_prior(const Model* model,
                   uint64_t     seed,
                   uint64_t     first_window,
                   uint32_t     count,
                   float*       z)
{
  for (uint32_t i = 0; i < count; ++i) {
    Rng rng = rng_make(seed, RNG_USE_LATENT, first_window + i);
    rng_normals(&rng, z + (size_t)i * model->sizes.latent, model->sizes.latent);
  }
}

static Status
check_count(const Model* model, uint32_t count, Error* error)
{
  return count >= 1 && count <= model->batch_max
           ? STATUS_OK
           : error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "%u windows in one call: must be 1 to %u",
                       count,
                       model->batch_max);
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
  Status status = check_count(model, count, error);
  if (status != STATUS_OK) {
    return status;
  }
  const uint32_t latent = model->sizes.latent;
  for (uint32_t i = 0; i < count; ++i) {
    latent_prior_to_latent(
      &model->prior, z + (size_t)i * latent, model->z + (size_t)i * latent);
  }
  vae_decode(model->vae,
             count,
             model->z,
             temperature,
             seed,
             first_window,
             model->pitch,
             model->channels);
  status = device_status(model->device, error);
  if (status != STATUS_OK) {
    device_clear(model->device);
    return status;
  }
  for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
    for (uint32_t i = 0; i < count; ++i) {
      const size_t row = (size_t)t * count + i;
      out[(size_t)i * WINDOW_NOTES + t] =
        decode_event(&model->stats,
                     model->pitch[row],
                     model->channels + row * CHANNEL_COUNT);
    }
  }
  return STATUS_OK;
}

Status
model_encode(Model*           model,
             const NoteEvent* events,
             uint32_t         count,
             float*           z,
             Error*           error)
{
  Status status = check_count(model, count, error);
  if (status != STATUS_OK) {
    return status;
  }
  for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
    for (uint32_t i = 0; i < count; ++i) {
      const size_t row = (size_t)t * count + i;
      encode_event(&model->stats,
                   events[(size_t)i * WINDOW_NOTES + t],
                   &model->pitch[row],
                   model->channels + row * CHANNEL_COUNT);
    }
  }
  vae_encode(model->vae, count, model->pitch, model->channels, z);
  for (uint32_t i = 0; i < count; ++i) {
    float* const row = z + (size_t)i * model->sizes.latent;
    latent_prior_from_latent(&model->prior, row, row);
  }
  status = device_status(model->device, error);
  device_clear(model->device);
  return status;
}
