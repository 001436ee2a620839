// live/deadline: full quality while there is time, as many steps as fit when
// there is not, and no way back before the plan is long again.
#include "live/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define AHEAD_S 2.0

static void
test_full_while_there_is_time(void** state)
{
  (void)state;
  Deadline deadline = { 0 };
  assert_int_equal(deadline_steps(&deadline, 20, 0.1, AHEAD_S), 20);
  deadline_measured(&deadline, 0.1, 20);
  assert_int_equal(deadline_steps(&deadline, 20, 0.21, AHEAD_S), 20);
  assert_false(deadline.short_of_time);
}

static void
test_fewer_fit(void** state)
{
  (void)state;
  // 50 ms a step, spare time, steps for the window
  const struct {
    double   spare_s;
    uint32_t full, steps;
  } cases[] = {
    { 1.99, 20, 19 }, { 1.05, 20, 10 }, { 0.5, 20, 5 }, { 0.3, 20, 4 },
    { 0, 20, 4 },     { -1, 20, 4 },    { 0.25, 4, 2 }, { -1, 4, 1 },
    { -1, 1, 1 },     { 0.5, 5, 5 },    { 0.1, 5, 4 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    Deadline deadline = { 0 };
    deadline_measured(&deadline, 1, 20);
    // A look-ahead beyond reach: it never counts as long again.
    assert_int_equal(
      deadline_steps(&deadline, cases[i].full, cases[i].spare_s, 100),
      cases[i].steps);
  }
}

// Once short, half as much time counts until the plan is long again.
static void
test_hysteresis(void** state)
{
  (void)state;
  Deadline deadline = { 0 };
  deadline_measured(&deadline, 1, 20);
  assert_int_equal(deadline_steps(&deadline, 20, 0.8, AHEAD_S), 8);
  assert_true(deadline.short_of_time);
  deadline_measured(&deadline, 0.008, 8); // 25.5 ms a step by now
  assert_int_equal(deadline_steps(&deadline, 20, 1.2, AHEAD_S), 11);
  assert_true(deadline.short_of_time);
  assert_int_equal(deadline_steps(&deadline, 20, 1.5, AHEAD_S), 20);
  assert_false(deadline.short_of_time);
}

static void
test_a_stall_is_forgotten(void** state)
{
  (void)state;
  Deadline deadline = { 0 };
  deadline_measured(&deadline, 10, 20);
  int windows = 0;
  while (deadline_steps(&deadline, 20, 2, AHEAD_S) < 20) {
    deadline_measured(&deadline, 0.004, 4);
    assert_true(++windows < 8);
  }
  assert_true(windows > 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_full_while_there_is_time),
    cmocka_unit_test(test_fewer_fit),
    cmocka_unit_test(test_hysteresis),
    cmocka_unit_test(test_a_stall_is_forgotten),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
