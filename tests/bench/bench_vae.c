// Speed of the VAE on one core, beside what the machine can do at most,
// measured in the same run: one window (batch 1) against the time to read its
// weights once a step at this core's bandwidth, and 10,000 windows (batch 256)
// and training against OpenBLAS's rate on a large product.
//
// usage: bench_vae MODEL.safetensors
#include "bounds.h"
#include "model.h"
#include "vae_checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WINDOWS 4000
#define BATCH 256u

// Weights read for one window: those of the steps once a step, the rest once.
static size_t
window_bytes(const Parameter* table)
{
  size_t floats = 0;
  for (int i = 0; i < VAE_PARAMETER_COUNT; ++i) {
    const char* const name = table[i].name;
    const size_t      size = (size_t)table[i].rows * table[i].columns;
    if (!strncmp(name, "decoder.", 8)) {
      const bool every = !strcmp(name, "decoder.input") ||
                         !strcmp(name, "decoder.recurrent") ||
                         !strcmp(name, "decoder.pitch.weight") ||
                         !strcmp(name, "decoder.channels.weight");
      floats += every ? size * WINDOW_NOTES : size;
    }
  }
  return floats * sizeof(float);
}

static void
bench_one(Model* model, const char* path, Device* device)
{
  static double    seconds[WINDOWS];
  static float     z[MODEL_LATENT_MAX];
  static NoteEvent events[WINDOW_NOTES];
  Checkpoint*      checkpoint;
  VaeSizes         sizes;
  EncodingStats    stats;
  Parameter        table[VAE_PARAMETER_COUNT];
  if (checkpoint_open(path, &checkpoint, NULL) ||
      vae_checkpoint_sizes(checkpoint, &sizes, &stats, NULL)) {
    return;
  }
  vae_parameters(&sizes, table);
  checkpoint_close(checkpoint);
  for (int i = 0; i < WINDOWS; ++i) {
    model_sample_prior(model, 1, (uint64_t)i, 1, z);
    const double       start   = clock_now_s();
    const ModelRequest request = { .z            = z,
                                   .count        = 1,
                                   .temperature  = 1.0f,
                                   .seed         = 1,
                                   .first_window = (uint64_t)i };
    model_generate(model, &request, events, NULL);
    seconds[i] = clock_now_s() - start;
  }
  qsort(seconds, WINDOWS, sizeof *seconds, by_value);
  const size_t bytes     = window_bytes(table);
  const double bandwidth = read_bandwidth(device, bytes / WINDOW_NOTES);
  const double floor_s   = (double)bytes / bandwidth;
  printf("one_window_p50_ms=%.3f\none_window_p99_ms=%.3f\n",
         1e3 * seconds[WINDOWS / 2],
         1e3 * seconds[WINDOWS * 99 / 100]);
  printf("one_window_bytes=%zu\nread_bandwidth_GB_s=%.2f\n",
         bytes,
         1e-9 * bandwidth);
  printf("one_window_floor_ms=%.3f\none_window_p50_over_floor=%.2f\n",
         1e3 * floor_s,
         seconds[WINDOWS / 2] / floor_s);
}

static void
bench_many(Model* model)
{
  enum { MANY = 10000 };
  static float     z[BATCH * MODEL_LATENT_MAX];
  static NoteEvent events[BATCH * WINDOW_NOTES];
  const double     start = clock_now_s();
  for (uint32_t first = 0; first < MANY; first += BATCH) {
    const uint32_t count = MANY - first < BATCH ? MANY - first : BATCH;
    model_sample_prior(model, 1, first, count, z);
    const ModelRequest request = { .z            = z,
                                   .count        = count,
                                   .temperature  = 1.0f,
                                   .seed         = 1,
                                   .first_window = first };
    model_generate(model, &request, events, NULL);
  }
  const double seconds = clock_now_s() - start;
  printf("ten_thousand_windows_s=%.3f\nsample_windows_per_s=%.0f\n",
         seconds,
         MANY / seconds);
}

// Multiply-adds of one window, forward, times two; backward costs twice that.
static double
forward_flop(const VaeSizes* s)
{
  const double in      = s->pitch_embedding + CHANNEL_COUNT;
  const double he      = s->encoder_hidden;
  const double h       = s->decoder_hidden;
  const double z       = s->latent;
  const double encoder = 2.0 * (in * 4 * he + he * 4 * he) + 2 * he * 2 * z;
  const double decoder =
    in * 4 * h + h * 4 * h + z * 4 * h + h * (ENCODING_PITCHES + CHANNEL_COUNT);
  return 2.0 * (WINDOW_NOTES * (encoder + decoder) + z * 8 * h);
}

static void
bench_training(Device* device, const char* path)
{
  enum { STEPS_TIMED = 12 };
  static float  pitch[WINDOW_NOTES * BATCH];
  static float  channels[WINDOW_NOTES * BATCH * CHANNEL_COUNT];
  static float  force[WINDOW_NOTES * BATCH];
  Checkpoint*   checkpoint;
  VaeSizes      sizes;
  EncodingStats stats;
  Vae*          vae;
  if (checkpoint_open(path, &checkpoint, NULL) ||
      vae_checkpoint_sizes(checkpoint, &sizes, &stats, NULL)) {
    return;
  }
  checkpoint_close(checkpoint);
  if (vae_create(device, &sizes, BATCH, true, NULL, &vae, NULL) ||
      vae_initialise(vae, 1, NULL)) {
    return;
  }
  Rng rng = rng_make(1, RNG_USE_TEST, 0);
  for (uint32_t i = 0; i < WINDOW_NOTES * BATCH; ++i) {
    pitch[i] = (float)(1 + rng_below(&rng, 127));
    force[i] = 1.0f;
  }
  rng_normals(&rng, channels, WINDOW_NOTES * BATCH * CHANNEL_COUNT);
  const VaeNotes to = vae_notes(vae, BATCH);
  tensor_write(device, to.pitch, pitch);
  tensor_write(device, to.channels, channels);
  tensor_write(device, to.force, force);
  const VaeBatch batch = { .pass = { .count          = BATCH,
                                     .gradient_scale = 1.0f / BATCH,
                                     .channel_weight = 1.0f },
                           .beta = 0.1f };
  double         best  = INFINITY;
  for (int i = 0; i < STEPS_TIMED; ++i) {
    VaeLoss      loss  = { 0 };
    const double start = clock_now_s();
    vae_write_batch(vae, &batch);
    vae_learn(vae, &batch.pass);
    vae_take_loss(vae, &loss); // waits
    best = fmin(best, clock_now_s() - start);
  }
  const double rate = 3.0 * forward_flop(&sizes) * BATCH / best;
  const double most = product_rate(device);
  printf("train_windows_per_s=%.0f\ntrain_GFLOP_s=%.1f\nproduct_GFLOP_s=%."
         "1f\ntrain_over_product=%.2f\n",
         BATCH / best,
         1e-9 * rate,
         1e-9 * most,
         rate / most);
  vae_free(vae);
}

int
main(int argc, char** argv)
{
  Error   error;
  Device* device;
  Model*  model;
  if (argc != 2) {
    fputs("usage: bench_vae MODEL.safetensors\n", stderr);
    return 2;
  }
  if (device_open_cpu(NULL, &device, &error) ||
      model_load(argv[1], "cpu", BATCH, &model, &error)) {
    fprintf(stderr, "bench_vae: %s\n", error.text);
    return 1;
  }
  printf("device=%s\n", device_name(device));
  bench_one(model, argv[1], device);
  bench_many(model);
  bench_training(device, argv[1]);
  model_free(model);
  device_close(device);
  return 0;
}
