// Sampling on a GPU, in one recording: the notes that the CPU makes, with given
// notes on either side or none, of both networks, from other noise when it is
// replayed, and with the knobs elsewhere.
#include "diffusion_fixture.h"
#include "diffusion_internal.h"

#define COLUMNS 19u // of an embedding and channels
#define STEPS 3u

typedef struct {
  float pitch[ROWS];
  float channels[ROWS * CHANNEL_COUNT];
} Made;

typedef struct {
  SamplerPlan plan;
  float       temperature;
} Knobs;

// `before` and `after` of the fixture's notes around the others.
static void
sample_with(Fixture*     f,
            const Knobs* knobs,
            uint32_t     before,
            uint32_t     after,
            uint64_t     seed,
            Made*        out)
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
    .plan           = knobs->plan,
    .temperature    = knobs->temperature,
    .seed           = seed,
  };
  diffusion_sample(f->diffusion, &request, out->pitch, out->channels);
  if (device_status(f->device, &error) != STATUS_OK) {
    fail_msg("%s", error.text);
  }
}

static void
sample(Fixture* f, uint32_t before, uint32_t after, uint64_t seed, Made* out)
{
  const Knobs knobs = {
    { .kind = SAMPLER_DDIM, .steps = STEPS, .eta = 0.5f, .start = 1000 }, 1.0f
  };
  sample_with(f, &knobs, before, after, seed, out);
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

static uint32_t
recordings(const Fixture* f)
{
  const Replay* const replay = &f->diffusion->sampling;
  uint32_t            count  = 0;
  for (uint32_t i = 0; i < replay->slot_count; ++i) {
    count += replay->slots[i].recording != NULL;
  }
  return count;
}

static const Knobs turned[] = {
  { { SAMPLER_DDIM, STEPS, 0.5f, 1000 }, 1.0f },
  { { SAMPLER_DDIM, STEPS, 0.1f, 1000 }, 1.0f },
  { { SAMPLER_DDIM, STEPS, 1.0f, 1000 }, 0.4f },
  { { SAMPLER_DDIM, STEPS, 0.5f, 1000 }, 0.0f }, // the likeliest
  { { SAMPLER_DDIM, STEPS, 0.5f, 960 }, 1.0f },  // mutations
  { { SAMPLER_DDPM, STEPS, 0.0f, 910 }, 1.0f },  // noise as with eta 1
  { { SAMPLER_DDIM, STEPS, 0.0f, 1000 }, 0.7f }, // no noise: another
  { { SAMPLER_DPM, STEPS, 0.0f, 1000 }, 1.0f },  // and another
  { { SAMPLER_DDIM, STEPS, 0.0f, 930 }, 0.0f },
  { { SAMPLER_DPM, STEPS, 0.3f, 940 }, 1.3f },
  { { SAMPLER_DDIM, STEPS, 0.3f, 1000 }, 1.3f },
};

// Whatever the network predicts. Each is right, though the recording was made
// for another.
static void
test_knobs_need_no_recording(void** state)
{
  (void)state;
  for (int prediction = PREDICT_NOISE; prediction <= PREDICT_DATA;
       ++prediction) {
    const DiffusionSettings settings = settings_of(
      DENOISER_TRANSFORMER, PITCH_EMBEDDING, (Prediction)prediction);
    Fixture turning;
    Made    want, got, last = { 0 };
    open_fixture_on(&turning, "auto", &settings, false);
    for (uint32_t i = 0; i < sizeof turned / sizeof *turned; ++i) {
      Fixture fresh;
      open_fixture_on(&fresh, "cpu", &settings, false);
      sample_with(&fresh, &turned[i], 2, 0, 5, &want);
      sample_with(&turning, &turned[i], 2, 0, 5, &got);
      close_fixture(&fresh);
      assert_memory_equal(want.pitch, got.pitch, sizeof want.pitch);
      assert_true(difference(&want, &got) < 1e-3f);
      assert_true(difference(&got, &last) > 1e-4f);
      assert_int_equal(recordings(&turning), i < 6 ? 1 : i < 7 ? 2 : 3);
      last = got;
    }
    close_fixture(&turning);
  }
}

// A form that was prepared, between others of other sizes, is recorded no more.
static void
test_prepared_forms(void** state)
{
  (void)state;
  const DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_EMBEDDING, PREDICT_DATA);
  const DiffusionRequest ahead = {
    .count = SEQUENCES, .notes = NOTES, .before = 5, .plan = turned[0].plan
  };
  Fixture fresh, f;
  Made    want, got;
  open_fixture_on(&fresh, "cpu", &settings, false);
  open_fixture_on(&f, "auto", &settings, false);
  sample(&f, 0, 0, 1, &got);
  assert_true(diffusion_prepare(f.diffusion, &ahead));
  assert_false(diffusion_prepare(f.diffusion, &ahead));
  sample(&f, 0, 0, 2, &got);
  sample(&fresh, 0, 0, 2, &want);
  assert_true(difference(&want, &got) < 1e-3f);
  sample(&f, 5, 0, 3, &got);
  sample(&fresh, 5, 0, 3, &want);
  assert_true(difference(&want, &got) < 1e-3f);
  assert_int_equal(recordings(&f), 2);
  close_fixture(&fresh);
  close_fixture(&f);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_knobs_need_no_recording),
    cmocka_unit_test(test_prepared_forms),
    cmocka_unit_test(test_a_gpu_samples_alike),
  };
  return cmocka_run_group_tests_name("diffusion_devices", tests, NULL, NULL);
}
