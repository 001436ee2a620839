// The diffusion model: gradients through the whole network by finite
// differences, sampling's rules. Both networks.
#include "diffusion_fixture.h"
#include "diffusion_internal.h"

#include <stdio.h>
#include <unistd.h>

// --- Gradients ---------------------------------------------------------------

static double
loss_of(Fixture* f)
{
  const DiffusionBatch batch = jump_batch(f, NULL);
  DiffusionLoss        loss  = { 0 };
  diffusion_write_batch(f->diffusion, &batch);
  diffusion_learn(f->diffusion, &batch.pass);
  diffusion_take_loss(f->diffusion, &loss);
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

// --- Sampling ----------------------------------------------------------------

typedef struct {
  float pitch[SEQUENCES * NOTES];
  float channels[SEQUENCES * NOTES * CHANNEL_COUNT];
} Notes;

static void
sample(Fixture* f, const DiffusionRequest* request, Notes* out)
{
  memset(out, 0, sizeof *out);
  diffusion_sample(f->diffusion, request, out->pitch, out->channels);
  assert_int_equal(device_status(f->device, NULL), STATUS_OK);
}

static bool
same_notes(const Notes* a, const Notes* b, uint32_t first, uint32_t count)
{
  // `b` holds sequences from `first` of `a` on.
  for (uint32_t r = 0; r < count * NOTES; ++r) {
    if (a->pitch[first * NOTES + r] != b->pitch[r]) {
      return false;
    }
    for (uint32_t c = 0; c < CHANNEL_COUNT; ++c) {
      const float x = a->channels[(first * NOTES + r) * CHANNEL_COUNT + c];
      const float y = b->channels[r * CHANNEL_COUNT + c];
      if (!(fabsf(x - y) < 1e-4f)) {
        return false;
      }
    }
  }
  return true;
}

static void
check_sampling(const DiffusionSettings* settings)
{
  Fixture f;
  open_fixture(&f, settings, false);
  const uint32_t c = diffusion_columns(settings);
  static float   noise[SEQUENCES * NOTES * 32];
  Rng            rng = rng_make(8, RNG_USE_TEST, 0);
  rng_normals(&rng, noise, (size_t)SEQUENCES * NOTES * c);
  DiffusionRequest request = {
    .count          = SEQUENCES,
    .notes          = NOTES,
    .before         = 5,
    .after          = 2,
    .given_pitch    = f.pitch,
    .given_channels = f.channels,
    .x              = noise,
    .plan = { .kind = SAMPLER_DDIM, .steps = 6, .eta = 0.5f, .start = 1000 },
    .temperature    = 1.0f,
    .seed           = 2,
    .first_sequence = 70,
  };
  Notes whole, again, alone;
  sample(&f, &request, &whole);
  sample(&f, &request, &again);
  assert_memory_equal(&whole, &again, sizeof whole);
  // Each sequence alone, with its own number: the same notes.
  DiffusionRequest one = request;
  one.count            = 1;
  for (uint32_t s = 0; s < SEQUENCES; ++s) {
    one.given_pitch    = f.pitch + (size_t)s * 7;
    one.given_channels = f.channels + (size_t)s * 7 * CHANNEL_COUNT;
    one.x              = noise + (size_t)s * NOTES * c;
    one.first_sequence = 70 + s;
    sample(&f, &one, &alone);
    assert_true(same_notes(&whole, &alone, s, 1));
  }
  // What is given, before and after, takes part; so does the number, by eta.
  DiffusionRequest other = request;
  other.given_channels   = f.channels + CHANNEL_COUNT;
  sample(&f, &other, &again);
  assert_false(same_notes(&whole, &again, 0, SEQUENCES));
  other                = request;
  other.first_sequence = 71;
  sample(&f, &other, &again);
  assert_false(same_notes(&whole, &again, 0, SEQUENCES));
  // Without eta the number does not matter: a function of the noise.
  request.plan.eta = 0.0f;
  sample(&f, &request, &whole);
  other      = request;
  other.seed = 99;
  sample(&f, &other, &again);
  assert_memory_equal(&whole, &again, sizeof whole);
  // A mask holds, whatever the network prefers.
  float bias[ENCODING_PITCHES];
  for (uint32_t p = 0; p < ENCODING_PITCHES; ++p) {
    bias[p] = p % 12 == 2 || p % 12 == 9 ? 0.0f : -1e9f;
  }
  other.pitch_bias = bias;
  sample(&f, &other, &again);
  for (uint32_t r = 0; r < SEQUENCES * NOTES; ++r) {
    const uint32_t pitch = (uint32_t)again.pitch[r];
    assert_true(pitch % 12 == 2 || pitch % 12 == 9);
  }
  close_fixture(&f);
}

static void
test_sampling(void** state)
{
  (void)state;
  for (int kind = DENOISER_TRANSFORMER; kind <= DENOISER_LSTM; ++kind) {
    for (int what = PREDICT_NOISE; what <= PREDICT_DATA; ++what) {
      const DiffusionSettings settings =
        settings_of((DenoiserKind)kind, PITCH_EMBEDDING, (Prediction)what);
      check_sampling(&settings);
    }
  }
}

// Nothing is left of notes that were given in a call before.
static void
test_a_context_is_forgotten(void** state)
{
  (void)state;
  for (int kind = DENOISER_TRANSFORMER; kind <= DENOISER_LSTM; ++kind) {
    const DiffusionSettings settings =
      settings_of((DenoiserKind)kind, PITCH_EMBEDDING, PREDICT_DATA);
    static float noise[ROWS * 32];
    Rng          rng = rng_make(8, RNG_USE_TEST, 0);
    Fixture      used, fresh;
    Notes        after, alone;
    open_fixture(&used, &settings, false);
    open_fixture(&fresh, &settings, false);
    rng_normals(&rng, noise, sizeof noise / sizeof *noise);
    DiffusionRequest request = {
      .count          = SEQUENCES,
      .notes          = NOTES,
      .before         = 5,
      .given_pitch    = used.pitch,
      .given_channels = used.channels,
      .x              = noise,
      .plan           = { .kind = SAMPLER_DDIM, .steps = 2, .start = 1000 },
      .temperature    = 1.0f,
    };
    sample(&used, &request, &after);
    request.before = 0;
    sample(&used, &request, &after);
    sample(&fresh, &request, &alone);
    assert_memory_equal(&after, &alone, sizeof after);
    close_fixture(&used);
    close_fixture(&fresh);
  }
}

// One step of sampling says of x_0 what training's pass over all the notes
// says: the same notes are given, in the same places.
static void
check_estimate(const DiffusionSettings* settings)
{
  enum { BEFORE = 3, MADE = 4, GIVEN = NOTES - MADE };
  static float   x[ROWS * 32], want[ROWS * 32], got[ROWS * 32];
  static float   pitch[ROWS], channels[ROWS * CHANNEL_COUNT];
  const uint32_t c = diffusion_columns(settings);
  Fixture        trained, f;
  open_fixture(&trained, settings, true);
  open_fixture(&f, settings, false);
  for (uint32_t r = 0; r < ROWS; ++r) {
    const uint32_t i     = r % NOTES;
    trained.clean[r]     = i < BEFORE || i >= BEFORE + MADE ? 1.0f : 0.0f;
    trained.t[r / NOTES] = 400;
  }
  const DiffusionBatch batch = jump_batch(&trained, NULL);
  diffusion_write_batch(trained.diffusion, &batch);
  diffusion_judge(trained.diffusion, &batch.pass);
  tensor_read(trained.device, trained.diffusion->x, x);
  tensor_read(trained.device, trained.diffusion->estimate, want);
  uint32_t given = 0, made = 0;
  for (uint32_t r = 0; r < ROWS; ++r) {
    if (trained.clean[r] != 0.0f) {
      pitch[given] = trained.pitch[r];
      memcpy(channels + CHANNEL_COUNT * given++,
             trained.channels + (size_t)r * CHANNEL_COUNT,
             CHANNEL_COUNT * sizeof *channels);
    } else {
      memmove(x + made * c, x + r * c, c * sizeof *x);
      memmove(want + made++ * c, want + r * c, c * sizeof *want);
    }
  }
  const DiffusionRequest request = {
    .count          = SEQUENCES,
    .notes          = MADE,
    .before         = BEFORE,
    .after          = GIVEN - BEFORE,
    .given_pitch    = pitch,
    .given_channels = channels,
    .x              = x,
    .plan           = { .kind = SAMPLER_DDIM, .steps = 1, .start = 400 },
    .temperature    = 1.0f,
  };
  Notes notes;
  sample(&f, &request, &notes);
  tensor_read(f.device, f.diffusion->x0, got);
  for (uint32_t i = 0; i < made * c; ++i) {
    assert_true(fabsf(want[i] - got[i]) < 1e-4f * (1.0f + fabsf(want[i])));
  }
  close_fixture(&trained);
  close_fixture(&f);
}

static void
test_sampling_estimates_as_training_does(void** state)
{
  (void)state;
  for (int kind = DENOISER_TRANSFORMER; kind <= DENOISER_LSTM; ++kind) {
    for (int what = PREDICT_NOISE; what <= PREDICT_DATA; ++what) {
      const DiffusionSettings settings =
        settings_of((DenoiserKind)kind, PITCH_EMBEDDING, (Prediction)what);
      check_estimate(&settings);
    }
  }
}

// Which pitch an estimate becomes: of noise and v that with the nearest code;
// at temperature 0 the estimate is the likeliest one's code.
static void
test_pitch_of_an_estimate(void** state)
{
  (void)state;
  static float noise[ROWS * 32], x0[ROWS * 32];
  static float codes[ENCODING_PITCHES * PITCH_CODE_COLUMNS_MAX];
  Rng          rng = rng_make(8, RNG_USE_TEST, 0);
  rng_normals(&rng, noise, sizeof noise / sizeof *noise);
  for (int code = PITCH_SCALAR; code <= PITCH_EMBEDDING; ++code) {
    for (int what = PREDICT_V; what <= PREDICT_DATA; ++what) {
      const DiffusionSettings settings =
        settings_of(DENOISER_TRANSFORMER, (PitchCode)code, (Prediction)what);
      const DiffusionRequest request = {
        .count = SEQUENCES,
        .notes = NOTES,
        .x     = noise,
        .plan  = { .kind = SAMPLER_DDIM, .steps = 2, .start = 600 },
      };
      Fixture f;
      Notes   notes;
      open_fixture(&f, &settings, false);
      sample(&f, &request, &notes);
      tensor_read(f.device, f.diffusion->x0, x0);
      tensor_read(f.device, f.diffusion->codes, codes);
      const uint32_t k = f.diffusion->code_columns;
      for (uint32_t r = 0; r < ROWS; ++r) {
        double distance[ENCODING_PITCHES] = { 0 }, least = INFINITY;
        for (uint32_t p = 0; p < ENCODING_PITCHES; ++p) {
          for (uint32_t i = 0; i < k; ++i) {
            const double miss =
              (double)(x0[r * f.diffusion->columns + i] - codes[p * k + i]);
            distance[p] += miss * miss;
          }
          least = fmin(least, distance[p]);
        }
        assert_true(distance[(uint32_t)notes.pitch[r]] < least + 1e-4);
        assert_true(what != PREDICT_DATA || least < 1e-8);
      }
      close_fixture(&f);
    }
  }
}

// What the third of three steps is told of x_0: the second's estimate, carried
// on from the first's. Both follow from the noise that the steps began with.
static void
test_what_a_step_is_told(void** state)
{
  (void)state;
  const DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_EMBEDDING, PREDICT_DATA);
  enum { COLUMNS = 19, COUNT = ROWS * COLUMNS };
  static float noise[COUNT], first[COUNT], tokens[ROWS * (2 * COLUMNS + 1)];
  Rng          rng = rng_make(8, RNG_USE_TEST, 0);
  rng_normals(&rng, noise, COUNT);
  Fixture f;
  open_fixture(&f, &settings, false);
  Diffusion* const d = f.diffusion;
  assert_int_equal(d->columns, COLUMNS);
  DiffusionRequest request = {
    .count       = SEQUENCES,
    .notes       = NOTES,
    .x           = noise,
    .plan        = { .kind = SAMPLER_DDIM, .steps = 1, .start = 999 },
    .temperature = 1.0f,
  };
  Notes notes;
  sample(&f, &request, &notes);
  tensor_read(f.device, d->x0, first);
  request.plan.steps = 3;
  sample(&f, &request, &notes);
  tensor_read(f.device, d->tokens, tokens);

  const NoisePosterior one   = noise_ddim(&d->schedule, 999, 666, 0.0);
  const NoisePosterior two   = noise_ddim(&d->schedule, 666, 333, 0.0);
  double               moved = 0.0;
  for (uint32_t i = 0; i < COUNT; ++i) {
    const float* const row  = tokens + i / COLUMNS * (2 * COLUMNS + 1);
    const double       now  = (double)row[i % COLUMNS];
    const double       told = (double)row[COLUMNS + i % COLUMNS];
    const double       a    = (double)first[i];
    const double       x = one.x0_share * a + one.xt_share * (double)noise[i];
    const double       b = (now - two.xt_share * x) / two.x0_share;
    const double       want = b + diffusion_reach(3) * (b - a);
    const double       most = (double)ESTIMATE_MAX;
    assert_true(fabs(told - fmin(fmax(want, -most), most)) < 2e-4);
    moved = fmax(moved, fabs(b - a));
  }
  assert_true(moved > 0.05);
  // The last of four, near the notes, is told nothing.
  request.plan.steps = 4;
  sample(&f, &request, &notes);
  tensor_read(f.device, d->tokens, tokens);
  for (uint32_t i = 0; i < COUNT; ++i) {
    const float* const row = tokens + i / COLUMNS * (2 * COLUMNS + 1);
    assert_true(row[COLUMNS + i % COLUMNS] == 0.0f);
  }
  close_fixture(&f);
}

