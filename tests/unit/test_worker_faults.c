// live/worker on fake models that stall, from any moment on, or fail: music
// goes on with what is left, nothing is late or lost, and the end comes in
// time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker_world.h"

// A stall of 10 s in the middle, a fallback model or none; afterwards all is
// as before.
static void
stall(bool fallback)
{
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 20, fallback);
  const WorkerCounters* const counters = &world->worker.counters;
  static Heard                heard;
  memset(&heard, 0, sizeof heard);
  start(world);
  play(world, &heard, 200);
  assert_int_equal(worker_fallbacks(&world->worker), 0);
  atomic_store(&world->model.stalled, true);
  play(world, &heard, 1000);
  atomic_store(&world->model.stalled, false);
  // 10 s less what was planned, in windows of 0.4 s.
  const uint64_t windows = fallback ? atomic_load(&counters->fallback_model)
                                    : atomic_load(&counters->repeated);
  assert_in_range(windows, 15, 25);
  assert_int_equal(worker_fallbacks(&world->worker), windows);
  play(world, &heard, 400);
  const uint64_t all = worker_fallbacks(&world->worker);
  assert_in_range(all - windows, 0, 10); // steps, until the stall is forgotten
  play(world, &heard, 410);
  assert_int_equal(worker_fallbacks(&world->worker), all);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.7);
  assert_int_equal(heard.ons, 400); // 20 s / 50 ms
  assert_in_range(expect_all_windows(&heard, !fallback), 20, 35);
  free_world(world);
}

static void
test_stall_repeats(void** state)
{
  (void)state;
  stall(false);
}

static void
test_stall_falls_back(void** state)
{
  (void)state;
  stall(true);
}

static uint8_t
highest(const Heard* heard, uint32_t first)
{
  uint8_t most = 0;
  for (uint32_t i = first; i < heard->ons; ++i) {
    most = heard->pitches[i] > most ? heard->pitches[i] : most;
  }
  return most;
}

// In a second stall it is not the first's notes that come again.
static void
test_repeats_the_latest(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 16, false);
  const WorkerCounters* const counters = &world->worker.counters;
  static Heard                heard;
  memset(&heard, 0, sizeof heard);
  start(world);
  play(world, &heard, 50);
  atomic_store(&world->model.stalled, true);
  play(world, &heard, 350);
  atomic_store(&world->model.stalled, false);
  const uint8_t  before  = highest(&heard, 0);
  const uint64_t repeats = atomic_load(&counters->repeated);
  assert_true(repeats > 0);
  play(world, &heard, 500);
  assert_true(highest(&heard, 0) > before + 3); // windows go up
  atomic_store(&world->model.stalled, true);
  play(world, &heard, 500);
  assert_true(atomic_load(&counters->repeated) > repeats + 1);
  for (uint32_t i = heard.ons - WINDOW_NOTES; i < heard.ons; ++i) {
    assert_true(heard.pitches[i] > before);
  }
  atomic_store(&world->model.stalled, false);
  assert_true(worker_stop(&world->worker));
  free_world(world);
}

// Very short windows do not make a machine gun when they are repeated.
static void
test_repeats_take_their_time(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.002f, 8, false);
  static Heard heard;
  memset(&heard, 0, sizeof heard);
  start(world);
  atomic_store(&world->model.stalled, true);
  play(world, &heard, 700);
  atomic_store(&world->model.stalled, false);
  assert_true(worker_stop(&world->worker));
  // 24 notes a second, and those before it stalled.
  assert_in_range(heard.ons, 100, 7 * 24 + 100);
  assert_int_equal(atomic_load(&world->process.counters.spans_starved), 0);
  free_world(world);
}

// A model that stalls from its first call on: the fallback begins.
static void
test_stalled_from_the_start(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 8, true);
  Heard        heard = { 0 };
  atomic_store(&world->model.stalled, true);
  start(world);
  play(world, &heard, 400);
  atomic_store(&world->model.stalled, false);
  play(world, &heard, 410);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.051);
  assert_int_equal(heard.ons, 160);
  assert_int_equal(heard.pitches[0], 100);
  assert_true(expect_all_windows(&heard, false) > 5);
  free_world(world);
}

