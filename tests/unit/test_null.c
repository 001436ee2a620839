// backend/null keeps time: consecutive spans, none early, no drift.
#include "backend/backend.h"
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

// Not a divisor of 10^9; short spans, so that what each one adds adds up.
#define RATE_HZ 44100u
#define PERIOD_FRAMES 64u
#define PLAY_NS 1500000000ll
#define PART_NS 500000000ll
#define DRIFT_NS_MAX 5000000ll
#define CALLS_MAX 4096u

typedef struct {
  uint64_t frame;
  uint32_t frame_count;
  int64_t  time_ns; // since before the start
} Call;

typedef struct {
  int64_t  start_ns;
  Call     calls[CALLS_MAX];
  uint32_t count;
} Log;

static void
note_call(void* context, const BackendSpan* span)
{
  Log* const log = context;
  if (log->count < CALLS_MAX) {
    log->calls[log->count++] =
      (Call){ span->frame, span->frame_count, clock_now_ns() - log->start_ns };
  }
}

static void
play(Log* log, BackendStatus* status)
{
  const BackendConfig config = { .sample_rate_hz  = RATE_HZ,
                                 .period_frames   = PERIOD_FRAMES,
                                 .process         = note_call,
                                 .process_context = log };
  Backend*            backend;
  Error               error;
  assert_int_equal(backend_open_null(&config, &backend, &error), STATUS_OK);
  log->start_ns = clock_now_ns();
  assert_int_equal(backend->start(backend, &error), STATUS_OK);
  clock_sleep_until_ns(log->start_ns + PLAY_NS);
  backend->stop(backend);
  const uint32_t count = log->count;
  clock_sleep_ns(20000000);
  assert_int_equal(log->count, count); // stop means stop
  backend->poll(backend, status);
  backend->close(backend);
}

// How far behind the earliest moment that the call may be made: when the span
// before it begins.
static int64_t
lateness_ns(const Call* call)
{
  const int64_t ahead = (int64_t)call->frame - (int64_t)PERIOD_FRAMES;
  return call->time_ns - ahead * 1000000000ll / RATE_HZ;
}

static void
test_keeps_time(void** state)
{
  (void)state;
  static Log    log;
  BackendStatus status;
  play(&log, &status);
  if (status.xrun_count) {
    print_message("not tried: this machine stood still for a second\n");
    skip();
  }
  assert_in_range(log.count, 2, CALLS_MAX - 1);
  int64_t  first = INT64_MAX;
  int64_t  last  = INT64_MAX;
  uint64_t frame = 0;
  for (uint32_t i = 0; i < log.count; ++i) {
    const Call* const call = &log.calls[i];
    const int64_t     late = lateness_ns(call);
    assert_int_equal(call->frame, frame);
    assert_int_equal(call->frame_count, PERIOD_FRAMES);
    assert_true(late >= 0);
    if (call->time_ns < PART_NS && late < first) {
      first = late;
    }
    if (call->time_ns > PLAY_NS - PART_NS && late < last) {
      last = late;
    }
    frame += PERIOD_FRAMES;
  }
  // A busy machine may be late at any one call, not at all of half a second.
  assert_true(first < INT64_MAX && last < INT64_MAX);
  assert_true(last - first < DRIFT_NS_MAX);
}

static void
test_bad_config(void** state)
{
  (void)state;
  const BackendConfig configs[] = {
    { .sample_rate_hz = 0, .period_frames = 256 },
    { .sample_rate_hz = 48000, .period_frames = 0 },
    { .sample_rate_hz = 48000, .period_frames = 1 << 20 },
  };
  for (int i = 0; i < 3; ++i) {
    Backend* backend;
    Error    error;
    assert_int_equal(backend_open_null(&configs[i], &backend, &error),
                     STATUS_BAD_ARGUMENT);
    assert_null(backend);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_keeps_time),
    cmocka_unit_test(test_bad_config),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
