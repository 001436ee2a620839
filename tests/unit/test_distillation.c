// What training feeds the network, and distillation.
#include "diffusion_fixture.h"
#include "diffusion_internal.h"

// --- Distillation ------------------------------------------------------------

static const uint32_t jumps[SEQUENCES] = { 10, 0, 250 };

// Alike, but that one may be a student.
static void
open_pair(Fixture* student, Fixture* teacher, uint32_t student_steps)
{
  DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_EMBEDDING, PREDICT_DATA);
  open_fixture(teacher, &settings, true);
  settings.student_steps = student_steps;
  open_fixture(student, &settings, true);
  assert_int_equal(diffusion_make_teacher(teacher->diffusion, 4, NULL),
                   STATUS_OK);
}

static void
close_pair(Fixture* student, Fixture* teacher)
{
  close_fixture(student);
  close_fixture(teacher);
}

static void
distil(Fixture*       student,
       Fixture*       teacher,
       DiffusionBatch batch,
       uint32_t       substeps)
{
  batch.pass.substeps = substeps;
  diffusion_write_jumps(student->diffusion, teacher->diffusion, &batch);
  diffusion_distil(student->diffusion, teacher->diffusion, &batch.pass);
}

// A student that is its teacher has nothing to learn from a jump of one step,
// and something from a longer one.
static void
test_a_student_agrees_with_itself(void** state)
{
  (void)state;
  for (uint32_t substeps = 1; substeps <= 4; substeps += 3) {
    Fixture student;
    Fixture teacher;
    open_pair(&student, &teacher, 0);
    const DiffusionBatch batch = jump_batch(&student, jumps);
    DiffusionLoss        loss  = { 0 };
    distil(&student, &teacher, batch, substeps);
    diffusion_take_loss(student.diffusion, &loss);
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
    close_pair(&student, &teacher);
  }
}

// One jump to the mean of the teacher's estimates ends where its many steps do.
static void
test_the_mean_of_the_estimates_ends_where_the_steps_do(void** state)
{
  (void)state;
  Fixture student;
  Fixture teacher;
  open_pair(&student, &teacher, 0);
  const DiffusionBatch batch = jump_batch(&student, jumps);
  DiffusionLoss        loss  = { 0 };
  distil(&student, &teacher, batch, 4);
  diffusion_take_loss(student.diffusion, &loss);
  const Diffusion* const d = teacher.diffusion;
  const uint32_t         c = d->columns;
  static float           before[ROWS * 32], mean[ROWS * 32], after[ROWS * 32];
  static float           probabilities[ROWS * ENCODING_PITCHES];
  tensor_read(student.device, student.diffusion->x, before);
  tensor_read(teacher.device, d->target, mean);
  tensor_read(teacher.device, d->x, after);
  tensor_read(teacher.device, d->mean, probabilities);
  for (uint32_t r = 0; r < ROWS; ++r) {
    double total = 0;
    for (uint32_t v = 0; v < ENCODING_PITCHES; ++v) {
      total += (double)probabilities[r * ENCODING_PITCHES + v];
    }
    assert_true(fabs(total - 1.0) < 1e-4);
    if (teacher.clean[r] != 0.0f) { // stays
      assert_memory_equal(before + r * c, after + r * c, c * sizeof *after);
      continue;
    }
    const uint32_t t = teacher.t[r / NOTES];
    const uint32_t s = jumps[r / NOTES];
    const double   ratio =
      noise_sigma(&d->schedule, s) / noise_sigma(&d->schedule, t);
    const double share =
      noise_alpha(&d->schedule, s) - noise_alpha(&d->schedule, t) * ratio;
    for (uint32_t i = 0; i < c; ++i) {
      const double want =
        ratio * (double)before[r * c + i] + share * (double)mean[r * c + i];
      assert_true(fabs(want - (double)after[r * c + i]) < 1e-4);
    }
  }
  close_pair(&student, &teacher);
}

