// What is frozen: as many beats as asked for, on the beat in every round, from
// whenever it was asked for; on fake models in real time.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "worker_world.h"

static Heard heard;

static void
ask_param(World* world, ParamId id, double value)
{
  const WorkerCommand command = { .kind  = COMMAND_PARAM,
                                  .param = id,
                                  .value = value };
  assert_true(worker_command(&world->worker, &command));
}

static World*
make(float step_s)
{
  World* const world = make_world(step_s, -1);
  memset(&heard, 0, sizeof heard);
  return world;
}

static World*
begin(float step_s, int spans)
{
  World* const world = make(step_s);
  start(world);
  play(world, &heard, spans);
  assert_true(heard.ons > 0);
  return world;
}

// Leaves the plan to be looked at; whether a busy machine plays it in time is
// the concern of test_changes.
static void
stop(World* world)
{
  atomic_store(&world->process.end_requested, true);
  play(world, &heard, 3);
  assert_true(worker_stop(&world->worker));
  assert_int_equal(heard.offs, heard.ons);
}

static double
beat_of(const World* world, uint64_t number)
{
  return planner_note(&world->worker.planner, number)->at;
}

// From note `first` on all notes come again after `beats`, to the end of the
// plan; returns how many a round has.
static uint32_t
expect_rounds(const World* world, uint64_t first, double beats)
{
  const Planner* const planner = &world->worker.planner;
  uint32_t             count   = 0;
  while (first + count < planner->next &&
         beat_of(world, first + count) - beat_of(world, first) < beats - 1e-6) {
    ++count;
  }
  assert_true(first + 3 * count < planner->next);
  for (uint64_t i = first; i + count < planner->next; ++i) {
    const double after = beat_of(world, i + count) - beat_of(world, i);
    if (fabs(after - beats) > 1e-6) {
      fail_msg(
        "note %d: after %.9f beats, not %.9f", (int)(i - first), after, beats);
    }
    assert_int_equal(planner_note(planner, i + count)->event.pitch,
                     planner_note(planner, i)->event.pitch);
  }
  return count;
}

// Sparse notes and dense ones: steps of 0.25 s are half a beat.
static void
test_length(void** state)
{
  (void)state;
  static const struct {
    float    step_s;
    double   asked;
    double   beats;
    uint32_t notes;
  } cases[] = {
    { 0.25f, 1, 1, 2 },  { 0.25f, 2, 2, 4 },   { 0.25f, 1.5, 1.5, 3 },
    { 0.02f, 1, 1, 25 }, { 0.03f, 1, 1, 0 },   { 0.1f, 3, 3, 15 },
    { 0.17f, 1, 1, 0 },  { 0.02f, 4, 4, 100 },
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; ++k) {
    World* const world = begin(cases[k].step_s, 240);
    ask_param(world, PARAM_LOOP_BEATS, cases[k].asked);
    ask_param(world, PARAM_FREEZE, 1);
    play(world, &heard, 20);
    const uint64_t first = heard.ons;
    play(world, &heard, 500);
    stop(world);
    const uint32_t notes = expect_rounds(world, first, cases[k].beats);
    if (cases[k].notes && notes != cases[k].notes) {
      fail_msg("%g s, %g beats: %u notes",
               (double)cases[k].step_s,
               cases[k].asked,
               notes);
    }
    free_world(world);
  }
}

// Notes rarer than the loop is long: a multiple of it that has one.
static void
test_rare_notes(void** state)
{
  (void)state;
  World* const world = begin(2, 900); // each four beats
  ask_param(world, PARAM_LOOP_BEATS, 1);
  ask_param(world, PARAM_FREEZE, 1);
  play(world, &heard, 60);
  const double beats = world->worker.loop.beats;
  assert_true(beats == floor(beats) && beats >= 1 && beats <= 4);
  const uint64_t first = heard.ons;
  play(world, &heard, 1500);
  stop(world);
  assert_int_equal(expect_rounds(world, first, beats), 1);
  free_world(world);
}

