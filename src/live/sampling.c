// A mailbox of one job and a thread that empties it.
#include "live/sampling.h"

#include "clock.h"
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
  Model*      model;
  Sampled     sampled;
  _Atomic int turn;
  atomic_bool stop_requested;
  _Atomic int users; // this thread and who started it: the last one frees
  sem_t       given; // these only wake: `turn` says what is so
  sem_t       ready;
  sem_t       ended;
  pthread_t   thread;
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

static void*
sampling_thread(void* context)
{
  Sampling* const sampling = context;
  Sampled* const  sampled  = &sampling->sampled;
  while (!atomic_load(&sampling->stop_requested)) {
    if (atomic_load(&sampling->turn) != TURN_GIVEN) {
      sem_wait(&sampling->given);
      continue;
    }
    const double start_s = clock_now_s();
    sampled->status      = generator_run(
      sampling->model, &sampled->job, sampled->events, &sampled->error);
    sampled->seconds = clock_now_s() - start_s;
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
