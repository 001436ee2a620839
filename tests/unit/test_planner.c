// The plan where beats are counted anew, and where the music has ended: notes
// stay where they were in time, and what was ended can go on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "live/planner.h"
#include "live/process_setup.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define RATE_HZ 48000u

typedef struct {
  Process process;
  Planner planner;
  Params  params;
} World;

static World*
make_world(double seconds)
{
  World* const world = aligned_alloc(alignof(World), sizeof *world);
  Error        error;
  assert_non_null(world);
  memset(world, 0, sizeof *world);
  world->params = params_standard();
  assert_int_equal(process_init(&world->process, &error), STATUS_OK);
  assert_int_equal(planner_init(&world->planner, &world->process, &error),
                   STATUS_OK);
  planner_place(&world->planner, &world->params, RATE_HZ, 0, seconds);
  return world;
}

static void
free_world(World* world)
{
  planner_free(&world->planner);
  process_free(&world->process);
  free(world);
}

// A window of notes half a beat apart.
static void
add(World* world)
{
  static const GeneratorState state;
  static PlanStep             step;
  NoteEvent                   events[WINDOW_NOTES];
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    events[i] = (NoteEvent){ 60, 0.5f, 0.25f, 0.2f };
  }
  step.kind = PLAN_EVENTS;
  planner_add(&world->planner, &step, events, &state, &state);
}

// Onsets from note `first` on: so many frames after `frame`, 0.25 s apart.
static void
expect_onsets(const World* world, uint64_t first, uint64_t frame)
{
  for (uint64_t i = first; i < world->planner.next; ++i) {
    assert_int_equal(planner_note(&world->planner, i)->stamp.on_frame,
                     frame + (i - first) * RATE_HZ / 4);
  }
}

// A timebase master comes, goes or counts bars of another length: the same
// tempo, other numbers.
static void
test_beats_counted_anew(void** state)
{
  (void)state;
  const double beats[] = { -1000, 1000, 0 };
  for (int i = 0; i < 3; ++i) {
    World* const world = make_world(-1);
    add(world);
    add(world);
    expect_onsets(world, 0, 0);
    const uint64_t frame = RATE_HZ + 100;
    const BeatMap  map   = { .frame = RATE_HZ, .beat = beats[i], .bpm = 120 };
    planner_restamp(&world->planner, frame, &world->params, &map);
    assert_int_equal(world->planner.next, 2 * WINDOW_NOTES);
    expect_onsets(world, 0, 0);
    add(world);
    expect_onsets(world, 0, 0);
    // Where nothing is planned beyond, what comes next goes on as well.
    const uint64_t last = planner_note(&world->planner, 23)->stamp.on_frame;
    const BeatMap  back = { .frame = last, .beat = 7, .bpm = 120 };
    planner_restamp(&world->planner, last + 100, &world->params, &back);
    add(world);
    assert_int_equal(world->planner.next, 4 * WINDOW_NOTES);
    expect_onsets(world, 0, 0);
    free_world(world);
  }
}

// A beat that is only measured a little better is followed.
static void
test_beats_adjusted(void** state)
{
  (void)state;
  World* const world = make_world(-1);
  add(world);
  const BeatMap map = { .frame = RATE_HZ + 48, .beat = 2, .bpm = 120 };
  planner_restamp(&world->planner, RATE_HZ / 2, &world->params, &map);
  assert_int_equal(planner_note(&world->planner, 1)->stamp.on_frame,
                   RATE_HZ / 4);
  expect_onsets(world, 2, RATE_HZ / 2 + 48);
  free_world(world);
}

// After the last note before the end, there is nothing to stamp anew: the plan
// stays ended, or goes on where there is time.
static void
test_change_after_the_last_note(void** state)
{
  (void)state;
  World* const world   = make_world(3);
  Process*     process = &world->process;
  add(world);
  add(world);
  assert_int_equal(world->planner.next, 12);
  assert_true(atomic_load(&process->planned_until) == UINT64_MAX);
  const uint64_t frame                 = 3 * RATE_HZ - RATE_HZ / 8;
  world->params.value[PARAM_TRANSPOSE] = 1;
  planner_restamp(&world->planner,
                  frame,
                  &world->params,
                  &world->planner.scheduler.state.map);
  for (int i = 0; i < 3 && atomic_load(&process->planned_until) < UINT64_MAX;
       ++i) {
    add(world);
  }
  assert_true(atomic_load(&process->planned_until) == UINT64_MAX);
  free_world(world);
}

// What finds no room on its way is counted: notes, and steps with the note from
// which on all are known again.
static void
test_full_rings(void** state)
{
  (void)state;
  static PlanStep step;
  World* const    world   = make_world(-1);
  Planner* const  planner = &world->planner;
  uint64_t        told    = 0;
  while (planner_has_room(planner)) {
    add(world);
  }
  assert_int_equal(planner->next, STAMPED_RING_NOTES);
  assert_int_equal(atomic_load(&planner->unsent), 0);
  add(world);
  assert_int_equal(atomic_load(&planner->unsent), WINDOW_NOTES);
  const uint64_t lost = atomic_load(&planner->told_lost);
  assert_true(lost > 0);
  assert_int_equal(atomic_load(&planner->told_lost_until),
                   planner->next - WINDOW_NOTES + 1);
  while (planner_read_step(planner, &step)) {
    ++told;
  }
  assert_int_equal(told, PLAN_STEPS_MAX);
  // A place, and a window for each eight notes.
  assert_int_equal(told + lost, 1 + planner->next / WINDOW_NOTES);
  add(world);
  assert_int_equal(atomic_load(&planner->told_lost), lost);
  free_world(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_beats_counted_anew),
    cmocka_unit_test(test_beats_adjusted),
    cmocka_unit_test(test_change_after_the_last_note),
    cmocka_unit_test(test_full_rings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
