// A VAE as a checkpoint file.
#include "vae_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 32u
#define MEAN_NAME "latent.mean"
#define FACTOR_NAME "latent.factor"

// The metadata's numbers: what name, where it is kept.
typedef struct {
  const char* key;
  uint32_t*   whole;
  float*      real;
  float       low;
} Field;

#define FIELD_COUNT 10

static void
list_fields(VaeSizes* sizes, EncodingStats* stats, Field fields[FIELD_COUNT])
{
  const Field list[FIELD_COUNT] = {
    { "pitch_embedding", &sizes->pitch_embedding, NULL, 1 },
    { "encoder_hidden", &sizes->encoder_hidden, NULL, 1 },
    { "latent", &sizes->latent, NULL, 1 },
    { "decoder_hidden", &sizes->decoder_hidden, NULL, 1 },
    { "u_mean", NULL, &stats->u_mean, -100 },
    { "u_std", NULL, &stats->u_std, ENCODING_STD_MIN },
    { "w_mean", NULL, &stats->w_mean, -100 },
    { "w_std", NULL, &stats->w_std, ENCODING_STD_MIN },
    { "v_mean", NULL, &stats->v_mean, -100 },
    { "v_std", NULL, &stats->v_std, ENCODING_STD_MIN },
  };
  memcpy(fields, list, sizeof list);
}

Status
vae_checkpoint_sizes(const Checkpoint* checkpoint,
                     VaeSizes*         sizes,
                     EncodingStats*    stats,
                     Error*            error)
{
  const char* const kind = checkpoint_text(checkpoint, "kind");
  if (!kind || strcmp(kind, "vae") != 0) {
    return error_set(error,
                     STATUS_UNSUPPORTED,
                     "%s: model kind '%s' where 'vae' is needed",
                     checkpoint_path(checkpoint),
                     kind ? kind : "(none)");
  }
  Field fields[FIELD_COUNT];
  list_fields(sizes, stats, fields);
  for (int i = 0; i < FIELD_COUNT; ++i) {
    const Field* const f = &fields[i];
    const Status       status =
      f->whole
              ? checkpoint_get_u32(
            checkpoint, f->key, (uint32_t)f->low, VAE_SIZE_MAX, f->whole, error)
              : checkpoint_get_float(
            checkpoint, f->key, f->low, 100.0f, f->real, error);
    if (status != STATUS_OK) {
      return status;
    }
  }
  return STATUS_OK;
}

static Status
load_parameters(const Checkpoint*   checkpoint,
                const Parameter* table,
                float*              data,
                Error*              error)
{
  for (int i = 0; i < VAE_PARAMETER_COUNT; ++i) {
    const uint32_t dims[2] = { table[i].rows, table[i].columns };
    const float*   source;
    const Status   status =
      checkpoint_tensor(checkpoint, table[i].name, dims, 2, &source, error);
    if (status != STATUS_OK) {
      return status;
    }
    memcpy(data + table[i].offset,
           source,
           (size_t)dims[0] * dims[1] * sizeof(float));
  }
  return STATUS_OK;
}

static bool
is_lower_triangular(const float* factor, uint32_t size)
{
  for (uint32_t i = 0; i < size; ++i) {
    for (uint32_t j = i; j < size; ++j) {
      const float value = factor[(size_t)i * size + j];
      if (i == j ? !(value > 0.0f) : value != 0.0f) {
        return false;
      }
    }
  }
  return true;
}

static Status
load_prior(const Checkpoint* checkpoint, LatentPrior* prior, Error* error)
{
  const uint32_t size          = prior->size;
  const uint32_t mean_dims[]   = { 1, size };
  const uint32_t factor_dims[] = { size, size };
  const float*   mean;
  const float*   factor;
  Status         status =
    checkpoint_tensor(checkpoint, MEAN_NAME, mean_dims, 2, &mean, error);
  if (status == STATUS_OK) {
    status = checkpoint_tensor(
      checkpoint, FACTOR_NAME, factor_dims, 2, &factor, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  if (!is_lower_triangular(factor, size)) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "%s: tensor '" FACTOR_NAME
                     "': not lower triangular with a diagonal above 0",
                     checkpoint_path(checkpoint));
  }
  memcpy(prior->mean, mean, size * sizeof(float));
  memcpy(prior->factor, factor, (size_t)size * size * sizeof(float));
  return STATUS_OK;
}

