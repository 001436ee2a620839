// Played notes <-> condensed note events: ranges, chords, one keyboard, and
// that events come back unchanged.
#include "music/condense.h"
#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT 500

static PlayedNote
note(double onset_s, double duration_s, uint8_t pitch, uint8_t velocity)
{
  return (PlayedNote){ .onset_s    = onset_s,
                       .duration_s = duration_s,
                       .pitch      = pitch,
                       .velocity   = velocity };
}

static void
assert_event(NoteEvent e, uint8_t pitch, int velocity, double step, double last)
{
  assert_int_equal(e.pitch, pitch);
  assert_int_equal(velocity_to_midi(e.velocity), velocity);
  assert_true(fabs((double)e.step_s - step) < 1e-6);
  assert_true(fabs((double)e.duration_s - last) < 1e-6);
}

static void
test_clamped_to_range(void** state)
{
  (void)state;
  const PlayedNote notes[] = { note(5.0, 9.0, 1, 127),
                               note(5.0, 0.0, 127, 1),
                               note(7.5, 1.5, 64, 64) };
  NoteEvent        events[3];
  assert_int_equal(condense_notes(notes, 3, events), 3);
  assert_event(events[0], 1, 127, 2.0, 2.0);
  assert_event(events[1], 127, 1, 0.001, 0.001);
  assert_event(events[2], 64, 64, 2.0, 1.5);
}

static void
test_pitch_0_is_dropped_and_steps_span_it(void** state)
{
  (void)state;
  const PlayedNote notes[] = { note(0.5, 0.1, 60, 9),
                               note(0.75, 0.1, 0, 9),
                               note(1.25, 0.1, 62, 9) };
  NoteEvent        events[3];
  assert_int_equal(condense_notes(notes, 3, events), 2);
  assert_event(events[0], 60, 9, 0.5, 0.1);
  assert_event(events[1], 62, 9, 0.75, 0.1);
}

static void
test_one_keyboard(void** state)
{
  (void)state;
  PlayedNote notes[] = {
    note(1.0, 1.0, 60, 50), // held by two channels at once
    note(1.0, 0.2, 60, 90), //
    note(1.0, 0.5, 64, 70), // pressed again while it sounds
    note(1.3, 0.4, 64, 71),
  };
  notes[1].channel = 3;
  NoteEvent events[4];
  assert_int_equal(condense_notes(notes, 4, events), 3);
  assert_event(events[0], 60, 90, 1.0, 1.0);
  assert_event(events[1], 64, 70, 0.001, 0.3);
  assert_event(events[2], 64, 71, 0.3, 0.4);
  // 1 ms apart is two presses: the model may say so.
  notes[1].onset_s = 1.001;
  assert_int_equal(condense_notes(notes, 2, events), 2);
  assert_event(events[0], 60, 50, 1.0, 0.001);
  assert_event(events[1], 60, 90, 0.001, 0.2);
}

static void
test_expand_cuts_a_repeated_pitch(void** state)
{
  (void)state;
  const NoteEvent events[] = { { 60, 1.0f, 0.5f, 2.0f },
                               { 64, 0.5f, 0.001f, 1.0f },
                               { 60, 0.25f, 0.25f, 0.5f } };
  PlayedNote      notes[3];
  expand_events(events, 3, 10.0, notes);
  assert_true(fabs(notes[0].onset_s - 10.5) < 1e-6);
  assert_true(fabs(notes[0].duration_s - 0.251) < 1e-6);
  assert_true(fabs(notes[1].onset_s - 10.501) < 1e-6);
  assert_true(fabs(notes[1].duration_s - 1.0) < 1e-6);
  assert_true(fabs(notes[2].onset_s - 10.751) < 1e-6);
  assert_int_equal(notes[0].velocity, 127);
  assert_int_equal(notes[2].velocity, 32);
}

static void
test_there_and_back(void** state)
{
  (void)state;
  NoteEvent  events[COUNT];
  NoteEvent  again[COUNT];
  PlayedNote notes[COUNT];
  Rng        rng = rng_make(3, RNG_USE_TEST, 0);
  for (size_t i = 0; i < COUNT; ++i) {
    events[i] = note_event_clamp((NoteEvent){
      .pitch      = (uint8_t)(1 + i % 127), // far apart: none is cut
      .velocity   = velocity_from_midi((uint8_t)(1 + rng_below(&rng, 127))),
      .step_s     = rng_below(&rng, 3) ? 0.03f + rng_uniform(&rng) : 0.001f,
      .duration_s = 1.9f * rng_uniform(&rng) });
  }
  expand_events(events, COUNT, 0.0, notes);
  assert_int_equal(condense_notes(notes, COUNT, again), COUNT);
  for (size_t i = 0; i < COUNT; ++i) {
    assert_int_equal(again[i].pitch, events[i].pitch);
    assert_true(again[i].velocity == events[i].velocity);
    assert_true(fabsf(again[i].step_s - events[i].step_s) < 1e-6f);
    assert_true(fabsf(again[i].duration_s - events[i].duration_s) < 1e-6f);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_clamped_to_range),
    cmocka_unit_test(test_pitch_0_is_dropped_and_steps_span_it),
    cmocka_unit_test(test_one_keyboard),
    cmocka_unit_test(test_expand_cuts_a_repeated_pitch),
    cmocka_unit_test(test_there_and_back),
  };
  return cmocka_run_group_tests_name("condense", tests, NULL, NULL);
}
