// live/worker on a fake model: the notes do not depend on how far or how often
// it is asked to go, a full ring makes it wait, and the thread stays ahead of a
// process that takes notes, with a model that is slow or stalls, to the end.
#include "clock.h"
#include "fake_model.h"
#include "live/process_setup.h"
#include "live/worker.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
  Model   model;
  Model   fallback;
  Process process;
  Worker  worker;
} World;

static World*
make_world_of(ModelKind kind, float step_s, double seconds, bool fallback)
{
  World* const world = aligned_alloc(alignof(World), sizeof *world);
  Error        error;
  assert_non_null(world);
  memset(world, 0, sizeof *world);
  fake_model_init(&world->model, kind);
  fake_model_init(&world->fallback, MODEL_VAE);
  world->model.step_s    = step_s;
  world->fallback.step_s = step_s;
  world->fallback.pitch  = 100;
  assert_int_equal(process_init(&world->process, &error), STATUS_OK);
  process_connect(&world->process);
  const WorkerSetup setup = { .model    = &world->model,
                              .fallback = fallback ? &world->fallback : NULL,
                              .params   = params_standard(),
                              .seed     = 5,
                              .seconds  = seconds };
  worker_init(&world->worker, &world->process, &setup);
  return world;
}

static World*
make_world(float step_s, double seconds)
{
  return make_world_of(MODEL_VAE, step_s, seconds, false);
}

static void
free_world(World* world)
{
  process_free(&world->process);
  free(world);
}

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

#define PROMISED_UNTIL (1ull << 31)

