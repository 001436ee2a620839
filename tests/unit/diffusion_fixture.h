// A small diffusion model with fixed random weights, and notes to feed it.
#pragma once

#include "diffusion_checkpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEQUENCES 3u
#define NOTES 8u
#define ROWS (SEQUENCES * NOTES)

typedef struct {
  Device*    device;
  Diffusion* diffusion;
  float      pitch[SEQUENCE_NOTES * SEQUENCES];
  float      channels[SEQUENCE_NOTES * SEQUENCES * CHANNEL_COUNT];
  float      clean[SEQUENCE_NOTES * SEQUENCES];
  uint32_t   t[SEQUENCES];
} Fixture;

static inline DiffusionSettings
settings_of(DenoiserKind kind, PitchCode code, Prediction prediction)
{
  return (DiffusionSettings){
    .net            = { .kind       = kind,
                        .width      = 12,
                        .layers     = 2,
                        .heads      = 3,
                        .bottleneck = 5,
                        .time_width = 7 },
    .pitch_code     = code,
    .prediction     = prediction,
    .noise          = NOISE_COSINE,
    .noise_steps    = 1000,
    .self_condition = 1,
  };
}

static inline void
shake_weights(Fixture* f)
{
  Parameter       table[DENOISER_PARAMETERS_MAX];
  uint32_t        count;
  Denoiser* const net = diffusion_net(f->diffusion);
  const size_t    floats =
    denoiser_parameters(&diffusion_settings(f->diffusion)->net, table, &count);
  const size_t weights = parameters_weights(table, count);
  float* const host    = calloc(floats + weights, sizeof *host);
  float* const drawn   = host + floats;
  Rng          rng     = rng_make(5, RNG_USE_TEST, 0);
  rng_normals(&rng, drawn, (uint32_t)weights);
  for (size_t i = 0; i < weights; ++i) {
    drawn[i] *= 0.2f;
  }
  parameters_spread(table, count, drawn, host);
  tensor_write(f->device, denoiser_weights(net), host);
  free(host);
}

static inline void
open_fixture_on(Fixture*                 f,
                const char*              device,
                const DiffusionSettings* settings,
                bool                     training)
{
  Error error;
  memset(f, 0, sizeof *f);
  assert_int_equal(device_open(device, &f->device, NULL, &error), STATUS_OK);
  assert_int_equal(
    diffusion_create(
      f->device, settings, SEQUENCES, training, NULL, &f->diffusion, &error),
    STATUS_OK);
  shake_weights(f);
  Rng rng = rng_make(1, RNG_USE_TEST, 0);
  rng_normals(&rng, f->channels, SEQUENCE_NOTES * SEQUENCES * CHANNEL_COUNT);
  for (uint32_t r = 0; r < SEQUENCE_NOTES * SEQUENCES; ++r) {
    f->pitch[r] = (float)(21 + rng_below(&rng, 88));
    f->clean[r] = r % NOTES < 3 ? 1.0f : 0.0f;
  }
  f->t[0] = 40;
  f->t[1] = 300;
  f->t[2] = 500;
}

static inline void
open_fixture(Fixture* f, const DiffusionSettings* settings, bool training)
{
  open_fixture_on(f, "cpu", settings, training);
}

// Its notes, on their way to `next` (NULL: to 0); they are in the network.
static inline DiffusionBatch
jump_batch(Fixture* f, const uint32_t* next)
{
  const DiffusionNotes to = diffusion_notes(f->diffusion, SEQUENCES, NOTES);
  tensor_write(f->device, to.pitch, f->pitch);
  tensor_write(f->device, to.channels, f->channels);
  tensor_write(f->device, to.clean, f->clean);
  return (DiffusionBatch){
    .pass = { .sequences      = SEQUENCES,
              .notes          = NOTES,
              .gradient_scale = 1.0f,
              .channel_weight = 1.5f,
              .snr_low        = 1.0f,
              .snr_high       = 1.0f },
    .t    = f->t,
    .next = next,
    .seed = 3,
  };
}

static inline void
close_fixture(Fixture* f)
{
  assert_int_equal(device_status(f->device, NULL), STATUS_OK);
  diffusion_free(f->diffusion);
  device_close(f->device);
}
