// Real windows and the baselines made of them; hand features on windows whose
// values are worked out by hand.
#include "dataset_write.h"
#include "frechet.h"
#include "reference.h"
#include "rng.h"
#include "window_features.h"
#include "window_set.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PIECES 6u
#define PIECE_NOTES 83u // ten windows and three notes

static char     path[] = "/tmp/meander-window-set-XXXXXX";
static Dataset* data;

// Notes that tell their piece and place: no two are alike within a piece.
static NoteEvent
made_up(uint32_t piece, uint32_t index)
{
  return (NoteEvent){
    .pitch      = (uint8_t)(20 + index),
    .velocity   = velocity_from_midi((uint8_t)(10 + piece)),
    .step_s     = 0.005f * (float)(1 + index),
    .duration_s = 0.005f * (float)(200 + index),
  };
}

static uint32_t
piece_of(NoteEvent event)
{
  return velocity_to_midi(event.velocity) - 10u;
}

static int
open_data(void** state)
{
  (void)state;
  DatasetWriter writer;
  Error         error;
  assert_true(mkstemp(path) >= 0);
  assert_int_equal(dataset_writer_open(&writer, path, &error), STATUS_OK);
  for (uint32_t p = 0; p < PIECES; ++p) {
    NoteEvent events[PIECE_NOTES];
    char      name[16];
    snprintf(name, sizeof name, "%u.mid", p);
    for (uint32_t i = 0; i < PIECE_NOTES; ++i) {
      events[i] = made_up(p, i);
    }
    // The last two train.
    assert_int_equal(
      dataset_writer_add(
        &writer, name, p < PIECES - 2, events, PIECE_NOTES, &error),
      STATUS_OK);
  }
  assert_int_equal(dataset_writer_commit(&writer, &error), STATUS_OK);
  assert_int_equal(dataset_open(path, &data, &error), STATUS_OK);
  return 0;
}

static int
close_data(void** state)
{
  (void)state;
  dataset_close(data);
  unlink(path);
  return 0;
}

static WindowSet
real_windows(bool test, uint32_t notes, uint32_t count, uint64_t seed)
{
  WindowSet set;
  Error     error;
  assert_int_equal(
    window_set_real(data, test, notes, count, seed, &set, &error), STATUS_OK);
  return set;
}

static void
test_real_windows_are_whole_and_different(void** state)
{
  (void)state;
  assert_int_equal(window_set_available(data, true, WINDOW_NOTES), 40);
  assert_int_equal(window_set_available(data, true, 32), 8);
  WindowSet set                = real_windows(true, WINDOW_NOTES, 1000, 1);
  bool      seen[PIECES][10]   = { { false } };
  uint32_t  half_of[PIECES]    = { 0 };
  uint32_t  windows_of_half[2] = { 0 };
  assert_int_equal(set.count, 40);
  for (uint32_t i = 0; i < set.count; ++i) {
    const NoteEvent* const window = set.events + (size_t)i * WINDOW_NOTES;
    const uint32_t         piece  = piece_of(window[0]);
    const uint32_t         at     = window[0].pitch - 20u;
    assert_int_equal(set.piece[i], piece);
    assert_true(piece < PIECES - 2 && at % WINDOW_NOTES == 0);
    assert_false(seen[piece][at / WINDOW_NOTES]);
    seen[piece][at / WINDOW_NOTES] = true;
    for (uint32_t k = 0; k < WINDOW_NOTES; ++k) {
      assert_int_equal(window[k].pitch, window[0].pitch + k);
    }
    ++windows_of_half[set.half[i]];
    half_of[piece] |= 1u << set.half[i];
  }
  assert_int_equal(windows_of_half[0], windows_of_half[1]);
  for (uint32_t p = 0; p < PIECES - 2; ++p) {
    assert_true(half_of[p] == 1 || half_of[p] == 2); // a piece is in one half
  }
  window_set_free(&set);

  WindowSet one   = real_windows(false, 32, 3, 1);
  WindowSet again = real_windows(false, 32, 3, 1);
  assert_int_equal(one.count, 3);
  assert_true(piece_of(one.events[0]) >= PIECES - 2);
  assert_memory_equal(one.events, again.events, 3 * 32 * sizeof(NoteEvent));
  window_set_free(&one);
  window_set_free(&again);
  Error error;
  assert_int_equal(window_set_real(data, true, 100, 5, 1, &one, &error),
                   STATUS_BAD_FILE);
}

