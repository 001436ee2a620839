// What a GPU makes of sampling, beside what it can do at most, measured in the
// same run: one window at a time (latency from request to notes on the host),
// many windows, and the two ceilings (a large copy, a large product). Prints
// JSON. Runs on any device, so that the program itself is tested without a GPU.
//
// usage: bench_gpu DEVICE VAE.safetensors DIFFUSION.safetensors LATENCIES MANY
// LATENCIES: windows of each latency figure; MANY: windows of each batch
// figure, and a hundred times as many of the VAE's second one where it is a
// GPU.
#include "clock.h"
#include "kernels.h"
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATENCIES_MAX 20000u

static int
by_value(const void* a, const void* b)
{
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

// --- Ceilings ----------------------------------------------------------------

// Best of `times` calls of `op`, which must end in a read.
static double
best_s(void (*op)(void* context), void* context, int times)
{
  double best = 1e9;
  op(context);
  for (int i = 0; i < times; ++i) {
    const double start = clock_now_s();
    op(context);
    const double took = clock_now_s() - start;
    best              = took < best ? took : best;
  }
  return best;
}

#define REPEATS 10

typedef struct {
  Device* device;
  Tensor  a, b, c;
} Operands;

static void
settle(const Operands* o)
{
  float one;
  tensor_read(o->device, tensor_columns(tensor_rows(o->c, 0, 1), 0, 1), &one);
}

static void
copies(void* context)
{
  const Operands* const o = context;
  for (int i = 0; i < REPEATS; ++i) {
    op_copy(o->device, o->a, o->c);
  }
  settle(o);
}

static void
products(void* context)
{
  const Operands* const o = context;
  for (int i = 0; i < REPEATS; ++i) {
    op_matmul(o->device, false, true, 1.0f, o->a, o->b, 0.0f, o->c);
  }
  settle(o);
}

static bool
open_operands(Operands* o, Device* device, uint32_t side)
{
  o->device       = device;
  Tensor* const t = &o->a;
  for (int i = 0; i < 3; ++i) {
    if (tensor_allocate(device, side, side, t + i, NULL)) {
      return false;
    }
  }
  // Products of zeros can run faster than those of numbers.
  float key[RNG_KEY_FLOATS];
  rng_key(1, 0, key);
  const Tensor bits =
    tensor_columns(tensor_rows(o->c, 0, 1), 0, RNG_KEY_FLOATS);
  tensor_write(device, bits, key);
  op_normals(device, bits, RNG_USE_TEST, 0, o->a);
  op_normals(device, bits, RNG_USE_TEST, 1000000, o->b);
  return true;
}

static void
print_ceilings(Device* device, bool gpu)
{
  const uint32_t side = gpu ? 16384 : 1024; // 1 GiB a matrix, or 4 MiB
  Operands       o    = { 0 };
  if (!open_operands(&o, device, side)) {
    fprintf(stderr, "bench_gpu: no memory for the ceilings\n");
    exit(1);
  }
  const double n    = side;
  const double copy = best_s(copies, &o, 5) / REPEATS;
  printf("  \"copy_bytes_per_s\": %.4g,\n", 2 * n * n * sizeof(float) / copy);
  const double product = best_s(products, &o, 3) / REPEATS;
  printf("  \"product_flop_per_s\": %.4g,\n", 2 * n * n * n / product);
  tensor_free(device, &o.a);
  tensor_free(device, &o.b);
  tensor_free(device, &o.c);
}

// --- Models ------------------------------------------------------------------

static Model*
load(const char* path, const char* device, uint32_t batch)
{
  Model* model;
  Error  error;
  if (model_load(path, device, batch, &model, &error)) {
    fprintf(stderr, "bench_gpu: %s\n", error.text);
    exit(1);
  }
  return model;
}

// `steps` 0: a VAE.
static void
generate(Model*     model,
         uint64_t   first,
         uint32_t   count,
         uint32_t   steps,
         uint32_t   context,
         float*     z,
         NoteEvent* out)
{
  static NoteEvent given[CONTEXT_NOTES_MAX];
  for (uint32_t i = 0; i < CONTEXT_NOTES_MAX; ++i) {
    given[i] = (NoteEvent){ (uint8_t)(60 + i % 12), 0.5f, 0.2f, 0.3f };
  }
  const ModelRequest request = { .z            = z,
                                 .count        = count,
                                 .temperature  = 1.0f,
                                 .seed         = 1,
                                 .first_window = first,
                                 .sampler      = SAMPLER_DDIM,
                                 .steps        = steps,
                                 .before       = context,
                                 .given        = given };
  Error              error;
  if (model_generate(model, &request, out, &error)) {
    fprintf(stderr, "bench_gpu: %s\n", error.text);
    exit(1);
  }
}

static void
print_latency(Model*      model,
              const char* name,
              uint32_t    steps,
              uint32_t    context,
              uint32_t    windows)
{
  static double    seconds[LATENCIES_MAX];
  static float     z[MODEL_LATENT_MAX];
  static NoteEvent out[WINDOW_NOTES];
  for (uint32_t i = 0; i < windows + 20; ++i) { // the first are warm-up
    model_sample_prior(model, 1, i, 1, z);
    const double start = clock_now_s();
    generate(model, i, 1, steps, context, z, out);
    if (i >= 20) {
      seconds[i - 20] = clock_now_s() - start;
    }
  }
  qsort(seconds, windows, sizeof *seconds, by_value);
  printf("  \"%s_p50_ms\": %.4f,\n  \"%s_p99_ms\": %.4f,\n",
         name,
         1e3 * seconds[windows / 2],
         name,
         1e3 * seconds[windows * 99ull / 100]);
}

// The prior is drawn beforehand: it is the host's work, and the same for all.
static void
print_many(Model* model, const char* name, uint32_t steps, uint32_t windows)
{
  const uint32_t   batch  = model_batch_max(model);
  const size_t     latent = model_latent_size(model);
  float* const     z      = malloc(batch * latent * sizeof *z);
  NoteEvent* const out    = malloc((size_t)batch * WINDOW_NOTES * sizeof *out);
  if (!z || !out) {
    fprintf(stderr, "bench_gpu: no memory\n");
    exit(1);
  }
  model_sample_prior(model, 1, 0, batch, z);
  generate(model, 0, batch, steps, 0, z, out);
  const uint32_t rest = windows % batch;
  if (rest) {
    generate(model, 0, rest, steps, 0, z, out);
  }
  const double start = clock_now_s();
  for (uint32_t i = 0; i < windows; i += batch) {
    const uint32_t left = windows - i;
    generate(model, i, left < batch ? left : batch, steps, 0, z, out);
  }
  const double took = clock_now_s() - start;
  printf("  \"%s_windows\": %u,\n  \"%s_ms\": %.3f,\n  \"%s_per_s\": %.1f,\n",
         name,
         windows,
         name,
         1e3 * took,
         name,
         windows / took);
  free(z);
  free(out);
}

int
main(int argc, char** argv)
{
  if (argc != 6) {
    fputs("usage: bench_gpu DEVICE VAE DIFFUSION LATENCIES MANY\n", stderr);
    return 2;
  }
  const uint32_t asked   = (uint32_t)strtoul(argv[4], NULL, 10);
  const uint32_t windows = asked < LATENCIES_MAX ? asked : LATENCIES_MAX;
  const uint32_t many    = (uint32_t)strtoul(argv[5], NULL, 10);
  Device*        device;
  Error          error;
  char           why[DEVICE_WHY_BYTES];
  if (!windows || !many || device_open(argv[1], &device, why, &error)) {
    fprintf(stderr, "bench_gpu: %s\n", windows && many ? error.text : "usage");
    return 1;
  }
  const bool gpu = strncmp(device_name(device), "cpu", 3) != 0;
  printf("{\n  \"device\": \"%s\",\n", device_name(device));
  print_ceilings(device, gpu);
  device_close(device);

  Model* vae       = load(argv[2], argv[1], 1);
  Model* diffusion = load(argv[3], argv[1], 1);
  print_latency(vae, "vae_1", 0, 0, windows);
  static const uint32_t steps[] = { 50, 20, 10, 4 };
  for (size_t i = 0; i < sizeof steps / sizeof *steps; ++i) {
    char name[32];
    snprintf(name, sizeof name, "ddim%u_1", steps[i]);
    print_latency(diffusion, name, steps[i], 0, windows);
    snprintf(name, sizeof name, "ddim%u_1_context", steps[i]);
    print_latency(diffusion, name, steps[i], CONTEXT_NOTES_MAX, windows);
  }
  model_free(vae);
  model_free(diffusion);

  vae       = load(argv[2], argv[1], 0);
  diffusion = load(argv[3], argv[1], 0);
  print_many(vae, "vae_many", 0, many);
  print_many(diffusion, "ddim20_many", 20, many);
  if (gpu) {
    print_many(vae, "vae_million", 0, 100 * many);
    print_many(diffusion, "ddim20_million", 20, 100 * many);
  }
  printf("  \"batch\": %u\n}\n", model_batch_max(diffusion));
  model_free(vae);
  model_free(diffusion);
  return 0;
}
