// The VAE behind model.h.
#include "model_internal.h"

#include "vae_checkpoint.h"

#include <stdlib.h>

typedef struct {
  Vae*        vae;
  VaeSizes    sizes;
  LatentPrior prior;
  float*      pitch;    // [WINDOW_NOTES][batch_max]
  float*      channels; // [WINDOW_NOTES][batch_max][CHANNEL_COUNT]
  float       pitch_bias[ENCODING_PITCHES];
} VaeModel;

static Status
load_network(Model*            model,
             VaeModel*         own,
             const Checkpoint* checkpoint,
             Error*            error)
{
  Status status =
    vae_checkpoint_sizes(checkpoint, &own->sizes, &model->stats, error);
  if (status == STATUS_OK) {
    status = vae_create(model->device,
                        &own->sizes,
                        model->batch_max,
                        false,
                        NULL,
                        &own->vae,
                        error);
  }
  if (status == STATUS_OK) {
    status = latent_prior_create(&own->prior, own->sizes.latent, error);
  }
  if (status == STATUS_OK) {
    status = vae_checkpoint_load(
      checkpoint, &own->sizes, model->device, own->vae, &own->prior, error);
  }
  if (status == STATUS_OK) {
    status = vae_set_prior(own->vae, &own->prior, error);
  }
  return status;
}

static Status
load(Model* model, const Checkpoint* checkpoint, Error* error)
{
  VaeModel* const own = calloc(1, sizeof *own);
  if (!own) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a model");
  }
  model->own          = own;
  const Status status = load_network(model, own, checkpoint, error);
  if (status != STATUS_OK) {
    return status;
  }
  const size_t rows     = (size_t)WINDOW_NOTES * model->batch_max;
  own->pitch            = malloc(rows * sizeof(float));
  own->channels         = malloc(rows * CHANNEL_COUNT * sizeof(float));
  model->latent_size    = own->sizes.latent;
  model->active_latents = latent_prior_active(&own->prior);
  model->steps_max      = 1;
  model->steps_default  = 1;
  model->context_max    = 0;
  return own->pitch && own->channels
           ? STATUS_OK
           : error_set(error, STATUS_NO_MEMORY, "no memory for a model");
}

static void
release(Model* model)
{
  VaeModel* const own = model->own;
  vae_free(own->vae);
  latent_prior_free(&own->prior);
  free(own->pitch);
  free(own->channels);
  free(own);
}

static Status
generate(Model*              model,
         const ModelRequest* request,
         NoteEvent*          out,
         Error*              error)
{
  VaeModel* const own   = model->own;
  const uint32_t  count = request->count;
  model_pitch_bias(request, own->pitch_bias);
  vae_decode(own->vae,
             count,
             request->z,
             request->temperature,
             request->forbidden_classes ? own->pitch_bias : NULL,
             request->seed,
             request->first_window,
             own->pitch,
             own->channels);
  const Status status = device_status(model->device, error);
  if (status != STATUS_OK) {
    device_clear(model->device);
    return status;
  }
  for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
    for (uint32_t i = 0; i < count; ++i) {
      const size_t row                  = (size_t)t * count + i;
      out[(size_t)i * WINDOW_NOTES + t] = decode_event(
        &model->stats, own->pitch[row], own->channels + row * CHANNEL_COUNT);
    }
  }
  return STATUS_OK;
}

static Status
encode(Model*           model,
       const NoteEvent* events,
       uint32_t         count,
       float*           z,
       Error*           error)
{
  VaeModel* const own = model->own;
  for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
    for (uint32_t i = 0; i < count; ++i) {
      const size_t row = (size_t)t * count + i;
      encode_event(&model->stats,
                   events[(size_t)i * WINDOW_NOTES + t],
                   &own->pitch[row],
                   own->channels + row * CHANNEL_COUNT);
    }
  }
  vae_encode(own->vae, count, own->pitch, own->channels, z);
  const Status status = device_status(model->device, error);
  if (status != STATUS_OK) {
    device_clear(model->device);
    return status;
  }
  for (uint32_t i = 0; i < count; ++i) {
    float* const row = z + (size_t)i * own->sizes.latent;
    latent_prior_from_latent(&own->prior, row, row);
  }
  return STATUS_OK;
}

const ModelClass model_class_vae = {
  .name     = "vae",
  .kind     = MODEL_VAE,
  .load     = load,
  .release  = release,
  .generate = generate,
  .encode   = encode,
};
