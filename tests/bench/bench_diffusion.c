// Speed of a diffusion model on one core, beside what the machine can do at
// most, measured in the same run: one window (batch 1), with and without notes
// before it, against the arithmetic of its products at OpenBLAS's rate on a
// large one and the time to read its weights once a step; 10,000 windows (batch
// 256); training.
//
// usage: bench_diffusion MODEL.safetensors STEPS...
#include "bounds.h"
#include "diffusion_checkpoint.h"
#include "model.h"

#include <stdio.h>
#include <string.h>

#define WINDOWS 1000
#define BATCH 256u
#define TRAINING_SLOTS 32u

typedef struct {
  double weights; // that every note meets
  double levels;  // that only meet the noise level, once a step
  double flop_s;  // product rate
  double bytes_s; // reading the weights
} Bounds;

static void
bench_one(Model* model, uint32_t steps, uint32_t context, const Bounds* bounds)
{
  static double    seconds[WINDOWS];
  static float     z[MODEL_LATENT_MAX];
  static NoteEvent events[WINDOW_NOTES];
  static NoteEvent given[CONTEXT_NOTES_MAX];
  for (uint32_t i = 0; i < CONTEXT_NOTES_MAX; ++i) {
    given[i] = (NoteEvent){ (uint8_t)(60 + i % 12), 0.5f, 0.2f, 0.3f };
  }
  for (int i = 0; i < WINDOWS; ++i) {
    model_sample_prior(model, 1, (uint64_t)i, 1, z);
    const ModelRequest request = { .z            = z,
                                   .count        = 1,
                                   .temperature  = 1.0f,
                                   .seed         = 1,
                                   .first_window = (uint64_t)i,
                                   .sampler      = SAMPLER_DDIM,
                                   .steps        = steps,
                                   .before       = context,
                                   .given        = given };
    const double       start   = clock_now_s();
    model_generate(model, &request, events, NULL);
    seconds[i] = clock_now_s() - start;
  }
  qsort(seconds, WINDOWS, sizeof *seconds, by_value);
  const double notes = (double)steps * WINDOW_NOTES + context;
  const double reads = steps + (context > 0);
  const double flop =
    2.0 * (bounds->weights * notes + bounds->levels * reads) / bounds->flop_s;
  const double read = reads * (bounds->weights + bounds->levels) *
                      sizeof(float) / bounds->bytes_s;
  const double least = fmax(flop, read);
  printf("one_window steps=%u context=%u p50_ms=%.2f p99_ms=%.2f "
         "floor_ms=%.2f (%s) p50_over_floor=%.2f\n",
         steps,
         context,
         1e3 * seconds[WINDOWS / 2],
         1e3 * seconds[WINDOWS * 99 / 100],
         1e3 * least,
         flop > read ? "arithmetic" : "reading",
         seconds[WINDOWS / 2] / least);
}

// About `budget` windows' worth of steps, told for 10,000 windows.
static void
bench_many(Model* model, uint32_t steps, const Bounds* bounds)
{
  static float     z[BATCH * MODEL_LATENT_MAX];
  static NoteEvent events[BATCH * WINDOW_NOTES];
  const double     start = clock_now_s();
  uint32_t         done  = 0;
  while (clock_now_s() - start < 3.0) {
    model_sample_prior(model, 1, done, BATCH, z);
    const ModelRequest request = { .z            = z,
                                   .count        = BATCH,
                                   .temperature  = 1.0f,
                                   .seed         = 1,
                                   .first_window = done,
                                   .sampler      = SAMPLER_DDIM,
                                   .steps        = steps };
    model_generate(model, &request, events, NULL);
    done += BATCH;
  }
  const double rate = done / (clock_now_s() - start);
  const double least =
    bounds->flop_s / (2.0 * bounds->weights * WINDOW_NOTES * (double)steps);
  printf("many_windows steps=%u windows_per_s=%.0f ten_thousand_s=%.1f "
         "of_product_rate=%.2f\n",
         steps,
         rate,
         1e4 / rate,
         rate / least);
}