// The end does not wait for a call that does not end.
static void
test_stop_while_stalled(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, -1, true);
  Heard        heard = { 0 };
  start(world);
  play(world, &heard, 100);
  atomic_store(&world->model.stalled, true);
  play(world, &heard, 300);
  const double began_s = clock_now_s();
  assert_false(worker_stop(&world->worker));
  assert_true(clock_now_s() - began_s < 1);
  assert_true(atomic_load(&world->worker.counters.fallback_model) > 0);
  atomic_store(&world->model.stalled, false);
  while (atomic_load(&world->model.calls_under_way)) {
    usleep(1000);
  }
  free_world(world);
}

// A model that hangs while freewheeling: one long wait, then the fallback.
static void
test_freewheel_with_a_stalled_model(void** state)
{
  (void)state;
  World* const   world = make_world_of(MODEL_DIFFUSION, 0.05f, 20, true);
  static Heard   heard;
  const MidiSink sink = { .write = take, .handle = &heard };
  memset(&heard, 0, sizeof heard);
  start(world);
  atomic_store(&world->model.stalled, true);
  const double began_s = clock_now_s();
  for (; heard.span < 21 * 48000; heard.span += 4096) {
    process_span(&world->process,
                 &(BackendSpan){ .frame        = heard.span,
                                 .frame_count  = 4096,
                                 .freewheeling = true,
                                 .sink         = &sink });
  }
  assert_in_range((uint64_t)(clock_now_s() - began_s), 4, 8);
  atomic_store(&world->model.stalled, false);
  assert_true(worker_stop(&world->worker));
  // Late is what would have been in the period that waited in vain.
  const uint64_t late = atomic_load(&world->process.counters.late);
  assert_in_range(late, 0, 2);
  assert_int_equal(heard.ons + late, 400); // 20 s / 50 ms
  assert_true(atomic_load(&world->worker.counters.fallback_model) > 30);
  free_world(world);
}

// A model that fails is used no more: the fallback plays on, or else what was
// played last.
static void
fail_midway(bool fallback)
{
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 8, fallback);
  const WorkerCounters* const counters = &world->worker.counters;
  static Heard                heard;
  memset(&heard, 0, sizeof heard);
  atomic_store(&world->model.fail_at, 8);
  start(world);
  play(world, &heard, 810);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.7);
  assert_true(atomic_load(&world->worker.model_fault.failed));
  assert_non_null(strstr(world->worker.model_fault.error.text, "broke"));
  assert_int_equal(heard.ons, 160); // 8 s / 50 ms
  assert_in_range(
    atomic_load(fallback ? &counters->fallback_model : &counters->repeated),
    12,
    14);
  assert_int_equal(heard.pitches[159], fallback ? 100 : heard.pitches[63]);
  free_world(world);
}

static void
test_failure_falls_back(void** state)
{
  (void)state;
  fail_midway(true);
}

static void
test_failure_repeats(void** state)
{
  (void)state;
  fail_midway(false);
}

// From its first window on, with a fallback and without.
static void
test_failure_at_once(void** state)
{
  (void)state;
  Error  error;
  World* world = make_world_of(MODEL_DIFFUSION, 0.05f, 2, true);
  Heard  heard = { 0 };
  atomic_store(&world->model.fail_at, 0);
  start(world);
  play(world, &heard, 210);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.051);
  assert_int_equal(heard.ons, 40);
  // The model would go on from what the fallback played.
  const Generator* const generator = &world->worker.generator;
  assert_int_equal(generator->history_count, CONTEXT_NOTES_MAX);
  assert_int_equal(generator->history[CONTEXT_NOTES_MAX - 1].pitch, 100);
  free_world(world);

  world = make_world_of(MODEL_DIFFUSION, 0.05f, 2, false);
  atomic_store(&world->model.fail_at, 0);
  assert_int_not_equal(worker_prime(&world->worker, NULL, &error), STATUS_OK);
  assert_non_null(strstr(error.text, "the model broke"));
  assert_int_equal(worker_start(&world->worker, 48000, &error), STATUS_OK);
  play(world, &heard, 40);
  assert_true(atomic_load(&world->worker.failed)); // nothing is left to play
  assert_true(worker_stop(&world->worker));
  free_world(world);
}