// What the teacher's last substep is told of x_0: in the second the first's
// estimate, in the third the line through both, carried on.
static void
test_what_a_teacher_is_told(void** state)
{
  (void)state;
  enum { COLUMNS = 19, COUNT = ROWS * COLUMNS };
  static float          noisy[COUNT], first[COUNT];
  static float          tokens[ROWS * (2 * COLUMNS + 1)];
  static const uint32_t next[SEQUENCES] = { 0 };
  Fixture               student, teacher;
  open_pair(&student, &teacher, 0);
  const Diffusion* const d = teacher.diffusion;
  for (uint32_t s = 0; s < SEQUENCES; ++s) {
    student.t[s] = 900;
  }
  const DiffusionBatch batch = jump_batch(&student, next);
  const NoisePosterior one   = noise_ddim(&d->schedule, 900, 600, 0.0);
  const NoisePosterior two   = noise_ddim(&d->schedule, 600, 300, 0.0);
  double               moved = 0.0;
  for (uint32_t substeps = 1; substeps <= 3; ++substeps) {
    DiffusionLoss loss = { 0 };
    distil(&student, &teacher, batch, substeps);
    diffusion_take_loss(student.diffusion, &loss);
    tensor_read(teacher.device, d->tokens, tokens);
    if (substeps == 1) {
      tensor_read(student.device, student.diffusion->x, noisy);
      tensor_read(teacher.device, d->estimate, first);
    }
    for (uint32_t i = 0; i < COUNT; ++i) {
      const float* const row  = tokens + i / COLUMNS * (2 * COLUMNS + 1);
      const double       now  = (double)row[i % COLUMNS];
      const double       told = (double)row[COLUMNS + i % COLUMNS];
      const double       a    = (double)first[i];
      const double       x = one.x0_share * a + one.xt_share * (double)noisy[i];
      const double       b = (now - two.xt_share * x) / two.x0_share;
      const double       line  = fmin(fmax(b + TEACHER_REACH * (b - a), -6), 6);
      const bool         clean = student.clean[i / COLUMNS] != 0.0f;
      const double       want  = clean || substeps == 1 ? 0.0
                                 : substeps == 2        ? a
                                                        : line;
      assert_true(fabs(told - want) < 5e-4);
      moved = clean || substeps < 3 ? moved : fmax(moved, fabs(b - a));
    }
  }
  assert_true(moved > 0.02);
  close_pair(&student, &teacher);
}

// A student is told where each of its sequences is to go; its gradient and loss
// are those against its teacher's mean, where notes are noised.
static void
test_what_a_student_learns(void** state)
{
  (void)state;
  enum { COLUMNS = 19, HEAD = ENCODING_PITCHES + CHANNEL_COUNT };
  static float mean[ROWS * ENCODING_PITCHES], target[ROWS * COLUMNS];
  static float ours[ROWS * ENCODING_PITCHES], estimate[ROWS * COLUMNS];
  static float dhead[ROWS * HEAD];
  float        time[SEQUENCES + 1][DENOISER_TIME_FEATURES];
  float        want[DENOISER_TIME_FEATURES];
  Fixture      student, teacher;
  open_pair(&student, &teacher, 4);
  const Diffusion* const d     = student.diffusion;
  DiffusionBatch         batch = jump_batch(&student, jumps);
  DiffusionLoss          loss  = { 0 };
  batch.pass.gradient_scale    = 0.25f;
  distil(&student, &teacher, batch, 2);
  diffusion_take_loss(student.diffusion, &loss);
  tensor_read(teacher.device, teacher.diffusion->mean, mean);
  tensor_read(teacher.device, teacher.diffusion->target, target);
  tensor_read(student.device, d->probabilities, ours);
  tensor_read(student.device, d->estimate, estimate);
  tensor_read(student.device, d->dhead, dhead);
  tensor_read(student.device, d->time, &time[0][0]);
  double nats = 0.0, code = 0.0, channels[CHANNEL_COUNT] = { 0 };
  for (uint32_t r = 0; r < ROWS; ++r) {
    const float noised = 1.0f - student.clean[r];
    for (uint32_t v = 0; v < ENCODING_PITCHES; ++v) {
      const float p = ours[r * ENCODING_PITCHES + v];
      const float q = mean[r * ENCODING_PITCHES + v];
      nats -= (double)(noised * q) * log((double)p);
      assert_true(fabsf(dhead[r * HEAD + v] - 0.25f * noised * (p - q)) <
                  1e-5f);
    }
    for (uint32_t i = 0; i < COLUMNS; ++i) {
      const float miss = estimate[r * COLUMNS + i] - target[r * COLUMNS + i];
      const int   of   = (int)i - (COLUMNS - CHANNEL_COUNT);
      *(of < 0 ? &code : &channels[of]) += (double)(noised * miss * miss);
      assert_true(of < 0 ||
                  fabsf(dhead[r * HEAD + ENCODING_PITCHES + (uint32_t)of] -
                        0.25f * 1.5f * 2.0f * noised * miss) < 1e-5f);
    }
  }
  assert_int_equal(loss.notes, SEQUENCES * 5);
  assert_true(nats > 1.0 && fabs(loss.pitch_nats / nats - 1.0) < 1e-4);
  assert_true(fabs(loss.code_error - code) < 1e-4 * (1.0 + code));
  for (int i = 0; i < CHANNEL_COUNT; ++i) {
    assert_true(fabs(loss.squared_error[i] - channels[i]) < 1e-4);
  }
  for (uint32_t s = 0; s <= SEQUENCES; ++s) {
    const bool clean = s == SEQUENCES;
    diffusion_time_features(diffusion_settings(d),
                            clean ? 0 : student.t[s],
                            clean ? 0 : jumps[s],
                            want);
    assert_memory_equal(time[s], want, sizeof want);
  }
  close_pair(&student, &teacher);
}

