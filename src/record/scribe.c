// The scribe: control gives a job, its thread does it.
#include "record/scribe.h"

#include "thread.h"

#include <string.h>

static void*
work(void* context)
{
  Scribe* const scribe = context;
  pthread_mutex_lock(&scribe->mutex);
  for (;;) {
    while (!scribe->job && !scribe->quit) {
      pthread_cond_wait(&scribe->changed, &scribe->mutex);
    }
    if (!scribe->job) {
      break;
    }
    pthread_mutex_unlock(&scribe->mutex);
    scribe->job(scribe->context);
    pthread_mutex_lock(&scribe->mutex);
    scribe->job = NULL;
    pthread_cond_broadcast(&scribe->changed);
  }
  pthread_mutex_unlock(&scribe->mutex);
  return NULL;
}

Status
scribe_start(Scribe* scribe, Error* error)
{
  *scribe = (Scribe){ 0 };
  pthread_mutex_init(&scribe->mutex, NULL);
  pthread_cond_init(&scribe->changed, NULL);
  const int failed = thread_start(&scribe->thread, NULL, work, scribe);
  if (failed) {
    return error_set(error,
                     STATUS_NO_MEMORY,
                     "cannot start the thread that writes files: %s",
                     strerror(failed));
  }
  scribe->runs = true;
  return STATUS_OK;
}

void
scribe_stop(Scribe* scribe)
{
  if (!scribe->runs) {
    return;
  }
  pthread_mutex_lock(&scribe->mutex);
  scribe->quit = true;
  pthread_cond_broadcast(&scribe->changed);
  pthread_mutex_unlock(&scribe->mutex);
  pthread_join(scribe->thread, NULL);
  pthread_cond_destroy(&scribe->changed);
  pthread_mutex_destroy(&scribe->mutex);
  *scribe = (Scribe){ 0 };
}

bool
scribe_is_busy(Scribe* scribe)
{
  pthread_mutex_lock(&scribe->mutex);
  const bool busy = scribe->job;
  pthread_mutex_unlock(&scribe->mutex);
  return busy;
}

void
scribe_give(Scribe* scribe, void (*job)(void* context), void* context)
{
  pthread_mutex_lock(&scribe->mutex);
  scribe->job     = job;
  scribe->context = context;
  pthread_cond_broadcast(&scribe->changed);
  pthread_mutex_unlock(&scribe->mutex);
}

void
scribe_wait(Scribe* scribe)
{
  pthread_mutex_lock(&scribe->mutex);
  while (scribe->job) {
    pthread_cond_wait(&scribe->changed, &scribe->mutex);
  }
  pthread_mutex_unlock(&scribe->mutex);
}