Status
vae_checkpoint_load(const Checkpoint* checkpoint,
                    const VaeSizes*   sizes,
                    Device*           device,
                    Vae*              vae,
                    LatentPrior*      prior,
                    Error*            error)
{
  Parameter table[VAE_PARAMETER_COUNT];
  const size_t count = vae_parameters(sizes, table);
  float* const data  = malloc(count * sizeof *data);
  if (!data) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %zu weights", count);
  }
  Status status = load_parameters(checkpoint, table, data, error);
  if (status == STATUS_OK) {
    status = load_prior(checkpoint, prior, error);
  }
  if (status == STATUS_OK) {
    status = checkpoint_expect_no_others(checkpoint, error);
  }
  if (status == STATUS_OK) {
    tensor_write(device, vae_weights(vae), data);
    status = device_status(device, error);
  }
  free(data);
  return status;
}

static CheckpointTensor
tensor_of(const char* name, uint32_t rows, uint32_t columns, const float* data)
{
  CheckpointTensor tensor = {
    .dims          = { rows, columns },
    .dim_count     = 2,
    .data          = data,
    .element_count = (size_t)rows * columns,
  };
  snprintf(tensor.name, sizeof tensor.name, "%.39s", name);
  return tensor;
}

Status
vae_checkpoint_write(const char*           path,
                     const VaeSizes*       sizes,
                     const EncodingStats*  stats,
                     const float*          weights,
                     const LatentPrior*    prior,
                     const CheckpointText* provenance,
                     size_t                provenance_count,
                     Error*                error)
{
  VaeSizes      sizes_copy = *sizes;
  EncodingStats stats_copy = *stats;
  Field         fields[FIELD_COUNT];
  list_fields(&sizes_copy, &stats_copy, fields);

  const size_t          text_count = 1 + FIELD_COUNT + provenance_count;
  CheckpointText* const texts      = calloc(text_count, sizeof *texts);
  if (!texts) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for a checkpoint's metadata");
  }
  char values[FIELD_COUNT][TEXT_BYTES];
  texts[0] = (CheckpointText){ "kind", "vae" };
  for (int i = 0; i < FIELD_COUNT; ++i) {
    if (fields[i].whole) {
      snprintf(values[i], TEXT_BYTES, "%u", *fields[i].whole);
    } else {
      snprintf(values[i], TEXT_BYTES, "%.9g", (double)*fields[i].real);
    }
    texts[1 + i] = (CheckpointText){ fields[i].key, values[i] };
  }
  for (size_t i = 0; i < provenance_count; ++i) {
    texts[1 + FIELD_COUNT + i] = provenance[i];
  }

  Parameter table[VAE_PARAMETER_COUNT];
  vae_parameters(sizes, table);
  const uint32_t   z = sizes->latent;
  CheckpointTensor tensors[VAE_PARAMETER_COUNT + 2];
  for (int i = 0; i < VAE_PARAMETER_COUNT; ++i) {
    tensors[i] = tensor_of(table[i].name,
                           table[i].rows,
                           table[i].columns,
                           weights + table[i].offset);
  }
  tensors[VAE_PARAMETER_COUNT] = tensor_of(MEAN_NAME, 1, z, prior->mean);
  tensors[VAE_PARAMETER_COUNT + 1] =
    tensor_of(FACTOR_NAME, z, z, prior->factor);
  const Status status = checkpoint_write(
    path, texts, text_count, tensors, VAE_PARAMETER_COUNT + 2, error);
  free(texts);
  return status;
}
