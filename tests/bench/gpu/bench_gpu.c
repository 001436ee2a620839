// What a GPU makes of sampling, beside what it can do at most, measured in the
// same run: one window at a time (latency from request to notes on the host),
// many windows, and the two ceilings (a large copy, a large product). Prints a
// JSON object a line, each as soon as it is known: whatever ends the program
// leaves what was measured before. A figure that fails is told on stderr and
// the next one is tried. Runs on any device, so that the program itself is
// tested without a GPU.
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
// Before a latency is taken: on a GPU its clocks rise, too.
#define WARM_UP_WINDOWS 20u

static int
by_value(const void* a, const void* b)
{
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

static int failures;

static void
fail(const char* figure, const char* why)
{
  fprintf(stderr, "bench_gpu: %s: %s\n", figure, why);
  ++failures;
}

static void
print_figure(const char* name, const char* what, double value)
{
  printf("{\"%s_%s\": %.7g}\n", name, what, value);
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
  const uint32_t side = gpu ? 16384 : 512; // 1 GiB a matrix, or 1 MiB
  Operands       o    = { 0 };
  Error          error;
  if (open_operands(&o, device, side)) {
    const double n       = side;
    const double copy    = best_s(copies, &o, 5) / REPEATS;
    const double product = best_s(products, &o, 3) / REPEATS;
    if (device_status(device, &error)) {
      fail("ceilings", error.text);
    } else {
      print_figure("copy", "bytes_per_s", 2 * n * n * sizeof(float) / copy);
      print_figure("product", "flop_per_s", 2 * n * n * n / product);
    }
  } else {
    fail("ceilings", "no memory");
  }
  tensor_free(device, &o.a);
  tensor_free(device, &o.b);
  tensor_free(device, &o.c);
}

// --- Models ------------------------------------------------------------------

// NULL: it was told.
static Model*
load(const char* path, const char* device, uint32_t batch)
{
  Model* model = NULL;
  Error  error;
  if (model_load(path, device, batch, &model, &error)) {
    fail(path, error.text);
    return NULL;
  }
  return model;
}

// `steps` 0: a VAE.
typedef struct {
  const char* name;
  uint32_t    steps, context;
} Figure;

static bool
generate(Model*        model,
         const Figure* figure,
         uint64_t      first,
         uint32_t      count,
         float*        z,
         NoteEvent*    out)
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
                                 .steps        = figure->steps,
                                 .before       = figure->context,
                                 .given        = given };
  Error              error;
  if (model_generate(model, &request, out, &error)) {
    fail(figure->name, error.text);
    return false;
  }
  return true;
}

static void
print_latency(Model* model, const Figure* figure, uint32_t windows)
{
  static double    seconds[LATENCIES_MAX];
  static float     z[MODEL_LATENT_MAX];
  static NoteEvent out[WINDOW_NOTES];
  const uint32_t   warm_up =
    windows < WARM_UP_WINDOWS ? windows : WARM_UP_WINDOWS;
  for (uint32_t i = 0; i < windows + warm_up; ++i) {
    model_sample_prior(model, 1, i, 1, z);
    const double start = clock_now_s();
    if (!generate(model, figure, i, 1, z, out)) {
      return;
    }
    if (i >= warm_up) {
      seconds[i - warm_up] = clock_now_s() - start;
    }
  }
  qsort(seconds, windows, sizeof *seconds, by_value);
  print_figure(figure->name, "p50_ms", 1e3 * seconds[windows / 2]);
  print_figure(figure->name, "p99_ms", 1e3 * seconds[windows * 99ull / 100]);
}

// The seconds that it takes, or 0: it was told why not.
static double
many_s(Model*        model,
       const Figure* figure,
       uint32_t      windows,
       float*        z,
       NoteEvent*    out)
{
  const uint32_t batch = model_batch_max(model);
  const uint32_t rest  = windows % batch;
  // Each size of batch is recorded at its first use.
  if ((windows >= batch && !generate(model, figure, 0, batch, z, out)) ||
      (rest && !generate(model, figure, 0, rest, z, out))) {
    return 0.0;
  }
  const double start = clock_now_s();
  for (uint32_t i = 0; i < windows; i += batch) {
    const uint32_t left = windows - i;
    if (!generate(model, figure, i, left < batch ? left : batch, z, out)) {
      return 0.0;
    }
  }
  return clock_now_s() - start;
}