static void
test_any_window_may_be_drawn(void** state)
{
  (void)state;
  bool     seen[PIECES][10] = { { false } };
  uint32_t count            = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    WindowSet      one = real_windows(true, WINDOW_NOTES, 1, seed);
    const uint32_t at  = (one.events[0].pitch - 20u) / WINDOW_NOTES;
    bool* const    was = &seen[piece_of(one.events[0])][at];
    count += !*was;
    *was = true;
    window_set_free(&one);
  }
  assert_int_equal(count, 40);
}

// Fields of a half's notes, counted by the index in their piece that each
// tells.
static void
count_fields(const WindowSet* set, uint8_t half, uint32_t counts[3][128])
{
  memset(counts, 0, 3 * 128 * sizeof(uint32_t));
  for (uint32_t i = 0; i < set->count * WINDOW_NOTES; ++i) {
    if (set->half[i / WINDOW_NOTES] == half) {
      const NoteEvent e = set->events[i];
      ++counts[0][e.pitch - 20];
      ++counts[1][lrintf(e.step_s / 0.005f) - 1];
      ++counts[2][lrintf(e.duration_s / 0.005f) - 200];
    }
  }
}

static uint32_t
whole_notes(const WindowSet* set)
{
  uint32_t whole = 0;
  for (uint32_t i = 0; i < set->count * WINDOW_NOTES; ++i) {
    const NoteEvent e = set->events[i];
    whole += fabsf(e.step_s - 0.005f * (float)(e.pitch - 19)) < 1e-4f &&
             fabsf(e.duration_s - 0.005f * (float)(e.pitch + 180)) < 1e-4f;
  }
  return whole;
}

static uint32_t
neighbours(const WindowSet* set)
{
  uint32_t count = 0;
  for (uint32_t i = 1; i < set->count * WINDOW_NOTES; ++i) {
    count += set->events[i].pitch == set->events[i - 1].pitch + 1;
  }
  return count;
}

// Pairs of a velocity (which tells the piece) and another field that stand in
// more than one note: none in real notes.
static uint32_t
pairs_again(const WindowSet* set, int field)
{
  bool     seen[PIECES][128] = { { false } };
  uint32_t again             = 0;
  for (uint32_t i = 0; i < set->count * WINDOW_NOTES; ++i) {
    const NoteEvent e  = set->events[i];
    const long      at = field == 0   ? e.pitch - 20
                         : field == 1 ? lrintf(e.step_s / 0.005f) - 1
                                      : lrintf(e.duration_s / 0.005f) - 200;
    again += seen[piece_of(e)][at];
    seen[piece_of(e)][at] = true;
  }
  return again;
}

static void
test_baselines_keep_the_marginals_of_each_half(void** state)
{
  (void)state;
  WindowSet real = real_windows(true, WINDOW_NOTES, 40, 1);
  WindowSet shuffled, marginals;
  Error     error;
  assert_int_equal(window_set_shuffled(&real, 1, &shuffled, &error), STATUS_OK);
  assert_int_equal(window_set_marginals(&real, 1, &marginals, &error),
                   STATUS_OK);
  for (uint8_t half = 0; half < WINDOW_SET_HALVES; ++half) {
    uint32_t want[3][128], got[3][128];
    count_fields(&real, half, want);
    count_fields(&shuffled, half, got);
    assert_memory_equal(want, got, sizeof want);
    count_fields(&marginals, half, got);
    assert_memory_equal(want, got, sizeof want);
  }
  const uint32_t notes = real.count * WINDOW_NOTES;
  assert_int_equal(whole_notes(&real), notes);
  assert_int_equal(whole_notes(&shuffled), notes);
  assert_true(whole_notes(&marginals) < notes / 10);
  for (int field = 0; field < 3; ++field) {
    assert_int_equal(pairs_again(&shuffled, field), 0);
    assert_true(pairs_again(&marginals, field) > notes / 10);
  }
  assert_true(neighbours(&real) >= notes * 7 / 8);
  assert_true(neighbours(&shuffled) < notes / 10);
  window_set_free(&real);
  window_set_free(&shuffled);
  window_set_free(&marginals);
}

