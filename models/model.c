// One face for every kind of model: loading by kind, what all kinds share, and
// the checks of a request.
#include "model_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORBIDDEN_LOGIT -1e9f

static const ModelClass* const classes[] = {
  [MODEL_VAE]       = &model_class_vae,
  [MODEL_DIFFUSION] = &model_class_diffusion,
};

static Status
find_class(const Checkpoint* checkpoint, const ModelClass** out, Error* error)
{
  const char* const kind = checkpoint_text(checkpoint, "kind");
  for (size_t i = 0; kind && i < sizeof classes / sizeof *classes; ++i) {
    if (!strcmp(kind, classes[i]->name)) {
      *out = classes[i];
      return STATUS_OK;
    }
  }
  return error_set(error,
                   STATUS_UNSUPPORTED,
                   "%s: kind '%s' is not a model of meander: vae or diffusion",
                   checkpoint_path(checkpoint),
                   kind ? kind : "(none)");
}

static Status
load(Model*            model,
     const char*       device,
     const Checkpoint* checkpoint,
     Error*            error)
{
  snprintf(
    model->digest, sizeof model->digest, "%s", checkpoint_digest(checkpoint));
  Status status = find_class(checkpoint, &model->class, error);
  if (status == STATUS_OK) {
    status = device_open(device, &model->device, model->why, error);
  }
  if (status == STATUS_OK && model->batch_max == 0) {
    model->batch_max =
      device_is_gpu(model->device) ? MODEL_BATCH_GPU : MODEL_BATCH_CPU;
  }
  return status == STATUS_OK ? model->class->load(model, checkpoint, error)
                             : status;
}

static Status
load_on(const char*       device,
        uint32_t          batch_max,
        const Checkpoint* checkpoint,
        Model**           out,
        Error*            error)
{
  *out               = NULL;
  Model* const model = calloc(1, sizeof *model);
  if (!model) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a model");
  }
  model->batch_max    = batch_max;
  const Status status = load(model, device, checkpoint, error);
  if (status != STATUS_OK) {
    model_free(model);
    return status;
  }
  *out = model;
  return STATUS_OK;
}

// "auto" means a GPU only where it has room.
static Status
load_where_it_fits(const char*       device,
                   uint32_t          batch_max,
                   const Checkpoint* checkpoint,
                   Model**           out,
                   Error*            error)
{
  Error        fault;
  const Status status = load_on(device, batch_max, checkpoint, out, &fault);
  if (status == STATUS_OK || strcmp(device, "auto")) {
    if (status != STATUS_OK) {
      *error = fault;
    }
    return status;
  }
  if (load_on("cpu", batch_max, checkpoint, out, error)) {
    return error->status;
  }
  Model* const model = *out;
  snprintf(model->why,
           sizeof model->why,
           "%s (%.150s)",
           device_name(model->device),
           fault.text);
  return STATUS_OK;
}

Status
model_load(const char* path,
           const char* device,
           uint32_t    batch_windows_max,
           Model**     out,
           Error*      error)
{
  *out = NULL;
  if (batch_windows_max > MODEL_BATCH_MAX) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "a batch of %u windows: at most %u are possible",
                     batch_windows_max,
                     MODEL_BATCH_MAX);
  }
  Error       fault;
  Checkpoint* checkpoint;
  Status      status = checkpoint_open(path, &checkpoint, &fault);
  if (status == STATUS_OK) {
    status =
      load_where_it_fits(device, batch_windows_max, checkpoint, out, &fault);
    checkpoint_close(checkpoint);
  }
  if (status != STATUS_OK && error) {
    *error = fault;
  }
  return status;
}

Status
model_keep_spare(Model* model, const char* path, Error* error)
{
  return device_is_gpu(model->device)
           ? model_load(path, "cpu", model->batch_max, &model->spare, error)
           : STATUS_OK;
}

void
model_free(Model* model)
{
  if (!model) {
    return;
  }
  model_free(model->spare);
  if (model->own) {
    model->class->release(model);
  }
  device_close(model->device);
  free(model);
}

const char*
model_device(const Model* model)
{
  return atomic_load(&model->lost) ? model->spare->why : model->why;
}

bool
model_is_on_gpu(const Model* model)
{
  return device_is_gpu(model->device) && !atomic_load(&model->lost);
}

bool
model_lost_gpu(const Model* model, Error* error)
{
  const bool lost = atomic_load(&model->lost);
  if (lost) {
    *error = model->fault;
  }
  return lost;
}

