// Sampling on a GPU, in one recording: the notes that the CPU makes, with given
// notes on either side or none, of both networks, from other noise when it is
// replayed.
#include "diffusion_fixture.h"

#define COLUMNS 19u // of an embedding and channels
#define STEPS 3u

typedef struct {
  float pitch[ROWS];
  float channels[ROWS * CHANNEL_COUNT];
} Made;

// `before` and `after` of the fixture's notes around the others.
static void
sample(Fixture* f, uint32_t before, uint32_t after, uint64_t seed, Made* out)
{
  static float x[ROWS * COLUMNS];
  Rng          rng = rng_make(seed, RNG_USE_TEST, 1);
  Error        error;
  rng_normals(&rng, x, ROWS * COLUMNS);
  const DiffusionRequest request = {
    .count          = SEQUENCES,
    .notes          = NOTES,
    .before         = before,
    .after          = after,
    .given_pitch    = f->pitch,
    .given_channels = f->channels,
    .x              = x,
    .plan           = { .kind  = SAMPLER_DDIM,
                        .steps = STEPS,
                        .eta   = 0.5f,
                        .start = 1000 },
    .temperature    = 1.0f,
    .seed           = seed,
  };
  diffusion_sample(f->diffusion, &request, out->pitch, out->channels);
  if (device_status(f->device, &error) != STATUS_OK) {
    fail_msg("%s", error.text);
  }
}

static float
difference(const Made* a, const Made* b)
{
  float most = 0.0f;
  for (uint32_t i = 0; i < ROWS * CHANNEL_COUNT; ++i) {
    most = fmaxf(most, fabsf(a->channels[i] - b->channels[i]));
  }
  return most;
}

static void
test_a_gpu_samples_alike(void** state)
{
  (void)state;
  static const uint32_t around[][2] = { { 0, 0 }, { 5, 0 }, { 2, 3 } };
  Device*               gpu;
  if (device_open("cuda", &gpu, NULL, NULL) != STATUS_OK) {
    skip();
  }
  device_close(gpu);
  for (int kind = DENOISER_TRANSFORMER; kind <= DENOISER_LSTM; ++kind) {
    const DiffusionSettings settings =
      settings_of((DenoiserKind)kind, PITCH_EMBEDDING, PREDICT_DATA);
    Fixture cpu, cuda;
    Made    want, got, last = { 0 };
    open_fixture_on(&cpu, "cpu", &settings, false);
    open_fixture_on(&cuda, "cuda", &settings, false);
    for (uint32_t i = 0; i < 2 * 3; ++i) {
      const uint32_t* const a = around[i / 2];
      sample(&cpu, a[0], a[1], i, &want);
      sample(&cuda, a[0], a[1], i, &got);
      assert_memory_equal(want.pitch, got.pitch, sizeof want.pitch);
      assert_true(difference(&want, &got) < 1e-3f);
      assert_true(difference(&want, &last) > 1e-2f);
      last = want;
    }
    close_fixture(&cpu);
    close_fixture(&cuda);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_gpu_samples_alike),
  };
  return cmocka_run_group_tests_name("diffusion_devices", tests, NULL, NULL);
}
