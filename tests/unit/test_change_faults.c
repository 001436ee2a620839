// Changes that meet other changes, faults and a full ring: no cluster, no
// silence that does not end, nothing of before.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "worker_world.h"

static Heard heard;

static void
ask(World* world, WorkerCommand command)
{
  assert_true(worker_command(&world->worker, &command));
}

static void
ask_param(World* world, ParamId id, double value)
{
  ask(world,
      (WorkerCommand){ .kind = COMMAND_PARAM, .param = id, .value = value });
}

static void
finish(World* world)
{
  const ProcessCounters* const counters = &world->process.counters;
  atomic_store(&world->process.end_requested, true);
  play(world, &heard, 3);
  atomic_store(&world->model.stalled, false);
  assert_true(worker_stop(&world->worker));
  assert_int_equal(heard.offs, heard.ons);
  assert_int_equal(atomic_load(&counters->late), 0);
  assert_int_equal(atomic_load(&counters->dropped), 0);
  assert_int_equal(atomic_load(&counters->doubled), 0);
  assert_false(atomic_load(&world->worker.failed));
  free_world(world);
}

static World*
begin_with(ModelKind kind, float step_s, bool fallback)
{
  World* const world = make_world_of(kind, step_s, -1, fallback);
  memset(&heard, 0, sizeof heard);
  world->model.pitch = 60;
  start(world);
  play(world, &heard, 30);
  assert_true(heard.ons > 0);
  return world;
}

// The transport moves while it rolls, as process would find it.
static void
relocate(World* world, double beat)
{
  const BeatTime time = { .rolling       = true,
                          .start_frame   = heard.span,
                          .map           = { heard.span, beat, 120 },
                          .beats_per_bar = 4,
                          .breaks        = ++world->process.breaks,
                          .break_frame   = heard.span };
  process_end_notes(&world->process, heard.span, true);
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
}

// What is frozen comes in its own time, whatever happens to the beat.
static void
test_frozen(void** state)
{
  (void)state;
  World* const world = begin_with(MODEL_VAE, 0.03f, false);
  ask_param(world, PARAM_LOOP_BEATS, 1);
  play(world, &heard, 100);
  ask_param(world, PARAM_FREEZE, 1);
  play(world, &heard, 50);
  const double tempos[] = { 0.25, 4, 1 };
  for (int i = 0; i < 3; ++i) {
    ask_param(world, PARAM_TEMPO, tempos[i]);
    play(world, &heard, 10);
    heard.gap_max = 0;
    play(world, &heard, 800);
    assert_in_range(heard.gap_max, 1, (uint64_t)(0.2 * 48000));
  }
  const double beats[] = { 1000, 8 };
  for (int i = 0; i < 2; ++i) {
    relocate(world, beats[i]);
    play(world, &heard, 20);
    heard.gap_max        = 0;
    const uint32_t count = heard.ons;
    play(world, &heard, 400);
    assert_in_range(heard.gap_max, 1, (uint64_t)(0.2 * 48000));
    assert_in_range(heard.ons - count, 100, 160);
  }
  ask_param(world, PARAM_FREEZE, 0);
  play(world, &heard, 30);
  // Frozen soon after beats were counted anew: what is there since then, in as
  // many beats as it has.
  for (int i = 0; i < 2; ++i) {
    relocate(world, beats[i] + 400);
    play(world, &heard, 60);
    ask_param(world, PARAM_LOOP_BEATS, 32);
    ask_param(world, PARAM_FREEZE, 1);
    play(world, &heard, 20);
    const uint32_t count = heard.ons;
    heard.gap_max        = 0;
    play(world, &heard, 500);
    assert_in_range(heard.gap_max, 1, 48000 / 2);
    assert_in_range(heard.ons - count, 70, 180);
    ask_param(world, PARAM_FREEZE, 0);
    play(world, &heard, 30);
  }
  finish(world);
}

// The pitches of what sounds from note `first` on never go back: what was
// played is not played again.
static void
expect_onwards(uint32_t first)
{
  for (uint32_t i = first; i < heard.ons; ++i) {
    assert_true(heard.pitches[i] >= heard.pitches[i - 1]);
  }
}

// Music goes on where it was when its own beat takes over, when a start comes
// without a stop, and when a clock goes away, long after it began.
static void
test_goes_on_after_a_break(void** state)
{
  (void)state;
  World* const world = begin_with(MODEL_VAE, 0.05f, false);
  world->model.pitch = 0; // by the window
  ask_param(world, PARAM_TEMPERATURE, 0.9);
  play(world, &heard, 100);
  BeatTime time    = { .is_free = true, .rolling = true };
  uint32_t first   = heard.ons;
  time.breaks      = ++world->process.breaks;
  time.break_frame = heard.span;
  process_end_notes(&world->process, heard.span, true);
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  play(world, &heard, 100);
  expect_onwards(first);
  // Stops and is told so together with the next start.
  first            = heard.ons;
  time.is_free     = false;
  time.breaks      = world->process.breaks += 2;
  time.break_frame = heard.span;
  time.map         = (BeatMap){ heard.span, 0, 120 };
  process_end_notes(&world->process, heard.span, true);
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  play(world, &heard, 100);
  expect_onwards(first);
  // The clock goes away: nothing breaks.
  time.rolling = false;
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  play(world, &heard, 100);
  first = heard.ons;
  play(world, &heard, 30);
  assert_int_equal(heard.ons, first);
  time.rolling = true;
  time.map     = (BeatMap){ heard.span, 40, 120 };
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  play(world, &heard, 100);
  assert_true(heard.ons > first + 10);
  expect_onwards(first);
  assert_int_equal(atomic_load(&world->process.counters.spans_starved), 0);
  finish(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_frozen),
    cmocka_unit_test(test_goes_on_after_a_break),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
