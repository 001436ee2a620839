// live/generator on a fake model: the walk stays on the prior, slerp meets its
// ends, each window is a pure function of seed and number, and each mode asks
// the model for what it should.
#include "generator_fixture.h"
#include "music/scale.h"

#define LATENT FAKE_LATENT

static Generator
make(Model* model, GeneratorMode mode, double walk_step, uint64_t seed)
{
  Params params                 = params_of(mode);
  params.value[PARAM_WALK_STEP] = walk_step;
  Generator generator;
  Error     error;
  assert_int_equal(generator_check(model, &params, &error), STATUS_OK);
  generator_init(&generator, model, &params, seed);
  return generator;
}

// Moves to the next window's latent; the window itself is not of interest.
static void
step(Generator* generator)
{
  static GeneratorJob job;
  NoteEvent           events[WINDOW_NOTES] = { { 0 } };
  generator_prepare(generator, &job);
  generator_accept(generator, &job, events);
}

static double
distance(const float* a, const float* b)
{
  double sum = 0;
  for (uint32_t i = 0; i < LATENT; ++i) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return sqrt(sum / LATENT);
}

static void
test_walk_stays_on_the_prior(void** state)
{
  (void)state;
  const double steps[] = { 0.1, 0.35, 0.9 };
  for (int k = 0; k < 3; ++k) {
    Model     model     = diffusion();
    Generator generator = make(&model, GENERATOR_WALK, steps[k], 7);
    double    sum = 0, squares = 0, moved = 0;
    float     before[LATENT];
    const int windows = 40000;
    for (int i = 0; i < windows; ++i) {
      memcpy(before, generator.state.z, sizeof before);
      step(&generator);
      moved += i ? pow(distance(before, generator.state.z), 2) : 0;
      for (uint32_t d = 0; d < LATENT; ++d) {
        sum += generator.state.z[d];
        squares += generator.state.z[d] * generator.state.z[d];
      }
    }
    const double n        = (double)windows * LATENT;
    const double mean     = sum / n;
    const double variance = squares / n - mean * mean;
    assert_true(fabs(mean) < 0.06);
    assert_true(fabs(variance - 1) < 0.06);
    // E|z' - z|^2 = 2 (1 - rho)
    const double rho = sqrt(1 - steps[k] * steps[k]);
    assert_true(fabs(moved / windows - 2 * (1 - rho)) < 0.05 * 2 * (1 - rho));
  }
}

static void
test_interpolation_meets_its_ends(void** state)
{
  (void)state;
  Model     model     = diffusion();
  Generator generator = make(&model, GENERATOR_INTERPOLATE, 0, 9);
  float     before[LATENT];
  for (uint64_t window = 0; window < 40; ++window) {
    float anchor[LATENT];
    memcpy(before, generator.state.z, sizeof before);
    step(&generator);
    model_sample_prior(&model, 9, window / 5, 1, anchor);
    if (window % 5 == 0) {
      assert_true(distance(generator.state.z, anchor) < 1e-5);
    }
    assert_true(!window || distance(before, generator.state.z) < 0.7);
  }
}

static void
test_slerp(void** state)
{
  (void)state;
  const float a[2]        = { 1, 0 };
  const float b[2]        = { 0, 1 };
  const float opposite[2] = { -1, 0 };
  const float zero[2]     = { 0, 0 };
  float       out[2];
  slerp(a, b, 2, 0.5f, out);
  assert_true(fabsf(out[0] - sqrtf(0.5f)) < 1e-6f);
  assert_true(fabsf(out[1] - sqrtf(0.5f)) < 1e-6f);
  slerp(a, b, 2, 1, out);
  assert_true(fabsf(out[0]) < 1e-6f && fabsf(out[1] - 1) < 1e-6f);
  slerp(a, a, 2, 0.3f, out);
  assert_true(fabsf(out[0] - 1) < 1e-6f);
  slerp(a, opposite, 2, 0.25f, out);
  assert_true(fabsf(out[0] - 0.5f) < 1e-6f && fabsf(out[1]) < 1e-6f);
  slerp(zero, b, 2, 0.25f, out);
  assert_true(fabsf(out[1] - 0.25f) < 1e-6f);
}