static void
test_glued(void** state)
{
  (void)state;
  WindowSet real = real_windows(true, WINDOW_NOTES, 40, 1);
  WindowSet plain, halved;
  Error     error;
  assert_int_equal(window_set_glued(&real, 4, false, &plain, &error),
                   STATUS_OK);
  assert_int_equal(plain.count, 10);
  assert_int_equal(plain.notes, 32);
  assert_memory_equal(plain.events, real.events, 320 * sizeof(NoteEvent));

  assert_int_equal(window_set_glued(&real, 4, true, &halved, &error),
                   STATUS_OK);
  assert_int_equal(halved.count, 10);
  uint8_t half_of[PIECES] = { 0 };
  for (uint32_t i = 0; i < real.count; ++i) {
    half_of[real.piece[i]] = real.half[i];
  }
  for (uint32_t i = 0; i < halved.count * 32; ++i) {
    assert_int_equal(half_of[piece_of(halved.events[i])], halved.half[i / 32]);
  }
  window_set_free(&real);
  window_set_free(&plain);
  window_set_free(&halved);
}

static void
test_floored_steps(void** state)
{
  (void)state;
  WindowSet set   = real_windows(true, WINDOW_NOTES, 40, 1);
  WindowSet floor = real_windows(true, WINDOW_NOTES, 40, 1);
  window_set_floor_steps(&floor);
  uint32_t raised = 0;
  for (uint32_t i = 0; i < set.count * WINDOW_NOTES; ++i) {
    assert_true(floor.events[i].step_s >= 0.1f);
    raised += floor.events[i].step_s != set.events[i].step_s;
    assert_true(set.events[i].step_s < 0.1f ||
                floor.events[i].step_s == set.events[i].step_s);
  }
  assert_int_equal(raised, 4 * 19); // of each piece, steps 5 ms to 95 ms
  window_set_free(&set);
  window_set_free(&floor);
}

static void
test_chords_are_ordered(void** state)
{
  (void)state;
  WindowSet set;
  Error     error;
  assert_int_equal(window_set_create(&set, 1, 5, &error), STATUS_OK);
  NoteEvent* const e = set.events;
  e[0]               = (NoteEvent){ 50, 0.5f, 0.2f, 0.5f };
  e[1]               = (NoteEvent){ 70, 0.5f, 0.3f, 0.1f };
  e[2]               = (NoteEvent){ 64, 0.5f, 0.002f, 0.2f };
  e[3]               = (NoteEvent){ 60, 0.5f, 0.001f, 0.3f };
  e[4]               = (NoteEvent){ 40, 0.5f, 0.03f, 0.4f };
  window_set_round(&set);
  const uint8_t pitches[]   = { 50, 60, 64, 70, 40 };
  const float   steps[]     = { 0.2f, 0.3f, 0.0f, 0.0f, 0.03f };
  const float   durations[] = { 0.5f, 0.3f, 0.2f, 0.1f, 0.4f };
  for (int i = 0; i < 5; ++i) {
    assert_int_equal(e[i].pitch, pitches[i]);
    assert_true(fabsf(e[i].step_s - steps[i]) < 1e-6f);
    assert_true(fabsf(e[i].duration_s - durations[i]) < 1e-6f);
  }
  window_set_free(&set);
}

