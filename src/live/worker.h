// The worker: keeps the plan filled ahead of what process has committed to. It
// runs as a thread in play, which has windows sampled in a thread of their own
// (sampling.h), and synchronously in render; the notes are the same.
//
// When the plan runs short (real time only) the thread falls back: windows of
// fewer steps, then windows of the fallback model, then the last notes again.
// The window that was under way is played when it comes, after those. A model
// that fails is used no more: the other, or the last notes, play on.
#pragma once

#include "live/deadline.h"
#include "live/generator.h"
#include "live/latency.h"
#include "live/params.h"
#include "live/process.h"
#include "live/sampling.h"
#include "live/scheduler.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKER_NO_ORIGIN UINT64_MAX
// Windows generated before the clock runs, so that music starts at once.
#define WORKER_PRIMED_MAX 8u

// What to play. Nothing is owned.
typedef struct {
  Model*           model;
  Model*           fallback; // or NULL
  Params           params;   // that generator_check() took
  const NoteEvent* phrase;   // to begin from, WINDOW_NOTES or more, or NULL
  uint32_t         phrase_count;
  uint64_t         seed;
  double           seconds; // length of the music; < 0: no end
} WorkerSetup;

// Windows planned that are not what render would make, and how often the plan
// was moved because the clock had gone on without the worker. They only grow.
typedef struct {
  _Atomic uint64_t fewer_steps;
  _Atomic uint64_t fallback_model;
  _Atomic uint64_t repeated;
  _Atomic uint64_t clock_jumps;
} WorkerCounters;

// Why a model is used no more.
typedef struct {
  Error       error; // before `failed` is set
  atomic_bool failed;
} ModelFault;

typedef struct {
  Model*    model;    // the sampling thread's while it runs
  Model*    fallback; // or NULL; NULL once it failed
  Generator generator;
  Generator fallback_generator;
  Scheduler scheduler;
  Deadline  deadline;
  Sampling* sampling; // NULL: no thread runs
  Process*  process;  // not owned
  Params    params;
  double    seconds;
  uint32_t  sample_rate_hz;

  NoteEvent primed[WORKER_PRIMED_MAX][WINDOW_NOTES];
  uint32_t  primed_count;
  uint32_t  primed_used;

  NoteEvent loop[CONTEXT_NOTES_MAX]; // what is repeated
  uint32_t  loop_count;              // 0: nothing
  uint32_t  loop_at;

  LatencyHistogram generation;
  WorkerCounters   counters;
  _Atomic uint64_t look_ahead_frames;
  _Atomic uint64_t origin_frame; // WORKER_NO_ORIGIN until the music has a place

  pthread_t   thread;
  bool        thread_runs; // control's own
  atomic_bool stop_requested;
  ModelFault  model_fault;
  ModelFault  fallback_fault;
  atomic_bool failed; // nothing is left to play: model_fault says why
} Worker;

// Control thread. The models belong to the worker from here on.
void worker_init(Worker* worker, Process* process, const WorkerSetup* setup);

// Generates the first windows, in real time: before worker_start(), not in
// synchronous use. Ends early when *give_up (or NULL) is not 0. It waits a few
// seconds at most: there may be no window when it returns (`primed_count`).
Status worker_prime(Worker* worker, const atomic_int* give_up, Error* error);

// Puts the music's start at `origin_frame`. Once.
void worker_place(Worker* worker, uint32_t sample_rate_hz, uint64_t origin);

// Generates until everything before `frame` is planned, the music ends or the
// ring is full, however long it takes. Synchronous use: render and tests.
Status worker_run_until(Worker* worker, uint64_t frame, Error* error);

// The threads: place the origin shortly after what process has committed to as
// soon as there is a window, then keep ahead until worker_stop(), which returns
// when they have ended.
Status worker_start(Worker* worker, uint32_t sample_rate_hz, Error* error);
// False: a call of a model does not end; models, worker and process must be
// left as they are (sampling_stop()).
bool worker_stop(Worker* worker);

// Windows of all three fallbacks so far. Any thread.
uint64_t worker_fallbacks(const Worker* worker);
