// The diffusion model: gradients through the whole network by finite
// differences, the cache of clean notes, sampling's rules. Both networks.
#include "diffusion_checkpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static DiffusionSettings
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

static void
shake_weights(Fixture* f)
{
  const Tensor weights = denoiser_weights(diffusion_net(f->diffusion));
  float* const host    = malloc(weights.columns * sizeof *host);
  Rng          rng     = rng_make(5, RNG_USE_TEST, 0);
  rng_normals(&rng, host, weights.columns);
  for (uint32_t i = 0; i < weights.columns; ++i) {
    host[i] *= 0.2f;
  }
  tensor_write(f->device, weights, host);
  free(host);
}

static void
open_fixture(Fixture* f, const DiffusionSettings* settings, bool training)
{
  Error error;
  memset(f, 0, sizeof *f);
  assert_int_equal(device_open_cpu(NULL, &f->device, &error), STATUS_OK);
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

static void
close_fixture(Fixture* f)
{
  assert_int_equal(device_status(f->device, NULL), STATUS_OK);
  diffusion_free(f->diffusion);
  device_close(f->device);
}

// --- Gradients ---------------------------------------------------------------

static double
loss_of(Fixture* f)
{
  const DiffusionBatch batch = {
    .sequences      = SEQUENCES,
    .notes          = NOTES,
    .pitch          = f->pitch,
    .channels       = f->channels,
    .clean          = f->clean,
    .t              = f->t,
    .seed           = 3,
    .gradient_scale = 1.0f,
    .channel_weight = 1.5f,
    .snr_low        = 1.0f,
    .snr_high       = 1.0f,
  };
  DiffusionLoss loss = { 0 };
  diffusion_train_step(f->diffusion, &batch, &loss);
  assert_int_equal(loss.notes, SEQUENCES * 5);
  const double errors =
    loss.squared_error[0] + loss.squared_error[1] + loss.squared_error[2];
  return diffusion_settings(f->diffusion)->prediction == PREDICT_DATA
           ? loss.pitch_nats + 1.5 * errors
           : loss.code_error + errors;
}

static void
check_gradient(const DiffusionSettings* settings)
{
  Fixture f;
  open_fixture(&f, settings, true);
  Parameter    table[DENOISER_PARAMETERS_MAX];
  uint32_t     count;
  Denoiser*    net = diffusion_net(f.diffusion);
  const size_t total =
    denoiser_parameters(&diffusion_settings(f.diffusion)->net, table, &count);
  float* const weights  = malloc(total * sizeof(float));
  float* const gradient = malloc(total * sizeof(float));
  loss_of(&f);
  tensor_read(f.device, denoiser_weights(net), weights);
  tensor_read(f.device, denoiser_gradients(net), gradient);
  Rng      rng     = rng_make(1, RNG_USE_TEST, 1);
  uint32_t unequal = 0;
  uint32_t moved   = 0;
  for (uint32_t p = 0; p < count; ++p) {
    bool moves = false;
    for (int draw = 0; draw < 8; ++draw) {
      const size_t at =
        table[p].offset + rng_below(&rng, table[p].rows * table[p].columns);
      const float held = weights[at];
      const float step = 4e-3f;
      weights[at]      = held + step;
      tensor_write(f.device, denoiser_weights(net), weights);
      const double above = loss_of(&f);
      weights[at]        = held - step;
      tensor_write(f.device, denoiser_weights(net), weights);
      const double below = loss_of(&f);
      weights[at]        = held;
      tensor_write(f.device, denoiser_weights(net), weights);
      const double numeric = (above - below) / (2.0 * (double)step);
      const double ours    = (double)gradient[at];
      moves                = moves || fabs(ours) > 1e-3;
      if (!(fabs(numeric - ours) <= 4e-3 + 0.02 * fabs(numeric))) {
        print_error("%s[%zu]: %g, by differences %g\n",
                    table[p].name,
                    at - table[p].offset,
                    ours,
                    numeric);
        ++unequal;
      }
    }
    moved += moves;
  }
  assert_int_equal(unequal, 0);
  assert_int_equal(moved, count); // every weight takes part
  free(weights);
  free(gradient);
  close_fixture(&f);
}

static void
test_gradients_transformer(void** state)
{
  (void)state;
  for (int code = PITCH_SCALAR; code <= PITCH_EMBEDDING; ++code) {
    for (int what = PREDICT_NOISE; what <= PREDICT_DATA; ++what) {
      const DiffusionSettings settings =
        settings_of(DENOISER_TRANSFORMER, (PitchCode)code, (Prediction)what);
      check_gradient(&settings);
    }
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gradients_transformer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