static void
test_rounding(void** state)
{
  (void)state;
  WindowSet set;
  Error     error;
  assert_int_equal(window_set_create(&set, 2, 4, &error), STATUS_OK);
  for (int w = 0; w < 2; ++w) {
    NoteEvent* const e = set.events + 4 * w;
    e[0]               = (NoteEvent){ 60, 0.5f, 0.001f, 0.5f };
    e[1]               = (NoteEvent){ 64, 0.5f, 0.0124f, 0.0011f };
    e[2]               = (NoteEvent){ (uint8_t)(w ? 61 : 60), 1, 0.1f, 0.5f };
    e[3]               = (NoteEvent){ 60, 1, 0.3f, 1.9999f };
  }
  window_set_round(&set);
  const NoteEvent* e = set.events;
  assert_true(e[0].step_s == 0.0f);
  assert_true(fabsf(e[1].step_s - 0.010f) < 1e-6f);
  assert_true(fabsf(e[1].duration_s - 0.005f) < 1e-6f);
  assert_true(fabsf(e[3].duration_s - 2.0f) < 1e-6f);
  assert_true(e[0].velocity == velocity_from_midi(velocity_to_midi(0.5f)));
  // Pressed again after 112.4 ms, and after 300 ms; in the second window after
  // 412.4 ms.
  assert_true(fabsf(e[0].duration_s - 0.110f) < 1e-6f);
  assert_true(fabsf(e[2].duration_s - 0.300f) < 1e-6f);
  assert_true(fabsf(e[4].duration_s - 0.410f) < 1e-6f);
  assert_true(fabsf(e[6].duration_s - 0.500f) < 1e-6f);
  window_set_free(&set);
}

// C major up and down in quavers of 0.25 s, legato, with a crescendo.
static void
scale_window(NoteEvent* window, int transposed)
{
  static const uint8_t pitches[WINDOW_NOTES] = {
    60, 62, 64, 65, 67, 65, 64, 62
  };
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i] = (NoteEvent){ .pitch      = (uint8_t)(pitches[i] + transposed),
                             .velocity   = 0.2f + 0.1f * (float)i,
                             .step_s     = 0.25f,
                             .duration_s = 0.25f };
  }
}

static void
expect(const float* features, int which, double value)
{
  if (fabs((double)features[which] - value) > 1e-4) {
    fail_msg("feature %d is %g, not %g", which, (double)features[which], value);
  }
}

static void
test_features_by_hand(void** state)
{
  (void)state;
  NoteEvent window[WINDOW_NOTES];
  float     f[FEATURE_COUNT];
  scale_window(window, 0);
  features_of_window(window, WINDOW_NOTES, f);
  expect(f, FEATURE_PITCH_MEAN, 509.0 / 8.0);
  expect(f, FEATURE_PITCH_LOW, 60);
  expect(f, FEATURE_PITCH_HIGH, 67);
  expect(f, FEATURE_PITCH_DISTINCT, 5.0 / 8.0);
  expect(f, FEATURE_CLASS_ENTROPY, 2 * 0.125 * 3 + 3 * 0.25 * 2);
  expect(f, FEATURE_SCALE, 1);
  expect(f, FEATURE_INTERVAL_MEAN, 2.0 / 7.0);
  expect(f, FEATURE_INTERVAL_SIZE, 12.0 / 7.0);
  expect(f, FEATURE_BY_STEP, 1);
  expect(f, FEATURE_HARSH, 2.0 / 7.0);
  expect(f, FEATURE_TURNS, 1.0 / 6.0);
  expect(f, FEATURE_STEP_MEAN, log1p(12.5));
  expect(f, FEATURE_STEP_STD, 0);
  expect(f, FEATURE_STEP_LAG1, 0);
  expect(f, FEATURE_STEP_EQUAL, 6.0 / 7.0);
  expect(f, FEATURE_RATE, log(4.0));
  expect(f, FEATURE_CHORD_RATE, 0);
  expect(f, FEATURE_DURATION_MEAN, log(0.25));
  expect(f, FEATURE_LEGATO, 0);
  expect(f, FEATURE_POLYPHONY, 0);
  expect(f, FEATURE_SOUNDING, 0);
  expect(f, FEATURE_VELOCITY_MEAN, 0.55);
  expect(f, FEATURE_VELOCITY_RANGE, 0.7);
  expect(f, FEATURE_VELOCITY_LAG1, 1);

  // A chord of four, then another, both held for the whole.
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i].pitch      = (uint8_t)(48 + 12 * (i % 4));
    window[i].step_s     = i == 4 ? 1.0f : 0.0f;
    window[i].duration_s = 1.0f;
  }
  features_of_window(window, WINDOW_NOTES, f);
  expect(f, FEATURE_CHORD_RATE, 6.0 / 7.0);
  expect(f, FEATURE_CHORD_SIZE, 0.5);
  expect(f, FEATURE_CHORD_SPAN, 12);
  expect(f, FEATURE_POLYPHONY, log(4.0));
  expect(f, FEATURE_SOUNDING, (0 + 1 + 2 + 3) * 2 / 7.0);
  expect(f, FEATURE_OCTAVES, 1);
  expect(f, FEATURE_LEAPS, 1.0 / 7.0);
}