static void
test_determinism(void** state)
{
  (void)state;
  Model model = diffusion();
  for (int mode = GENERATOR_PRIOR; mode <= GENERATOR_BRIDGE; ++mode) {
    Generator one   = make(&model, (GeneratorMode)mode, 0.4, 21);
    Generator two   = make(&model, (GeneratorMode)mode, 0.4, 21);
    Generator other = make(&model, (GeneratorMode)mode, 0.4, 22);
    for (uint64_t window = 0; window < 20; ++window) {
      NoteEvent a[WINDOW_NOTES], b[WINDOW_NOTES], c[WINDOW_NOTES];
      next(&one, &model, a);
      next(&two, &model, b);
      next(&other, &model, c);
      assert_true(model.asked.temperature == 0.5f);
      assert_int_equal(model.asked.seed, 22);
      for (int i = 0; i < WINDOW_NOTES; ++i) {
        assert_true(a[i].velocity == b[i].velocity);
        assert_true(a[i].velocity != c[i].velocity);
        if (mode != GENERATOR_BRIDGE) {
          assert_int_equal(a[i].pitch, fake_model_pitch(&model, window));
        }
      }
    }
  }
}

// A walk of step 1 forgets where it began: what is left is its steps' draws.
static void
test_steps_depend_on_the_seed(void** state)
{
  (void)state;
  Model     model = { 0 };
  Generator one   = make(&model, GENERATOR_WALK, 1, 21);
  Generator other = make(&model, GENERATOR_WALK, 1, 22);
  float     before[LATENT];
  for (int window = 0; window < 20; ++window) {
    memcpy(before, one.state.z, sizeof before);
    step(&one);
    step(&other);
    assert_true(distance(one.state.z, other.state.z) > 0.3);
    assert_true(!window || distance(one.state.z, before) > 0.3);
  }
}

// Notes that tell where they are in the stream.
static void
number(NoteEvent* events, uint32_t first, uint32_t count)
{
  for (uint32_t i = 0; i < count; ++i) {
    events[i] = (NoteEvent){ .pitch      = (uint8_t)(1 + (first + i) % 127),
                             .velocity   = 0.5f,
                             .step_s     = 0.1f,
                             .duration_s = 0.1f };
  }
}

// Lets the generator play numbered windows; what it was given goes to `model`.
static void
play_numbered(Generator* generator, Model* model, uint32_t* played)
{
  static GeneratorJob job;
  NoteEvent           events[WINDOW_NOTES];
  Error               error;
  do {
    generator_prepare(generator, &job);
    assert_int_equal(generator_run(model, &job, events, &error), STATUS_OK);
    number(events, *played, WINDOW_NOTES);
  } while (!generator_accept(generator, &job, events));
  *played += WINDOW_NOTES;
}

static void
expect_given(const Model* model, uint32_t count, uint32_t played)
{
  assert_int_equal(model->asked.before, count);
  for (uint32_t i = 0; i < count; ++i) {
    assert_int_equal(model->given[i].pitch, 1 + (played - count + i) % 127);
  }
}

// Each window of `continue` knows the last notes and has noise of its own.
static void
test_continue(void** state)
{
  (void)state;
  const double   asked[] = { -1, 24, 11, 8, 3 }; // -1: auto
  const uint32_t given[] = { 24, 24, 11, 8, 3 };
  for (int k = 0; k < 5; ++k) {
    Model  model                = diffusion();
    Params params               = params_of(GENERATOR_CONTINUE);
    params.value[PARAM_CONTEXT] = asked[k];
    Generator generator;
    generator_init(&generator, &model, &params, 3);
    uint32_t played = 0;
    for (uint64_t window = 0; window < 12; ++window) {
      const uint32_t before = played;
      float          z[LATENT];
      play_numbered(&generator, &model, &played);
      expect_given(&model, before < given[k] ? before : given[k], before);
      assert_int_equal(model.asked.after, 0);
      model_sample_prior(&model, 3, window, 1, z);
      assert_memory_equal(z, model.z, sizeof z);
    }
    // What something else played is known too.
    NoteEvent others[WINDOW_NOTES];
    number(others, played, WINDOW_NOTES);
    generator_heard(&generator, others, WINDOW_NOTES);
    played += WINDOW_NOTES;
    const uint32_t before = played;
    play_numbered(&generator, &model, &played);
    expect_given(&model, given[k], before);
  }
}

static void
test_walk_with_context(void** state)
{
  (void)state;
  Model  model                  = diffusion();
  Params params                 = params_of(GENERATOR_WALK);
  params.value[PARAM_WALK_STEP] = 0.1;
  Generator generator;
  uint32_t  played = 0;
  float     before[LATENT];
  generator_init(&generator, &model, &params, 3);
  play_numbered(&generator, &model, &played);
  play_numbered(&generator, &model, &played);
  assert_int_equal(model.asked.before, 0); // auto: none
  params.value[PARAM_CONTEXT] = 16;
  generator_init(&generator, &model, &params, 3);
  for (played = 0; played < 80;) {
    memcpy(before, model.z, sizeof before);
    play_numbered(&generator, &model, &played);
    assert_true(played <= 8 || distance(before, model.z) < 0.3);
  }
  expect_given(&model, 16, played - 8);
}

