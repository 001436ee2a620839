// Generating ahead.
#include "live/worker_internal.h"

#include "clock.h"
#include "thread.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// From the committed frame to the first note: two periods and time to stamp.
#define ORIGIN_LEAD_S 0.03
#define LEAD_PERIODS 2u
// From the committed frame to the first note of a change: one period and what
// this thread may be late by.
#define CHANGE_LEAD_S 0.02
// A window takes no less than this until it is seen to be there, and must be
// there so long before it is committed.
#define JOB_S_MIN 0.004
#define JOB_MARGIN_S 0.005
// Priming stops when there is music enough; a short first chord is not, and a
// slow model needs more of it, so that it begins with all its steps.
#define PRIMED_MUSIC_S 0.5
#define PRIMED_MUSIC_TIMES 3.0 // the time that a window took
// Nor does it keep anyone waiting for longer: a model that has made nothing by
// then gives way to the other, if there is one.
#define PRIMING_S_MAX 3.0
#define POLL_S 0.002
// How long a call of the model may go on when all else has ended.
#define STOP_S_MAX 0.3
// And one of the fallback, within this thread.
#define THREAD_STOP_S_MAX 1.0

static Status
open_memory(Worker* worker, Error* error)
{
  Status status = planner_init(&worker->planner, worker->process, error);
  if (status == STATUS_OK) {
    status = ring_init(
      &worker->commands, sizeof(WorkerCommand), COMMAND_RING_COMMANDS, error);
  }
  return status == STATUS_OK
           ? ring_init(
               &worker->retired, sizeof(Model*), COMMAND_RING_COMMANDS, error)
           : status;
}

Status
worker_init(Worker*            worker,
            Process*           process,
            const WorkerSetup* setup,
            Error*             error)
{
  memset(worker, 0, sizeof *worker);
  worker->process    = process;
  worker->model      = setup->model;
  worker->fallback   = setup->fallback;
  worker->params     = setup->params;
  worker->seconds    = setup->seconds;
  worker->time       = (BeatTime){ .is_free = true, .rolling = true };
  worker->due.freeze = worker->due.whole =
    setup->params.value[PARAM_FREEZE] > 0;
  atomic_init(&worker->origin_frame, WORKER_NO_ORIGIN);
  const Status status = open_memory(worker, error);
  if (status) {
    return status;
  }
  generator_init(
    &worker->generator, setup->model, &worker->params, setup->seed);
  if (setup->phrase) {
    generator_begin_from(
      &worker->generator, setup->phrase, setup->phrase_count);
  }
  worker->fallback_generator.seed = setup->seed; // it may come later
  if (setup->fallback) {
    const Params params = generator_fit(setup->fallback, &worker->params);
    generator_init(
      &worker->fallback_generator, setup->fallback, &params, setup->seed);
  }
  return STATUS_OK;
}

void
worker_free(Worker* worker)
{
  planner_free(&worker->planner);
  ring_free(&worker->commands);
  ring_free(&worker->retired);
}

bool
worker_command(Worker* worker, const WorkerCommand* command)
{
  if (!ring_push(&worker->commands, command)) {
    return false;
  }
  ring_commit(&worker->commands);
  return true;
}

Model*
worker_take_retired(Worker* worker)
{
  Model* const* const next  = ring_peek(&worker->retired);
  Model* const        model = next ? *next : NULL;
  if (next) {
    ring_pop(&worker->retired);
  }
  return model;
}

void
worker_place(Worker* worker, uint32_t sample_rate_hz, uint64_t origin)
{
  worker->sample_rate_hz = sample_rate_hz;
  planner_place(
    &worker->planner, &worker->params, sample_rate_hz, origin, worker->seconds);
  atomic_store_explicit(&worker->origin_frame, origin, memory_order_release);
  // Nothing sounds before the origin: that far all is planned.
  atomic_store_explicit(
    &worker->process->planned_until, origin, memory_order_release);
}

// Whether there is more to plan before `frame`, and room for it.
static bool
wants_more(const Worker* worker, uint64_t frame)
{
  return worker->planner.scheduler.planned_until < frame && !worker->pauses &&
         planner_has_room(&worker->planner) &&
         !atomic_load_explicit(&worker->stop_requested, memory_order_relaxed);
}

void
worker_plan(Worker* worker)
{
  WorkerWindow* const window = &worker->window;
  planner_add(&worker->planner,
              &window->step,
              window->events,
              &window->before,
              &window->after);
}

Status
worker_run_until(Worker* worker, uint64_t frame, Error* error)
{
  while (wants_more(worker, frame)) {
    Sampled sampled;
    worker->job_before = worker->generator.state;
    generator_prepare(&worker->generator, &sampled.job);
    const Status status =
      generator_run(worker->model, &sampled.job, sampled.events, error);
    if (status) {
      return status;
    }
    if (worker_accept(worker, &sampled)) {
      worker_plan(worker);
    }
  }
  return STATUS_OK;
}

// --- The thread --------------------------------------------------------------

bool
worker_is_placed(const Worker* worker)
{
  return atomic_load(&worker->origin_frame) != WORKER_NO_ORIGIN;
}

static uint64_t
committed_frame(const Worker* worker)
{
  return atomic_load_explicit(&worker->process->committed_until,
                              memory_order_acquire);
}

static double
span_s(const Worker* worker)
{
  return (double)atomic_load(&worker->process->span_frames) /
         worker->sample_rate_hz;
}

double
worker_spare_s(const Worker* worker)
{
  const uint64_t planned = worker->planner.scheduler.planned_until;
  const double   ahead   = (double)planned - (double)committed_frame(worker);
  return ahead / worker->sample_rate_hz - DEADLINE_RESERVE_S -
         LEAD_PERIODS * span_s(worker);
}

