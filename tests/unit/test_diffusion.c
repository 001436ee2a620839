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

// --- The cache of clean notes ------------------------------------------------

// One network seen twice: all notes at once, where clean ones see only each
// other, and the clean ones first, remembered.
static void
check_cache(DenoiserKind kind, uint32_t before, uint32_t notes, uint32_t after)
{
  const DiffusionSettings settings =
    settings_of(kind, PITCH_BITS, PREDICT_DATA);
  Fixture f;
  open_fixture(&f, &settings, false);
  Denoiser* const net   = diffusion_net(f.diffusion);
  const uint32_t  all   = before + notes + after;
  const uint32_t  given = before + after;
  const uint32_t  in    = diffusion_settings(f.diffusion)->net.input;
  const uint32_t  out   = diffusion_settings(f.diffusion)->net.output;
  Tensor          whole[6];
  Tensor          part[6];
  const uint32_t  columns[] = { in, 1, 1, DENOISER_TIME_FEATURES, 0, out };
  enum { TOKENS, POSITIONS, LEVEL, TIME, ALLOWED, HEAD };
  static float host[SEQUENCES * SEQUENCE_NOTES * SEQUENCE_NOTES];
  Rng          rng = rng_make(4, RNG_USE_TEST, 0);
  for (int i = 0; i < 6; ++i) {
    const uint32_t wide = i == ALLOWED ? all : columns[i];
    const uint32_t rows = i == TIME ? 2 : SEQUENCES * all;
    assert_int_equal(tensor_allocate(f.device, rows, wide, &whole[i], NULL), 0);
    assert_int_equal(tensor_allocate(f.device, rows, wide, &part[i], NULL), 0);
  }
  rng_normals(&rng, host, (size_t)SEQUENCES * all * in);
  tensor_write(f.device, whole[TOKENS], host);
  rng_normals(&rng, host, 2 * DENOISER_TIME_FEATURES);
  tensor_write(f.device, whole[TIME], host);
#define IS_GIVEN(i) ((i) < before || (i) >= before + notes)
  for (uint32_t r = 0; r < SEQUENCES * all; ++r) {
    const float place = (float)(r % all);
    const float level = IS_GIVEN(r % all) ? 1.0f : 0.0f;
    tensor_write(f.device, tensor_rows(whole[POSITIONS], r, 1), &place);
    tensor_write(f.device, tensor_rows(whole[LEVEL], r, 1), &level);
    for (uint32_t k = 0; k < all; ++k) {
      host[(size_t)r * all + k] = !IS_GIVEN(r % all) || IS_GIVEN(k);
    }
  }
  tensor_write(f.device, whole[ALLOWED], host);
  DenoiserInput input = { SEQUENCES,        all,          whole[TOKENS],
                          whole[POSITIONS], whole[LEVEL], whole[TIME],
                          whole[ALLOWED] };
  denoiser_forward(net, &input, whole[HEAD]);

  // The same rows apart.
  for (int clean = 1; clean >= 0; --clean) {
    const uint32_t count = clean ? given : notes;
    uint32_t       to    = 0;
    for (uint32_t r = 0; r < SEQUENCES * all; ++r) {
      if (IS_GIVEN(r % all) == clean) {
        for (int i = TOKENS; i <= POSITIONS; ++i) {
          op_copy(
            f.device, tensor_rows(whole[i], r, 1), tensor_rows(part[i], to, 1));
        }
        ++to;
      }
    }
    op_fill(f.device, part[LEVEL], 0.0f);
    input = (DenoiserInput){
      .sequences = SEQUENCES,
      .notes     = count,
      .tokens    = tensor_rows(part[TOKENS], 0, SEQUENCES * count),
      .position  = tensor_rows(part[POSITIONS], 0, SEQUENCES * count),
      .level     = tensor_rows(part[LEVEL], 0, SEQUENCES * count),
      .time      = tensor_rows(whole[TIME], (uint32_t)clean, 1),
    };
    if (clean) {
      denoiser_context(net, &input);
    } else {
      // Twice: what is remembered does not wear off.
      denoiser_step(net, &input, tensor_rows(part[HEAD], 0, SEQUENCES * count));
      denoiser_step(net, &input, tensor_rows(part[HEAD], 0, SEQUENCES * count));
    }
  }
  for (uint32_t s = 0; s < SEQUENCES; ++s) {
    for (uint32_t i = 0; i < notes; ++i) {
      float a[ENCODING_PITCHES + CHANNEL_COUNT];
      float b[ENCODING_PITCHES + CHANNEL_COUNT];
      tensor_read(
        f.device, tensor_rows(whole[HEAD], s * all + before + i, 1), a);
      tensor_read(f.device, tensor_rows(part[HEAD], s * notes + i, 1), b);
      for (uint32_t c = 0; c < out; ++c) {
        assert_true(fabsf(a[c] - b[c]) < 1e-4f * (1.0f + fabsf(a[c])));
      }
    }
  }
  for (int i = 0; i < 6; ++i) {
    tensor_free(f.device, &whole[i]);
    tensor_free(f.device, &part[i]);
  }
  close_fixture(&f);
}

static void
test_clean_notes_are_remembered(void** state)
{
  (void)state;
  check_cache(DENOISER_TRANSFORMER, 0, 8, 0);
  check_cache(DENOISER_TRANSFORMER, 5, 8, 0);
  check_cache(DENOISER_TRANSFORMER, 24, 8, 0);
  check_cache(DENOISER_TRANSFORMER, 3, 4, 7);
  check_cache(DENOISER_TRANSFORMER, 0, 1, 31);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gradients_transformer),
    cmocka_unit_test(test_clean_notes_are_remembered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
