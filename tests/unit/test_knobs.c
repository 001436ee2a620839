// control/knobs: what is turned glides to where it was turned to, and stops at
// its partner.
#include "control/knobs.h"
#include "live/process_setup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Only its ring of commands is of use here.
static Worker*
make_worker(void)
{
  Worker* const worker = calloc(1, sizeof *worker);
  Error         error;
  assert_non_null(worker);
  assert_int_equal(
    ring_init(
      &worker->commands, sizeof(WorkerCommand), COMMAND_RING_COMMANDS, &error),
    STATUS_OK);
  return worker;
}

static void
free_worker(Worker* worker)
{
  ring_free(&worker->commands);
  free(worker);
}

// The last value of `id` that was told; returns how often it was.
static uint32_t
read_told(Worker* worker, ParamId id, double* value)
{
  const WorkerCommand* command;
  uint32_t             count = 0;
  while ((command = ring_peek(&worker->commands))) {
    assert_int_equal(command->kind, COMMAND_PARAM);
    assert_int_equal(command->param, id);
    *value = command->value;
    ring_pop(&worker->commands);
    ++count;
  }
  return count;
}

// Turned at 10 s, seen every 5 ms: after smoothing_s it has gone 1 - 1/e of its
// way, steadily, and it arrives.
static void
expect_glide(ParamId id, double from, double to)
{
  Worker* const worker  = make_worker();
  Params        params  = params_standard();
  const double  glide_s = param_table[id].smoothing_s;
  Knobs         knobs;
  Error         error;
  params.value[id] = from;
  knobs_init(&knobs, &params);
  assert_int_equal(knobs_set(&knobs, id, to, &error), STATUS_OK);
  double   told = from, there = from;
  uint32_t count = 0;
  for (int i = 0; i < 400; ++i) {
    const double now_s  = 10 + 0.005 * i;
    const double before = told;
    knobs_turn(&knobs, now_s, worker);
    count += read_told(worker, id, &told);
    assert_true((told - before) * (to - from) >= 0);
    there = now_s <= 10 + glide_s ? told : there;
  }
  assert_true(told == to);
  const double share = (there - from) / (to - from);
  // A step of 20 ms is a fifth or more of a glide's time.
  assert_true(share > 0.55 && share < 0.85);
  assert_true(count > 3 && count < 60);
  free_worker(worker);
}

static void
test_glides(void** state)
{
  (void)state;
  uint32_t count = 0;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    const ParamInfo* const info = &param_table[id];
    if (info->smoothing_s > 0) {
      expect_glide((ParamId)id, info->low, info->high);
      expect_glide((ParamId)id, info->high, info->low);
      ++count;
    }
  }
  assert_true(count >= 4);
}

// The others jump, between two steps of a glide, too; a full ring loses none.
static void
test_jumps(void** state)
{
  (void)state;
  Worker* const worker = make_worker();
  const Params  params = params_standard();
  double        value  = 0;
  Knobs         knobs;
  Error         error;
  knobs_init(&knobs, &params);
  knobs_set(&knobs, PARAM_TRANSPOSE, 12, &error);
  knobs_turn(&knobs, 1, worker);
  assert_int_equal(read_told(worker, PARAM_TRANSPOSE, &value), 1);
  assert_true(value == 12);
  const WorkerCommand other = { .kind = COMMAND_PARAM };
  while (worker_command(worker, &other)) {
  }
  knobs_set(&knobs, PARAM_TRANSPOSE, 5, &error);
  knobs_turn(&knobs, 1, worker);
  while (ring_peek(&worker->commands)) {
    ring_pop(&worker->commands);
  }
  knobs_turn(&knobs, 1, worker);
  assert_int_equal(read_told(worker, PARAM_TRANSPOSE, &value), 1);
  assert_true(value == 5);
  free_worker(worker);
}

// A controller that turns past the partner is not refused, message by message;
// what is typed is.
static void
test_partners(void** state)
{
  (void)state;
  const Params params = params_standard();
  Knobs        knobs;
  Error        error;
  knobs_init(&knobs, &params);
  double* const value = knobs.params.value;
  assert_int_equal(knobs_set(&knobs, PARAM_REGISTER_HIGH, 72, &error), 0);
  assert_int_equal(knobs_set_share(&knobs, PARAM_REGISTER_LOW, 1, &error), 0);
  assert_true(value[PARAM_REGISTER_LOW] == 61);
  assert_int_equal(knobs_nudge(&knobs, PARAM_REGISTER_LOW, 1, &error), 0);
  assert_true(value[PARAM_REGISTER_LOW] == 61);
  assert_int_equal(knobs_set_share(&knobs, PARAM_REGISTER_HIGH, 0, &error), 0);
  assert_true(value[PARAM_REGISTER_HIGH] == 72);
  assert_int_equal(knobs_set(&knobs, PARAM_VELOCITY_LOW, 100, &error), 0);
  assert_int_equal(knobs_set_share(&knobs, PARAM_VELOCITY_HIGH, 0.1, &error),
                   0);
  assert_true(value[PARAM_VELOCITY_HIGH] == 100);
  assert_int_not_equal(knobs_set(&knobs, PARAM_VELOCITY_HIGH, 90, &error), 0);
  assert_true(value[PARAM_VELOCITY_HIGH] == 100);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_glides),
    cmocka_unit_test(test_jumps),
    cmocka_unit_test(test_partners),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
