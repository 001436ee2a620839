// live/deadline: full quality while there is time, as many steps as fit when
// there is not, no way back before the plan is long again, and always a way
// back: a plan long enough for all steps.
#include "live/deadline.h"

#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define LEAST 4

static void
test_full_while_there_is_time(void** state)
{
  (void)state;
  Deadline deadline = { 0 };
  assert_int_equal(deadline_steps(&deadline, LEAST, 20, 0.1), 20);
  deadline_measured(&deadline, 0.1, 20, 20);
  assert_int_equal(deadline_steps(&deadline, LEAST, 20, 0.21), 20);
  assert_false(deadline.short_of_time);
}

static void
test_fewer_fit(void** state)
{
  (void)state;
  // 50 ms a step and 100 ms besides: spare time, steps for the window
  const struct {
    double   spare_s;
    uint32_t least, full, steps;
  } cases[] = {
    { 2.19, 4, 20, 15 }, { 1.69, 4, 20, 10 }, { 1.25, 4, 20, 10 },
    { 0.72, 4, 20, 5 },  { 0.3, 4, 20, 4 },   { 0, 4, 20, 4 },
    { -1, 4, 20, 4 },    { 0.45, 1, 4, 2 },   { 0.45, 4, 4, 4 },
    { -1, 1, 4, 1 },     { -1, 1, 1, 1 },     { 0.75, 4, 5, 5 },
    { 0.1, 4, 5, 4 },    { -1, 10, 20, 10 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    Deadline deadline = { 0 };
    deadline_measured(&deadline, 1.1, 20, 20);
    assert_int_equal(
      deadline_steps(
        &deadline, cases[i].least, cases[i].full, cases[i].spare_s),
      cases[i].steps);
  }
}

// From all steps to the least, in few numbers.
static void
test_rungs(void** state)
{
  (void)state;
  static const uint32_t twenty[] = { 20, 15, 10, 7, 5, 4, 4 };
  for (uint32_t full = 1; full <= 1000; ++full) {
    for (uint32_t least = 1; least <= full && least <= 20; ++least) {
      assert_int_equal(deadline_rung(least, full, 0), full);
      assert_int_equal(deadline_rung(least, full, DEADLINE_RUNGS - 1), least);
      for (uint32_t i = 1; i < DEADLINE_RUNGS; ++i) {
        assert_in_range(deadline_rung(least, full, i),
                        least,
                        deadline_rung(least, full, i - 1));
      }
    }
  }
  for (uint32_t i = 0; i < sizeof twenty / sizeof *twenty; ++i) {
    assert_int_equal(deadline_rung(LEAST, 20, i), twenty[i]);
  }
}

// Once short, half as much time counts until the plan is long again.
static void
test_hysteresis(void** state)
{
  (void)state;
  Deadline deadline = { 0 };
  for (int i = 0; i < 100; ++i) {
    deadline_measured(&deadline, 0.01, 20, 20);
  }
  deadline_measured(&deadline, 1.1, 20, 20);
  assert_int_equal(deadline_steps(&deadline, LEAST, 20, 1), 7);
  assert_true(deadline.short_of_time);
  deadline_measured(&deadline, 0.01, 7, 20); // 25.6 ms a step by now
  assert_int_equal(deadline_steps(&deadline, LEAST, 20, 1.2), 7);
  assert_true(deadline.short_of_time);
  assert_int_equal(deadline_steps(&deadline, LEAST, 20, 1.5), 20);
  assert_false(deadline.short_of_time);
}

static void
test_a_stall_is_forgotten(void** state)
{
  (void)state;
  Deadline deadline = { 0 };
  deadline_measured(&deadline, 10, 20, 20);
  int windows = 0;
  while (deadline_steps(&deadline, LEAST, 20, 2) < 20) {
    deadline_measured(&deadline, 0.004, 4, 20);
    assert_true(++windows < 8);
  }
  assert_true(windows > 0);
}

// Short windows are not slower a step for what each costs besides: four steps
// in 0.3 s and twenty in 1.1 s are the same speed.
static void
test_overhead_is_no_step(void** state)
{
  (void)state;
  Deadline deadline = { 0 };
  deadline_measured(&deadline, 0.3, 4, 20);
  assert_int_equal(deadline_steps(&deadline, LEAST, 20, 2.21), 20);
  assert_int_equal(deadline_steps(&deadline, LEAST, 20, 2.19), 15);
}

// The look-ahead follows what 95 % of the windows would take with all steps,
// and what they take of late; within limits.
static void
test_look_ahead(void** state)
{
  (void)state;
  Deadline deadline = { 0 };
  assert_true(deadline_look_ahead_s(&deadline, 20) == 2);
  for (int i = 0; i < 10000; ++i) {
    deadline_measured(&deadline, 0.025, 20, 20);
  }
  assert_true(deadline_look_ahead_s(&deadline, 20) == 2);
  // Slower by now, with few steps: it is not thousands of windows before the
  // plan grows for good.
  for (int i = 0; i < 40; ++i) {
    deadline_measured(&deadline, 0.3, 4, 20);
    deadline_measured(&deadline, 0.1, 4, 20);
  }
  const double slow_s = deadline_look_ahead_s(&deadline, 20);
  assert_true(slow_s > 2.4 && slow_s < 3);
  deadline_measured(&deadline, 600, 20, 20);
  assert_true(deadline_look_ahead_s(&deadline, 20) == 30);
}

// Plays `windows` windows of `music_s` in virtual time: the plan, the deadline
// and a model of which a window takes between low_s and high_s with all steps.
// Returns how many of the last half had fewer.
static int
play(double music_s, double low_s, double high_s, int windows)
{
  Deadline deadline = { 0 };
  Rng      rng      = rng_make(1, RNG_USE_TEST, 0);
  double   plan_s   = music_s; // what is planned from now on
  int      fewer    = 0;
  for (int i = 0; i < windows; ++i) {
    // The worker sleeps until there is something to plan, and a little more.
    plan_s = fmin(plan_s, deadline_look_ahead_s(&deadline, 20) - 0.005);
    const uint32_t steps =
      deadline_steps(&deadline, LEAST, 20, plan_s - DEADLINE_RESERVE_S);
    const double full_s = low_s + (high_s - low_s) * rng_uniform(&rng);
    const double took_s = full_s * (steps + 2) / 22;
    deadline_measured(&deadline, took_s, steps, 20);
    plan_s = fmax(plan_s - took_s, DEADLINE_RESERVE_S) + music_s;
    fewer += i >= windows / 2 && steps < 20;
  }
  return fewer;
}

// A model that is quick enough in the long run plays with all its steps in the
// long run, though the plan ran short at first.
static void
test_full_steps_come_back(void** state)
{
  (void)state;
  const struct {
    double music_s, low_s, high_s;
  } cases[] = {
    { 4, 0.3, 1.5 }, { 8, 0.05, 3 },  { 4, 1, 1 },
    { 4, 1.2, 1.2 }, { 2, 1.5, 1.5 }, { 4, 2, 3.5 },
    { 4, 0.02, 1 },  { 1, 0.1, 0.8 }, { 14, 10, 13 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const int fewer =
      play(cases[i].music_s, cases[i].low_s, cases[i].high_s, 750);
    if (fewer > 8) {
      fail_msg("%d of 375 windows of %g to %g s have fewer steps",
               fewer,
               cases[i].low_s,
               cases[i].high_s);
    }
  }
  // Where it is not, some stay short.
  assert_true(play(1, 1.2, 1.6, 750) > 75);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_full_while_there_is_time),
    cmocka_unit_test(test_fewer_fit),
    cmocka_unit_test(test_rungs),
    cmocka_unit_test(test_hysteresis),
    cmocka_unit_test(test_a_stall_is_forgotten),
    cmocka_unit_test(test_overhead_is_no_step),
    cmocka_unit_test(test_look_ahead),
    cmocka_unit_test(test_full_steps_come_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
