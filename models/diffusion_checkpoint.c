// A diffusion model as a checkpoint file.
#include "diffusion_checkpoint.h"

#include "checkpoint_network.h"

#include <stdlib.h>
#include <string.h>

#define KIND "diffusion"
#define SETTING_FIELDS 12
#define FIELD_COUNT (SETTING_FIELDS + NETWORK_STATS_FIELDS)

// Enumerations travel as numbers between the fields and the settings.
typedef struct {
  uint32_t network, pitch_code, prediction, noise;
} Choices;

static void
list_fields(DiffusionSettings* s,
            Choices*           choices,
            EncodingStats*     stats,
            NetworkField       fields[FIELD_COUNT])
{
  const float        wide                 = DENOISER_WIDTH_MAX;
  const NetworkField list[SETTING_FIELDS] = {
    { "network", &choices->network, NULL, denoiser_names, 0, 0 },
    { "width", &s->net.width, NULL, NULL, 1, wide },
    { "layers", &s->net.layers, NULL, NULL, 1, DENOISER_LAYERS_MAX },
    { "heads", &s->net.heads, NULL, NULL, 0, DENOISER_HEADS_MAX },
    { "bottleneck", &s->net.bottleneck, NULL, NULL, 0, wide },
    { "time_width", &s->net.time_width, NULL, NULL, 1, wide },
    { "pitch_code", &choices->pitch_code, NULL, pitch_code_names, 0, 0 },
    { "prediction", &choices->prediction, NULL, prediction_names, 0, 0 },
    { "noise", &choices->noise, NULL, noise_kind_names, 0, 0 },
    { "noise_steps", &s->noise_steps, NULL, NULL, 2, NOISE_STEPS_MAX },
    { "self_condition", &s->self_condition, NULL, NULL, 0, 1 },
    { "student_steps", &s->student_steps, NULL, NULL, 0, NOISE_STEPS_MAX },
  };
  memcpy(fields, list, sizeof list);
  network_stats_fields(stats, fields + SETTING_FIELDS);
}

Status
diffusion_checkpoint_settings(const Checkpoint*  checkpoint,
                              DiffusionSettings* settings,
                              EncodingStats*     stats,
                              Error*             error)
{
  Choices      choices = { 0 };
  NetworkField fields[FIELD_COUNT];
  *settings = (DiffusionSettings){ 0 };
  list_fields(settings, &choices, stats, fields);
  Status status = network_check_kind(checkpoint, KIND, error);
  if (status == STATUS_OK) {
    status = network_read_fields(checkpoint, fields, FIELD_COUNT, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  settings->net.kind   = (DenoiserKind)choices.network;
  settings->pitch_code = (PitchCode)choices.pitch_code;
  settings->prediction = (Prediction)choices.prediction;
  settings->noise      = (NoiseKind)choices.noise;
  Error reason;
  status = diffusion_check_settings(settings, &reason);
  return status == STATUS_OK ? STATUS_OK
                             : error_set(error,
                                         STATUS_BAD_FILE,
                                         "%s: %s",
                                         checkpoint_path(checkpoint),
                                         reason.text);
}

Status
diffusion_checkpoint_load(const Checkpoint* checkpoint,
                          Device*           device,
                          Diffusion*        diffusion,
                          Error*            error)
{
  Parameter    table[DENOISER_PARAMETERS_MAX];
  uint32_t     count;
  const size_t total =
    denoiser_parameters(&diffusion_settings(diffusion)->net, table, &count);
  float* const data = calloc(total, sizeof *data);
  if (!data) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %zu weights", total);
  }
  Status status =
    network_read_parameters(checkpoint, table, count, data, error);
  if (status == STATUS_OK) {
    status = checkpoint_expect_no_others(checkpoint, error);
  }
  if (status == STATUS_OK) {
    tensor_write(device, denoiser_weights(diffusion_net(diffusion)), data);
    status = device_status(device, error);
  }
  free(data);
  return status;
}

Status
diffusion_checkpoint_write(const char*              path,
                           const DiffusionSettings* settings,
                           const EncodingStats*     stats,
                           const float*             weights,
                           const CheckpointText*    provenance,
                           size_t                   provenance_count,
                           Error*                   error)
{
  DiffusionSettings settings_copy = *settings;
  EncodingStats     stats_copy    = *stats;
  Choices           choices       = { settings->net.kind,
                                      settings->pitch_code,
                                      settings->prediction,
                                      settings->noise };
  NetworkField      fields[FIELD_COUNT];
  Parameter         table[DENOISER_PARAMETERS_MAX];
  uint32_t          count;
  list_fields(&settings_copy, &choices, &stats_copy, fields);
  const Status status = diffusion_check_settings(&settings_copy, error);
  if (status != STATUS_OK) {
    return status;
  }
  denoiser_parameters(&settings_copy.net, table, &count);
  const NetworkFile file = {
    .kind             = KIND,
    .fields           = fields,
    .field_count      = FIELD_COUNT,
    .provenance       = provenance,
    .provenance_count = provenance_count,
    .table            = table,
    .parameter_count  = count,
    .weights          = weights,
  };
  return network_write(path, &file, error);
}
