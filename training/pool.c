// A fixed set of threads that runs a job on numbered lanes.
#include "pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define POOL_THREADS_MAX 64u

struct Pool {
  uint32_t          thread_count; // the caller's included
  pthread_t         threads[POOL_THREADS_MAX];
  pthread_barrier_t start;
  pthread_barrier_t end;
  // Written by the caller between the barriers only.
  PoolJob  job;
  void*    context;
  uint32_t lane_count;
};

typedef struct {
  Pool*    pool;
  uint32_t index;
} PoolThread;

static void
run_share(const Pool* pool, uint32_t index)
{
  for (uint32_t lane = index; lane < pool->lane_count;
       lane += pool->thread_count) {
    pool->job(pool->context, lane);
  }
}

static void*
pool_thread(void* context)
{
  PoolThread* const self  = context;
  Pool* const       pool  = self->pool;
  const uint32_t    index = self->index;
  free(self);
  for (;;) {
    pthread_barrier_wait(&pool->start);
    if (!pool->job) {
      return NULL;
    }
    run_share(pool, index);
    pthread_barrier_wait(&pool->end);
  }
}

static bool
start_thread(Pool* pool, uint32_t index)
{
  PoolThread* const self = malloc(sizeof *self);
  if (!self) {
    return false;
  }
  *self = (PoolThread){ pool, index };
  if (pthread_create(&pool->threads[index], NULL, pool_thread, self)) {
    free(self);
    return false;
  }
  return true;
}

Status
pool_create(uint32_t thread_count, Pool** out, Error* error)
{
  *out = NULL;
  if (!thread_count) {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    thread_count     = cores > 0 ? (uint32_t)cores : 1;
  }
  Pool* const pool = calloc(1, sizeof *pool);
  if (!pool) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for threads");
  }
  pool->thread_count =
    thread_count < POOL_THREADS_MAX ? thread_count : POOL_THREADS_MAX;
  pthread_barrier_init(&pool->start, NULL, pool->thread_count);
  pthread_barrier_init(&pool->end, NULL, pool->thread_count);
  for (uint32_t i = 1; i < pool->thread_count; ++i) {
    if (!start_thread(pool, i)) {
      // Those already started wait at a barrier that can no longer open: the
      // process is about to end with this error.
      return error_set(error,
                       STATUS_UNAVAILABLE,
                       "cannot start thread %u of %u",
                       i,
                       pool->thread_count);
    }
  }
  *out = pool;
  return STATUS_OK;
}

void
pool_free(Pool* pool)
{
  if (!pool) {
    return;
  }
  pool->job = NULL;
  pthread_barrier_wait(&pool->start);
  for (uint32_t i = 1; i < pool->thread_count; ++i) {
    pthread_join(pool->threads[i], NULL);
  }
  pthread_barrier_destroy(&pool->start);
  pthread_barrier_destroy(&pool->end);
  free(pool);
}

void
pool_run(Pool* pool, PoolJob job, void* context, uint32_t lane_count)
{
  pool->job        = job;
  pool->context    = context;
  pool->lane_count = lane_count;
  pthread_barrier_wait(&pool->start);
  run_share(pool, 0);
  pthread_barrier_wait(&pool->end);
}

uint32_t
pool_thread_count(const Pool* pool)
{
  return pool->thread_count;
}
