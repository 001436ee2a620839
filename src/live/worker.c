// Generating ahead.
#include "live/worker.h"

#include "clock.h"

#include <math.h>
#include <string.h>

// From the committed frame to the first note: two periods and time to stamp.
#define ORIGIN_LEAD_S 0.03
#define LEAD_PERIODS 2u
// Priming stops at either; a short first chord is not enough music, and a slow
// model needs more of it.
#define PRIMED_MUSIC_S 0.5
#define PRIMED_MUSIC_TIMES 4.0 // the time that a window took
#define PRIMING_TIME_S 0.25
// A model that has made nothing by then is not waited for, if there is another.
#define PRIMING_PATIENCE_S 1.0
// Repeated notes last this long in all at least, before they come again.
#define LOOP_S_MIN 1.0
#define POLL_S 0.002
// How long a call of the model may go on when all else has ended.
#define STOP_S_MAX 0.3

// The fallback is not asked for what only the other kind can do.
static Params
fallback_params(const Params* params)
{
  Params changed = *params;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    if (param_table[id].flags & PARAM_DIFFUSION_ONLY) {
      changed.value[id] = param_table[id].standard;
    }
  }
  if (changed.value[PARAM_MODE] >= GENERATOR_CONTINUE) {
    changed.value[PARAM_MODE] = GENERATOR_WALK;
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

static void
count(_Atomic uint64_t* counter)
{
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void
measured(Worker* worker, const GeneratorJob* job, double seconds)
{
  latency_add(&worker->generation, seconds);
  deadline_measured(
    &worker->deadline, seconds, job->request.steps, job->steps_full);
}

// In this thread, with all steps.
static Status
generate(Worker* worker, NoteEvent out[WINDOW_NOTES], Error* error)
{
  Status       status;
  GeneratorJob job;
  do {
    const double start_s = clock_now_s();
    generator_prepare(&worker->generator, &job);
    status = generator_run(worker->model, &job, out, error);
    measured(worker, &job, clock_now_s() - start_s);
  } while (!status && !generator_accept(&worker->generator, &job, out));
  return status;
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

static bool
next_primed(Worker* worker, NoteEvent out[WINDOW_NOTES])
{
  if (worker->primed_used == worker->primed_count) {
    return false;
  }
  memcpy(out, worker->primed[worker->primed_used++], sizeof *worker->primed);
  return true;
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
    NoteEvent events[WINDOW_NOTES];
    if (!next_primed(worker, events)) {
      const Status status = generate(worker, events, error);
      if (status) {
        return status;
      }
    }
    plan_window(worker, events);
  }
  return STATUS_OK;
}

// --- The thread --------------------------------------------------------------

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
    worker->error = sampled->error;
    atomic_store(&worker->failed, true);
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
  if (!worker->fallback ||
      generator_next(
        &worker->fallback_generator, worker->fallback, out, &error)) {
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
    return false;
  }
  const double window_s = spent_s / worker->primed_count;
  return worker->primed_count == WORKER_PRIMED_MAX ||
         spent_s >= PRIMING_TIME_S ||
         music_s >= fmax(PRIMED_MUSIC_S, PRIMED_MUSIC_TIMES * window_s);
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
    if (next_sampled(worker, window) ||
        (spent_s > PRIMING_PATIENCE_S &&
         next_of_fallback_model(worker, window))) {
      ++worker->primed_count;
      for (int i = 0; i < WINDOW_NOTES; ++i) {
        music_s += window[i].step_s / worker->params.value[PARAM_TEMPO];
      }
    } else if (atomic_load(&worker->failed)) {
      *error = worker->error;
      return error->status;
    } else if (!sampling_is_busy(worker->sampling)) {
      give_job(worker, 0, false);
    } else {
      sampling_wait(worker->sampling, POLL_S);
    }
    spent_s = clock_now_s() - start_s;
  }
  return STATUS_OK;
}

// Plans as far as the look-ahead, or as there is something to plan.
static void
keep_ahead(Worker* worker, uint64_t committed)
{
  // While freewheeling process waits: there is all the time.
  const bool   in_time = !atomic_load(&worker->process->freewheeling);
  const double ahead_s =
    deadline_look_ahead_s(&worker->deadline, worker->generator.request.steps) +
    LEAD_PERIODS * span_s(worker);
  const uint64_t ahead = (uint64_t)(ahead_s * worker->sample_rate_hz);
  atomic_store(&worker->look_ahead_frames, ahead);
  while (wants_more(worker, committed + ahead)) {
    NoteEvent events[WINDOW_NOTES];
    if (next_primed(worker, events) || next_sampled(worker, events)) {
      plan_window(worker, events);
    } else if (atomic_load(&worker->failed)) {
      return;
    } else if (!sampling_is_busy(worker->sampling)) {
      give_job(worker, committed, in_time);
    } else if (in_time && spare_s(worker, committed) < 0 &&
               (next_of_fallback_model(worker, events) ||
                next_repeated(worker, events))) {
      plan_window(worker, events);
    } else {
      return;
    }
  }
}

static void
place_after_committed(Worker* worker, uint64_t committed)
{
  const uint32_t span = atomic_load(&worker->process->span_frames);
  const uint64_t lead = LEAD_PERIODS * (uint64_t)span +
                        (uint64_t)(ORIGIN_LEAD_S * worker->sample_rate_hz);
  worker_place(worker, worker->sample_rate_hz, committed + lead);
}

static void*
worker_thread(void* context)
{
  Worker* const worker = context;
  while (!atomic_load(&worker->stop_requested) &&
         !atomic_load(&worker->failed)) {
    const uint64_t committed = atomic_load_explicit(
      &worker->process->committed_until, memory_order_acquire);
    if (committed && atomic_load(&worker->origin_frame) == WORKER_NO_ORIGIN) {
      place_after_committed(worker, committed);
    }
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

bool
worker_stop(Worker* worker)
{
  atomic_store(&worker->stop_requested, true);
  if (worker->thread_runs) {
    pthread_join(worker->thread, NULL);
    worker->thread_runs = false;
  }
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
