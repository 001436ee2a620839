// What all denoisers share: checks, weights and their start, dispatch by kind.
#include "denoiser_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char* const denoiser_names[] = { "transformer", "lstm", NULL };

static const DenoiserClass* const classes[] = {
  [DENOISER_TRANSFORMER] = &denoiser_transformer,
  [DENOISER_LSTM]        = &denoiser_lstm,
};

Status
denoiser_check_sizes(const DenoiserSizes* sizes, Error* error)
{
  const bool is_lstm = sizes->kind == DENOISER_LSTM;
  const struct {
    const char* name;
    uint32_t    value;
    uint32_t    most;
  } all[] = {
    { "width", sizes->width, DENOISER_WIDTH_MAX },
    { "layers", sizes->layers, DENOISER_LAYERS_MAX },
    { "heads", is_lstm ? 1 : sizes->heads, DENOISER_HEADS_MAX },
    { "bottleneck", is_lstm ? sizes->bottleneck : 1, DENOISER_WIDTH_MAX },
    { "time_width", sizes->time_width, DENOISER_WIDTH_MAX },
    { "input", sizes->input, DENOISER_WIDTH_MAX },
    { "output", sizes->output, DENOISER_WIDTH_MAX },
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    if (all[i].value < 1 || all[i].value > all[i].most) {
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "%s is %u; it must be 1 to %u",
                       all[i].name,
                       all[i].value,
                       all[i].most);
    }
  }
  if (!is_lstm && sizes->width % (2 * sizes->heads)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "width %u does not divide into %u heads of even width",
                     sizes->width,
                     sizes->heads);
  }
  return STATUS_OK;
}

size_t
denoiser_parameters(const DenoiserSizes* sizes,
                    Parameter*           table,
                    uint32_t*            count)
{
  classes[sizes->kind]->parameters(sizes, table, count);
  return parameters_lay_out(table, *count);
}

static Status
allocate_weights(Denoiser* denoiser, const Denoiser* owner, Error* error)
{
  const size_t total = denoiser_parameters(
    &denoiser->sizes, denoiser->table, &denoiser->parameter_count);
  if (total > UINT32_MAX) {
    return error_set(error, STATUS_LIMIT, "%zu weights are too many", total);
  }
  Device* const  device = denoiser->device;
  const uint32_t n      = (uint32_t)total;
  Status         status = STATUS_OK;
  if (owner) {
    denoiser->weights = owner->weights;
  } else {
    denoiser->owns_weights = true;
    status = tensor_allocate(device, 1, n, &denoiser->weights, error);
  }
  if (status == STATUS_OK && denoiser->training) {
    status = tensor_allocate(device, 1, n, &denoiser->gradients, error);
  }
  for (uint32_t i = 0; i < denoiser->parameter_count; ++i) {
    denoiser->p[i] = parameter_view(&denoiser->table[i], denoiser->weights);
    denoiser->g[i] = parameter_view(&denoiser->table[i], denoiser->gradients);
  }
  return status;
}

Status
denoiser_create(Device*              device,
                const DenoiserSizes* sizes,
                uint32_t             rows_max,
                uint32_t             sequences_max,
                bool                 training,
                const Denoiser*      owner,
                Denoiser**           out,
                Error*               error)
{
  *out          = NULL;
  Status status = denoiser_check_sizes(sizes, error);
  if (status != STATUS_OK) {
    return status;
  }
  Denoiser* const denoiser = calloc(1, sizeof *denoiser);
  if (!denoiser) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a denoiser");
  }
  denoiser->class         = classes[sizes->kind];
  denoiser->device        = device;
  denoiser->sizes         = *sizes;
  denoiser->rows_max      = rows_max;
  denoiser->sequences_max = sequences_max;
  denoiser->training      = training;
  status                  = allocate_weights(denoiser, owner, error);
  if (status == STATUS_OK) {
    status = denoiser->class->open(denoiser, error);
  }
  if (status != STATUS_OK) {
    denoiser_free(denoiser);
    return status;
  }
  *out = denoiser;
  return STATUS_OK;
}

Status
denoiser_pack(Denoiser* denoiser, Error* error)
{
  Status status = STATUS_OK;
  for (uint32_t i = 0; status == STATUS_OK && i < denoiser->parameter_count;
       ++i) {
    if (denoiser->p[i].rows > 1) {
      status = tensor_pack(
        denoiser->device, denoiser->p[i], &denoiser->packed[i], error);
    }
  }
  return status;
}

void
denoiser_free(Denoiser* denoiser)
{
  if (!denoiser) {
    return;
  }
  if (denoiser->own) {
    denoiser->class->close(denoiser);
  }
  if (denoiser->owns_weights) {
    tensor_free(denoiser->device, &denoiser->weights);
  }
  for (uint32_t i = 0; i < denoiser->parameter_count; ++i) {
    tensor_free(denoiser->device, &denoiser->packed[i]);
  }
  tensor_free(denoiser->device, &denoiser->gradients);
  free(denoiser);
}

Tensor
denoiser_weights(const Denoiser* denoiser)
{
  return denoiser->weights;
}

Tensor
denoiser_gradients(const Denoiser* denoiser)
{
  return denoiser->gradients;
}

Status
denoiser_initialise(Denoiser* denoiser, uint64_t seed, Error* error)
{
  const size_t total = denoiser->weights.columns;
  float* const host  = calloc(total, sizeof *host);
  if (!host) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %zu weights", total);
  }
  for (uint32_t i = 0; i < denoiser->parameter_count; ++i) {
    const Parameter* const entry = &denoiser->table[i];
    const size_t           count = parameter_size(entry);
    const float            bound =
      entry->rows == 1 ? 0.0f : 1.0f / sqrtf((float)entry->columns);
    Rng rng = rng_make(seed, RNG_USE_WEIGHTS, i);
    for (size_t k = 0; k < count; ++k) {
      host[entry->offset + k] = bound * (2.0f * rng_uniform(&rng) - 1.0f);
    }
  }
  denoiser->class->initialise(denoiser, host);
  tensor_write(denoiser->device, denoiser->weights, host);
  free(host);
  return device_status(denoiser->device, error);
}

void
denoiser_forward(Denoiser* denoiser, const DenoiserInput* input, Tensor head)
{
  denoiser->class->forward(denoiser, input, head);
}

void
denoiser_backward(Denoiser* denoiser, const DenoiserInput* input, Tensor dhead)
{
  denoiser->class->backward(denoiser, input, dhead);
}

void
denoiser_context(Denoiser* denoiser, const DenoiserInput* input)
{
  denoiser->class->context(denoiser, input);
}

void
denoiser_step(Denoiser* denoiser, const DenoiserInput* input, Tensor head)
{
  denoiser->class->step(denoiser, input, head);
}

void
denoiser_levels(Denoiser* denoiser, Tensor time)
{
  denoiser->class->levels(denoiser, time);
}
