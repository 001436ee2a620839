// live/scheduler: frames are rounded from the cumulated time, whatever the
// phrase boundaries; tempo, register, dynamics and the end do what they say.
#include "live/scheduler.h"

#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT 800u

static void
make_events(NoteEvent events[COUNT])
{
  Rng rng = rng_make(3, RNG_USE_TEST, 0);
  for (uint32_t i = 0; i < COUNT; ++i) {
    events[i] = note_event_clamp((NoteEvent){
      .pitch      = (uint8_t)(1 + rng_below(&rng, 127)),
      .velocity   = rng_uniform(&rng),
      .step_s     = rng_below(&rng, 3) ? 2.0f * rng_uniform(&rng) : 0.0f,
      .duration_s = 2.0f * rng_uniform(&rng),
    });
  }
}

// Stamps as many as there are before the end.
static size_t
scheduler_add(Scheduler*       scheduler,
              const NoteEvent* events,
              size_t           count,
              StampedNote*     out)
{
  size_t stamped = 0;
  while (stamped < count &&
         scheduler_stamp(scheduler, &events[stamped], stamped, &out[stamped])) {
    ++stamped;
  }
  return stamped;
}

static void
test_frames_do_not_drift(void** state)
{
  (void)state;
  NoteEvent   events[COUNT];
  StampedNote whole[COUNT];
  StampedNote parts[COUNT];
  make_events(events);
  const Params params = params_standard();
  Scheduler    one    = scheduler_make(&params, 44100, 1000, -1);
  Scheduler    many   = one;
  assert_int_equal(scheduler_add(&one, events, COUNT, whole), COUNT);
  for (uint32_t i = 0; i < COUNT; i += WINDOW_NOTES) {
    scheduler_add(&many, events + i, WINDOW_NOTES, parts + i);
  }
  double onset_s = 0;
  for (uint32_t i = 0; i < COUNT; ++i) {
    onset_s += i ? events[i].step_s : 0; // the first sounds at once
    assert_int_equal(whole[i].on_frame, 1000 + llround(onset_s * 44100));
    assert_int_equal(whole[i].on_frame, parts[i].on_frame);
    assert_int_equal(whole[i].off_frame, parts[i].off_frame);
    assert_true(whole[i].off_frame > whole[i].on_frame);
    assert_true(!i || whole[i].on_frame > whole[i - 1].on_frame);
  }
  assert_int_equal(one.planned_until, whole[COUNT - 1].on_frame);
}

static void
test_tempo_scales_both_times(void** state)
{
  (void)state;
  NoteEvent   events[COUNT];
  StampedNote notes[COUNT];
  make_events(events);
  Params params = params_standard();
  for (double tempo = 0.25; tempo <= 4; tempo *= 2) {
    Error error;
    assert_int_equal(params_set_number(&params, PARAM_TEMPO, tempo, &error), 0);
    Scheduler scheduler = scheduler_make(&params, 48000, 0, -1);
    scheduler_add(&scheduler, events, COUNT, notes);
    double onset_s = 0;
    for (uint32_t i = 0; i < COUNT; ++i) {
      onset_s += i ? events[i].step_s / tempo : 0;
      const double length =
        (double)(notes[i].off_frame - notes[i].on_frame) / 48000;
      assert_int_equal(notes[i].on_frame, llround(onset_s * 48000));
      assert_true(fabs(length - events[i].duration_s / tempo) < 3e-5);
    }
  }
}

static void
test_register_and_dynamics(void** state)
{
  (void)state;
  NoteEvent   events[COUNT];
  StampedNote notes[COUNT];
  Params      params = params_standard();
  make_events(events);
  params.value[PARAM_REGISTER_LOW]  = 60;
  params.value[PARAM_REGISTER_HIGH] = 71;
  params.value[PARAM_TRANSPOSE]     = -5;
  params.value[PARAM_DYNAMICS]      = 2;
  params.value[PARAM_VELOCITY_LOW]  = 20;
  params.value[PARAM_VELOCITY_HIGH] = 100;
  params.value[PARAM_CHANNEL]       = 16;
  Scheduler scheduler               = scheduler_make(&params, 48000, 0, -1);
  scheduler_add(&scheduler, events, COUNT, notes);
  for (uint32_t i = 0; i < COUNT; ++i) {
    const double velocity = round(events[i].velocity * 254.0);
    assert_in_range(notes[i].pitch, 60, 71);
    assert_int_equal((notes[i].pitch + 5) % 12, events[i].pitch % 12);
    assert_int_equal(notes[i].velocity, fmin(fmax(velocity, 20), 100));
    assert_int_equal(notes[i].channel, 15);
  }
}

