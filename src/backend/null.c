// The wall clock as a backend, for a machine without MIDI: notes go nowhere, on
// time. One thread calls process, paced by CLOCK_MONOTONIC.
#include "backend/backend.h"
#include "caps.h"
#include "clock.h"
#include "thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Behind by more than this (a suspended machine) the clock skips, as after an
// xrun; less is caught up with.
#define SKIP_BEHIND_NS 1000000000ll

typedef struct {
  Backend          base; // first: a Backend* is a NullBackend*
  BackendConfig    config;
  pthread_t        thread;
  bool             running; // control's own
  atomic_bool      stopping;
  _Atomic uint32_t skip_count;
} NullBackend;

static bool
write_nowhere(void*          handle,
              MidiOut        port,
              uint32_t       offset_frames,
              const uint8_t* message,
              uint32_t       size_bytes)
{
  (void)handle;
  (void)port;
  (void)offset_frames;
  (void)message;
  (void)size_bytes;
  return true;
}

const MidiSink midi_sink_nowhere = { .write = write_nowhere };

static void*
null_thread(void* context)
{
  NullBackend* const null   = context;
  const int64_t      rate   = null->config.sample_rate_hz;
  const uint32_t     period = null->config.period_frames;
  const int64_t      start  = clock_now_ns();
  uint64_t           frame  = 0;
  while (!atomic_load(&null->stopping)) {
    // Whole seconds apart, so that the product stays small for years.
    const int64_t seconds = (int64_t)(frame / (uint64_t)rate);
    const int64_t rest    = (int64_t)(frame % (uint64_t)rate);
    const int64_t due =
      start + seconds * 1000000000ll + rest * 1000000000ll / rate;
    const int64_t behind = clock_now_ns() - due;
    if (behind > SKIP_BEHIND_NS) {
      atomic_fetch_add(&null->skip_count, 1);
      frame += (uint64_t)(behind / 1000000000ll) * (uint64_t)rate;
    }
    rt_enter();
    const BackendSpan span = { .frame       = frame,
                               .frame_count = period,
                               .sink        = &midi_sink_nowhere };
    null->config.process(null->config.process_context, &span);
    rt_leave();
    frame += period;
    clock_sleep_until_ns(due);
  }
  return NULL;
}

static Status
null_start(Backend* backend, Error* error)
{
  NullBackend* const null = (NullBackend*)backend;
  atomic_store(&null->stopping, false);
  const int reason = thread_start(&null->thread, NULL, null_thread, null);
  if (reason) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "cannot start the clock thread: %s",
                     strerror(reason));
  }
  null->running = true;
  return STATUS_OK;
}

static void
null_stop(Backend* backend)
{
  NullBackend* const null = (NullBackend*)backend;
  if (null->running) {
    atomic_store(&null->stopping, true);
    pthread_join(null->thread, NULL);
    null->running = false;
  }
}

static void
null_close(Backend* backend)
{
  null_stop(backend);
  free(backend);
}

static void
null_poll(Backend* backend, BackendStatus* status)
{
  NullBackend* const null = (NullBackend*)backend;
  *status                 = (BackendStatus){
                    .sample_rate_hz = null->config.sample_rate_hz,
                    .period_frames  = null->config.period_frames,
                    .xrun_count     = atomic_load(&null->skip_count),
  };
  snprintf(status->text,
           sizeof status->text,
           "the wall clock, silent, %u Hz, period %u",
           status->sample_rate_hz,
           status->period_frames);
}

Status
backend_open_null(const BackendConfig* config, Backend** out, Error* error)
{
  *out = NULL;
  if (!config->sample_rate_hz || config->period_frames < PERIOD_FRAMES_MIN ||
      config->period_frames > PERIOD_FRAMES_MAX) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "null: a rate of %u Hz with spans of %u frames",
                     config->sample_rate_hz,
                     config->period_frames);
  }
  NullBackend* const null = calloc(1, sizeof *null);
  if (!null) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for the null clock");
  }
  null->base   = (Backend){ .name  = "null",
                            .start = null_start,
                            .stop  = null_stop,
                            .close = null_close,
                            .poll  = null_poll };
  null->config = *config;
  *out         = &null->base;
  return STATUS_OK;
}