double
worker_seconds_of(const Worker* worker, uint32_t steps)
{
  return worker->deadline.step_s * steps;
}

void
worker_give_job(Worker* worker, bool in_time)
{
  GeneratorJob job;
  worker->job_before = worker->generator.state;
  generator_prepare(&worker->generator, &job);
  if (in_time) {
    job.request.steps = deadline_steps(&worker->deadline,
                                       job.steps_least,
                                       job.steps_full,
                                       worker_spare_s(worker));
  }
  worker->job_given_s = clock_now_s();
  sampling_give(worker->sampling, &job);
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
next_to_prime(Worker* worker, double spent_s)
{
  if (worker_next_sampled(worker)) {
    return true;
  }
  const bool gone = atomic_load(&worker->model_fault.failed);
  if (!gone && !sampling_is_busy(worker->sampling)) {
    worker_give_job(worker, false);
  }
  return (gone || spent_s >= PRIMING_S_MAX) && worker_next_of_fallback(worker);
}

static double
length_s(const Worker* worker, const NoteEvent events[WINDOW_NOTES])
{
  double sum_s = 0;
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    sum_s += events[i].step_s;
  }
  return sum_s * scheduler_step_beats(&worker->params) / BEATS_PER_OWN_SECOND;
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
    if (next_to_prime(worker, spent_s)) {
      worker->primed[worker->primed_count++] = worker->window;
      music_s += length_s(worker, worker->window.events);
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
frame_after(const Worker* worker, uint32_t spans, double seconds)
{
  const uint32_t span = atomic_load(&worker->process->span_frames);
  return committed_frame(worker) + spans * (uint64_t)span +
         (uint64_t)(seconds * worker->sample_rate_hz);
}

uint64_t
worker_change_frame(const Worker* worker)
{
  return frame_after(worker, 1, CHANGE_LEAD_S);
}

// The music begins with its first window.
static void
plan_live(Worker* worker)
{
  if (!worker_is_placed(worker)) {
    worker_begin_at(worker, frame_after(worker, LEAD_PERIODS, ORIGIN_LEAD_S));
  }
  worker_plan(worker);
}

// Where the clock went on without this thread (the program was stopped) the
// music goes on from there: what was missed is not made up for.
static void
follow_clock(Worker* worker, uint64_t committed)
{
  const uint64_t planned = worker->planner.scheduler.planned_until;
  if (worker_is_placed(worker) && !worker->pauses && planned < committed &&
      committed - planned > atomic_load(&worker->look_ahead_frames)) {
    planner_skip(&worker->planner,
                 frame_after(worker, LEAD_PERIODS, ORIGIN_LEAD_S));
    atomic_fetch_add(&worker->counters.clock_jumps, 1);
  }
}

// Whether what is being sampled should be there before it is needed, so that
// nothing need stand in for it: after a change the plan may be short though the
// model is quick.
static bool
comes_in_time(const Worker* worker)
{
  const double steps   = worker->generator.request.steps;
  const double takes_s = 2 * worker->deadline.step_s * steps + JOB_S_MIN;
  const double rest_s  = takes_s - (clock_now_s() - worker->job_given_s);
  const double ahead_s =
    worker_spare_s(worker) + DEADLINE_RESERVE_S + span_s(worker);
  // One that is there may wait for process to see the change before it.
  const bool is_there = worker->splice.asked && rest_s < 0;
  return sampling_is_busy(worker->sampling) && (rest_s > 0 || is_there) &&
         fmax(rest_s, 0) < ahead_s - JOB_MARGIN_S;
}

// A window that is there or that stands in, in worker->window; false: there is
// none to plan now.
static bool
next_live(Worker* worker)
{
  // While freewheeling process waits: there is all the time.
  const bool in_time = !atomic_load(&worker->process->freewheeling);
  if (worker->loop.count) {
    worker_next_of_loop(worker);
    worker_set_again(worker);
    return true;
  }
  if (worker_next_primed(worker) || worker_next_sampled(worker)) {
    return true;
  }
  const bool gone = atomic_load(&worker->model_fault.failed);
  if (!gone && !sampling_is_busy(worker->sampling) &&
      !worker_wants_splice(worker)) {
    worker_give_job(worker, in_time && worker_is_placed(worker));
  }
  if (!gone &&
      (!in_time || worker_spare_s(worker) >= 0 || comes_in_time(worker))) {
    return false;
  }
  if (worker_next_of_fallback(worker) || worker_next_repeated(worker)) {
    return true;
  }
  atomic_store(&worker->failed, gone);
  return false;
}

// A window that replaces others is asked for and put in its place however far
// the plan reaches; one that would only have come next gives way.
static void
keep_splicing(Worker* worker)
{
  if (worker->splice.asked) {
    worker_next_sampled(worker);
  }
  if (worker_wants_splice(worker) && (!sampling_is_busy(worker->sampling) ||
                                      sampling_take(worker->sampling))) {
    worker_ask_splice(worker);
  }
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
  worker_change(worker);
  atomic_store(&worker->stands,
               worker->pauses | (worker->loop.count ? WORKER_FROZEN : 0u));
  keep_splicing(worker);
  while (wants_more(worker, committed + ahead) && next_live(worker)) {
    plan_live(worker);
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
  const int reason = thread_start(&worker->thread, NULL, worker_thread, worker);
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
  if (worker->thread_runs &&
      !thread_join_within(worker->thread, THREAD_STOP_S_MAX)) {
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
