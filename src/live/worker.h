// The worker: keeps the plan filled ahead of what process has committed to. It
// runs as a thread in play and synchronously in render; the notes are the same.
#pragma once

#include "live/generator.h"
#include "live/latency.h"
#include "live/params.h"
#include "live/process.h"
#include "live/scheduler.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKER_NO_ORIGIN UINT64_MAX
// Windows generated before the clock runs, so that music starts at once.
#define WORKER_PRIMED_MAX 4u

typedef struct {
  Generator generator;
  Scheduler scheduler;
  Process*  process; // not owned
  Params    params;
  double    seconds; // length of the music; < 0: no end
  uint32_t  sample_rate_hz;

  NoteEvent primed[WORKER_PRIMED_MAX][WINDOW_NOTES];
  uint32_t  primed_count;
  uint32_t  primed_used;

  LatencyHistogram generation;
  _Atomic uint64_t origin_frame; // WORKER_NO_ORIGIN until the music has a place

  pthread_t   thread;
  bool        thread_runs; // control's own
  atomic_bool stop_requested;
  atomic_bool failed; // `error` says why
  Error       error;
} Worker;

// Control thread. The model belongs to the worker from here on.
void worker_init(Worker*       worker,
                 Process*      process,
                 Model*        model,
                 const Params* params,
                 uint64_t      seed,
                 double        seconds);

// Generates the first windows.
Status worker_prime(Worker* worker, Error* error);

// Puts the music's start at `origin_frame`. Once.
void worker_place(Worker* worker, uint32_t sample_rate_hz, uint64_t origin);

// Generates until everything before `frame` is planned, the music ends or the
// ring is full. Synchronous use: render and tests.
Status worker_run_until(Worker* worker, uint64_t frame, Error* error);

// The thread: places the origin shortly after what process has committed to,
// then keeps ahead until worker_stop(), which returns when it has ended.
Status worker_start(Worker* worker, uint32_t sample_rate_hz, Error* error);
void   worker_stop(Worker* worker);