static void
test_end(void** state)
{
  (void)state;
  NoteEvent   events[COUNT];
  StampedNote notes[COUNT];
  make_events(events);
  for (size_t i = 0; i < COUNT; ++i) {
    events[i].duration_s = 2.0f; // some sound at the end
  }
  const Params params    = params_standard();
  Scheduler    scheduler = scheduler_make(&params, 48000, 500, 10);
  const size_t count     = scheduler_add(&scheduler, events, COUNT, notes);
  assert_in_range(count, 2, COUNT - 1);
  assert_true(scheduler.planned_until == UINT64_MAX);
  bool was_cut = false;
  for (size_t i = 0; i < count; ++i) {
    assert_true(notes[i].on_frame < 500 + 480000);
    assert_true(notes[i].off_frame <= 500 + 480000);
    was_cut |= notes[i].off_frame == 500 + 480000;
  }
  assert_true(was_cut);
  assert_int_equal(scheduler_add(&scheduler, events, WINDOW_NOTES, notes), 0);
  Scheduler none = scheduler_make(&params, 48000, 500, 0);
  assert_int_equal(scheduler_add(&none, events, WINDOW_NOTES, notes), 0);
}

// Four notes, `step_s` after each other.
static void
stamp_four(const Params* params, double step_s, uint64_t on[4])
{
  Scheduler scheduler = scheduler_make(params, 48000, 10000, -1);
  for (uint32_t i = 0; i < 4; ++i) {
    const NoteEvent event = { 60, 0.5f, (float)step_s, 0.1f };
    StampedNote     note;
    assert_true(scheduler_stamp(&scheduler, &event, i, &note));
    on[i] = note.on_frame;
  }
}

// Notes that come before their beat begin at the origin, in their own time.
static void
test_latency(void** state)
{
  (void)state;
  Params         params    = params_standard();
  const double   late_ms[] = { 0, 150, -200, -0.5 };
  const uint64_t begins[]  = { 10000, 10000 + 7200, 10000, 10000 };
  for (int k = 0; k < 4; ++k) {
    uint64_t on[4];
    params.value[PARAM_LATENCY] = late_ms[k];
    stamp_four(&params, 0.05, on);
    for (uint32_t i = 0; i < 4; ++i) {
      assert_int_equal(on[i], begins[k] + 2400 * i);
    }
    const Scheduler scheduler = scheduler_make(&params, 48000, 10000, -1);
    const uint64_t  frame     = scheduler_frame_of(&scheduler, 3.5);
    assert_true(fabs(scheduler_beat_at(&scheduler, frame) - 3.5) < 1e-4);
  }
}

// Onsets by grid and strength: notes 0.27 s apart are at beats 0, 0.54, 1.08
// and 1.62; a beat has 24000 frames.
static void
test_grid(void** state)
{
  (void)state;
  static const struct {
    const char* grid;
    double      strength;
    double      beats[4];
  } cases[] = {
    { "1/4", 1, { 0, 1, 1, 2 } },
    { "1/8", 1, { 0, 0.5, 1, 1.5 } },
    { "1/8t", 1, { 0, 2.0 / 3, 1, 5.0 / 3 } },
    { "1/16", 1, { 0, 0.5, 1, 1.5 } },
    { "1/16t", 1, { 0, 0.5, 1, 10.0 / 6 } },
    { "1/32", 1, { 0, 0.5, 1.125, 1.625 } },
    { "1/8", 0.5, { 0, 0.52, 1.04, 1.56 } },
    { "1/8", 0, { 0, 0.54, 1.08, 1.62 } },
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; ++k) {
    Params   params = params_standard();
    uint64_t on[4];
    Error    error;
    params.value[PARAM_QUANTISE] = cases[k].strength;
    assert_int_equal(
      params_set_text(&params, PARAM_GRID, cases[k].grid, &error), 0);
    stamp_four(&params, 0.27, on);
    for (int i = 0; i < 4; ++i) {
      const double frame = 10000 + 24000 * cases[k].beats[i];
      assert_true(fabs((double)on[i] - frame) < 1);
    }
  }
}

// Each second place of the grid comes late, by half a place at most.
static void
test_swing(void** state)
{
  (void)state;
  for (double swing = 0; swing <= 1; swing += 0.25) {
    Params   params = params_standard();
    uint64_t on[4];
    Error    error;
    params.value[PARAM_QUANTISE] = 1;
    params.value[PARAM_SWING]    = swing;
    assert_int_equal(params_set_text(&params, PARAM_GRID, "1/8", &error), 0);
    stamp_four(&params, 0.27, on);
    for (int i = 0; i < 4; ++i) {
      const double late  = i % 2 ? 0.25 * swing : 0;
      const double frame = 10000 + 24000 * (0.5 * i + late);
      assert_true(fabs((double)on[i] - frame) < 1);
    }
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_frames_do_not_drift),
    cmocka_unit_test(test_tempo_scales_both_times),
    cmocka_unit_test(test_register_and_dynamics),
    cmocka_unit_test(test_end),
    cmocka_unit_test(test_latency),
    cmocka_unit_test(test_grid),
    cmocka_unit_test(test_swing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