// Times in thousandths of the schedule; a student's jump as a time of its own.
static void
test_time_features(void** state)
{
  (void)state;
  enum { HALF = DENOISER_TIME_FEATURES / 2 };
  DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_BITS, PREDICT_DATA);
  float a[DENOISER_TIME_FEATURES], b[DENOISER_TIME_FEATURES];
  float none[HALF] = { 0 };
  diffusion_time_features(&settings, 300, 100, a);
  assert_memory_equal(a + HALF, none, sizeof none);
  settings.noise_steps   = 40;
  settings.student_steps = 4;
  diffusion_time_features(&settings, 12, 4, b);
  assert_memory_equal(a, b, sizeof none);
  diffusion_time_features(&settings, 8, 0, a);
  assert_memory_equal(b + HALF, a, sizeof none);
  assert_memory_equal(b + HALF, a + HALF, sizeof none);
}

// --- What training feeds the network -----------------------------------------

// Noise of the batch's own rows, min-SNR weights, errors of noised notes alone,
// and a second pass that is given the first's estimate.
static void
check_training(Prediction prediction)
{
  enum { COLUMNS = 19, COUNT = ROWS * COLUMNS };
  const DiffusionSettings settings =
    settings_of(DENOISER_TRANSFORMER, PITCH_EMBEDDING, prediction);
  static float x0[COUNT], x[COUNT], first[COUNT], estimate[COUNT];
  static float tokens[ROWS * (2 * COLUMNS + 1)];
  float        weights[ROWS];
  Fixture      f;
  open_fixture(&f, &settings, true);
  const Diffusion* const     d = f.diffusion;
  const NoiseSchedule* const n = &d->schedule;
  f.t[1]                       = 500;
  f.t[2]                       = 900;
  DiffusionBatch batch         = jump_batch(&f, NULL);
  DiffusionLoss  loss          = { 0 };
  batch.first_sequence         = 5;
  batch.pass.snr_low           = 0.5f;
  batch.pass.snr_high          = 5.0f;
  diffusion_write_batch(f.diffusion, &batch);
  diffusion_judge(f.diffusion, &batch.pass);
  diffusion_take_loss(f.diffusion, &loss);
  tensor_read(f.device, d->estimate, first);
  loss                      = (DiffusionLoss){ 0 };
  batch.pass.self_condition = true;
  diffusion_write_batch(f.diffusion, &batch);
  diffusion_judge(f.diffusion, &batch.pass);
  diffusion_take_loss(f.diffusion, &loss);
  tensor_read(f.device, d->x0, x0);
  tensor_read(f.device, d->x, x);
  tensor_read(f.device, d->estimate, estimate);
  tensor_read(f.device, d->tokens, tokens);
  tensor_read(f.device, d->error_weight, weights);
  double code = 0.0;
  for (uint32_t r = 0; r < ROWS; ++r) {
    const uint32_t t     = f.t[r / NOTES];
    const bool     clean = f.clean[r] != 0.0f;
    const double   snr   = noise_snr(n, t);
    const double   of_x  = fmin(fmax(snr, 0.5), 5.0);
    const double   want  = clean                         ? 0.0
                           : prediction == PREDICT_DATA  ? of_x
                           : prediction == PREDICT_NOISE ? of_x / snr
                                                         : of_x / (snr + 1.0);
    assert_true(fabs((double)weights[r] - want) < 1e-5 * (1.0 + want));
    Rng   rng = rng_make(3, RNG_USE_NOISE, 5 * SEQUENCE_NOTES + r);
    float noise[COLUMNS];
    rng_normals(&rng, noise, COLUMNS);
    for (uint32_t c = 0; c < COLUMNS; ++c) {
      const uint32_t i     = r * COLUMNS + c;
      const double   noisy = noise_alpha(n, t) * (double)x0[i] +
                           noise_sigma(n, t) * (double)noise[c];
      const float miss = clean ? 0.0f : estimate[i] - x0[i];
      assert_true(fabs((double)x[i] - (clean ? (double)x0[i] : noisy)) < 1e-5);
      assert_true(tokens[r * (2 * COLUMNS + 1) + COLUMNS + c] ==
                  (clean ? 0.0f : first[i]));
      assert_true(fabsf(estimate[i]) <= ESTIMATE_MAX);
      code += c < COLUMNS - CHANNEL_COUNT ? (double)(miss * miss) : 0.0;
    }
  }
  assert_memory_not_equal(first, estimate, sizeof first);
  assert_int_equal(loss.notes, SEQUENCES * 5);
  assert_true(fabs(loss.code_error / code - 1.0) < 1e-4);
  close_fixture(&f);
}

static void
test_what_training_feeds(void** state)
{
  (void)state;
  for (int what = PREDICT_NOISE; what <= PREDICT_DATA; ++what) {
    check_training((Prediction)what);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_student_agrees_with_itself),
    cmocka_unit_test(test_the_mean_of_the_estimates_ends_where_the_steps_do),
    cmocka_unit_test(test_what_a_teacher_is_told),
    cmocka_unit_test(test_what_a_student_learns),
    cmocka_unit_test(test_time_features),
    cmocka_unit_test(test_what_training_feeds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
