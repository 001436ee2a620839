// Windows for the plan, by whoever can make one: the sampling thread, the
// fallback model, or the notes that were last. The worker's thread.
#include "live/worker_internal.h"

#include <stdio.h>
#include <string.h>

// Repeated notes last this long in all at least, before they come again.
#define REPEAT_S_MIN 1.0

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
  atomic_fetch_add(&fault->count, 1);
}

static void
measured(Worker* worker, const GeneratorJob* job, double seconds)
{
  latency_add(&worker->generation, seconds);
  deadline_measured(
    &worker->deadline, seconds, job->request.steps, job->steps_full);
}

static void
set_take(PlanStep* step, PlanStepKind kind, const Model* model)
{
  step->kind        = kind;
  step->is_fallback = false;
  if (model) {
    step->latent_size = model_latent_size(model);
    snprintf(step->digest, sizeof step->digest, "%s", model_digest(model));
  }
}

static void
keep_anchor(Worker* worker, const Sampled* sampled)
{
  worker->anchor     = sampled->job;
  worker->has_anchor = true;
  memcpy(worker->anchor_events, sampled->events, sizeof worker->anchor_events);
}

// A bridge plays the phrase it leaves, which an earlier job made; where the
// plan went back behind that job, or it came from a file, its notes are told.
static void
set_job(Worker* worker, const Sampled* sampled)
{
  WorkerWindow* const window = &worker->window;
  const bool          known =
    worker->has_anchor &&
    !memcmp(worker->anchor_events, window->events, sizeof window->events);
  if (!sampled->job.is_anchor) {
    window->step.job = sampled->job;
  } else if (known) {
    window->step.job = worker->anchor;
  } else {
    window->step.kind = PLAN_EVENTS;
  }
  if (sampled->job.is_anchor) {
    keep_anchor(worker, sampled);
  }
}

bool
worker_accept(Worker* worker, const Sampled* sampled)
{
  WorkerWindow* const window = &worker->window;
  memcpy(window->events, sampled->events, sizeof window->events);
  const bool plays =
    generator_accept(&worker->generator, &sampled->job, window->events);
  if (!plays) {
    keep_anchor(worker, sampled);
    return false;
  }
  set_take(&window->step, PLAN_WINDOW, worker->model);
  set_job(worker, sampled);
  window->before = worker->job_before;
  window->after  = worker->generator.state;
  return true;
}

bool
worker_next_primed(Worker* worker)
{
  if (worker->primed_used == worker->primed_count) {
    return false;
  }
  worker->window = worker->primed[worker->primed_used++];
  return true;
}

// Drops a model that failed; false: `sampled` is of use.
static bool
has_failed(Worker* worker, const Sampled* sampled)
{
  if (sampled->status) {
    drop(&worker->model_fault, &sampled->error);
    if (worker->splice.asked) {
      worker_ask_again(worker);
    }
  }
  return sampled->status;
}

// What the sampling thread made, if it is there and comes next: in
// worker->window.
bool
worker_next_sampled(Worker* worker)
{
  if (worker->splice.asked && (!planner_may_change(&worker->planner) ||
                               !planner_has_room(&worker->planner))) {
    return false; // it waits its turn
  }
  const Sampled* const sampled = sampling_take(worker->sampling);
  if (!sampled || has_failed(worker, sampled)) {
    return false;
  }
  measured(worker, &sampled->job, sampled->seconds);
  if (sampled->job.request.steps < sampled->job.steps_full) {
    count(&worker->counters.fewer_steps);
  }
  if (worker->splice.asked) {
    worker_finish_splice(worker, sampled);
    return false;
  }
  if (!worker_accept(worker, sampled)) {
    return false;
  }
  worker->repeat_count = 0;
  return true;
}

// Notes that were before are planned as they are.
void
worker_set_again(Worker* worker)
{
  set_take(&worker->window.step, PLAN_EVENTS, NULL);
  worker->window.before = worker->generator.state;
  worker->window.after  = worker->generator.state;
}

// The last notes again, from the first of them on.
bool
worker_next_repeated(Worker* worker)
{
  if (!worker->repeat_count) {
    const Generator* const generator = &worker->generator;
    worker->repeat_count             = generator->history_count;
    worker->repeat_at                = 0;
    double length_s                  = 0;
    for (uint32_t i = 0; i < worker->repeat_count; ++i) {
      worker->repeat[i] = generator->history[i];
      length_s += worker->repeat[i].step_s;
    }
    if (worker->repeat_count && length_s < REPEAT_S_MIN) {
      worker->repeat[0].step_s += (float)(REPEAT_S_MIN - length_s);
    }
  }
  if (!worker->repeat_count) {
    return false;
  }
  for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
    worker->window.events[i] = worker->repeat[worker->repeat_at];
    worker->repeat_at        = (worker->repeat_at + 1) % worker->repeat_count;
  }
  worker_set_again(worker);
  count(&worker->counters.repeated);
  return true;
}

bool
worker_next_of_fallback(Worker* worker)
{
  Error               error;
  GeneratorJob        job;
  WorkerWindow* const window    = &worker->window;
  Generator* const    generator = &worker->fallback_generator;
  if (!worker->fallback) {
    return false;
  }
  generator_prepare(generator, &job); // a VAE: each window is played
  if (generator_run(worker->fallback, &job, window->events, &error)) {
    drop(&worker->fallback_fault, &error);
    worker->fallback = NULL;
    return false;
  }
  generator_accept(generator, &job, window->events);
  generator_heard(&worker->generator, window->events, WINDOW_NOTES);
  set_take(&window->step, PLAN_WINDOW, worker->fallback);
  window->step.is_fallback = true;
  window->step.job         = job;
  window->step.job.z_rule  = Z_GIVEN;
  window->before           = worker->generator.state;
  window->after            = worker->generator.state;
  count(&worker->counters.fallback_model);
  worker->repeat_count = 0;
  return true;
}
