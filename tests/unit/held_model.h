// Stands between the code under test and models/model.h (the linker's --wrap of
// model_load, model_generate and model_free): counts, holds a call up until it
// is released, makes generating fail. Include after cmocka.h, in one file.
#pragma once

#include "clock.h"
#include "model.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MODELS_MAX 64

typedef enum { HELD_NOTHING, HELD_LOAD, HELD_GENERATE } Held;

static _Atomic int     held_call; // a Held
static atomic_bool     held_is_in;
static atomic_bool     held_fails;
static _Atomic int     held_loads;
static _Atomic int     held_windows;
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static const Model*    held_live[HELD_MODELS_MAX]; // loaded and not freed

Status __real_model_load(const char* path,
                         const char* device,
                         uint32_t    batch_windows_max,
                         Model**     out,
                         Error*      error);
Status __wrap_model_load(const char* path,
                         const char* device,
                         uint32_t    batch_windows_max,
                         Model**     out,
                         Error*      error);
Status __real_model_generate(Model*              model,
                             const ModelRequest* request,
                             NoteEvent*          out,
                             Error*              error);
Status __wrap_model_generate(Model*              model,
                             const ModelRequest* request,
                             NoteEvent*          out,
                             Error*              error);
void   __real_model_free(Model* model);
void   __wrap_model_free(Model* model);

static inline void
held_wait(Held call)
{
  while (atomic_load(&held_call) == (int)call) {
    atomic_store(&held_is_in, true);
    clock_sleep_ns(200000);
  }
}

// Puts `model` in the place of `old`; false: there is none.
static inline bool
held_replace(const Model* old, const Model* model)
{
  bool found = false;
  pthread_mutex_lock(&held_lock);
  for (int i = 0; i < HELD_MODELS_MAX && !found; ++i) {
    if (held_live[i] == old) {
      held_live[i] = model;
      found        = true;
    }
  }
  pthread_mutex_unlock(&held_lock);
  return found;
}

Status
__wrap_model_load(const char* path,
                  const char* device,
                  uint32_t    batch_windows_max,
                  Model**     out,
                  Error*      error)
{
  held_wait(HELD_LOAD);
  const Status status =
    __real_model_load(path, device, batch_windows_max, out, error);
  atomic_fetch_add(&held_loads, 1);
  if (!status && !held_replace(NULL, *out)) {
    abort(); // not in the thread of the test: no assertion
  }
  return status;
}

Status
__wrap_model_generate(Model*              model,
                      const ModelRequest* request,
                      NoteEvent*          out,
                      Error*              error)
{
  held_wait(HELD_GENERATE);
  if (atomic_load(&held_fails)) {
    return error_set(error, STATUS_DEVICE, "a model that fails when asked");
  }
  const Status status = __real_model_generate(model, request, out, error);
  atomic_fetch_add(&held_windows, 1);
  return status;
}

void
__wrap_model_free(Model* model)
{
  if (model && !held_replace(model, NULL)) {
    abort(); // freed twice
  }
  __real_model_free(model);
}

static inline void
held_reset(void)
{
  atomic_store(&held_call, HELD_NOTHING);
  atomic_store(&held_fails, false);
  atomic_store(&held_loads, 0);
  atomic_store(&held_windows, 0);
  memset(held_live, 0, sizeof held_live);
}

// The next call does not return before held_release().
static inline void
held_hold(Held call)
{
  atomic_store(&held_is_in, false);
  atomic_store(&held_call, call);
}

static inline void
held_await(void)
{
  while (!atomic_load(&held_is_in)) {
    clock_sleep_ns(200000);
  }
}

static inline void
held_release(void)
{
  atomic_store(&held_call, HELD_NOTHING);
}

static inline void
held_fail_generating(bool fails)
{
  atomic_store(&held_fails, fails);
}

static inline int
held_loaded(void)
{
  return atomic_load(&held_loads);
}

static inline int
held_generated(void)
{
  return atomic_load(&held_windows);
}

static inline int
held_left(void)
{
  int count = 0;
  pthread_mutex_lock(&held_lock);
  for (int i = 0; i < HELD_MODELS_MAX; ++i) {
    count += held_live[i] != NULL;
  }
  pthread_mutex_unlock(&held_lock);
  return count;
}

static inline bool
held_is_live(const Model* model)
{
  return held_replace(model, model);
}

static inline void
held_assert_none_left(void)
{
  assert_int_equal(held_left(), 0);
}