// The model is asked to go on from the phrase, the fallback for nothing that
// only a diffusion model can do.
static void
test_fallback_is_asked_for_less(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 2, true);
  NoteEvent    phrase[WINDOW_NOTES] = { { 0 } };
  WorkerSetup  setup                = { .model        = &world->model,
                                        .fallback     = &world->fallback,
                                        .params       = params_standard(),
                                        .phrase       = phrase,
                                        .phrase_count = WINDOW_NOTES,
                                        .seed         = 5 };
  Error        error;
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    phrase[i].pitch = (uint8_t)(40 + i);
  }
  setup.params.value[PARAM_MODE]    = GENERATOR_CONTINUE;
  setup.params.value[PARAM_STEPS]   = 7;
  setup.params.value[PARAM_CONTEXT] = 12;
  setup.params.value[PARAM_ETA]     = 0.5;
  worker_free(&world->worker);
  assert_int_equal(worker_init(&world->worker, &world->process, &setup, &error),
                   STATUS_OK);
  atomic_store(&world->model.fail_at, 0);
  assert_int_equal(worker_prime(&world->worker, NULL, &error), STATUS_OK);
  assert_true(worker_stop(&world->worker));
  assert_int_equal(world->model.asked.steps, 7);
  assert_int_equal(world->model.asked.before, WINDOW_NOTES);
  assert_memory_equal(world->model.given, phrase, sizeof phrase);
  assert_int_equal(world->fallback.asked.steps, 1);
  assert_int_equal(world->fallback.asked.before, 0);
  assert_true(world->fallback.asked.eta == 0.0f);
  free_world(world);
}

// A fallback that fails is told once, and used no more.
static void
test_fallback_fails(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 8, true);
  const WorkerCounters* const counters = &world->worker.counters;
  static Heard                heard;
  memset(&heard, 0, sizeof heard);
  atomic_store(&world->fallback.fail_at, 2);
  start(world);
  play(world, &heard, 100);
  atomic_store(&world->model.stalled, true);
  play(world, &heard, 600);
  atomic_store(&world->model.stalled, false);
  play(world, &heard, 110);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.7);
  assert_non_null(strstr(world->worker.fallback_fault.error.text, "broke"));
  assert_false(atomic_load(&world->worker.model_fault.failed));
  assert_int_equal(atomic_load(&counters->fallback_model), 2);
  assert_true(atomic_load(&counters->repeated) >= 5);
  free_world(world);
}

// Nor does the end wait for a call of the fallback that does not end.
static void
test_stop_while_fallback_stalls(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, -1, true);
  Heard        heard = { 0 };
  start(world);
  play(world, &heard, 100);
  atomic_store(&world->fallback.stalled, true);
  atomic_store(&world->model.stalled, true);
  play(world, &heard, 400);
  const double began_s = clock_now_s();
  assert_false(worker_stop(&world->worker));
  assert_true(clock_now_s() - began_s < 2);
  atomic_store(&world->fallback.stalled, false);
  atomic_store(&world->model.stalled, false);
  while (!worker_stop(&world->worker)) {
  }
  free_world(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_stall_repeats),
    cmocka_unit_test(test_stall_falls_back),
    cmocka_unit_test(test_repeats_the_latest),
    cmocka_unit_test(test_repeats_take_their_time),
    cmocka_unit_test(test_stalled_from_the_start),
    cmocka_unit_test(test_stop_while_stalled),
    cmocka_unit_test(test_stop_while_fallback_stalls),
    cmocka_unit_test(test_freewheel_with_a_stalled_model),
    cmocka_unit_test(test_failure_falls_back),
    cmocka_unit_test(test_failure_repeats),
    cmocka_unit_test(test_failure_at_once),
    cmocka_unit_test(test_fallback_is_asked_for_less),
    cmocka_unit_test(test_fallback_fails),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