// A student was made to be told nothing.
static void
test_a_student_is_told_nothing(void** state)
{
  (void)state;
  enum { COLUMNS = 19 };
  DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_EMBEDDING, PREDICT_DATA);
  static float noise[ROWS * COLUMNS], tokens[ROWS * (2 * COLUMNS + 1)];
  Fixture      f;
  Notes        notes;
  settings.student_steps = 3;
  open_fixture(&f, &settings, false);
  const DiffusionRequest request = {
    .count       = SEQUENCES,
    .notes       = NOTES,
    .x           = noise,
    .plan        = { .kind = SAMPLER_DDIM, .steps = 3, .start = 1000 },
    .temperature = 1.0f,
  };
  sample(&f, &request, &notes);
  tensor_read(f.device, f.diffusion->tokens, tokens);
  for (uint32_t i = 0; i < ROWS * COLUMNS; ++i) {
    assert_true(
      tokens[i / COLUMNS * (2 * COLUMNS + 1) + COLUMNS + i % COLUMNS] == 0.0f);
  }
  close_fixture(&f);
}

// Each estimate is carried on from the one just before it, as far as the steps
// are few.
static void
test_estimates_are_carried_on(void** state)
{
  (void)state;
  static const struct {
    float estimate;
    bool  again;
    float told;
  } calls[] = { { 1.0f, false, 1.0f }, { 1.5f, true, 2.5f },
                { 1.0f, true, 0.0f },  { 3.0f, true, ESTIMATE_MAX },
                { 2.0f, false, 2.0f }, { 1.0f, true, -1.0f } };
  const DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_BITS, PREDICT_DATA);
  Fixture f;
  open_fixture(&f, &settings, false);
  Diffusion* const d = f.diffusion;
  diffusion_lay_out(d, 1, 1, 1, 0);
  for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) {
    float told[32];
    op_fill(f.device, d->x0, calls[i].estimate);
    diffusion_tell(d, d->x0, calls[i].again, 2.0);
    tensor_read(f.device, d->told, told);
    assert_true(told[0] == calls[i].told);
  }
  close_fixture(&f);
  assert_true(diffusion_reach(1) == 3.0 && diffusion_reach(10) == 3.0);
  assert_true(diffusion_reach(25) == 2.0 && diffusion_reach(100) == 1.0);
}

