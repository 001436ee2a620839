// A mailbox of one job and a thread that empties it.
#include "live/sampling.h"

#include "clock.h"
#include "live/deadline.h"
#include "thread.h"

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Whose turn it is to touch `sampled`: the worker's but in TURN_GIVEN.
typedef enum { TURN_IDLE, TURN_GIVEN, TURN_READY } Turn;

struct Sampling {
  Model*       model;
  Sampled      sampled;
  ModelRequest last; // of this thread
  _Atomic int  turn;
  atomic_bool  stop_requested;
  _Atomic int  users; // this thread and who started it: the last one frees
  sem_t        given; // these only wake: `turn` says what is so
  sem_t        ready;
  sem_t        ended;
  pthread_t    thread;
};

static void
leave(Sampling* sampling)
{
  if (atomic_fetch_sub(&sampling->users, 1) == 1) {
    sem_destroy(&sampling->given);
    sem_destroy(&sampling->ready);
    sem_destroy(&sampling->ended);
    free(sampling);
  }
}

// --- Recordings ahead of time ------------------------------------------------

// So that none is made just when time is short. Within a job, because the model
// is this thread's then; what a job took is measured without.

// Of all windows until as many notes are given as will be, before any is heard.
static void
prepare_contexts(Sampling* sampling, const GeneratorJob* job)
{
  ModelRequest request = generator_request(job, job->request.steps);
  model_prepare(sampling->model, &request);
  while (!request.after && request.before < job->context) {
    const uint32_t left = job->context - request.before;
    request.before += left < WINDOW_NOTES ? left : WINDOW_NOTES;
    model_prepare(sampling->model, &request);
  }
}

// A form of job that came twice will come again: of fewer steps, one number of
// them a job.
static void
prepare_rungs(Sampling* sampling, const GeneratorJob* job)
{
  const ModelRequest* const now  = &job->request;
  const ModelRequest* const last = &sampling->last;
  const bool again = now->before == last->before && now->after == last->after &&
                     now->steps == last->steps &&
                     !now->forbidden_classes == !last->forbidden_classes;
  bool made      = false;
  sampling->last = *now;
  for (uint32_t i = 1;
       again && !made && now->steps == job->steps_full && i < DEADLINE_RUNGS;
       ++i) {
    const ModelRequest request = generator_request(
      job, deadline_rung(job->steps_least, job->steps_full, i));
    made = model_prepare(sampling->model, &request);
  }
}

static void
run_job(Sampling* sampling)
{
  Sampled* const sampled = &sampling->sampled;
  prepare_contexts(sampling, &sampled->job);
  const double start_s = clock_now_s();
  sampled->status      = generator_run(
    sampling->model, &sampled->job, sampled->events, &sampled->error);
  sampled->seconds = clock_now_s() - start_s;
  // Asked to stop, it may have come too late: then the model is left alone.
  if (!sampled->status && !atomic_load(&sampling->stop_requested)) {
    prepare_rungs(sampling, &sampled->job);
  }
}

// --- The thread --------------------------------------------------------------

static void*
sampling_thread(void* context)
{
  Sampling* const sampling = context;
  while (!atomic_load(&sampling->stop_requested)) {
    if (atomic_load(&sampling->turn) != TURN_GIVEN) {
      sem_wait(&sampling->given);
      continue;
    }
    run_job(sampling);
    atomic_store(&sampling->turn, TURN_READY);
    sem_post(&sampling->ready);
  }
  sem_post(&sampling->ended);
  leave(sampling);
  return NULL;
}

Status
sampling_start(Model* model, Sampling** out, Error* error)
{
  *out                     = NULL;
  Sampling* const sampling = calloc(1, sizeof *sampling);
  if (!sampling) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for sampling");
  }
  sampling->model = model;
  atomic_init(&sampling->users, 2);
  sem_init(&sampling->given, 0, 0);
  sem_init(&sampling->ready, 0, 0);
  sem_init(&sampling->ended, 0, 0);
  const int reason =
    thread_start(&sampling->thread, NULL, sampling_thread, sampling);
  if (reason) {
    leave(sampling); // for both
    leave(sampling);
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "cannot start the sampling thread: %s",
                     strerror(reason));
  }
  *out = sampling;
  return STATUS_OK;
}

// True when the semaphore was posted within `wait_s`; a signal ends the wait
// early.
static bool
wait_for(sem_t* semaphore, double wait_s)
{
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  const int64_t ns = until.tv_nsec + (int64_t)(wait_s * 1e9);
  until.tv_sec += ns / 1000000000;
  until.tv_nsec = ns % 1000000000;
  return !sem_clockwait(semaphore, CLOCK_MONOTONIC, &until);
}

bool
sampling_stop(Sampling* sampling, double wait_s)
{
  atomic_store(&sampling->stop_requested, true);
  sem_post(&sampling->given);
  const double deadline_s = clock_now_s() + wait_s;
  bool         ended;
  do {
    ended = wait_for(&sampling->ended, fmax(deadline_s - clock_now_s(), 0));
  } while (!ended && clock_now_s() < deadline_s);
  if (ended) {
    pthread_join(sampling->thread, NULL);
  } else {
    pthread_detach(sampling->thread);
  }
  leave(sampling);
  return ended;
}

bool
sampling_is_busy(const Sampling* sampling)
{
  return atomic_load(&sampling->turn) != TURN_IDLE;
}

void
sampling_set_model(Sampling* sampling, Model* model)
{
  sampling->model = model; // seen with the next job
}

void
sampling_give(Sampling* sampling, const GeneratorJob* job)
{
  sampling->sampled.job = *job;
  atomic_store(&sampling->turn, TURN_GIVEN);
  sem_post(&sampling->given);
}

const Sampled*
sampling_take(Sampling* sampling)
{
  if (atomic_load(&sampling->turn) != TURN_READY) {
    return NULL;
  }
  atomic_store(&sampling->turn, TURN_IDLE);
  return &sampling->sampled;
}

void
sampling_wait(Sampling* sampling, double wait_s)
{
  wait_for(&sampling->ready, wait_s);
}
