// Whole models on the device under test against the CPU: the same requests give
// the same notes up to rounding, through recordings and again through their
// replays, alone and in batches, with context, bias, noise and mutation. A
// pitch may differ only where rounding met a draw.
//
// usage: parity_models MODEL.safetensors...
#include "parity.h"

#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 5u // times 8 rows: beyond the ops' ways for few rows
#define TOLERANCE 2e-3

typedef struct {
  const char*  name;
  ModelRequest request; // z, given and phrase are filled in
  enum { ANY, DIFFUSION, MUTATION } of;
} Case;

#define DDIM .sampler = SAMPLER_DDIM

static const Case cases[] = {
  { "one", { .count = 1, .temperature = 1.0f, .steps = 2, DDIM }, ANY },
  { "few", { .count = 2, .temperature = 0.7f, .steps = 2, DDIM }, ANY },
  { "many",
    { .count = COUNT_MAX, .temperature = 1.0f, .steps = 2, DDIM },
    ANY },
  { "scale",
    { .count = 2, .steps = 2, .forbidden_classes = 0x54a, DDIM },
    ANY },
  { "context", { .count = 2, .steps = 2, .before = 24, DDIM }, DIFFUSION },
  { "infill",
    { .count = 1, .steps = 2, .before = 9, .after = 15, DDIM },
    DIFFUSION },
  { "noise", { .count = 2, .steps = 2, .eta = 0.7f, DDIM }, DIFFUSION },
  { "ddpm", { .count = 1, .steps = 2, .sampler = SAMPLER_DDPM }, DIFFUSION },
  { "dpm++", { .count = 1, .steps = 3, .sampler = SAMPLER_DPM }, DIFFUSION },
  { "mutation", { .count = 2, .steps = 4, .strength = 0.5f, DDIM }, MUTATION },
};

static NoteEvent
some_note(uint32_t i)
{
  return (NoteEvent){ .pitch      = (uint8_t)(40 + 7 * i % 41),
                      .velocity   = 0.3f + 0.01f * (float)(i % 40),
                      .step_s     = 0.05f + 0.02f * (float)(i % 9),
                      .duration_s = 0.2f + 0.05f * (float)(i % 7) };
}

static uint32_t
differences(const NoteEvent* a, const NoteEvent* b, uint32_t count)
{
  uint32_t different = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const double scale = 1.0 + fabs((double)a[i].duration_s);
    different +=
      a[i].pitch != b[i].pitch ||
      fabs((double)(a[i].velocity - b[i].velocity)) > TOLERANCE ||
      fabs((double)(a[i].step_s - b[i].step_s)) > TOLERANCE * scale ||
      fabs((double)(a[i].duration_s - b[i].duration_s)) > TOLERANCE * scale;
  }
  return different;
}

// Notes that differ in one of 20 windows are a draw's rounding; more are not.
static bool
check_case(Model* cpu, Model* device, const Case* c)
{
  static float     z[COUNT_MAX * MODEL_LATENT_MAX];
  static NoteEvent given[COUNT_MAX * CONTEXT_NOTES_MAX];
  static NoteEvent expected[COUNT_MAX * WINDOW_NOTES];
  static NoteEvent got[COUNT_MAX * WINDOW_NOTES];
  for (uint32_t i = 0; i < COUNT_MAX * CONTEXT_NOTES_MAX; ++i) {
    given[i] = some_note(i);
  }
  ModelRequest request = c->request;
  request.z            = z;
  request.given        = given;
  request.phrase       = c->of == MUTATION ? given : NULL;
  bool fine            = true;
  // The second time it is a replay, with other numbers.
  for (uint64_t round = 0; round < 2; ++round) {
    Error error          = { 0 };
    request.seed         = 5 + round;
    request.first_window = 100 * round;
    model_sample_prior(cpu, 9, 1000 * round, request.count, z);
    memset(got, 0, sizeof got);
    if (model_generate(cpu, &request, expected, &error) ||
        model_generate(device, &request, got, &error)) {
      printf("%s: %s\n", c->name, error.text);
      return false;
    }
    const uint32_t wrong =
      differences(expected, got, request.count * WINDOW_NOTES);
    if (wrong > (request.count + 19) / 20 * (WINDOW_NOTES - 1) / 2) {
      printf("%s, round %u: %u of %u notes differ\n",
             c->name,
             (unsigned)round,
             wrong,
             request.count * WINDOW_NOTES);
      fine = false;
    }
  }
  return fine;
}

static uint32_t
check_model(const char* path)
{
  Model*   cpu;
  Model*   device;
  Error    error;
  uint32_t wrong = 0;
  if (model_load(path, "cpu", COUNT_MAX, &cpu, &error) ||
      model_load(path, "cuda", COUNT_MAX, &device, &error)) {
    printf("%s\n", error.text);
    return 1;
  }
  const bool diffusion = model_kind(cpu) == MODEL_DIFFUSION;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    if (diffusion || cases[i].of == ANY) {
      wrong += !check_case(cpu, device, &cases[i]);
    }
  }
  printf("%s on %s: %u cases wrong\n", path, model_device(device), wrong);
  model_free(device);
  model_free(cpu);
  return wrong;
}

int
main(int argc, char** argv)
{
  Device*  device;
  Error    error;
  uint32_t wrong = 0;
  if (parity_open(&device, &error) != STATUS_OK) {
    fprintf(stderr, "%s\n", error.text);
    return error.status == STATUS_UNSUPPORTED ? PARITY_SKIPPED : 1;
  }
  device_close(device);
  for (int i = 1; i < argc; ++i) {
    wrong += check_model(argv[i]);
  }
  return wrong ? 1 : 0;
}
