// A diffusion model behind model.h: a window's latent is its starting noise.
#include "model_internal.h"

#include "diffusion_checkpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Steps of a model that was not distilled, where nobody says.
#define STEPS_DEFAULT 20u

typedef struct {
  Diffusion* diffusion;
  uint32_t   columns;
  float*     x;              // [batch_max * WINDOW_NOTES][columns]
  float*     pitch;          // [batch_max][SEQUENCE_NOTES]
  float*     channels;       // [batch_max][SEQUENCE_NOTES][CHANNEL_COUNT]
  float*     given_pitch;    // [batch_max][CONTEXT_NOTES_MAX]
  float*     given_channels; // [batch_max][CONTEXT_NOTES_MAX][CHANNEL_COUNT]
  float      pitch_bias[ENCODING_PITCHES];
} DiffusionModel;

static Status
load_network(Model*            model,
             DiffusionModel*   own,
             const Checkpoint* checkpoint,
             Error*            error)
{
  DiffusionSettings settings;
  Status            status =
    diffusion_checkpoint_settings(checkpoint, &settings, &model->stats, error);
  if (status == STATUS_OK) {
    status = diffusion_create(model->device,
                              &settings,
                              model->batch_max,
                              false,
                              NULL,
                              &own->diffusion,
                              error);
  }
  if (status == STATUS_OK) {
    status = diffusion_checkpoint_load(
      checkpoint, model->device, own->diffusion, error);
  }
  if (status == STATUS_OK) {
    status = denoiser_pack(diffusion_net(own->diffusion), error);
  }
  if (status == STATUS_OK) {
    own->columns          = diffusion_columns(&settings);
    model->latent_size    = WINDOW_NOTES * own->columns;
    model->active_latents = model->latent_size;
    model->steps_max      = settings.noise_steps;
    model->student_steps  = settings.student_steps;
    model->steps_default  = settings.student_steps ? settings.student_steps
                            : STEPS_DEFAULT < settings.noise_steps
                              ? STEPS_DEFAULT
                              : settings.noise_steps;
    model->context_max    = CONTEXT_NOTES_MAX;
  }
  return status;
}

static Status
load(Model* model, const Checkpoint* checkpoint, Error* error)
{
  DiffusionModel* const own = calloc(1, sizeof *own);
  if (!own) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a model");
  }
  model->own          = own;
  const Status status = load_network(model, own, checkpoint, error);
  if (status != STATUS_OK) {
    return status;
  }
  const size_t notes  = (size_t)model->batch_max * WINDOW_NOTES;
  const size_t given  = (size_t)model->batch_max * CONTEXT_NOTES_MAX;
  own->x              = malloc(notes * own->columns * sizeof(float));
  own->pitch          = malloc(notes * sizeof(float));
  own->channels       = malloc(notes * CHANNEL_COUNT * sizeof(float));
  own->given_pitch    = malloc(given * sizeof(float));
  own->given_channels = malloc(given * CHANNEL_COUNT * sizeof(float));
  return own->x && own->pitch && own->channels && own->given_pitch &&
             own->given_channels
           ? STATUS_OK
           : error_set(error, STATUS_NO_MEMORY, "no memory for a model");
}

static void
release(Model* model)
{
  DiffusionModel* const own = model->own;
  diffusion_free(own->diffusion);
  free(own->x);
  free(own->pitch);
  free(own->channels);
  free(own->given_pitch);
  free(own->given_channels);
  free(own);
}

static void
encode_notes(const Model*     model,
             const NoteEvent* events,
             uint32_t         count,
             float*           pitch,
             float*           channels)
{
  for (uint32_t i = 0; i < count; ++i) {
    encode_event(&model->stats,
                 events[i],
                 &pitch[i],
                 channels + (size_t)i * CHANNEL_COUNT);
  }
}

// Where sampling starts: the noise itself at T; a phrase noised to `start`.
static void
starting_point(const Model* model, const ModelRequest* request, uint32_t start)
{
  DiffusionModel* const own  = model->own;
  const uint32_t        rows = request->count * WINDOW_NOTES;
  const size_t          size = (size_t)rows * own->columns;
  if (!request->phrase) {
    memcpy(own->x, request->z, size * sizeof(float));
    return;
  }
  const NoiseSchedule* const noise = diffusion_schedule(own->diffusion);
  const float                alpha = (float)noise_alpha(noise, start);
  const float                sigma = (float)noise_sigma(noise, start);
  encode_notes(model, request->phrase, rows, own->pitch, own->channels);
  diffusion_encode(own->diffusion, rows, own->pitch, own->channels, own->x);
  for (size_t i = 0; i < size; ++i) {
    own->x[i] = alpha * own->x[i] + sigma * request->z[i];
  }
}

static SamplerPlan
plan_of(const Model* model, const ModelRequest* request)
{
  SamplerPlan plan = {
    .kind  = request->sampler,
    .steps = request->steps ? request->steps : model->steps_default,
    .eta   = request->eta,
    .start = model->steps_max,
  };
  if (request->phrase) {
    // As many steps as the share of the way asks for.
    const float share = request->strength;
    plan.start = (uint32_t)fmaxf(roundf(share * (float)model->steps_max), 1.0f);
    plan.steps = (uint32_t)fmaxf(ceilf(share * (float)plan.steps), 1.0f);
    plan.steps = plan.steps < plan.start ? plan.steps : plan.start;
  }
  return plan;
}

// Without what the request holds.
static DiffusionRequest
form_of(const Model* model, const ModelRequest* request)
{
  const DiffusionModel* const own = model->own;
  return (DiffusionRequest){
    .count       = request->count,
    .notes       = WINDOW_NOTES,
    .before      = request->before,
    .after       = request->after,
    .plan        = plan_of(model, request),
    .temperature = request->temperature,
    .pitch_bias  = request->forbidden_classes ? own->pitch_bias : NULL,
  };
}

static bool
prepare(Model* model, const ModelRequest* request)
{
  DiffusionModel* const  own   = model->own;
  const DiffusionRequest inner = form_of(model, request);
  const bool             made  = diffusion_prepare(own->diffusion, &inner);
  device_clear(model->device); // a GPU that failed fails again
  return made;
}

static Status
generate(Model*              model,
         const ModelRequest* request,
         NoteEvent*          out,
         Error*              error)
{
  DiffusionModel* const own   = model->own;
  const uint32_t        rows  = request->count * WINDOW_NOTES;
  const uint32_t        given = request->before + request->after;
  DiffusionRequest      inner = form_of(model, request);
  starting_point(model, request, inner.plan.start);
  encode_notes(model,
               request->given,
               request->count * given,
               own->given_pitch,
               own->given_channels);
  model_pitch_bias(request, own->pitch_bias);
  inner.given_pitch    = own->given_pitch;
  inner.given_channels = own->given_channels;
  inner.x              = own->x;
  inner.seed           = request->seed;
  inner.first_sequence = request->first_window;
  diffusion_sample(own->diffusion, &inner, own->pitch, own->channels);
  const Status status = device_status(model->device, error);
  if (status != STATUS_OK) {
    device_clear(model->device);
    return status;
  }
  for (uint32_t i = 0; i < rows; ++i) {
    out[i] = decode_event(
      &model->stats, own->pitch[i], own->channels + (size_t)i * CHANNEL_COUNT);
  }
  return STATUS_OK;
}

const ModelClass model_class_diffusion = {
  .name     = "diffusion",
  .kind     = MODEL_DIFFUSION,
  .load     = load,
  .release  = release,
  .generate = generate,
  .prepare  = prepare,
};