static void
test_mutate(void** state)
{
  (void)state;
  Model  model                        = diffusion();
  Params params                       = params_of(GENERATOR_MUTATE);
  params.value[PARAM_MUTATE_STRENGTH] = 0.25;
  Generator generator;
  NoteEvent phrase[12], last[WINDOW_NOTES];
  generator_init(&generator, &model, &params, 3);
  next(&generator, &model, last);
  assert_null(model.asked.phrase); // the first comes from nothing
  for (int i = 0; i < 5; ++i) {
    NoteEvent out[WINDOW_NOTES];
    next(&generator, &model, out);
    assert_non_null(model.asked.phrase);
    assert_true(model.asked.strength == 0.25f);
    assert_memory_equal(model.phrase, last, sizeof last);
    memcpy(last, out, sizeof last);
    // What a fallback plays is no phrase of this one's.
    number(phrase, 0, WINDOW_NOTES);
    generator_heard(&generator, phrase, WINDOW_NOTES);
  }
  generator_init(&generator, &model, &params, 3);
  number(phrase, 40, 12);
  generator_begin_from(&generator, phrase, 12);
  next(&generator, &model, last);
  assert_memory_equal(model.phrase, phrase, sizeof model.phrase);
}

// Anchors sound as they are made, at the ends of the slerp; between them each
// window knows what was played, and the last what follows it.
static void
expect_bridge(Generator* generator, Model* model, NoteEvent* anchor)
{
  static NoteEvent played[40 * WINDOW_NOTES];
  float            before[LATENT];
  for (uint32_t window = 0; window < 40; ++window) {
    NoteEvent* const out  = played + (size_t)window * WINDOW_NOTES;
    const uint32_t   done = window * WINDOW_NOTES;
    const uint32_t   room = CONTEXT_NOTES_MAX - GENERATOR_BRIDGE_AFTER;
    next(generator, model, out);
    if (window % 5 == 0) {
      float end[LATENT];
      assert_true(!anchor->pitch ||
                  !memcmp(out, anchor, WINDOW_NOTES * sizeof *out));
      assert_int_equal(model->asked.before + model->asked.after, 0);
      memcpy(anchor, generator->state.phrase, WINDOW_NOTES * sizeof *anchor);
      model_sample_prior(model, 3, window / 5 + 1, 1, end);
      assert_memory_equal(model->z, end, sizeof end);
      model_sample_prior(model, 3, window / 5, 1, before);
      continue;
    }
    assert_int_equal(model->asked.before, done < room ? done : room);
    assert_int_equal(model->asked.after, window % 5 == 4 ? WINDOW_NOTES : 0);
    assert_memory_equal(model->given,
                        out - model->asked.before,
                        model->asked.before * sizeof *out);
    assert_memory_equal(model->given + model->asked.before,
                        anchor,
                        model->asked.after * sizeof *anchor);
    assert_true(distance(before, model->z) < 0.7);
    memcpy(before, model->z, sizeof before);
  }
}

static void
test_bridge(void** state)
{
  (void)state;
  Model     model                = diffusion();
  Generator generator            = make(&model, GENERATOR_BRIDGE, 0, 3);
  NoteEvent anchor[WINDOW_NOTES] = { { 0 } };
  expect_bridge(&generator, &model, anchor);
  generator = make(&model, GENERATOR_BRIDGE, 0, 3);
  number(anchor, 70, WINDOW_NOTES);
  generator_begin_from(&generator, anchor, WINDOW_NOTES);
  expect_bridge(&generator, &model, anchor);
}

// In a session that begins from notes, continue knows the last of them.
static void
test_continue_from_notes(void** state)
{
  (void)state;
  Model     model     = diffusion();
  Generator generator = make(&model, GENERATOR_CONTINUE, 0, 3);
  NoteEvent notes[CONTEXT_NOTES_MAX + 6];
  uint32_t  played = 10;
  number(notes, 0, CONTEXT_NOTES_MAX + 6);
  generator_begin_from(&generator, notes, 10);
  play_numbered(&generator, &model, &played);
  expect_given(&model, 10, 10);
  generator = make(&model, GENERATOR_CONTINUE, 0, 3);
  played    = CONTEXT_NOTES_MAX + 6;
  generator_begin_from(&generator, notes, played);
  play_numbered(&generator, &model, &played);
  expect_given(&model, CONTEXT_NOTES_MAX, CONTEXT_NOTES_MAX + 6);
}

