// control/phrase_in: where phrases begin and end, and that a phrase which is
// played with the parameters in force comes as it was played.
#include "control/phrase_in.h"
#include "live/scheduler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define RATE_HZ 48000u

static PhraseEvent
poll(PhraseIn* phrase, const Params* params, uint64_t frame)
{
  NoteEvent notes[CONTEXT_NOTES_MAX];
  uint32_t  count;
  return phrase_in_poll(phrase, frame, params, 120, notes, &count);
}

static void
key(PhraseIn* phrase, uint64_t frame, uint8_t pitch, uint8_t velocity)
{
  const uint8_t message[3] = { velocity ? 0x90 : 0x80, pitch, velocity };
  phrase_in_add(phrase, frame, message);
}

// Slow, detached playing is one phrase where the pause is longer than its
// rests.
static void
test_pause(void** state)
{
  (void)state;
  const double pauses[] = { 0.1, 0.5, 2 };
  for (int i = 0; i < 3; ++i) {
    Params   params = params_standard();
    PhraseIn phrase;
    params.value[PARAM_PHRASE_PAUSE] = pauses[i];
    const uint64_t rest              = (uint64_t)(pauses[i] * RATE_HZ);
    phrase_in_init(&phrase, RATE_HZ);
    assert_int_equal(poll(&phrase, &params, 500), PHRASE_NOTHING);
    key(&phrase, 1000, 60, 90);
    assert_int_equal(poll(&phrase, &params, 1000), PHRASE_BEGAN);
    assert_int_equal(poll(&phrase, &params, 900000), PHRASE_NOTHING); // held
    key(&phrase, 900000, 60, 0);
    assert_int_equal(poll(&phrase, &params, 899999 + rest), PHRASE_NOTHING);
    key(&phrase, 899999 + rest, 62, 90);
    key(&phrase, 900100 + rest, 62, 0);
    assert_int_equal(poll(&phrase, &params, 900099 + 2 * rest), PHRASE_NOTHING);
    assert_int_equal(poll(&phrase, &params, 900100 + 2 * rest), PHRASE_ENDED);
    assert_int_equal(poll(&phrase, &params, 950000 + 2 * rest), PHRASE_NOTHING);
  }
}

typedef struct {
  uint64_t on, off;
  uint8_t  pitch, velocity;
} Key;

static const Key played[] = {
  { 10000, 22000, 48, 40 }, { 22000, 30000, 60, 64 }, { 30000, 34000, 67, 90 },
  { 30100, 40000, 72, 70 }, { 52000, 60000, 55, 30 }, { 61000, 62000, 50, 50 },
};
#define PLAYED (sizeof played / sizeof *played)

// In the order of time.
static void
play_keys(PhraseIn* phrase)
{
  for (uint64_t frame = 0; frame < 70000; frame += 100) {
    for (size_t i = 0; i < PLAYED; ++i) {
      if (played[i].off == frame) {
        key(phrase, frame, played[i].pitch, 0);
      }
    }
    for (size_t i = 0; i < PLAYED; ++i) {
      if (played[i].on == frame) {
        key(phrase, frame, played[i].pitch, played[i].velocity);
      }
    }
  }
}

static void
expect_as_played(const Params* params, double bpm)
{
  PhraseIn  phrase;
  NoteEvent notes[CONTEXT_NOTES_MAX];
  uint32_t  count;
  phrase_in_init(&phrase, RATE_HZ);
  play_keys(&phrase);
  assert_int_equal(phrase_in_poll(&phrase, 70000, params, bpm, notes, &count),
                   PHRASE_BEGAN);
  assert_int_equal(phrase_in_poll(&phrase, 200000, params, bpm, notes, &count),
                   PHRASE_ENDED);
  assert_int_equal(count, PLAYED);
  Scheduler scheduler     = scheduler_make(params, RATE_HZ, played[0].on, -1);
  scheduler.state.map.bpm = bpm;
  for (size_t i = 0; i < PLAYED; ++i) {
    StampedNote note;
    assert_true(scheduler_stamp(&scheduler, &notes[i], i, &note));
    assert_true(llabs((long long)(note.on_frame - played[i].on)) <= 1);
    assert_true(llabs((long long)(note.off_frame - played[i].off)) <= 2);
    assert_int_equal(note.pitch, played[i].pitch);
    assert_int_equal(note.velocity, played[i].velocity);
  }
}

static void
test_echoes_as_played(void** state)
{
  (void)state;
  Params params = params_standard();
  expect_as_played(&params, 120);
  params.value[PARAM_TEMPO] = 1.6;
  expect_as_played(&params, 120);
  params.value[PARAM_DENSITY] = 0.5;
  expect_as_played(&params, 120);
  expect_as_played(&params, 90);
  params.value[PARAM_DENSITY]   = 2;
  params.value[PARAM_TRANSPOSE] = 12;
  params.value[PARAM_DYNAMICS]  = 1.3;
  expect_as_played(&params, 75);
  params.value[PARAM_TRANSPOSE] = -20;
  expect_as_played(&params, 150);
}

// What the model cannot say is as near as it comes.
static void
test_is_clamped(void** state)
{
  (void)state;
  Params    params = params_standard();
  PhraseIn  phrase;
  NoteEvent notes[CONTEXT_NOTES_MAX];
  uint32_t  count;
  params.value[PARAM_TRANSPOSE] = 48;
  params.value[PARAM_DYNAMICS]  = 0.1;
  params.value[PARAM_TEMPO]     = 4;
  phrase_in_init(&phrase, RATE_HZ);
  key(&phrase, 0, 30, 127);
  key(&phrase, 90000, 31, 1); // longer than any step
  poll(&phrase, &params, 90000);
  phrase_in_release(&phrase, 96000);
  assert_int_equal(phrase_in_poll(&phrase, 900000, &params, 120, notes, &count),
                   PHRASE_ENDED);
  assert_int_equal(count, 2);
  assert_int_equal(notes[0].pitch, 6); // 30 - 48, by octaves
  assert_true(notes[0].velocity == 1);
  assert_true(notes[1].step_s == NOTE_STEP_MAX_S);
  assert_true(notes[0].duration_s == NOTE_DURATION_MAX_S);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pause),
    cmocka_unit_test(test_echoes_as_played),
    cmocka_unit_test(test_is_clamped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