static void*
plan_on(void* context)
{
  World* const world = context;
  Error        error;
  while (world->worker.scheduler.planned_until < PROMISED_UNTIL) {
    if (worker_run_until(&world->worker, PROMISED_UNTIL, &error)) {
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
  while (planned < PROMISED_UNTIL) {
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

// What the other end of the cable hears.
typedef struct {
  uint64_t span; // frame
  uint64_t last_on;
  uint64_t gap_max; // between a note-on and the next, in frames
  uint32_t ons, offs;
  uint8_t  pitches[8192]; // of the note-ons
  int      sounding[128];
} Heard;

static bool
take(void* handle, uint32_t offset, const uint8_t message[3])
{
  Heard* const heard = handle;
  if ((message[0] & 0xf0) != 0x90) {
    ++heard->offs;
    assert_int_equal(heard->sounding[message[1]]--, 1);
    return true;
  }
  const uint64_t frame = heard->span + offset;
  const uint64_t gap   = heard->ons ? frame - heard->last_on : 0;
  heard->gap_max       = gap > heard->gap_max ? gap : heard->gap_max;
  heard->last_on       = frame;
  assert_int_equal(heard->sounding[message[1]]++, 0);
  assert_true(heard->ons < sizeof heard->pitches);
  heard->pitches[heard->ons++] = message[1];
  return true;
}

// Plays `spans` spans of 10 ms at `speed` times that of real time.
static void
play_at(World* world, Heard* heard, int spans, int speed)
{
  const MidiSink sink = { .write = take, .handle = heard };
  int64_t        due  = clock_now_ns();
  for (int i = 0; i < spans; ++i) {
    process_span(&world->process, heard->span, 480, false, &sink);
    heard->span += 480;
    due += 10000000 / speed;
    clock_sleep_until_ns(due);
  }
}

static void
play(World* world, Heard* heard, int spans)
{
  play_at(world, heard, spans, 4);
}

static void
start(World* world)
{
  Error error;
  assert_int_equal(worker_prime(&world->worker, NULL, &error), STATUS_OK);
  assert_int_equal(worker_start(&world->worker, 48000, &error), STATUS_OK);
}

// Whatever happened: no period without a plan, nothing late, each note ended,
// and never a longer rest than the notes themselves explain.
static void
expect_no_silence(const World* world, const Heard* heard, double gap_s)
{
  const ProcessCounters* const counters = &world->process.counters;
  assert_int_equal(atomic_load(&counters->spans_starved), 0);
  assert_int_equal(atomic_load(&counters->late), 0);
  assert_int_equal(atomic_load(&counters->dropped), 0);
  assert_int_equal(heard->offs, heard->ons);
  if ((double)heard->gap_max / 48000 > gap_s) {
    fail_msg("%.2f s of silence", (double)heard->gap_max / 48000);
  }
  assert_false(atomic_load(&world->worker.failed));
}

// The windows that the model made are all there, once each, in order: those of
// a stall too, only later. Returns how many there are; notes of the fallback
// (pitch 100) and repeated ones stand between.
static uint32_t
expect_all_windows(const Heard* heard, bool repeats)
{
  uint32_t window = 0;
  for (uint32_t i = 0; i + 7 < heard->ons; i += WINDOW_NOTES) {
    const uint8_t pitch = heard->pitches[i];
    if (pitch == 30 + window % 60) {
      ++window;
    } else {
      assert_true(pitch == 100 || repeats);
    }
    assert_true(repeats || pitch == heard->pitches[i + 7]);
  }
  return window;
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

// A stall of 10 s in the middle, a fallback model or none; afterwards all is
// as before.
static void
stall(bool fallback)
{
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 24, fallback);
  const WorkerCounters* const counters = &world->worker.counters;
  static Heard                heard;
  memset(&heard, 0, sizeof heard);
  start(world);
  play(world, &heard, 400);
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
  play(world, &heard, 610);
  assert_int_equal(worker_fallbacks(&world->worker), all);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.7);
  assert_int_equal(heard.ons, 480); // 24 s / 50 ms
  assert_in_range(expect_all_windows(&heard, !fallback), 30, 45);
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

// A model whose windows take ten times as long as they last.
static void
ten_times_too_slow(bool fallback)
{
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 24, fallback);
  const WorkerCounters* const counters = &world->worker.counters;
  static Heard                heard;
  memset(&heard, 0, sizeof heard);
  // 20 steps in 1 s; 0.4 s of music pass in 0.1 s.
  atomic_store(&world->model.step_us, 50000);
  start(world);
  play(world, &heard, 2410);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.7);
  assert_in_range(heard.ons, 450, 480); // repeating may wait a little
  assert_true(atomic_load(&counters->fewer_steps) >= 10);
  assert_true(atomic_load(fallback ? &counters->fallback_model
                                   : &counters->repeated) >= 10);
  assert_int_equal(
    atomic_load(fallback ? &counters->repeated : &counters->fallback_model), 0);
  assert_true(expect_all_windows(&heard, !fallback) >= 10);
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
  World* const world = make_world_of(MODEL_DIFFUSION, 0.05f, 10, true);
  const WorkerCounters* const counters = &world->worker.counters;
  static Heard                heard;
  memset(&heard, 0, sizeof heard);
  atomic_store(&world->model.step_us, 32000); // 20 steps: 0.64 s for 0.4 s
  start(world);
  play_at(world, &heard, 1010, 1);
  assert_true(worker_stop(&world->worker));
  expect_no_silence(world, &heard, 0.051);
  assert_in_range(atomic_load(&counters->fewer_steps), 10, 23);
  assert_int_equal(worker_fallbacks(&world->worker),
                   atomic_load(&counters->fewer_steps));
  assert_int_equal(expect_all_windows(&heard, false), 25);
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
    process_span(&world->process, frame, 4096, true, &sink);
  }
  assert_true(worker_stop(&world->worker));
  assert_int_equal(worker_fallbacks(&world->worker), 0);
  assert_int_equal(atomic_load(&counters->notes), 4000);
  assert_int_equal(atomic_load(&counters->late), 0);
  assert_int_equal(atomic_load(&counters->spans_starved), 0);
  free_world(world);
}

static void
test_failure_is_told(void** state)
{
  (void)state;
  World* const world   = make_world(0.05f, 8);
  Heard        heard   = { 0 };
  world->model.fail_at = 3;
  Error error;
  assert_int_equal(worker_start(&world->worker, 48000, &error), STATUS_OK);
  play(world, &heard, 40);
  assert_true(atomic_load(&world->worker.failed));
  worker_stop(&world->worker);
  assert_non_null(strstr(world->worker.error.text, "the model broke"));
  free_world(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_strides_do_not_matter),
    cmocka_unit_test(test_full_ring_waits),
    cmocka_unit_test(test_plan_is_kept),
    cmocka_unit_test(test_thread_stays_ahead),
    cmocka_unit_test(test_stall_repeats),
    cmocka_unit_test(test_stall_falls_back),
    cmocka_unit_test(test_slow_repeats),
    cmocka_unit_test(test_slow_falls_back),
    cmocka_unit_test(test_fewer_steps_suffice),
    cmocka_unit_test(test_repeats_take_their_time),
    cmocka_unit_test(test_stalled_from_the_start),
    cmocka_unit_test(test_priming_given_up),
    cmocka_unit_test(test_stop_while_stalled),
    cmocka_unit_test(test_freewheel_waits),
    cmocka_unit_test(test_failure_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
