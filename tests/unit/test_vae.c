// The VAE: analytic gradients against finite differences through the whole
// network, free running that does not depend on the batch, and an encoder and
// decoder that can learn a few windows by heart.
#include "vae.h"

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

static VaeBatch
batch_of(const Fixture* f)
{
  return (VaeBatch){
    .count          = COUNT,
    .pitch          = f->pitch,
    .channels       = f->channels,
    .force          = f->force,
    .seed           = 3,
    .gradient_scale = 1.0f,
    .channel_weight = 1.5f,
    .beta           = 0.7f,
    .free_nats      = 0.0f,
  };
}

static double
loss_of(Fixture* f)
{
  VaeLoss        loss  = { 0 };
  const VaeBatch batch = batch_of(f);
  vae_train_step(f->vae, &batch, &loss);
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
  VaeParameter table[VAE_PARAMETER_COUNT];
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
      if (fabs(numeric - ours) > 4e-3 + 0.01 * fabs(numeric)) {
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

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gradient),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
