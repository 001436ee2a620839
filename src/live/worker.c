// Generating ahead.
#include "live/worker.h"

#include "clock.h"

#include <math.h>
#include <string.h>

// From the committed frame to the first note: two periods and time to stamp.
#define ORIGIN_LEAD_S 0.03
#define LEAD_PERIODS 2u
// Priming stops when there is music enough; a short first chord is not, and a
// slow model needs more of it, so that it begins with all its steps.
#define PRIMED_MUSIC_S 0.5
#define PRIMED_MUSIC_TIMES 3.0 // the time that a window took
// Nor does it keep anyone waiting for longer: a model that has made nothing by
// then gives way to the other, if there is one.
#define PRIMING_S_MAX 3.0
// Repeated notes last this long in all at least, before they come again.
#define LOOP_S_MIN 1.0
#define POLL_S 0.002
// How long a call of the model may go on when all else has ended.
#define STOP_S_MAX 0.3
// And one of the fallback, within this thread.
#define THREAD_STOP_S_MAX 1.0

// The fallback is not asked for what only the other kind can do.
static Params
fallback_params(const Params* params)
{
  Params changed = *params;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    if (params_need_diffusion(params, (ParamId)id)) {
      changed.value[id] = param_table[id].standard;
    }
  }
  return changed;
}