// --- Checkpoints
// ---------------------------------------------------------------

static void
test_checkpoint_round_trip(void** state)
{
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "/tmp/meander-test-%d.safetensors", getpid());
  for (int kind = DENOISER_TRANSFORMER; kind <= DENOISER_LSTM; ++kind) {
    DiffusionSettings settings =
      settings_of((DenoiserKind)kind, PITCH_BITS, PREDICT_V);
    settings.student_steps    = 4;
    const EncodingStats stats = { 1, 2, 3, 4, 5, 6 };
    Fixture             f;
    open_fixture(&f, &settings, false);
    const Tensor weights = denoiser_weights(diffusion_net(f.diffusion));
    float* const host    = malloc(weights.columns * sizeof *host);
    float* const back    = malloc(weights.columns * sizeof *back);
    tensor_read(f.device, weights, host);
    Error error;
    assert_int_equal(diffusion_checkpoint_write(
                       path, &settings, &stats, host, NULL, 0, &error),
                     STATUS_OK);
    Checkpoint*       checkpoint;
    DiffusionSettings read;
    EncodingStats     read_stats;
    assert_int_equal(checkpoint_open(path, &checkpoint, &error), STATUS_OK);
    assert_int_equal(
      diffusion_checkpoint_settings(checkpoint, &read, &read_stats, &error),
      STATUS_OK);
    assert_memory_equal(&stats, &read_stats, sizeof stats);
    assert_memory_equal(&read, diffusion_settings(f.diffusion), sizeof read);
    op_fill(f.device, weights, 0.0f);
    assert_int_equal(
      diffusion_checkpoint_load(checkpoint, f.device, f.diffusion, &error),
      STATUS_OK);
    tensor_read(f.device, weights, back);
    assert_memory_equal(host, back, weights.columns * sizeof *host);
    checkpoint_close(checkpoint);
    free(host);
    free(back);
    close_fixture(&f);
  }
  unlink(path);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gradients_transformer),
    cmocka_unit_test(test_sampling),
    cmocka_unit_test(test_a_context_is_forgotten),
    cmocka_unit_test(test_sampling_estimates_as_training_does),
    cmocka_unit_test(test_pitch_of_an_estimate),
    cmocka_unit_test(test_what_a_step_is_told),
    cmocka_unit_test(test_a_student_is_told_nothing),
    cmocka_unit_test(test_estimates_are_carried_on),
    cmocka_unit_test(test_checkpoint_round_trip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
