// The worker: keeps the plan filled ahead of what process has committed to. It
// runs as a thread in play, which has windows sampled in a thread of their own
// (sampling.h), and synchronously in render; the notes are the same.
//
// When the plan runs short (real time only) the thread falls back: windows of
// fewer steps, then windows of the fallback model, then the last notes again.
// The window that was under way is played when it comes, after those. A model
// that fails is used no more: the other, or the last notes, play on.
//
// What control asks for while it plays (command.h) changes the plan from a few
// periods ahead on: at once where only the stamps are others, as soon as a
// window was sampled where the notes are.
#pragma once

#include "live/command.h"
#include "live/deadline.h"
#include "live/generator.h"
#include "live/latency.h"
#include "live/params.h"
#include "live/planner.h"
#include "live/process.h"
#include "live/sampling.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKER_NO_ORIGIN UINT64_MAX
// Windows generated before the clock runs, so that music starts at once.
#define WORKER_PRIMED_MAX 8u
// Notes of a frozen loop. More beats than that many notes last are cut short.
#define LOOP_NOTES_MAX 512u

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
  _Atomic uint64_t changes; // of the plan, for what control asked
} WorkerCounters;

// Why a model is used no more.
typedef struct {
  Error            error; // before `failed` is set
  atomic_bool      failed;
  _Atomic uint32_t count; // models that did, one after the other
} ModelFault;

// What was asked for and is still to be done.
typedef struct {
  bool        time;
  bool        listen; // fall silent: a player plays
  bool        stamps; // other parameters of when and how notes sound
  bool        freeze;
  bool        whole;  // not before the music is as long as the loop
  bool        loop;   // what is frozen: from its place on, once more
  bool        window; // a window with other parameters, at another point, ...
  bool        go;
  LatentPoint point;
  bool        answer; // the player has ended,
  bool        phrase; // and there is something to answer
  NoteEvent   notes[CONTEXT_NOTES_MAX];
  uint32_t    note_count;
  Model*      model; // NULL: the same
  bool        again; // the window that sounds comes again
} WorkerDue;

// A window that takes the place of what is planned.
typedef struct {
  bool     asked;   // of the sampling thread,
  bool     is_void; // and to be asked for again: the plan broke off
  uint64_t number;  // of the note from which on
  // What it was asked for (WorkerDue).
  bool go;
  bool answer;
  bool phrase;
  bool again;
} WorkerSplice;

// Why nothing is planned for now.
enum { WORKER_STOPPED = 1u, WORKER_LISTENS = 2u };
// With them, for who asks: notes that are frozen come again.
#define WORKER_FROZEN 4u

typedef struct {
  NoteEvent      events[WINDOW_NOTES];
  PlanStep       step;
  GeneratorState before;
  GeneratorState after;
} WorkerWindow;

// Notes that come again and again: the last of those before the beat at which
// they were frozen. Each has its place in every round, whatever became of the
// notes before it.
typedef struct {
  uint32_t  count; // of the notes that are known; 0: not frozen
  uint32_t  first; // of those that come again
  uint32_t  at;    // the next one's index
  double    beats; // that a round lasts
  double    round; // beats from the freeze to the end of the next one's round
  double    end;   // beat of the freeze, as beats were counted then
  double    moved; // the planner's, then
  NoteEvent events[LOOP_NOTES_MAX];
  double    beat[LOOP_NOTES_MAX]; // of each, from the freeze: 0 or below
} WorkerLoop;

typedef struct {
  Model*    model;    // the sampling thread's while it runs
  Model*    fallback; // or NULL; NULL once it failed
  Generator generator;
  Generator fallback_generator;
  Planner   planner;
  Deadline  deadline;
  Sampling* sampling; // NULL: no thread runs
  Process*  process;  // not owned
  Params    params;   // as asked for
  double    seconds;
  uint32_t  sample_rate_hz;

  WorkerWindow primed[WORKER_PRIMED_MAX];
  uint32_t     primed_count;
  uint32_t     primed_used;
  WorkerWindow window; // the one to plan

  NoteEvent repeat[CONTEXT_NOTES_MAX]; // what is repeated
  uint32_t  repeat_count;              // 0: nothing
  uint32_t  repeat_at;

  Ring           commands; // WorkerCommand
  Ring           retired;  // Model*, worker -> control
  WorkerDue      due;
  WorkerSplice   splice;
  WorkerLoop     loop;
  BeatTime       time;
  unsigned       pauses;     // WORKER_STOPPED | WORKER_LISTENS
  GeneratorState job_before; // of the job under way
  double         job_given_s;
  GeneratorJob   anchor; // what the phrase that a bridge leaves came of
  NoteEvent      anchor_events[WINDOW_NOTES];
  bool           has_anchor;

  LatencyHistogram generation;
  WorkerCounters   counters;
  _Atomic uint64_t look_ahead_frames;
  _Atomic unsigned stands;       // why other notes wait; 0: they do not
  _Atomic uint64_t origin_frame; // WORKER_NO_ORIGIN until the music has a place

  pthread_t   thread;
  bool        thread_runs; // control's own
  atomic_bool stop_requested;
  ModelFault  model_fault;
  ModelFault  fallback_fault;
  atomic_bool failed; // nothing is left to play: model_fault says why
} Worker;

// Control thread. The models belong to the worker from here on. After a failure
// worker_free() is still owed.
Status worker_init(Worker*            worker,
                   Process*           process,
                   const WorkerSetup* setup,
                   Error*             error);
// When it has stopped.
void worker_free(Worker* worker);

// Control thread: asks for something; false: no room, ask again.
bool worker_command(Worker* worker, const WorkerCommand* command);
// Control thread: a model that the worker uses no more, or NULL.
Model* worker_take_retired(Worker* worker);

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