void
worker_init(Worker* worker, Process* process, const WorkerSetup* setup)
{
  memset(worker, 0, sizeof *worker);
  worker->process  = process;
  worker->model    = setup->model;
  worker->fallback = setup->fallback;
  worker->params   = setup->params;
  worker->seconds  = setup->seconds;
  atomic_init(&worker->origin_frame, WORKER_NO_ORIGIN);
  generator_init(
    &worker->generator, setup->model, &worker->params, setup->seed);
  if (setup->phrase) {
    generator_begin_from(
      &worker->generator, setup->phrase, setup->phrase_count);
  }
  if (setup->fallback) {
    const Params params = fallback_params(&worker->params);
    generator_init(
      &worker->fallback_generator, setup->fallback, &params, setup->seed);
  }
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

// Whether there is more to plan before `frame`, and room for it.
static bool
wants_more(const Worker* worker, uint64_t frame)
{
  return worker->scheduler.planned_until < frame &&
         ring_write_space(&worker->process->notes) >= WINDOW_NOTES &&
         !atomic_load_explicit(&worker->stop_requested, memory_order_relaxed);
}

static void
plan_window(Worker* worker, const NoteEvent events[WINDOW_NOTES])
{
  StampedNote  notes[WINDOW_NOTES];
  const size_t size =
    scheduler_add(&worker->scheduler, events, WINDOW_NOTES, notes);
  for (size_t i = 0; i < size; ++i) {
    ring_push(&worker->process->notes, &notes[i]);
  }
  ring_commit(&worker->process->notes);
  atomic_store_explicit(&worker->process->planned_until,
                        worker->scheduler.planned_until,
                        memory_order_release);
}

Status
worker_run_until(Worker* worker, uint64_t frame, Error* error)
{
  while (wants_more(worker, frame)) {
    NoteEvent    events[WINDOW_NOTES];
    const Status status =
      generator_next(&worker->generator, worker->model, events, error);
    if (status) {
      return status;
    }
    plan_window(worker, events);
  }
  return STATUS_OK;
}

// --- The thread --------------------------------------------------------------

static void
count(_Atomic uint64_t* counter)
{
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void
drop(ModelFault* fault, const Error* error)
{
  fault->error = *error;
  atomic_store(&fault->failed, true);
}

static bool
is_placed(const Worker* worker)
{
  return atomic_load(&worker->origin_frame) != WORKER_NO_ORIGIN;
}

static void
measured(Worker* worker, const GeneratorJob* job, double seconds)
{
  latency_add(&worker->generation, seconds);
  deadline_measured(
    &worker->deadline, seconds, job->request.steps, job->steps_full);
}

static bool
next_primed(Worker* worker, NoteEvent out[WINDOW_NOTES])
{
  if (worker->primed_used == worker->primed_count) {
    return false;
  }
  memcpy(out, worker->primed[worker->primed_used++], sizeof *worker->primed);
  return true;
}

static double
span_s(const Worker* worker)
{
  return (double)atomic_load(&worker->process->span_frames) /
         worker->sample_rate_hz;
}

// What is planned beyond the committed frame and the reserve.
static double
spare_s(const Worker* worker, uint64_t committed)
{
  const double planned_s =
    ((double)worker->scheduler.planned_until - (double)committed) /
    worker->sample_rate_hz;
  return planned_s - DEADLINE_RESERVE_S - LEAD_PERIODS * span_s(worker);
}

static void
give_job(Worker* worker, uint64_t committed, bool in_time)
{
  GeneratorJob job;
  generator_prepare(&worker->generator, &job);
  if (in_time) {
    job.request.steps = deadline_steps(&worker->deadline,
                                       job.steps_least,
                                       job.steps_full,
                                       spare_s(worker, committed));
  }
  sampling_give(worker->sampling, &job);
}

// What the sampling thread made, if it is there and is to be played.
static bool
next_sampled(Worker* worker, NoteEvent out[WINDOW_NOTES])
{
  const Sampled* const sampled = sampling_take(worker->sampling);
  if (!sampled) {
    return false;
  }
  if (sampled->status) {
    drop(&worker->model_fault, &sampled->error);
    return false;
  }
  measured(worker, &sampled->job, sampled->seconds);
  memcpy(out, sampled->events, sizeof sampled->events);
  if (!generator_accept(&worker->generator, &sampled->job, out)) {
    return false;
  }
  if (sampled->job.request.steps < sampled->job.steps_full) {
    count(&worker->counters.fewer_steps);
  }
  worker->loop_count = 0;
  return true;
}

// The last notes again, from the first of them on.
static bool
next_repeated(Worker* worker, NoteEvent out[WINDOW_NOTES])
{
  if (!worker->loop_count) {
    const Generator* const generator = &worker->generator;
    worker->loop_count               = generator->history_count;
    worker->loop_at                  = 0;
    double length_s                  = 0;
    for (uint32_t i = 0; i < worker->loop_count; ++i) {
      worker->loop[i] = generator->history[i];
      length_s += worker->loop[i].step_s;
    }
    if (worker->loop_count && length_s < LOOP_S_MIN) {
      worker->loop[0].step_s += (float)(LOOP_S_MIN - length_s);
    }
  }
  if (!worker->loop_count) {
    return false;
  }
  for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
    out[i]          = worker->loop[worker->loop_at];
    worker->loop_at = (worker->loop_at + 1) % worker->loop_count;
  }
  count(&worker->counters.repeated);
  return true;
}

static bool
next_of_fallback_model(Worker* worker, NoteEvent out[WINDOW_NOTES])
{
  Error error;
  if (!worker->fallback) {
    return false;
  }
  if (generator_next(
        &worker->fallback_generator, worker->fallback, out, &error)) {
    drop(&worker->fallback_fault, &error);
    worker->fallback = NULL;
    return false;
  }
  generator_heard(&worker->generator, out, WINDOW_NOTES);
  count(&worker->counters.fallback_model);
  worker->loop_count = 0;
  return true;
}

static Status
start_sampling(Worker* worker, Error* error)
{
  return worker->sampling
           ? STATUS_OK
           : sampling_start(worker->model, &worker->sampling, error);
}

static bool
is_primed(const Worker* worker, double music_s, double spent_s)
{
  if (!worker->primed_count) {
    return spent_s >= PRIMING_S_MAX && !worker->fallback;
  }
  const double window_s = spent_s / worker->primed_count;
  return worker->primed_count == WORKER_PRIMED_MAX ||
         spent_s >= PRIMING_S_MAX ||
         music_s >= fmax(PRIMED_MUSIC_S, PRIMED_MUSIC_TIMES * window_s);
}

static bool
next_to_prime(Worker* worker, double spent_s, NoteEvent out[WINDOW_NOTES])
{
  if (next_sampled(worker, out)) {
    return true;
  }
  const bool gone = atomic_load(&worker->model_fault.failed);
  if (!gone && !sampling_is_busy(worker->sampling)) {
    give_job(worker, 0, false);
  }
  return (gone || spent_s >= PRIMING_S_MAX) &&
         next_of_fallback_model(worker, out);
}

Status
worker_prime(Worker* worker, const atomic_int* give_up, Error* error)
{
  const double start_s = clock_now_s();
  double       music_s = 0;
  double       spent_s = 0;
  const Status status  = start_sampling(worker, error);
  if (status) {
    return status;
  }
  while (!is_primed(worker, music_s, spent_s) &&
         !(give_up && atomic_load(give_up))) {
    NoteEvent* const window = worker->primed[worker->primed_count];
    if (next_to_prime(worker, spent_s, window)) {
      ++worker->primed_count;
      for (int i = 0; i < WINDOW_NOTES; ++i) {
        music_s += window[i].step_s / worker->params.value[PARAM_TEMPO];
      }
    } else if (atomic_load(&worker->model_fault.failed)) {
      break; // and there is no other, or it failed too
    } else {
      sampling_wait(worker->sampling, POLL_S);
    }
    spent_s = clock_now_s() - start_s;
  }
  if (!worker->primed_count && atomic_load(&worker->model_fault.failed)) {
    *error = worker->model_fault.error;
    return error->status;
  }
  return STATUS_OK;
}

// Where what is stamped now can still be played.
static uint64_t
next_free_frame(const Worker* worker)
{
  const uint64_t committed = atomic_load_explicit(
    &worker->process->committed_until, memory_order_acquire);
  const uint32_t span = atomic_load(&worker->process->span_frames);
  return committed + LEAD_PERIODS * (uint64_t)span +
         (uint64_t)(ORIGIN_LEAD_S * worker->sample_rate_hz);
}

// The music begins with its first window.
static void
plan_live(Worker* worker, const NoteEvent events[WINDOW_NOTES])
{
  if (!is_placed(worker)) {
    worker_place(worker, worker->sample_rate_hz, next_free_frame(worker));
  }
  plan_window(worker, events);
}

// Where the clock went on without this thread (the program was stopped) the
// music goes on from there: what was missed is not made up for.
static void
follow_clock(Worker* worker, uint64_t committed)
{
  Scheduler* const scheduler = &worker->scheduler;
  if (is_placed(worker) && scheduler->planned_until < committed &&
      committed - scheduler->planned_until >
        atomic_load(&worker->look_ahead_frames)) {
    scheduler_skip(scheduler, next_free_frame(worker));
    atomic_store_explicit(&worker->process->planned_until,
                          scheduler->planned_until,
                          memory_order_release);
    count(&worker->counters.clock_jumps);
  }
}

// A window that is there or that stands in; false: there is none to plan now.
static bool
next_live(Worker* worker, uint64_t committed, NoteEvent out[WINDOW_NOTES])
{
  // While freewheeling process waits: there is all the time.
  const bool in_time = !atomic_load(&worker->process->freewheeling);
  if (next_primed(worker, out) || next_sampled(worker, out)) {
    return true;
  }
  const bool gone = atomic_load(&worker->model_fault.failed);
  if (!gone && !sampling_is_busy(worker->sampling)) {
    give_job(worker, committed, in_time && is_placed(worker));
  }
  if (!gone && !(in_time && spare_s(worker, committed) < 0)) {
    return false;
  }
  if (next_of_fallback_model(worker, out) || next_repeated(worker, out)) {
    return true;
  }
  atomic_store(&worker->failed, gone);
  return false;
}

// Plans as far as the look-ahead, or as there is something to plan.
static void
keep_ahead(Worker* worker, uint64_t committed)
{
  const double ahead_s =
    deadline_look_ahead_s(&worker->deadline, worker->generator.request.steps) +
    LEAD_PERIODS * span_s(worker);
  const uint64_t ahead = (uint64_t)(ahead_s * worker->sample_rate_hz);
  atomic_store(&worker->look_ahead_frames, ahead);
  follow_clock(worker, committed);
  NoteEvent events[WINDOW_NOTES];
  while (wants_more(worker, committed + ahead) &&
         next_live(worker, committed, events)) {
    plan_live(worker, events);
  }
}

static void*
worker_thread(void* context)
{
  Worker* const worker = context;
  while (!atomic_load(&worker->stop_requested) &&
         !atomic_load(&worker->failed)) {
    const uint64_t committed = atomic_load_explicit(
      &worker->process->committed_until, memory_order_acquire);
    if (committed) {
      keep_ahead(worker, committed);
    }
    // Process wakes nobody: looking every few ms is cheap against seconds of
    // look-ahead.
    sampling_wait(worker->sampling, POLL_S);
  }
  return NULL;
}

Status
worker_start(Worker* worker, uint32_t sample_rate_hz, Error* error)
{
  worker->sample_rate_hz = sample_rate_hz;
  const Status status    = start_sampling(worker, error);
  if (status) {
    return status;
  }
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

static bool
thread_ends(pthread_t thread, double wait_s)
{
  const double deadline_s = clock_now_s() + wait_s;
  while (pthread_tryjoin_np(thread, NULL)) {
    if (clock_now_s() > deadline_s) {
      return false;
    }
    clock_sleep_ns(1000000);
  }
  return true;
}

bool
worker_stop(Worker* worker)
{
  atomic_store(&worker->stop_requested, true);
  if (worker->thread_runs && !thread_ends(worker->thread, THREAD_STOP_S_MAX)) {
    return false;
  }
  worker->thread_runs = false;
  const bool ended =
    !worker->sampling || sampling_stop(worker->sampling, STOP_S_MAX);
  worker->sampling = NULL;
  return ended;
}

uint64_t
worker_fallbacks(const Worker* worker)
{
  return atomic_load(&worker->counters.fewer_steps) +
         atomic_load(&worker->counters.fallback_model) +
         atomic_load(&worker->counters.repeated);
}
