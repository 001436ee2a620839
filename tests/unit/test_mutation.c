// Mutation begins with the phrase at the level of noise that its strength asks
// for: a network that finds no noise in anything gives the phrase back, and
// what was added to it, no louder and no softer.
#include "diffusion_fixture.h"
#include "model.h"

#include <stdio.h>
#include <unistd.h>

#define COLUMNS 19u // of a note's vector: 16 of the pitch, then the channels

static const EncodingStats stats = {
  1.27f, 1.25f, -1.26f, 0.99f, 0.57f, 0.18f
};

static Model*
load_one_that_finds_no_noise(void)
{
  const DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_EMBEDDING, PREDICT_NOISE);
  char path[64];
  snprintf(path, sizeof path, "/tmp/meander-test-%d.safetensors", getpid());
  Fixture f;
  open_fixture(&f, &settings, false);
  const Tensor weights = denoiser_weights(diffusion_net(f.diffusion));
  float* const zeros   = calloc(weights.columns, sizeof *zeros);
  Error        error;
  Model*       model;
  assert_int_equal(
    diffusion_checkpoint_write(path, &settings, &stats, zeros, NULL, 0, &error),
    STATUS_OK);
  assert_int_equal(model_load(path, "cpu", 1, &model, &error), STATUS_OK);
  unlink(path);
  free(zeros);
  close_fixture(&f);
  return model;
}

static void
test_the_phrase_and_what_was_added(void** state)
{
  (void)state;
  Model* const model = load_one_that_finds_no_noise();
  assert_int_equal(model_latent_size(model), WINDOW_NOTES * COLUMNS);
  NoteEvent phrase[WINDOW_NOTES], out[WINDOW_NOTES];
  for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
    phrase[i] = (NoteEvent){ .pitch      = (uint8_t)(40 + 5 * i),
                             .velocity   = 0.5f,
                             .step_s     = 0.1f + 0.02f * (float)i,
                             .duration_s = 0.3f };
  }
  NoiseSchedule schedule;
  assert_int_equal(noise_schedule_make(NOISE_COSINE, 1000, &schedule, NULL), 0);
  for (uint32_t t = 100; t <= 700; t += 300) {
    const double added =
      0.2 * noise_sigma(&schedule, t) / noise_alpha(&schedule, t);
    for (uint32_t louder = 0; louder < 2; ++louder) {
      float z[WINDOW_NOTES * COLUMNS] = { 0 };
      Error error;
      for (uint32_t c = 16; louder && c < COLUMNS; ++c) {
        z[3 * COLUMNS + c] = 0.2f;
      }
      const ModelRequest request = { .z        = z,
                                     .count    = 1,
                                     .sampler  = SAMPLER_DDIM,
                                     .steps    = 20,
                                     .phrase   = phrase,
                                     .strength = (float)t / 1000.0f };
      assert_int_equal(model_generate(model, &request, out, &error), 0);
      for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
        float pitch[2], was[CHANNEL_COUNT], is[CHANNEL_COUNT];
        encode_event(&stats, phrase[i], &pitch[0], was);
        encode_event(&stats, out[i], &pitch[1], is);
        assert_true(pitch[0] == pitch[1]);
        for (uint32_t c = 0; c < CHANNEL_COUNT; ++c) {
          const double more = louder && i == 3 ? added : 0.0;
          assert_true(fabs((double)is[c] - (double)was[c] - more) < 1e-3);
        }
      }
    }
  }
  model_free(model);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_phrase_and_what_was_added),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
