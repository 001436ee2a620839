// backend/frame_clock: 32 bits go on as 64, whatever the server's clock does.
#include "backend/frame_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void
assert_next(FrameClock* clock, uint32_t now, uint32_t count, uint64_t frame)
{
  assert_true(frame_clock_next(clock, now, count));
  assert_true(clock->frame == frame);
}

static void
test_goes_on_beyond_32_bits(void** state)
{
  (void)state;
  FrameClock clock = { 0 };
  uint64_t   frame = 0xffffff00;
  // More than four times round, in steps of nearly half a turn.
  for (int i = 0; i < 10; ++i) {
    assert_next(&clock, (uint32_t)frame, 256, frame);
    frame += i ? 0x7fffffff : 0x200;
  }
  assert_true(frame > 1ull << 34);
}

static void
test_begins_at_0(void** state)
{
  (void)state;
  FrameClock clock = { 0 };
  assert_next(&clock, 0, 64, 0);
  assert_false(frame_clock_next(&clock, 0, 64));
  assert_next(&clock, 64, 64, 64);
}

static void
test_no_time_passed(void** state)
{
  (void)state;
  FrameClock clock = { 0 };
  assert_next(&clock, 5000, 256, 5000);
  for (int i = 0; i < 3; ++i) {
    assert_false(frame_clock_next(&clock, 5000, 256));
    assert_true(clock.frame == 5000);
  }
  assert_next(&clock, 9000, 256, 9000); // three cycles were missed
}

// Set back, also over zero: goes on from the end of the span before, and keeps
// the new pace.
static void
test_set_back(void** state)
{
  (void)state;
  FrameClock clock = { 0 };
  assert_next(&clock, 5000, 256, 5000);
  assert_next(&clock, 100, 64, 5256);
  assert_next(&clock, 164, 512, 5320);
  assert_next(&clock, 0xfffffff0, 64, 5832);
  assert_next(&clock, 0x30, 64, 5896);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_goes_on_beyond_32_bits),
    cmocka_unit_test(test_begins_at_0),
    cmocka_unit_test(test_no_time_passed),
    cmocka_unit_test(test_set_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
