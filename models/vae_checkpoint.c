// A VAE as a checkpoint file.
#include "vae_checkpoint.h"

#include "checkpoint_network.h"

#include <stdlib.h>
#include <string.h>

#define KIND "vae"
#define MEAN_NAME "latent.mean"
#define FACTOR_NAME "latent.factor"
#define SIZE_FIELDS 4
#define FIELD_COUNT (SIZE_FIELDS + NETWORK_STATS_FIELDS)

static void
list_fields(VaeSizes*      sizes,
            EncodingStats* stats,
            NetworkField   fields[FIELD_COUNT])
{
  const NetworkField list[SIZE_FIELDS] = {
    { "pitch_embedding", &sizes->pitch_embedding, NULL, NULL, 1, VAE_SIZE_MAX },
    { "encoder_hidden", &sizes->encoder_hidden, NULL, NULL, 1, VAE_SIZE_MAX },
    { "latent", &sizes->latent, NULL, NULL, 1, VAE_SIZE_MAX },
    { "decoder_hidden", &sizes->decoder_hidden, NULL, NULL, 1, VAE_SIZE_MAX },
  };
  memcpy(fields, list, sizeof list);
  network_stats_fields(stats, fields + SIZE_FIELDS);
}

Status
vae_checkpoint_sizes(const Checkpoint* checkpoint,
                     VaeSizes*         sizes,
                     EncodingStats*    stats,
                     Error*            error)
{
  NetworkField fields[FIELD_COUNT];
  list_fields(sizes, stats, fields);
  const Status status = network_check_kind(checkpoint, KIND, error);
  return status == STATUS_OK
           ? network_read_fields(checkpoint, fields, FIELD_COUNT, error)
           : status;
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
  Parameter    table[VAE_PARAMETER_COUNT];
  const size_t count = vae_parameters(sizes, table);
  float* const data  = calloc(count, sizeof *data);
  if (!data) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %zu weights", count);
  }
  Status status = network_read_parameters(
    checkpoint, table, VAE_PARAMETER_COUNT, data, error);
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
  NetworkField  fields[FIELD_COUNT];
  Parameter     table[VAE_PARAMETER_COUNT];
  list_fields(&sizes_copy, &stats_copy, fields);
  vae_parameters(sizes, table);
  const uint32_t         z        = sizes->latent;
  const CheckpointTensor others[] = {
    network_tensor(MEAN_NAME, 1, z, prior->mean),
    network_tensor(FACTOR_NAME, z, z, prior->factor),
  };
  const NetworkFile file = {
    .kind             = KIND,
    .fields           = fields,
    .field_count      = FIELD_COUNT,
    .provenance       = provenance,
    .provenance_count = provenance_count,
    .table            = table,
    .parameter_count  = VAE_PARAMETER_COUNT,
    .weights          = weights,
    .others           = others,
    .other_count      = sizeof others / sizeof *others,
  };
  return network_write(path, &file, error);
}
