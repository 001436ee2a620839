// The VAE: analytic gradients against finite differences through the whole
// network, free running that does not depend on the batch, and an encoder and
// decoder that can learn a few windows by heart.
#include "vae_internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const VaeSizes sizes = { .pitch_embedding = 5,
                                .encoder_hidden  = 6,
                                .latent          = 4,
                                .decoder_hidden  = 7 };

#define COUNT 3u
#define ROWS (WINDOW_NOTES * COUNT)

typedef struct {
  Device* device;
  Vae*    vae;
  float   pitch[ROWS];
  float   channels[ROWS * CHANNEL_COUNT];
  float   force[ROWS];
} Fixture;

static void
open_fixture(Fixture* f, const char* variant)
{
  Error error;
  assert_int_equal(device_open_cpu(variant, &f->device, &error), STATUS_OK);
  assert_int_equal(
    vae_create(f->device, &sizes, COUNT, true, NULL, &f->vae, &error),
    STATUS_OK);
  assert_int_equal(vae_initialise(f->vae, 5, &error), STATUS_OK);
  Rng rng = rng_make(11, RNG_USE_TEST, 0);
  for (uint32_t i = 0; i < ROWS; ++i) {
    f->pitch[i] = (float)(1 + rng_below(&rng, 127));
    f->force[i] = 1.0f;
  }
  rng_normals(&rng, f->channels, ROWS * CHANNEL_COUNT);
}

static void
close_fixture(Fixture* f)
{
  vae_free(f->vae);
  device_close(f->device);
}

// Its windows, which are in the network.
static VaeBatch
batch_of(Fixture* f)
{
  const VaeNotes to = vae_notes(f->vae, COUNT);
  tensor_write(f->device, to.pitch, f->pitch);
  tensor_write(f->device, to.channels, f->channels);
  tensor_write(f->device, to.force, f->force);
  return (VaeBatch){
    .pass = { .count          = COUNT,
              .gradient_scale = 1.0f,
              .channel_weight = 1.5f,
              .free_nats      = 0.0f },
    .seed = 3,
    .beta = 0.7f,
  };
}

static void
learn(Fixture* f, const VaeBatch* batch)
{
  vae_write_batch(f->vae, batch);
  vae_learn(f->vae, &batch->pass);
}

static double
loss_of(Fixture* f)
{
  VaeLoss        loss  = { 0 };
  const VaeBatch batch = batch_of(f);
  learn(f, &batch);
  vae_take_loss(f->vae, &loss);
  return loss.pitch_nats + 0.7 * loss.kl_nats +
         1.5 * (loss.squared_error[0] + loss.squared_error[1] +
                loss.squared_error[2]);
}

static void
test_gradient(void** state)
{
  (void)state;
  Fixture f;
  open_fixture(&f, NULL);
  Parameter    table[VAE_PARAMETER_COUNT];
  const size_t total    = vae_parameters(&sizes, table);
  float* const weights  = malloc(total * sizeof(float));
  float* const gradient = malloc(total * sizeof(float));
  loss_of(&f);
  tensor_read(f.device, vae_weights(f.vae), weights);
  tensor_read(f.device, vae_gradients(f.vae), gradient);

  Rng    rng        = rng_make(1, RNG_USE_TEST, 1);
  size_t unequal    = 0;
  int    moved_most = 0;
  for (int p = 0; p < VAE_PARAMETER_COUNT; ++p) {
    const uint32_t count = table[p].rows * table[p].columns;
    int            moved = 0;
    for (int draw = 0; draw < 12; ++draw) {
      const size_t at   = table[p].offset + rng_below(&rng, count);
      const float  held = weights[at];
      const float  step = 1e-2f;
      weights[at]       = held + step;
      tensor_write(f.device, vae_weights(f.vae), weights);
      const double above = loss_of(&f);
      weights[at]        = held - step;
      tensor_write(f.device, vae_weights(f.vae), weights);
      const double below   = loss_of(&f);
      weights[at]          = held;
      const double numeric = (above - below) / (2.0 * (double)step);
      const double ours    = (double)gradient[at];
      moved += fabs(ours) > 1e-3;
      if (fabs(numeric - ours) > 5e-4 + 0.01 * fabs(numeric)) {
        print_error("%s[%zu]: %g, by differences %g\n",
                    table[p].name,
                    at - table[p].offset,
                    ours,
                    numeric);
        ++unequal;
      }
    }
    moved_most += moved > 0;
  }
  assert_int_equal(unequal, 0);
  assert_true(moved_most >=
              VAE_PARAMETER_COUNT - 1); // gradients that are not all zero
  assert_int_equal(device_status(f.device, NULL), STATUS_OK);
  free(weights);
  free(gradient);
  close_fixture(&f);
}