Status
model_require(const Model* model,
              ModelKind    kind,
              const char*  purpose,
              Error*       error)
{
  return model->class->kind == kind
           ? STATUS_OK
           : error_set(error,
                       STATUS_UNSUPPORTED,
                       "%s needs a %s checkpoint; this one is of kind %s",
                       purpose,
                       classes[kind]->name,
                       model->class->name);
}

uint32_t
model_batch_max(const Model* model)
{
  return model->batch_max;
}

ModelKind
model_kind(const Model* model)
{
  return model->class->kind;
}

const char*
model_kind_name(const Model* model)
{
  return model->class->name;
}

uint32_t
model_latent_size(const Model* model)
{
  return model->latent_size;
}

uint32_t
model_active_latents(const Model* model)
{
  return model->active_latents;
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
  const uint32_t size = model->latent_size;
  for (uint32_t i = 0; i < count; ++i) {
    Rng rng = rng_make(seed, RNG_USE_LATENT, first_window + i);
    rng_normals(&rng, z + (size_t)i * size, size);
  }
}

void
model_pitch_bias(const ModelRequest* request, float* bias)
{
  const float forbidden = request->forbidden_share > 0
                            ? logf(fminf(request->forbidden_share, 1.0f))
                            : FORBIDDEN_LOGIT;
  for (uint32_t pitch = 0; pitch < ENCODING_PITCHES; ++pitch) {
    bias[pitch] =
      request->forbidden_classes >> (pitch % 12) & 1 ? forbidden : 0.0f;
  }
  // No event has it: it would be moved to the next key, of another class.
  bias[ENCODING_START_PITCH] = FORBIDDEN_LOGIT;
}

static Status
check_diffusion(const Model* model, const ModelRequest* request, Error* error)
{
  if (request->steps > model->steps_max) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%u steps: this model's schedule has 1 to %u",
                     request->steps,
                     model->steps_max);
  }
  if (!(request->eta >= 0.0f && request->eta <= 1.0f)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "eta is %g; it must be 0 to 1",
                     (double)request->eta);
  }
  if (request->before > model->context_max ||
      request->after > model->context_max - request->before) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "a context of %u notes: this model takes at most %u",
                     request->before + request->after,
                     model->context_max);
  }
  if (request->phrase &&
      !(request->strength > 0.0f && request->strength <= 1.0f)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "a mutation of strength %g; it must be above 0, up to 1",
                     (double)request->strength);
  }
  return STATUS_OK;
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

static Status
check_request(const Model* model, const ModelRequest* request, Error* error)
{
  const Status status = check_count(model, request->count, error);
  if (status != STATUS_OK) {
    return status;
  }
  if (!(request->temperature >= 0.0f)) { // NaN too
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "temperature is %g; it must be 0 or above",
                     (double)request->temperature);
  }
  if ((request->forbidden_classes & 0xfff) == 0xfff) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "all twelve pitch classes are forbidden");
  }
  return model->class->kind == MODEL_DIFFUSION
           ? check_diffusion(model, request, error)
           : STATUS_OK;
}

// --- The GPU, or its spare ---------------------------------------------------

// Where a failure on the model's own device is told: to the caller, unless the
// spare takes over.
static Error*
own_error(Model* model, Error* error)
{
  return model->spare ? &model->fault : error;
}

// Whether the spare takes over after a call on the model's own device.
static bool
takes_over(Model* model, Status status)
{
  if (status == STATUS_OK || !model->spare) {
    return false;
  }
  atomic_store(&model->lost, true);
  return true;
}

Status
model_generate(Model*              model,
               const ModelRequest* request,
               NoteEvent*          out,
               Error*              error)
{
  const ModelClass* const class = model->class;
  Status status                 = check_request(model, request, error);
  if (status != STATUS_OK) {
    return status;
  }
  if (!atomic_load(&model->lost)) {
    status = class->generate(model, request, out, own_error(model, error));
    if (!takes_over(model, status)) {
      return status;
    }
  }
  return class->generate(model->spare, request, out, error);
}

bool
model_prepare(Model* model, const ModelRequest* request)
{
  return model->class->prepare && !atomic_load(&model->lost) &&
         check_request(model, request, NULL) == STATUS_OK &&
         model->class->prepare(model, request);
}

Status
model_encode(Model*           model,
             const NoteEvent* events,
             uint32_t         count,
             float*           z,
             Error*           error)
{
  const ModelClass* const class = model->class;
  Status status = model_require(model, MODEL_VAE, "encoding", error);
  if (status == STATUS_OK) {
    status = check_count(model, count, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  if (!atomic_load(&model->lost)) {
    status = class->encode(model, events, count, z, own_error(model, error));
    if (!takes_over(model, status)) {
      return status;
    }
  }
  return class->encode(model->spare, events, count, z, error);
}
