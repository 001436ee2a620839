// Stands between the code under test and models/model.h (the linker's --wrap of
// model_load, model_generate and model_free): counts, holds a call up until it
// is released, makes generating fail. Include after cmocka.h, in one file.
#pragma once

#include "clock.h"
#include "model.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef enum { HELD_NOTHING, HELD_LOAD, HELD_GENERATE } Held;

static _Atomic int held_call; // a Held
static atomic_bool held_is_in;
static atomic_bool held_fails;
static _Atomic int held_loads;
static _Atomic int held_windows;
static _Atomic int held_models; // loaded and not freed

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
  atomic_fetch_add(&held_models, status ? 0 : 1);
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
  __real_model_free(model);
  atomic_fetch_sub(&held_models, model ? 1 : 0);
}

static inline void
held_reset(void)
{
  atomic_store(&held_call, HELD_NOTHING);
  atomic_store(&held_fails, false);
  atomic_store(&held_loads, 0);
  atomic_store(&held_windows, 0);
  atomic_store(&held_models, 0);
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
  return atomic_load(&held_models);
}

static inline void
held_assert_none_left(void)
{
  assert_int_equal(held_left(), 0);
}