// Each window decodes to the same notes alone, in a batch, and at another place
// in it, because its randomness is its number's.
static void
test_free_running_does_not_depend_on_the_batch(void** state)
{
  (void)state;
  Fixture f;
  open_fixture(&f, NULL);
  float z[COUNT * 4];
  float pitch[ROWS];
  float channels[ROWS * CHANNEL_COUNT];
  Rng   rng = rng_make(2, RNG_USE_TEST, 2);
  rng_normals(&rng, z, COUNT * sizes.latent);
  vae_decode(f.vae, COUNT, z, 1.0f, NULL, 9, 40, pitch, channels);
  for (uint32_t b = 0; b < COUNT; ++b) {
    float one[WINDOW_NOTES];
    float one_channels[WINDOW_NOTES * CHANNEL_COUNT];
    vae_decode(
      f.vae, 1, z + b * sizes.latent, 1.0f, NULL, 9, 40 + b, one, one_channels);
    for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
      assert_true(one[t] == pitch[t * COUNT + b]);
      for (uint32_t c = 0; c < CHANNEL_COUNT; ++c) {
        const float whole = channels[(t * COUNT + b) * CHANNEL_COUNT + c];
        assert_true(fabsf(one_channels[t * CHANNEL_COUNT + c] - whole) < 1e-5f);
      }
    }
  }
  // Another window number draws other notes.
  float again[ROWS];
  vae_decode(f.vae, COUNT, z, 1.0f, NULL, 9, 41, again, channels);
  assert_memory_not_equal(again, pitch, sizeof pitch);
  close_fixture(&f);
}

// Temperature needs no recording of its own, and learning none but 1.
static void
test_temperatures(void** state)
{
  (void)state;
  static const float temperatures[] = { 0.0f, 0.5f, 5.0f, 5.0f };
  Fixture            f;
  float              z[COUNT * 4];
  float              pitch[4][ROWS];
  float              channels[ROWS * CHANNEL_COUNT];
  Rng                rng = rng_make(2, RNG_USE_TEST, 2);
  open_fixture(&f, NULL);
  for (uint32_t i = 0; i < ROWS; ++i) {
    f.force[i] = 0.0f; // its own choices
  }
  const double before = loss_of(&f);
  rng_normals(&rng, z, COUNT * sizes.latent);
  for (int i = 0; i < 4; ++i) {
    vae_decode(
      f.vae, COUNT, z, temperatures[i], NULL, 9, 40, pitch[i], channels);
    assert_true((i == 3) ==
                (i > 0 && !memcmp(pitch[i], pitch[i - 1], sizeof *pitch)));
  }
  assert_non_null(f.vae->decoding.slots[0].recording);
  assert_null(f.vae->decoding.slots[1].recording);
  assert_true(loss_of(&f) == before);
  close_fixture(&f);
}

// With a prior, latents are points of its space.
static void
test_decodes_from_a_prior(void** state)
{
  (void)state;
  enum { Z = 4 };
  float             mean[Z]       = { 0.3f, -0.2f, 0.0f, 1.0f };
  float             factor[Z * Z] = { 0.5f, 0, 0,    0,    0.1f, 0.9f, 0,    0,
                                      0.3f, 0, 1.2f, 0.0f, -0.4, 0.2f, 0.1f, 0.7f };
  const LatentPrior prior         = { Z, mean, factor };
  float             x[COUNT * Z], z[COUNT * Z];
  float             a[ROWS], b[ROWS];
  float   a_channels[ROWS * CHANNEL_COUNT], b_channels[ROWS * CHANNEL_COUNT];
  Fixture f;
  Rng     rng = rng_make(3, RNG_USE_TEST, 4);
  open_fixture(&f, NULL);
  assert_int_equal(sizes.latent, Z);
  rng_normals(&rng, x, COUNT * Z);
  for (uint32_t i = 0; i < COUNT * Z; ++i) {
    z[i] = mean[i % Z];
    for (uint32_t j = 0; j < Z; ++j) {
      z[i] += factor[i % Z * Z + j] * x[i / Z * Z + j];
    }
  }
  vae_decode(f.vae, COUNT, z, 1.0f, NULL, 9, 40, a, a_channels);
  vae_decode(f.vae, COUNT, x, 1.0f, NULL, 9, 40, b, b_channels);
  assert_memory_not_equal(a_channels, b_channels, sizeof a_channels);
  close_fixture(&f);
  open_fixture(&f, NULL); // recordings are made after
  assert_int_equal(vae_set_prior(f.vae, &prior, NULL), STATUS_OK);
  vae_decode(f.vae, COUNT, x, 1.0f, NULL, 9, 40, b, b_channels);
  for (uint32_t i = 0; i < ROWS; ++i) {
    assert_true(a[i] == b[i]);
    for (uint32_t c = 0; c < CHANNEL_COUNT; ++c) {
      const uint32_t at = i * CHANNEL_COUNT + c;
      assert_true(fabsf(a_channels[at] - b_channels[at]) < 1e-5f);
    }
  }
  close_fixture(&f);
}