static void
bench_training(Device*                  device,
               const DiffusionSettings* settings,
               const Bounds*            bounds)
{
  enum { ROWS = TRAINING_SLOTS * SEQUENCE_NOTES, STEPS_TIMED = 8 };
  static float    pitch[ROWS];
  static float    channels[ROWS * CHANNEL_COUNT];
  static float    clean[ROWS];
  static uint32_t t[TRAINING_SLOTS];
  Diffusion*      diffusion;
  if (diffusion_create(
        device, settings, TRAINING_SLOTS, true, NULL, &diffusion, NULL) ||
      denoiser_initialise(diffusion_net(diffusion), 1, NULL)) {
    return;
  }
  Rng rng = rng_make(1, RNG_USE_TEST, 0);
  for (uint32_t i = 0; i < ROWS; ++i) {
    pitch[i] = (float)(1 + rng_below(&rng, 127));
  }
  for (uint32_t i = 0; i < TRAINING_SLOTS; ++i) {
    t[i] = 1 + rng_below(&rng, settings->noise_steps);
  }
  rng_normals(&rng, channels, ROWS * CHANNEL_COUNT);
  const DiffusionNotes to =
    diffusion_notes(diffusion, TRAINING_SLOTS, SEQUENCE_NOTES);
  tensor_write(device, to.pitch, pitch);
  tensor_write(device, to.channels, channels);
  tensor_write(device, to.clean, clean);
  const DiffusionBatch batch = { .pass = { .sequences      = TRAINING_SLOTS,
                                           .notes          = SEQUENCE_NOTES,
                                           .gradient_scale = 1.0f / ROWS,
                                           .channel_weight = 1.0f,
                                           .snr_low        = 1.0f,
                                           .snr_high       = 5.0f },
                                 .t    = t };
  double               best  = INFINITY;
  for (int i = 0; i < STEPS_TIMED; ++i) {
    DiffusionLoss loss  = { 0 };
    const double  start = clock_now_s();
    diffusion_write_batch(diffusion, &batch);
    diffusion_learn(diffusion, &batch.pass);
    diffusion_take_loss(diffusion, &loss); // waits
    best = fmin(best, clock_now_s() - start);
  }
  const double flop = 6.0 * bounds->weights * ROWS;
  printf("train_notes_per_s=%.0f train_GFLOP_s=%.1f product_GFLOP_s=%.1f "
         "train_over_product=%.2f\n",
         ROWS / best,
         1e-9 * flop / best,
         1e-9 * bounds->flop_s,
         flop / best / bounds->flop_s);
  diffusion_free(diffusion);
}

static Status
read_settings(const char* path, DiffusionSettings* settings, Error* error)
{
  Checkpoint*   checkpoint;
  EncodingStats stats;
  Status        status = checkpoint_open(path, &checkpoint, error);
  if (status == STATUS_OK) {
    status = diffusion_checkpoint_settings(checkpoint, settings, &stats, error);
    checkpoint_close(checkpoint);
  }
  return status;
}

// Of the matrices that read the level's features or their embedding.
static size_t
level_weights(const DenoiserSizes* sizes,
              const Parameter*     table,
              uint32_t             count)
{
  size_t sum = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (table[i].rows > 1 && (table[i].columns == DENOISER_TIME_FEATURES ||
                              table[i].columns == sizes->time_width)) {
      sum += (size_t)table[i].rows * table[i].columns;
    }
  }
  return sum;
}

int
main(int argc, char** argv)
{
  Error             error;
  Device*           device;
  Model*            one;
  Model*            many;
  DiffusionSettings settings;
  if (argc < 3) {
    fputs("usage: bench_diffusion MODEL.safetensors STEPS...\n", stderr);
    return 2;
  }
  if (device_open_cpu(NULL, &device, &error) ||
      read_settings(argv[1], &settings, &error) ||
      model_load(argv[1], "cpu", 1, &one, &error) ||
      model_load(argv[1], "cpu", BATCH, &many, &error)) {
    fprintf(stderr, "bench_diffusion: %s\n", error.text);
    return 1;
  }
  Parameter table[DENOISER_PARAMETERS_MAX];
  uint32_t  count;
  denoiser_parameters(&settings.net, table, &count);
  const size_t weights = parameters_weights(table, count);
  const size_t levels  = level_weights(&settings.net, table, count);
  const Bounds bounds  = {
     .weights = (double)(weights - levels),
     .levels  = (double)levels,
     .flop_s  = product_rate(device),
     .bytes_s = read_bandwidth(device, weights * sizeof(float)),
  };
  printf("device=%s weights=%zu product_GFLOP_s=%.1f read_GB_s=%.1f\n",
         device_name(device),
         weights,
         1e-9 * bounds.flop_s,
         1e-9 * bounds.bytes_s);
  for (int i = 2; i < argc; ++i) {
    const uint32_t steps = (uint32_t)strtoul(argv[i], NULL, 10);
    bench_one(one, steps, 0, &bounds);
    bench_one(one, steps, CONTEXT_NOTES_MAX, &bounds);
    bench_many(many, steps, &bounds);
  }
  bench_training(device, &settings, &bounds);
  model_free(one);
  model_free(many);
  device_close(device);
  return 0;
}