static void
test_features_are_finite(void** state)
{
  (void)state;
  for (uint64_t round = 0; round < 200; ++round) {
    NoteEvent events[32];
    float     f[STREAM_FEATURE_COUNT];
    Rng       rng = rng_make(4, RNG_USE_TEST, round);
    for (int i = 0; i < 32; ++i) {
      // Extremes, and now and then nothing but one note.
      const bool high = round % 3 && rng_below(&rng, 2);
      events[i]       = (NoteEvent){
              .pitch      = high ? 127 : 1,
              .velocity   = high ? 1.0f : 1.0f / 127.0f,
              .step_s     = high ? 2.0f : 0.0f,
              .duration_s = round % 2 && high ? 2.0f : 0.005f,
      };
    }
    features_of_stream(events, 32, f);
    for (int i = 0; i < STREAM_FEATURE_COUNT; ++i) {
      assert_true(isfinite(f[i]));
    }
  }
}

static void
test_streams_know_their_drift(void** state)
{
  (void)state;
  NoteEvent stream[16];
  float     f[STREAM_FEATURE_COUNT];
  scale_window(stream, 0);
  scale_window(stream + 8, 0);
  features_of_stream(stream, 16, f);
  expect(f, FEATURE_DRIFT_CLASS, 0);
  expect(f, FEATURE_DRIFT_SCALE, 0);
  expect(f, FEATURE_DRIFT_PITCH, 0);
  expect(f, FEATURE_DRIFT_VELOCITY, 0);
  expect(f, FEATURE_SEAM_INTERVAL, 2);
  expect(f, FEATURE_SEAM_STEP, 0);

  scale_window(stream + 8, 6); // as far as keys can be
  for (int i = 8; i < 16; ++i) {
    stream[i].step_s *= 2.0f;
    stream[i].velocity += 0.05f;
  }
  features_of_stream(stream, 16, f);
  expect(f, FEATURE_DRIFT_CLASS, 2);
  expect(f, FEATURE_DRIFT_PITCH, 6);
  expect(f, FEATURE_DRIFT_RATE, log(2.0));
  expect(f, FEATURE_DRIFT_VELOCITY, 0.05);
  expect(f, FEATURE_DRIFT_DURATION, 0);
  expect(f, FEATURE_SEAM_INTERVAL, 4);
  assert_true(f[FEATURE_DRIFT_SCALE] < -0.2f);
  assert_true(f[FEATURE_SEAM_STEP] > 0.2f);
}