// No two windows share the noise of their steps, not even a bridge's first two
// anchors; and nothing of a job before is left in the next.
static void
test_each_window_has_its_own_noise(void** state)
{
  (void)state;
  static GeneratorJob job;
  Model               model = diffusion();
  for (int mode = GENERATOR_BRIDGE; mode >= GENERATOR_PRIOR; --mode) {
    Generator generator = make(&model, (GeneratorMode)mode, 0.4, 3);
    uint64_t  seen[32];
    uint32_t  count = 0;
    while (generator.state.window < 20) {
      NoteEvent events[WINDOW_NOTES] = { { 0 } };
      generator_prepare(&generator, &job);
      for (uint32_t i = 0; i < count; ++i) {
        assert_true(seen[i] != job.request.first_window);
      }
      seen[count++] = job.request.first_window;
      assert_true(job.has_phrase ==
                  (mode == GENERATOR_MUTATE && generator.state.window));
      assert_true(!job.is_anchor || mode == GENERATOR_BRIDGE);
      generator_accept(&generator, &job, events);
    }
    assert_int_equal(count, mode == GENERATOR_BRIDGE ? 21 : 20);
  }
}

// Notes that were not generated take the nearest keys of the scale.
static void
test_begins_in_scale(void** state)
{
  (void)state;
  const GeneratorMode modes[] = { GENERATOR_CONTINUE,
                                  GENERATOR_MUTATE,
                                  GENERATOR_BRIDGE };
  for (int transpose = -1; transpose <= 1; ++transpose) {
    for (int i = 0; i < 3; ++i) {
      Model  model                  = diffusion();
      Params params                 = params_of(modes[i]);
      params.value[PARAM_SCALE]     = SCALE_MAJOR; // of C
      params.value[PARAM_TRANSPOSE] = transpose;
      Generator generator;
      NoteEvent notes[2 * WINDOW_NOTES], out[WINDOW_NOTES];
      number(notes, 60, 2 * WINDOW_NOTES); // each key from C# on
      generator_init(&generator, &model, &params, 3);
      generator_begin_from(&generator, notes, 2 * WINDOW_NOTES);
      next(&generator, &model, out);
      const NoteEvent* const first =
        modes[i] == GENERATOR_CONTINUE ? model.given
        : modes[i] == GENERATOR_MUTATE ? model.phrase
                                       : out;
      for (int k = 0; k < WINDOW_NOTES; ++k) {
        const int sounding = first[k].pitch + transpose;
        assert_true(0xab5 >> (sounding % 12) & 1); // C D E F G A B
        assert_true(abs(first[k].pitch - notes[k].pitch) <= 1);
      }
    }
  }
}

static void
test_scale_after_transposing(void** state)
{
  (void)state;
  Model  model              = diffusion();
  Params params             = params_of(GENERATOR_PRIOR);
  params.value[PARAM_SCALE] = SCALE_MAJOR;
  Error error;
  for (int transpose = -13; transpose <= 13; ++transpose) {
    Generator generator;
    NoteEvent out[WINDOW_NOTES];
    params.value[PARAM_TRANSPOSE] = transpose;
    assert_int_equal(params_set_text(&params, PARAM_KEY, "D", &error), 0);
    generator_init(&generator, &model, &params, 3);
    next(&generator, &model, out);
    const uint16_t d_major = 0xad6; // D E F# G A B C#
    for (int class = 0; class < 12; ++class) {
      const int sounding = (class + transpose + 24) % 12;
      assert_int_equal(model.asked.forbidden_classes >> class & 1,
                       !(d_major >> sounding & 1));
    }
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_walk_stays_on_the_prior),
    cmocka_unit_test(test_interpolation_meets_its_ends),
    cmocka_unit_test(test_slerp),
    cmocka_unit_test(test_determinism),
    cmocka_unit_test(test_steps_depend_on_the_seed),
    cmocka_unit_test(test_continue),
    cmocka_unit_test(test_continue_from_notes),
    cmocka_unit_test(test_each_window_has_its_own_noise),
    cmocka_unit_test(test_walk_with_context),
    cmocka_unit_test(test_mutate),
    cmocka_unit_test(test_bridge),
    cmocka_unit_test(test_begins_in_scale),
    cmocka_unit_test(test_scale_after_transposing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
