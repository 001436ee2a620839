// live/worker on a model of the test's own: the notes do not depend on how far
// or how often it is asked to go, a full ring makes it wait, and the thread
// stays ahead of a process that takes notes, through a stall, to the end.
#include "live/process_setup.h"
#include "live/worker.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct Model {
  float       step_s;
  uint64_t    fail_at; // window
  atomic_bool stalled;
  useconds_t  slow_us;
};

uint32_t
model_latent_size(const Model* model)
{
  (void)model;
  return 1;
}

void
model_sample_prior(const Model* model,
                   uint64_t     seed,
                   uint64_t     first_window,
                   uint32_t     count,
                   float*       z)
{
  (void)model;
  for (uint32_t i = 0; i < count; ++i) {
    z[i] = (float)((seed + first_window + i) % 101) / 101.0f;
  }
}

Status
model_decode(Model*       model,
             const float* z,
             uint32_t     count,
             float        temperature,
             uint64_t     seed,
             uint64_t     first_window,
             NoteEvent*   out,
             Error*       error)
{
  (void)count;
  (void)temperature;
  (void)seed;
  if (first_window >= model->fail_at) {
    return error_set(error, STATUS_UNAVAILABLE, "the model broke");
  }
  while (atomic_load(&model->stalled)) {
    usleep(1000);
  }
  if (model->slow_us) {
    usleep(model->slow_us);
  }
  for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
    out[i] = (NoteEvent){ .pitch      = (uint8_t)(30 + first_window % 60),
                          .velocity   = 0.1f + 0.8f * fabsf(z[0]),
                          .step_s     = model->step_s,
                          .duration_s = 0.3f };
  }
  return STATUS_OK;
}

typedef struct {
  Model   model;
  Process process;
  Worker  worker;
} World;

static World*
make_world(float step_s, double seconds)
{
  World* const world  = aligned_alloc(alignof(World), sizeof *world);
  const Params params = params_standard();
  Error        error;
  assert_non_null(world);
  memset(world, 0, sizeof *world);
  world->model = (Model){ .step_s = step_s, .fail_at = UINT64_MAX };
  assert_int_equal(process_init(&world->process, &error), STATUS_OK);
  process_connect(&world->process);
  worker_init(
    &world->worker, &world->process, &world->model, &params, 5, seconds);
  return world;
}

static void
free_world(World* world)
{
  process_free(&world->process);
  free(world);
}

// Runs the worker to 10 s in strides of `stride` frames; the notes go to `out`.
static uint32_t
collect(uint64_t stride, bool primed, StampedNote out[4096])
{
  World* const world = make_world(0.013f, 10);
  uint32_t     count = 0;
  Error        error;
  if (primed) {
    assert_int_equal(worker_prime(&world->worker, &error), STATUS_OK);
    assert_true(world->worker.primed_count > 0);
  }
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
  const uint32_t     count = collect(480000, false, first);
  assert_int_equal(count, 770); // 10 s / 13 ms
  const uint64_t strides[] = { 16, 256, 8192, 100000 };
  for (int i = 0; i < 4; ++i) {
    memset(other, 0, sizeof other);
    assert_int_equal(collect(strides[i], i % 2, other), count);
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

static bool
take(void* handle, uint32_t offset, const uint8_t message[3])
{
  (void)handle;
  (void)offset;
  (void)message;
  return true;
}

// Plays `spans` spans of 10 ms at four times the speed of real time.
static void
play(World* world, uint64_t* frame, int spans)
{
  const MidiSink sink = { .write = take };
  for (int i = 0; i < spans; ++i) {
    process_span(&world->process, *frame, 480, false, &sink);
    *frame += 480;
    usleep(2500);
  }
}

static void
test_thread_stays_ahead(void** state)
{
  (void)state;
  World* const                 world    = make_world(0.05f, 8);
  const ProcessCounters* const counters = &world->process.counters;
  uint64_t                     frame    = 0;
  Error                        error;
  assert_int_equal(worker_prime(&world->worker, &error), STATUS_OK);
  assert_int_equal(worker_start(&world->worker, 48000, &error), STATUS_OK);
  play(world, &frame, 100);
  assert_int_equal(atomic_load(&counters->spans_starved), 0);
  assert_int_equal(atomic_load(&counters->late), 0);
  // A stall beyond the look-ahead: counted, and what comes late is not played.
  atomic_store(&world->model.stalled, true);
  play(world, &frame, 400);
  atomic_store(&world->model.stalled, false);
  assert_true(atomic_load(&counters->spans_starved) > 50);
  play(world, &frame, 350);
  worker_stop(&world->worker);
  const uint64_t notes = atomic_load(&counters->notes);
  const uint64_t late  = atomic_load(&counters->late);
  assert_true(late > 10);
  assert_int_equal(notes + late, 160); // 8 s / 50 ms
  assert_false(atomic_load(&world->worker.failed));
  free_world(world);
}

// Freewheeling: process waits for a worker that is slower than it.
static void
test_freewheel_waits(void** state)
{
  (void)state;
  World* const                 world    = make_world(0.01f, 40);
  const ProcessCounters* const counters = &world->process.counters;
  const MidiSink               sink     = { .write = take };
  Error                        error;
  world->model.slow_us = 2000;
  assert_int_equal(worker_start(&world->worker, 48000, &error), STATUS_OK);
  for (uint64_t frame = 0; frame < 41 * 48000; frame += 4096) {
    process_span(&world->process, frame, 4096, true, &sink);
  }
  worker_stop(&world->worker);
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
  uint64_t     frame   = 0;
  world->model.fail_at = 3;
  Error error;
  assert_int_equal(worker_start(&world->worker, 48000, &error), STATUS_OK);
  play(world, &frame, 40);
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
    cmocka_unit_test(test_freewheel_waits),
    cmocka_unit_test(test_failure_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
