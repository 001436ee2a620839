// live/worker on a fake model: the notes do not depend on how far or how often
// it is asked to go, a full ring makes it wait, and the thread stays ahead of a
// process that takes notes, with a model that is slow too, and follows its
// clock. What fails or stalls is in test_worker_faults.c.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "worker_world.h"

// Runs the worker to 10 s in strides of `stride` frames; the notes go to `out`.
static uint32_t
collect(uint64_t stride, StampedNote out[4096])
{
  World* const world = make_world(0.013f, 10);
  uint32_t     count = 0;
  Error        error;
  worker_place(&world->worker, 48000, 1000);
  for (uint64_t frame = 0; frame < 1000 + 480000 + stride; frame += stride) {
    assert_int_equal(worker_run_until(&world->worker, frame, &error), 0);
    const StampedNote* note;
    while ((note = ring_peek(&world->process.notes))) {
      assert_true(count < 4096);
      out[count++] = *note;
      ring_pop(&world->process.notes);
    }
    assert_true(atomic_load(&world->process.planned_until) >= frame);
  }
  assert_true(atomic_load(&world->process.planned_until) == UINT64_MAX);
  free_world(world);
  return count;
}

static void
test_strides_do_not_matter(void** state)
{
  (void)state;
  static StampedNote first[4096];
  static StampedNote other[4096];
  const uint32_t     count = collect(480000, first);
  assert_int_equal(count, 770); // 10 s / 13 ms
  const uint64_t strides[] = { 16, 256, 8192, 100000 };
  for (int i = 0; i < 4; ++i) {
    memset(other, 0, sizeof other);
    assert_int_equal(collect(strides[i], other), count);
    for (uint32_t k = 0; k < count; ++k) {
      assert_int_equal(other[k].on_frame, first[k].on_frame);
      assert_int_equal(other[k].off_frame, first[k].off_frame);
      assert_int_equal(other[k].pitch, first[k].pitch);
      assert_int_equal(other[k].velocity, first[k].velocity);
    }
  }
}

static void
test_full_ring_waits(void** state)
{
  (void)state;
  World* const world = make_world(0.001f, -1);
  Error        error;
  worker_place(&world->worker, 48000, 0);
  for (int round = 0; round < 3; ++round) {
    assert_int_equal(worker_run_until(&world->worker, 1 << 30, &error), 0);
    assert_int_equal(ring_read_space(&world->process.notes),
                     STAMPED_RING_NOTES);
    for (int i = 0; i < 800; ++i) {
      const StampedNote* const note = ring_peek(&world->process.notes);
      assert_int_equal(note->on_frame, (round * 800 + i) * 48);
      ring_pop(&world->process.notes);
    }
  }
  free_world(world);
}

static uint64_t promised_until = 1ull << 31;

static void*
plan_on(void* context)
{
  World* const world = context;
  Error        error;
  while (world->worker.planner.scheduler.planned_until < promised_until) {
    if (worker_run_until(&world->worker, promised_until, &error)) {
      break;
    }
    sched_yield(); // the ring is full
  }
  return NULL;
}

// Beside a reader that runs at the same time: who sees the plan reach a frame
// sees all notes before it.
static void
test_plan_is_kept(void** state)
{
  (void)state;
  World* const   world   = make_world(0.013f, -1);
  Process* const process = &world->process;
  uint64_t       read    = 0; // all notes before it were read
  uint64_t       planned = 0;
  pthread_t      thread;
  worker_place(&world->worker, 48000, 1000);
  assert_int_equal(pthread_create(&thread, NULL, plan_on, world), 0);
  while (planned < promised_until) {
    planned =
      atomic_load_explicit(&process->planned_until, memory_order_acquire);
    const StampedNote* note;
    while ((note = ring_peek(&process->notes))) {
      read = note->on_frame + 1;
      ring_pop(&process->notes);
    }
    assert_true(planned <= 1000 || planned <= read);
  }
  pthread_join(thread, NULL);
  free_world(world);
}

static void
test_thread_stays_ahead(void** state)
{
  (void)state;
  World* const world = make_world(0.05f, 8);
  Heard        heard = { 0 };
  start(world);
  play(world, &heard, 810);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.051);
  assert_int_equal(heard.ons, 160); // 8 s / 50 ms
  assert_int_equal(worker_fallbacks(&world->worker), 0);
  assert_int_equal(expect_all_windows(&heard, false), 20);
  free_world(world);
}

// A model whose windows take ten times as long as they last.
static void
ten_times_too_slow(bool fallback)
{
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 16, fallback);
  const WorkerCounters* const counters = &world->worker.counters;
  static Heard                heard;
  memset(&heard, 0, sizeof heard);
  // 20 steps in 1 s; 0.4 s of music pass in 0.1 s.
  atomic_store(&world->model.step_us, 50000);
  start(world);
  play(world, &heard, 1610);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.7);
  assert_in_range(heard.ons, 290, 320); // repeating may wait a little
  assert_true(atomic_load(&counters->fewer_steps) >= 6);
  assert_true(atomic_load(fallback ? &counters->fallback_model
                                   : &counters->repeated) >= 6);
  assert_int_equal(
    atomic_load(fallback ? &counters->repeated : &counters->fallback_model), 0);
  assert_true(expect_all_windows(&heard, !fallback) >= 6);
  free_world(world);
}

static void
test_slow_repeats(void** state)
{
  (void)state;
  ten_times_too_slow(false);
}