// z-scored by the training set's moments: features[count][size].
static void
scaled_features(const WindowSet* set,
                const WindowSet* train,
                uint32_t         size,
                float*           out)
{
  static float of_train[20 * FRECHET_COLUMNS_MAX];
  const bool   streams = set->notes > WINDOW_NOTES;
  for (int side = 0; side < 2; ++side) {
    const WindowSet* const s = side ? train : set;
    float* const           f = side ? of_train : out;
    for (uint32_t i = 0; i < s->count; ++i) {
      (streams ? features_of_stream : features_of_window)(
        s->events + (size_t)i * s->notes, s->notes, f + (size_t)i * size);
    }
  }
  for (uint32_t k = 0; k < size; ++k) {
    double mean = 0.0, square = 0.0;
    for (uint32_t i = 0; i < train->count; ++i) {
      mean += (double)of_train[i * size + k] / train->count;
    }
    for (uint32_t i = 0; i < train->count; ++i) {
      square += pow((double)of_train[i * size + k] - mean, 2.0) / train->count;
    }
    const double scale = sqrt(square) > 1e-4 ? sqrt(square) : 1.0;
    for (uint32_t i = 0; i < set->count; ++i) {
      float* const x = &out[i * size + k];
      *x             = (float)(((double)*x - mean) / scale);
    }
  }
}

// The Frechet distance is that of the features of all of a window or stream, in
// deviations of training music.
static void
test_distance_from_a_reference(void** state)
{
  (void)state;
  static float test_features[40 * FRECHET_COLUMNS_MAX];
  static float other_features[40 * FRECHET_COLUMNS_MAX];
  for (uint32_t notes = WINDOW_NOTES; notes <= 32; notes += 24) {
    const uint32_t size =
      notes > WINDOW_NOTES ? STREAM_FEATURE_COUNT : FEATURE_COUNT;
    WindowSet              test  = real_windows(true, notes, 40, 1);
    WindowSet              other = real_windows(true, notes, 40, 1);
    WindowSet              train = real_windows(false, notes, 20, 1);
    Rng                    rng   = rng_make(1, RNG_USE_TEST, 0);
    Reference              reference;
    Difference             difference;
    double                 want;
    Error                  error;
    const WindowSet* const sets[] = { &test, &train };
    for (int s = 0; s < 2; ++s) { // no feature is always the same
      for (uint32_t i = 0; i < sets[s]->count * notes; ++i) {
        NoteEvent* const e = &sets[s]->events[i];
        e->pitch           = (uint8_t)(40 + rng_below(&rng, 50));
        e->step_s *= rng_uniform(&rng);
        e->duration_s *= rng_uniform(&rng);
        e->velocity = 0.1f + 0.8f * rng_uniform(&rng);
      }
    }
    for (uint32_t i = 0; i < test.count * notes; ++i) {
      other.events[i] = test.events[i];
      other.events[i].pitch += i % notes < notes / 2 ? 5 : 0;
    }
    assert_int_equal(reference_create(&test, &train, &reference, &error),
                     STATUS_OK);
    assert_int_equal(
      reference_compare(&reference, &other, 1, &difference, &error), STATUS_OK);
    scaled_features(&test, &train, size, test_features);
    scaled_features(&other, &train, size, other_features);
    assert_int_equal(
      frechet_unbiased(
        test.count, size, test_features, other_features, &want, &error),
      STATUS_OK);
    assert_true(want > 0.5 && fabs(difference.frechet / want - 1.0) < 1e-3);
    reference_free(&reference);
    window_set_free(&test);
    window_set_free(&other);
    window_set_free(&train);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_real_windows_are_whole_and_different),
    cmocka_unit_test(test_any_window_may_be_drawn),
    cmocka_unit_test(test_baselines_keep_the_marginals_of_each_half),
    cmocka_unit_test(test_glued),
    cmocka_unit_test(test_floored_steps),
    cmocka_unit_test(test_rounding),
    cmocka_unit_test(test_chords_are_ordered),
    cmocka_unit_test(test_features_by_hand),
    cmocka_unit_test(test_features_are_finite),
    cmocka_unit_test(test_streams_know_their_drift),
    cmocka_unit_test(test_distance_from_a_reference),
  };
  return cmocka_run_group_tests(tests, open_data, close_data);
}