// Whatever turns meanwhile: the length is obeyed at once, and the notes keep
// the beats they had.
static void
test_knobs_while_frozen(void** state)
{
  (void)state;
  static const struct {
    ParamId id;
    double  value;
    double  beats;
  } turns[] = {
    { PARAM_LOOP_BEATS, 2, 2 },  { PARAM_LOOP_BEATS, 1, 1 },
    { PARAM_TEMPO, 2, 1 },       { PARAM_LOOP_BEATS, 2.5, 2.5 },
    { PARAM_DENSITY, 0.5, 2.5 }, { PARAM_TRANSPOSE, 2, 2.5 },
    { PARAM_BPM, 150, 2.5 },     { PARAM_LATENCY, -100, 2.5 },
    { PARAM_TEMPO, 0.5, 2.5 },   { PARAM_LOOP_BEATS, 4, 4 },
  };
  for (size_t count = 1; count <= sizeof turns / sizeof *turns; count += 3) {
    World* const world = begin(0.05f, 250); // ten a beat, from beat 0 on
    ask_param(world, PARAM_LOOP_BEATS, 4);
    ask_param(world, PARAM_FREEZE, 1);
    play(world, &heard, 30);
    for (size_t i = 0; i < count; ++i) {
      ask_param(world, turns[i].id, turns[i].value);
      play(world, &heard, i == count - 1 ? 20 : 60);
    }
    const double   beats = turns[count - 1].beats;
    const uint64_t first = heard.ons;
    play(world, &heard, (int)(400 * beats / 2));
    stop(world);
    assert_int_equal(expect_rounds(world, first, beats), 10 * beats);
    const double tenths = 10 * beat_of(world, first);
    assert_true(fabs(tenths - round(tenths)) < 1e-4);
    free_world(world);
  }
}

// Frozen before there was music: its first beats come again.
static void
test_frozen_from_the_start(void** state)
{
  (void)state;
  for (int primed = 0; primed < 2; ++primed) {
    World* const world                           = make(0.05f);
    world->worker.params.value[PARAM_LOOP_BEATS] = 4;
    world->worker.params.value[PARAM_LATENCY]    = primed ? -50 : 0;
    ask_param(world, PARAM_FREEZE, 1);
    if (primed) {
      start(world);
    } else {
      Error error;
      assert_int_equal(worker_start(&world->worker, 48000, &error), STATUS_OK);
    }
    play(world, &heard, 700);
    stop(world);
    assert_int_equal(expect_rounds(world, 0, 4), 40);
    free_world(world);
  }
}

// And where the transport has not started yet.
static void
test_frozen_before_the_transport(void** state)
{
  (void)state;
  World* const  world   = make(0.05f);
  WorkerCommand command = { .kind = COMMAND_TIME };
  assert_true(worker_command(&world->worker, &command));
  start(world);
  play(world, &heard, 50);
  ask_param(world, PARAM_LOOP_BEATS, 2);
  ask_param(world, PARAM_FREEZE, 1);
  play(world, &heard, 50);
  assert_int_equal(heard.ons, 0);
  command.time = (BeatTime){ .rolling       = true,
                             .start_frame   = heard.span,
                             .map           = { heard.span, 8, 120 },
                             .beats_per_bar = 4 };
  assert_true(worker_command(&world->worker, &command));
  play(world, &heard, 500);
  stop(world);
  assert_int_equal(expect_rounds(world, 0, 2), 20);
  free_world(world);
}

// What a model that begins frozen is told of in its parameters.
static void
test_frozen_by_option(void** state)
{
  (void)state;
  World* const world  = make(0.05f);
  Params       params = params_standard();
  Error        error;
  params.value[PARAM_FREEZE] = 1;
  const WorkerSetup setup    = { .model   = &world->model,
                                 .params  = params,
                                 .seconds = -1 };
  worker_free(&world->worker);
  assert_int_equal(worker_init(&world->worker, &world->process, &setup, &error),
                   STATUS_OK);
  start(world);
  play(world, &heard, 700);
  stop(world);
  assert_int_equal(expect_rounds(world, 0, 4), 40);
  free_world(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_length),
    cmocka_unit_test(test_rare_notes),
    cmocka_unit_test(test_knobs_while_frozen),
    cmocka_unit_test(test_frozen_from_the_start),
    cmocka_unit_test(test_frozen_before_the_transport),
    cmocka_unit_test(test_frozen_by_option),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