static void
test_slow_falls_back(void** state)
{
  (void)state;
  ten_times_too_slow(true);
}

// Too slow for all steps, quick enough for some: nothing else is needed.
static void
test_fewer_steps_suffice(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 6, true);
  const WorkerCounters* const counters = &world->worker.counters;
  static Heard                heard;
  memset(&heard, 0, sizeof heard);
  atomic_store(&world->model.step_us, 32000); // 20 steps: 0.64 s for 0.4 s
  start(world);
  play_at(world, &heard, 610, 1);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.051);
  assert_in_range(atomic_load(&counters->fewer_steps), 5, 14);
  // A step is as long as it was, however many were asked for.
  assert_true(world->worker.deadline.step_s > 0.021);
  assert_int_equal(worker_fallbacks(&world->worker),
                   atomic_load(&counters->fewer_steps));
  assert_int_equal(expect_all_windows(&heard, false), 15);
  free_world(world);
}

// Waiting for the first window can be given up.
static void
test_priming_given_up(void** state)
{
  (void)state;
  World* const world  = make_world_of(MODEL_DIFFUSION, 0.05f, 8, false);
  atomic_int   signal = 1;
  Error        error;
  atomic_store(&world->model.stalled, true);
  assert_int_equal(worker_prime(&world->worker, &signal, &error), STATUS_OK);
  assert_int_equal(world->worker.primed_count, 0);
  atomic_store(&world->model.stalled, false);
  assert_true(worker_stop(&world->worker));
  free_world(world);
}

// At twice the tempo as much music is more windows.
static void
test_priming_is_of_music(void** state)
{
  (void)state;
  for (uint32_t tempo = 1; tempo <= 2; ++tempo) {
    World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 8, false);
    Error        error;
    world->worker.params.value[PARAM_TEMPO] = tempo;
    assert_int_equal(worker_prime(&world->worker, NULL, &error), STATUS_OK);
    assert_int_equal(world->worker.primed_count, tempo + 1);
    assert_true(worker_stop(&world->worker));
    free_world(world);
  }
}

// Freewheeling: process waits for a worker that is slower than it, and nothing
// falls back.
static void
test_freewheel_waits(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.01f, 40, true);
  const ProcessCounters* const counters = &world->process.counters;
  static Heard                 heard;
  const MidiSink               sink = { .write = take, .handle = &heard };
  Error                        error;
  atomic_store(&world->model.call_us, 2000);
  assert_int_equal(worker_start(&world->worker, 48000, &error), STATUS_OK);
  for (uint64_t frame = 0; frame < 41 * 48000; frame += 4096) {
    process_span(&world->process,
                 &(BackendSpan){ .frame        = frame,
                                 .frame_count  = 4096,
                                 .freewheeling = true,
                                 .sink         = &sink });
  }
  assert_true(worker_stop(&world->worker));
  assert_int_equal(worker_fallbacks(&world->worker), 0);
  assert_int_equal(atomic_load(&counters->notes), 4000);
  expect_none_late(world);
  assert_int_equal(atomic_load(&counters->spans_starved), 0);
  free_world(world);
}

// The program was stopped for a minute: what it missed is left out, and the
// music is there again at once.
static void
test_clock_jumps(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 70, false);
  static Heard heard;
  memset(&heard, 0, sizeof heard);
  start(world);
  play(world, &heard, 300);
  heard.span += 60 * 48000;
  const uint32_t before = heard.ons;
  play(world, &heard, 300);
  assert_true(heard.ons > before + 45); // of 60
  play(world, &heard, 410);
  assert_true(worker_stop(&world->worker));
  assert_int_equal(atomic_load(&world->worker.counters.clock_jumps), 1);
  assert_true(atomic_load(&world->process.counters.late) < 60); // were planned
  assert_int_equal(heard.offs, heard.ons);
  assert_true(atomic_load(&world->process.planned_until) == UINT64_MAX);
  free_world(world);
}

// A model of more than a second a window that is quick enough in the long run
// plays what render makes, from the first note on.
static void
test_slow_but_quick_enough(void** state)
{
  (void)state;
  World* const world = make_world_of(MODEL_DIFFUSION, 0.3f, 5, true);
  Heard        heard = { 0 };
  atomic_store(&world->model.step_us, 55000); // 20 steps: 1.1 s for 2.4 s
  start(world);
  assert_int_equal(world->worker.primed_count, 2);
  play_at(world, &heard, 300, 1);
  play(world, &heard, 210);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.31);
  assert_int_equal(worker_fallbacks(&world->worker), 0);
  assert_int_equal(expect_all_windows(&heard, false), 2);
  free_world(world);
}

int
main(void)
{
  promised_until = is_slow() ? promised_until / 16 : promised_until;
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_strides_do_not_matter),
    cmocka_unit_test(test_full_ring_waits),
    cmocka_unit_test(test_plan_is_kept),
    cmocka_unit_test(test_thread_stays_ahead),
    cmocka_unit_test(test_slow_repeats),
    cmocka_unit_test(test_slow_falls_back),
    cmocka_unit_test(test_fewer_steps_suffice),
    cmocka_unit_test(test_priming_given_up),
    cmocka_unit_test(test_priming_is_of_music),
    cmocka_unit_test(test_freewheel_waits),
    cmocka_unit_test(test_clock_jumps),
    cmocka_unit_test(test_slow_but_quick_enough),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
