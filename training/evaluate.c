// `meander-train evaluate`.
#include "evaluate.h"

#include "command.h"
#include "dataset.h"
#include "metrics.h"
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
  "usage: meander-train evaluate --model M --data FILE [options]\n"
  "Prints key=value lines: reconstruction of the windows of test pieces "
  "(posterior\n"
  "mean, likeliest pitches, free running), and samples from the prior beside "
  "them.\n"
  "  --windows N       test windows and samples at most; default all\n"
  "  --seed S          of the samples; default 1\n"
  "  --temperature T   of the samples' pitches; default 1\n";

typedef struct {
  const char* model;
  const char* data;
  uint64_t    windows;
  uint64_t    seed;
  float       temperature;
} Options;

static bool
parse(int argc, char** argv, Options* o, int* exit_code)
{
  const CommandOption options[] = {
    { "model", 'm', COMMAND_TEXT, &o->model, .required = true },
    { "data", 'd', COMMAND_TEXT, &o->data, .required = true },
    { "windows", 'w', COMMAND_U64, &o->windows, .low = 1 },
    { "seed", 's', COMMAND_U64, &o->seed, .required = false },
    { "temperature", 't', COMMAND_FLOAT, &o->temperature, .low = 0, .high = 4 },
  };
  return command_parse(argc,
                       argv,
                       usage,
                       options,
                       sizeof options / sizeof *options,
                       NULL,
                       exit_code);
}

typedef struct {
  Model*         model;
  float*         z;     // [MODEL_BATCH_MAX][latent]
  NoteEvent*     truth; // [MODEL_BATCH_MAX][WINDOW_NOTES]
  NoteEvent*     ours;
  Reconstruction reconstruction;
  Spread         real;
  Spread         prior;
  double         real_scale; // scale consistency, summed over windows
  double         prior_scale;
} Evaluation;

static Status
evaluate_batch(Evaluation*    e,
               const Options* o,
               const Dataset* data,
               uint64_t       first,
               uint32_t       count,
               Error*         error)
{
  for (uint32_t i = 0; i < count; ++i) {
    dataset_window(
      data, true, first + i, 0, e->truth + (size_t)i * WINDOW_NOTES);
  }
  Status status = model_encode(e->model, e->truth, count, e->z, error);
  if (status == STATUS_OK) {
    status =
      model_decode(e->model, e->z, count, 0.0f, o->seed, first, e->ours, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const size_t at = (size_t)i * WINDOW_NOTES;
    reconstruction_add(&e->reconstruction, e->truth + at, e->ours + at);
    e->real_scale += scale_consistency(e->truth + at);
  }
  spread_add(&e->real, e->truth, count * WINDOW_NOTES);

  model_sample_prior(e->model, o->seed, first, count, e->z);
  status = model_decode(
    e->model, e->z, count, o->temperature, o->seed, first, e->ours, error);
  spread_add(&e->prior, e->ours, count * WINDOW_NOTES);
  for (uint32_t i = 0; i < count; ++i) {
    e->prior_scale += scale_consistency(e->ours + (size_t)i * WINDOW_NOTES);
  }
  return status;
}

static void
print_report(const Evaluation* e, uint64_t windows)
{
  static const char* const fields[SPREAD_COUNT] = {
    "pitch", "velocity", "step", "duration"
  };
  printf("windows=%llu\n", (unsigned long long)windows);
  printf("pitch_accuracy=%.4f\n", reconstruction_accuracy(&e->reconstruction));
  printf("iou=%.4f\n", reconstruction_iou(&e->reconstruction));
  printf("latent_active=%u\nlatent_size=%u\n",
         model_active_latents(e->model),
         model_latent_size(e->model));
  printf("real_scale_consistency=%.4f\nprior_scale_consistency=%.4f\n",
         e->real_scale / (double)windows,
         e->prior_scale / (double)windows);
  for (int f = 0; f < SPREAD_COUNT; ++f) {
    const double real  = spread_deviation(&e->real, f);
    const double prior = spread_deviation(&e->prior, f);
    printf("real_%s_mean=%.4f\nreal_%s_std=%.4f\n",
           fields[f],
           spread_mean(&e->real, f),
           fields[f],
           real);
    printf("prior_%s_mean=%.4f\nprior_%s_std=%.4f\n",
           fields[f],
           spread_mean(&e->prior, f),
           fields[f],
           prior);
    printf("spread_ratio_%s=%.4f\n", fields[f], prior / real);
  }
}

static Status
evaluate(const Options* o, const Dataset* data, Model* model, Error* error)
{
  const uint64_t all     = dataset_window_count(data, true);
  const uint64_t windows = o->windows && o->windows < all ? o->windows : all;
  if (!windows) {
    return error_set(
      error, STATUS_BAD_FILE, "%s: no test pieces in it", o->data);
  }
  const uint32_t latent = model_latent_size(model);
  Evaluation     e      = {
             .model = model,
             .z     = malloc((size_t)MODEL_BATCH_MAX * latent * sizeof(float)),
             .truth = malloc((size_t)MODEL_BATCH_MAX * WINDOW_NOTES * sizeof(NoteEvent)),
             .ours = malloc((size_t)MODEL_BATCH_MAX * WINDOW_NOTES * sizeof(NoteEvent)),
  };
  Status status = STATUS_OK;
  if (!e.z || !e.truth || !e.ours) {
    status = error_set(error, STATUS_NO_MEMORY, "no memory to evaluate");
  }
  for (uint64_t first = 0; first < windows && status == STATUS_OK;
       first += MODEL_BATCH_MAX) {
    const uint64_t left = windows - first;
    status =
      evaluate_batch(&e,
                     o,
                     data,
                     first,
                     left < MODEL_BATCH_MAX ? (uint32_t)left : MODEL_BATCH_MAX,
                     error);
  }
  if (status == STATUS_OK) {
    print_report(&e, windows);
  }
  free(e.z);
  free(e.truth);
  free(e.ours);
  return status;
}

int
evaluate_main(int argc, char** argv)
{
  Options o = { .seed = 1, .temperature = 1.0f };
  int     exit_code;
  if (!parse(argc, argv, &o, &exit_code)) {
    return exit_code;
  }
  Error    error;
  Dataset* data;
  Model*   model  = NULL;
  Status   status = dataset_open(o.data, &data, &error);
  if (status != STATUS_OK) {
    return command_fail("evaluate", &error);
  }
  status = model_load(o.model, MODEL_BATCH_MAX, &model, &error);
  if (status == STATUS_OK) {
    status = evaluate(&o, data, model, &error);
  }
  model_free(model);
  dataset_close(data);
  return status == STATUS_OK ? 0 : command_fail("evaluate", &error);
}