// Trains on the fixture's windows alone, feeding the decoder its own choices
// half of the time, until encoding and free running give them back.
static void
test_learns_windows_by_heart(void** state)
{
  (void)state;
  Fixture f;
  open_fixture(&f, NULL);
  const uint32_t  total  = vae_weights(f.vae).columns;
  OptimiserTables tables = { .weight   = vae_weights(f.vae),
                             .gradient = vae_gradients(f.vae) };
  Tensor          now, square_sum;
  Tensor* const flat[] = { &tables.moment1, &tables.moment2, &tables.average };
  for (int i = 0; i < 3; ++i) {
    assert_int_equal(tensor_allocate(f.device, 1, total, flat[i], NULL),
                     STATUS_OK);
  }
  assert_int_equal(
    tensor_allocate(f.device, 1, OPTIMISER_NOW_FLOATS, &now, NULL), STATUS_OK);
  assert_int_equal(tensor_allocate(f.device, 1, 1, &square_sum, NULL),
                   STATUS_OK);
  for (uint32_t i = 0; i < ROWS; i += 2) {
    f.force[i] = 0.0f;
  }
  for (uint32_t step = 1; step <= 400; ++step) {
    VaeBatch batch = batch_of(&f);
    batch.seed     = step;
    batch.beta     = 1e-3f;
    op_fill(f.device, vae_gradients(f.vae), 0.0f);
    learn(&f, &batch);
    op_square_sum(f.device, vae_gradients(f.vae), 0.0f, square_sum);
    const OptimiserRule lamb                         = { .kind      = OPTIMISER_LAMB,
                                                         .beta1     = 0.9f,
                                                         .beta2     = 0.999f,
                                                         .epsilon   = 1e-6f,
                                                         .clip_norm = 1.0f };
    const float         values[OPTIMISER_NOW_FLOATS] = {
              [OPTIMISER_NOW_RATE]        = 0.02f,
              [OPTIMISER_NOW_CORRECTION1] = 1.0f - powf(0.9f, (float)step),
              [OPTIMISER_NOW_CORRECTION2] = 1.0f - powf(0.999f, (float)step),
    };
    tensor_write(f.device, now, values);
    const OptimiserSegment whole = { 0, total, false };
    op_optimise(f.device, &lamb, &whole, 1, now, square_sum, &tables);
  }
  float mean[COUNT * 4];
  float pitch[ROWS];
  float channels[ROWS * CHANNEL_COUNT];
  vae_encode(f.vae, COUNT, f.pitch, f.channels, mean);
  vae_decode(f.vae, COUNT, mean, 0.0f, NULL, 1, 0, pitch, channels);
  uint32_t hits = 0;
  for (uint32_t i = 0; i < ROWS; ++i) {
    hits += pitch[i] == f.pitch[i];
  }
  assert_true(hits >= ROWS - 1);
  for (int i = 0; i < 3; ++i) {
    tensor_free(f.device, flat[i]);
  }
  tensor_free(f.device, &now);
  tensor_free(f.device, &square_sum);
  close_fixture(&f);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gradient),
    cmocka_unit_test(test_free_running_does_not_depend_on_the_batch),
    cmocka_unit_test(test_temperatures),
    cmocka_unit_test(test_decodes_from_a_prior),
    cmocka_unit_test(test_learns_windows_by_heart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
