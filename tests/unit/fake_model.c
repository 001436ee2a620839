// The fake model.
#include "fake_model.h"

#include "rng.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

void
fake_model_init(Model* model, ModelKind kind)
{
  memset(model, 0, sizeof *model);
  pthread_mutex_init(&model->lock, NULL);
  model->kind          = kind;
  model->step_s        = 0.05f;
  model->fail_at       = UINT64_MAX;
  model->steps_default = kind == MODEL_DIFFUSION ? 20 : 1;
  model->steps_max     = kind == MODEL_DIFFUSION ? 1000 : 1;
  model->context_max   = kind == MODEL_DIFFUSION ? CONTEXT_NOTES_MAX : 0;
}

uint8_t
fake_model_pitch(const Model* model, uint64_t window)
{
  return model->pitch ? model->pitch : (uint8_t)(30 + window % 60);
}

ModelKind
model_kind(const Model* model)
{
  return model->kind;
}

const char*
model_kind_name(const Model* model)
{
  return model->kind == MODEL_VAE ? "vae" : "diffusion";
}

uint32_t
model_latent_size(const Model* model)
{
  (void)model;
  return FAKE_LATENT;
}

uint32_t
model_steps_max(const Model* model)
{
  return model->steps_max;
}

uint32_t
model_steps_default(const Model* model)
{
  return model->steps_default;
}

uint32_t
model_student_steps(const Model* model)
{
  return model->student_steps;
}

uint32_t
model_context_max(const Model* model)
{
  return model->context_max;
}

void
model_sample_prior(const Model* model,
                   uint64_t     seed,
                   uint64_t     first_window,
                   uint32_t     count,
                   float*       z)
{
  (void)model;
  for (uint32_t i = 0; i < count; ++i) {
    Rng rng = rng_make(seed, RNG_USE_LATENT, first_window + i);
    rng_normals(&rng, z + i * FAKE_LATENT, FAKE_LATENT);
  }
}

static void
remember(Model* model, const ModelRequest* request)
{
  const size_t given = request->before + request->after;
  pthread_mutex_lock(&model->lock);
  model->asked = *request;
  memcpy(model->z, request->z, sizeof model->z);
  memcpy(model->given, request->given, given * sizeof *model->given);
  if (request->phrase) {
    memcpy(model->phrase, request->phrase, sizeof model->phrase);
  }
  pthread_mutex_unlock(&model->lock);
}

float
fake_model_last(Model* model, float z[FAKE_LATENT])
{
  pthread_mutex_lock(&model->lock);
  const float temperature = model->asked.temperature;
  memcpy(z, model->z, sizeof model->z);
  pthread_mutex_unlock(&model->lock);
  return temperature;
}

uint64_t
fake_model_window(Model* model)
{
  pthread_mutex_lock(&model->lock);
  const uint64_t window = model->asked.first_window;
  pthread_mutex_unlock(&model->lock);
  return window;
}

Status
model_generate(Model*              model,
               const ModelRequest* request,
               NoteEvent*          out,
               Error*              error)
{
  remember(model, request);
  if (request->first_window >= atomic_load(&model->fail_at)) {
    return error_set(error, STATUS_UNAVAILABLE, "the model broke");
  }
  atomic_fetch_add(&model->calls_under_way, 1);
  while (atomic_load(&model->stalled)) {
    usleep(1000);
  }
  const uint32_t us = atomic_load(&model->call_us) +
                      atomic_load(&model->step_us) * request->steps;
  if (us) {
    usleep(us);
  }
  for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
    out[i] =
      (NoteEvent){ .pitch      = fake_model_pitch(model, request->first_window),
                   .velocity   = 0.5f + 0.1f * tanhf(request->z[i]),
                   .step_s     = model->step_s,
                   .duration_s = 0.3f };
  }
  atomic_fetch_sub(&model->calls_under_way, 1); // and touches it no more
  return STATUS_OK;
}

bool
model_prepare(Model* model, const ModelRequest* request)
{
  uint32_t i = 0;
  while (i < model->prepared_count &&
         (model->prepared[i].before != request->before ||
          model->prepared[i].after != request->after ||
          model->prepared[i].steps != request->steps)) {
    ++i;
  }
  const bool is_new = i == model->prepared_count && i < 64;
  if (is_new) {
    model->prepared[model->prepared_count++] = *request;
  }
  return is_new;
}

// The point of a phrase tells its first key.
Status
model_encode(Model*           model,
             const NoteEvent* events,
             uint32_t         count,
             float*           z,
             Error*           error)
{
  (void)error;
  atomic_fetch_add(&model->encoded, 1);
  for (uint32_t i = 0; i < count * FAKE_LATENT; ++i) {
    z[i] = (float)events[i / FAKE_LATENT * WINDOW_NOTES].pitch / 64.0f - 1.0f;
  }
  return STATUS_OK;
}

const char*
model_digest(const Model* model)
{
  return model->kind == MODEL_VAE ? "fake-vae" : "fake-diffusion";
}