// The prior is drawn beforehand: it is the host's work, and the same for all.
static void
print_many(Model* model, const char* name, uint32_t steps, uint32_t windows)
{
  const Figure     figure = { name, steps, 0 };
  const uint32_t   batch  = model_batch_max(model);
  const size_t     latent = model_latent_size(model);
  float* const     z      = malloc(batch * latent * sizeof *z);
  NoteEvent* const out    = malloc((size_t)batch * WINDOW_NOTES * sizeof *out);
  if (z && out) {
    model_sample_prior(model, 1, 0, batch, z);
    const double took = many_s(model, &figure, windows, z, out);
    if (took > 0.0) {
      print_figure(name, "windows", windows);
      print_figure(name, "ms", 1e3 * took);
      print_figure(name, "per_s", windows / took);
    }
  } else {
    fail(name, "no memory");
  }
  free(z);
  free(out);
}

// --- The program -------------------------------------------------------------

typedef struct {
  const char* device;
  const char* vae;
  const char* diffusion;
  uint32_t    latencies, many;
} Options;

static void
bench_one(const Options* o)
{
  static const Figure of_vae         = { "vae_1", 0, 0 };
  static const Figure of_diffusion[] = {
    { "ddim50_1", 50, 0 }, { "ddim50_1_context", 50, CONTEXT_NOTES_MAX },
    { "ddim20_1", 20, 0 }, { "ddim20_1_context", 20, CONTEXT_NOTES_MAX },
    { "ddim10_1", 10, 0 }, { "ddim10_1_context", 10, CONTEXT_NOTES_MAX },
    { "ddim4_1", 4, 0 },   { "ddim4_1_context", 4, CONTEXT_NOTES_MAX },
  };
  Model* const vae = load(o->vae, o->device, 1);
  if (vae) {
    print_latency(vae, &of_vae, o->latencies);
    model_free(vae);
  }
  Model* const diffusion = load(o->diffusion, o->device, 1);
  if (diffusion) {
    for (size_t i = 0; i < sizeof of_diffusion / sizeof *of_diffusion; ++i) {
      print_latency(diffusion, &of_diffusion[i], o->latencies);
    }
    model_free(diffusion);
  }
}

static void
bench_many(const Options* o, bool gpu)
{
  Model* const vae       = load(o->vae, o->device, 0);
  Model* const diffusion = load(o->diffusion, o->device, 0);
  if (vae && diffusion) {
    print_many(vae, "vae_many", 0, o->many);
    print_many(diffusion, "ddim20_many", 20, o->many);
  }
  if (vae && diffusion && gpu) {
    print_many(vae, "vae_million", 0, 100 * o->many);
    print_many(diffusion, "ddim20_million", 20, 100 * o->many);
  }
  if (vae) {
    model_free(vae);
  }
  if (diffusion) {
    model_free(diffusion);
  }
}

int
main(int argc, char** argv)
{
  if (argc != 6) {
    fputs("usage: bench_gpu DEVICE VAE DIFFUSION LATENCIES MANY\n", stderr);
    return 2;
  }
  const uint32_t asked = (uint32_t)strtoul(argv[4], NULL, 10);
  const Options  o     = { .device    = argv[1],
                           .vae       = argv[2],
                           .diffusion = argv[3],
                           .latencies =
                        asked < LATENCIES_MAX ? asked : LATENCIES_MAX,
                           .many = (uint32_t)strtoul(argv[5], NULL, 10) };
  Device*        device;
  Error          error = { 0 };
  if (!o.latencies || !o.many) {
    fputs("bench_gpu: LATENCIES and MANY are at least 1\n", stderr);
    return 2;
  }
  if (device_open(o.device, &device, NULL, &error)) {
    fprintf(stderr, "bench_gpu: %s\n", error.text);
    return 1;
  }
  // A line at a time, also to a file.
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  const bool gpu = device_is_gpu(device);
  printf("{\"device\": \"%s\"}\n", device_name(device));
  print_ceilings(device, gpu);
  device_close(device);
  bench_one(&o);
  bench_many(&o, gpu);
  return failures ? 1 : 0;
}
