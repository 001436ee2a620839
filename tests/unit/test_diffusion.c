// The diffusion model: gradients through the whole network by finite
// differences, distillation, sampling's rules. Both networks.
#include "diffusion_fixture.h"
#include "diffusion_internal.h"

#include <stdio.h>
#include <unistd.h>

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

// --- Distillation ------------------------------------------------------------

static DiffusionBatch
jump_batch(const Fixture* f, const uint32_t* next)
{
  return (DiffusionBatch){
    .sequences      = SEQUENCES,
    .notes          = NOTES,
    .pitch          = f->pitch,
    .channels       = f->channels,
    .clean          = f->clean,
    .t              = f->t,
    .next           = next,
    .seed           = 3,
    .gradient_scale = 1.0f,
    .channel_weight = 1.5f,
    .snr_low        = 1.0f,
    .snr_high       = 1.0f,
  };
}

// A student that is its teacher has nothing to learn from a jump of one step,
// and something from a longer one.
static void
test_a_student_agrees_with_itself(void** state)
{
  (void)state;
  const DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_EMBEDDING, PREDICT_DATA);
  static const uint32_t next[SEQUENCES] = { 10, 0, 250 };
  for (uint32_t substeps = 1; substeps <= 4; substeps += 3) {
    Fixture student;
    Fixture teacher;
    open_fixture(&student, &settings, true);
    open_fixture(&teacher, &settings, true);
    const DiffusionBatch batch = jump_batch(&student, next);
    DiffusionLoss        loss  = { 0 };
    diffusion_distil_step(
      student.diffusion, teacher.diffusion, &batch, substeps, &loss);
    Tensor sum;
    float  square;
    assert_int_equal(tensor_allocate(student.device, 1, 1, &sum, NULL), 0);
    op_square_sum(student.device,
                  denoiser_gradients(diffusion_net(student.diffusion)),
                  0.0f,
                  sum);
    tensor_read(student.device, sum, &square);
    tensor_free(student.device, &sum);
    assert_true(substeps == 1 ? square < 1e-6f : square > 1e-2f);
    close_fixture(&student);
    close_fixture(&teacher);
  }
}

// One jump to the mean of the teacher's estimates ends where its many steps do.
static void
test_the_mean_of_the_estimates_ends_where_the_steps_do(void** state)
{
  (void)state;
  const DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_EMBEDDING, PREDICT_DATA);
  static const uint32_t next[SEQUENCES] = { 10, 0, 250 };
  Fixture               student;
  Fixture               teacher;
  open_fixture(&student, &settings, true);
  open_fixture(&teacher, &settings, true);
  const DiffusionBatch batch = jump_batch(&student, next);
  DiffusionLoss        loss  = { 0 };
  diffusion_distil_step(student.diffusion, teacher.diffusion, &batch, 4, &loss);
  const Diffusion* const d = teacher.diffusion;
  const uint32_t         c = d->columns;
  static float           before[ROWS * 32], mean[ROWS * 32], after[ROWS * 32];
  static float           probabilities[ROWS * ENCODING_PITCHES];
  tensor_read(student.device, student.diffusion->x, before);
  tensor_read(teacher.device, d->target, mean);
  tensor_read(teacher.device, d->x, after);
  tensor_read(teacher.device, d->mean, probabilities);
  for (uint32_t r = 0; r < ROWS; ++r) {
    if (teacher.clean[r] != 0.0f) {
      continue;
    }
    const uint32_t t = teacher.t[r / NOTES];
    const uint32_t s = next[r / NOTES];
    const double   ratio =
      noise_sigma(&d->schedule, s) / noise_sigma(&d->schedule, t);
    const double share =
      noise_alpha(&d->schedule, s) - noise_alpha(&d->schedule, t) * ratio;
    for (uint32_t i = 0; i < c; ++i) {
      const double want =
        ratio * (double)before[r * c + i] + share * (double)mean[r * c + i];
      assert_true(fabs(want - (double)after[r * c + i]) < 1e-4);
    }
    double total = 0;
    for (uint32_t v = 0; v < ENCODING_PITCHES; ++v) {
      total += (double)probabilities[r * ENCODING_PITCHES + v];
    }
    assert_true(fabs(total - 1.0) < 1e-4);
  }
  close_fixture(&student);
  close_fixture(&teacher);
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
    cmocka_unit_test(test_a_student_agrees_with_itself),
    cmocka_unit_test(test_the_mean_of_the_estimates_ends_where_the_steps_do),
    cmocka_unit_test(test_sampling),
    cmocka_unit_test(test_what_a_step_is_told),
    cmocka_unit_test(test_checkpoint_round_trip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
