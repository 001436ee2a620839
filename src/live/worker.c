// Generating ahead.
#include "live/worker.h"

#include "clock.h"

#include <math.h>
#include <string.h>

// How far ahead of process the plan reaches; longer where generation is slow.
#define LOOK_AHEAD_S 2.0
#define LOOK_AHEAD_P95_TIMES 2.0
// From the committed frame to the first note: two periods and time to stamp.
#define ORIGIN_LEAD_S 0.03
#define ORIGIN_LEAD_PERIODS 2u
// Priming stops at either; a short first chord is not enough music.
#define PRIMED_MUSIC_S 0.5
#define PRIMING_TIME_S 0.1
#define POLL_NS 2000000

void
worker_init(Worker*       worker,
            Process*      process,
            Model*        model,
            const Params* params,
            uint64_t      seed,
            double        seconds)
{
  memset(worker, 0, sizeof *worker);
  worker->process = process;
  worker->params  = *params;
  worker->seconds = seconds;
  atomic_init(&worker->origin_frame, WORKER_NO_ORIGIN);
  generator_init(&worker->generator, model, params, seed);
}

static Status
generate(Worker* worker, NoteEvent out[WINDOW_NOTES], Error* error)
{
  const double start_s = clock_now_s();
  const Status status  = generator_next(&worker->generator, out, error);
  latency_add(&worker->generation, clock_now_s() - start_s);
  return status;
}

Status
worker_prime(Worker* worker, Error* error)
{
  const double start_s = clock_now_s();
  double       music_s = 0;
  while (worker->primed_count < WORKER_PRIMED_MAX && music_s < PRIMED_MUSIC_S &&
         clock_now_s() - start_s < PRIMING_TIME_S) {
    NoteEvent* const window = worker->primed[worker->primed_count];
    const Status     status = generate(worker, window, error);
    if (status) {
      return status;
    }
    ++worker->primed_count;
    for (int i = 0; i < WINDOW_NOTES; ++i) {
      music_s += window[i].step_s;
    }
  }
  return STATUS_OK;
}

void
worker_place(Worker* worker, uint32_t sample_rate_hz, uint64_t origin)
{
  worker->sample_rate_hz = sample_rate_hz;
  worker->scheduler =
    scheduler_make(&worker->params, sample_rate_hz, origin, worker->seconds);
  atomic_store_explicit(&worker->origin_frame, origin, memory_order_release);
  // Nothing sounds before the origin: that far all is planned.
  atomic_store_explicit(
    &worker->process->planned_until, origin, memory_order_release);
}

static Status
next_window(Worker* worker, NoteEvent out[WINDOW_NOTES], Error* error)
{
  if (worker->primed_used < worker->primed_count) {
    memcpy(out, worker->primed[worker->primed_used++], sizeof *worker->primed);
    return STATUS_OK;
  }
  return generate(worker, out, error);
}

Status
worker_run_until(Worker* worker, uint64_t frame, Error* error)
{
  Scheduler* const scheduler = &worker->scheduler;
  Ring* const      ring      = &worker->process->notes;
  while (scheduler->planned_until < frame &&
         ring_write_space(ring) >= WINDOW_NOTES &&
         !atomic_load_explicit(&worker->stop_requested, memory_order_relaxed)) {
    NoteEvent    events[WINDOW_NOTES];
    StampedNote  notes[WINDOW_NOTES];
    const Status status = next_window(worker, events, error);
    if (status) {
      return status;
    }
    const size_t count = scheduler_add(scheduler, events, WINDOW_NOTES, notes);
    for (size_t i = 0; i < count; ++i) {
      ring_push(ring, &notes[i]);
    }
    ring_commit(ring);
    atomic_store_explicit(&worker->process->planned_until,
                          scheduler->planned_until,
                          memory_order_release);
  }
  return STATUS_OK;
}

static uint64_t
look_ahead_frames(const Worker* worker)
{
  const double slow_s  = latency_percentile_s(&worker->generation, 0.95);
  const double ahead_s = fmax(LOOK_AHEAD_S, LOOK_AHEAD_P95_TIMES * slow_s);
  return (uint64_t)(ahead_s * worker->sample_rate_hz);
}

static void
place_after_committed(Worker* worker, uint64_t committed)
{
  const uint32_t span = atomic_load(&worker->process->span_frames);
  const uint64_t lead = ORIGIN_LEAD_PERIODS * (uint64_t)span +
                        (uint64_t)(ORIGIN_LEAD_S * worker->sample_rate_hz);
  worker_place(worker, worker->sample_rate_hz, committed + lead);
}

static void*
worker_thread(void* context)
{
  Worker* const worker = context;
  while (!atomic_load(&worker->stop_requested)) {
    const uint64_t committed = atomic_load_explicit(
      &worker->process->committed_until, memory_order_acquire);
    if (committed && atomic_load(&worker->origin_frame) == WORKER_NO_ORIGIN) {
      place_after_committed(worker, committed);
    }
    if (committed && worker_run_until(worker,
                                      committed + look_ahead_frames(worker),
                                      &worker->error)) {
      atomic_store(&worker->failed, true);
      break;
    }
    // Process wakes nobody: looking every few ms is cheap against seconds of
    // look-ahead.
    clock_sleep_ns(POLL_NS);
  }
  return NULL;
}

Status
worker_start(Worker* worker, uint32_t sample_rate_hz, Error* error)
{
  worker->sample_rate_hz = sample_rate_hz;
  const int reason =
    pthread_create(&worker->thread, NULL, worker_thread, worker);
  if (reason) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "cannot start the worker thread: %s",
                     strerror(reason));
  }
  worker->thread_runs = true;
  return STATUS_OK;
}

void
worker_stop(Worker* worker)
{
  atomic_store(&worker->stop_requested, true);
  if (worker->thread_runs) {
    pthread_join(worker->thread, NULL);
    worker->thread_runs = false;
  }
}
