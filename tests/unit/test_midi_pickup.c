// Pickup: a knob takes hold when it meets the value that stands.
#include "midi_world.h"

#define assert_near(a, b, by) assert_true(fabs((a) - (b)) <= (by))

// With pickup, and nobody has turned a knob yet.
static double*
stands(ParamId id, double value)
{
  world.params.value[PARAM_PICKUP] = 1;
  world.params.value[id]           = value;
  return &world.params.value[id];
}

static void
test_pickup(void** state)
{
  (void)state;
  bind("cc 1 = walk_step");
  double* const value = stands(PARAM_WALK_STEP, 0.5);
  cc(0, 1, 0);
  cc(0, 1, 50);
  assert_true(*value == 0.5);
  cc(0, 1, 100); // it passed
  assert_near(*value, 100 / 127.0, 1e-12);
  cc(0, 1, 10);
  assert_near(*value, 10 / 127.0, 1e-12);
  *value = 0.5; // somebody else
  cc(0, 1, 12);
  assert_true(*value == 0.5);
  cc(0, 1, 62); // near enough
  assert_near(*value, 62 / 127.0, 1e-12);
  world.params.value[PARAM_PICKUP] = 0;
  *value                           = 0.9;
  cc(0, 1, 1);
  assert_near(*value, 1 / 127.0, 1e-12);
}

// What a keyboard says as it is switched on. Switches and names are as they
// say.
static void
test_pickup_against_a_dump(void** state)
{
  (void)state;
  world.params.value[PARAM_PICKUP] = 1;
  for (size_t i = 0; i < midi_map_standard_count; ++i) {
    bind(midi_map_standard[i]);
  }
  bind("cc 20 = listen");
  const Params before = world.params;
  cc(0, 1, 0);
  cc(0, 7, 100);
  cc(0, 10, 64);
  cc(0, 11, 127);
  cc(0, 64, 0);
  cc(0, 66, 0);
  cc(0, 67, 0);
  cc(0, 91, 40);
  assert_memory_equal(&world.params, &before, sizeof before);
  cc(0, 64, 127);
  cc(0, 20, 127);
  assert_true(world.params.value[PARAM_FREEZE] == 1);
  assert_true(world.params.value[PARAM_LISTEN] == LISTEN_SEED);
}

// No knob can reach a value out of its range: its end does.
static void
test_pickup_out_of_range(void** state)
{
  (void)state;
  bind("cc 1 = walk_step 0.5..1");
  bind("cc 2 = walk_step 0.25..0");
  bind("cc 3 = channel");
  double* const value = stands(PARAM_WALK_STEP, 0.35);
  cc(0, 1, 40);
  cc(0, 1, 3);
  assert_true(*value == 0.35);
  cc(0, 1, 2);
  assert_near(*value, 0.5 + 1 / 127.0, 1e-12);
  cc(0, 2, 100);
  cc(0, 2, 1);
  assert_near(*value, 0.25 - 0.25 / 127.0, 1e-12);
  // What is auto stands at the low end.
  bind("cc 4 = position");
  cc(0, 4, 64);
  assert_true(params_is_auto(&world.params, PARAM_POSITION));
  cc(0, 4, 0);
  cc(0, 4, 64);
  assert_near(world.params.value[PARAM_POSITION], 64 / 127.0, 1e-12);
  // A whole number is met anywhere in its part of the way.
  cc(0, 3, 7);
  cc(0, 3, 20);
  assert_true(world.params.value[PARAM_CHANNEL] == 3);
}

// A fader goes by itself to what it is told: a hand moves it from there.
static void
test_pickup_of_a_motor_fader(void** state)
{
  (void)state;
  MidiMessage messages[64];
  bind("cc 1 = walk_step");
  double* const value = stands(PARAM_WALK_STEP, 0.25);
  assert_int_equal(feedback(messages), 1);
  cc(0, 1, 40); // it was at 32 and went fast
  assert_near(*value, 40 / 127.0, 1e-12);
  cc(0, 1, 127);
  assert_near(*value, 1, 1e-12);
  *value = 0;
  assert_int_equal(feedback(messages), 1);
  cc(0, 1, 100); // a knob that has no motor
  assert_true(*value == 0);
  cc(0, 1, 20);
  assert_true(*value == 0);
  midi_map_feedback_all(&world.map); // another controller: it passed nothing
  *value = 0.5;
  cc(0, 1, 100);
  assert_true(*value == 0.5);
}

// What was just learnt is under the player's hand.
static void
test_pickup_of_what_was_learnt(void** state)
{
  (void)state;
  double* const value = stands(PARAM_WALK_STEP, 0.5);
  midi_map_learn_param(&world.map, PARAM_WALK_STEP);
  cc(0, 1, 0);
  assert_int_equal(cc(0, 1, 8), MIDI_HEARD_LEARNT);
  assert_true(*value == 0.5);
  cc(0, 1, 10);
  assert_near(*value, 10 / 127.0, 1e-12);
  *value = 0.5;
  cc(0, 1, 12);
  assert_true(*value == 0.5);
}

// Two keyboards on two channels: neither passes for the other.
static void
test_pickup_of_two_keyboards(void** state)
{
  (void)state;
  bind("cc 1 = walk_step");
  double* const value = stands(PARAM_WALK_STEP, 0.5);
  cc(0, 1, 10);
  cc(1, 1, 100);
  assert_true(*value == 0.5);
  cc(1, 1, 30);
  assert_near(*value, 30 / 127.0, 1e-12);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_pickup, set_up),
    cmocka_unit_test_setup(test_pickup_against_a_dump, set_up),
    cmocka_unit_test_setup(test_pickup_out_of_range, set_up),
    cmocka_unit_test_setup(test_pickup_of_a_motor_fader, set_up),
    cmocka_unit_test_setup(test_pickup_of_what_was_learnt, set_up),
    cmocka_unit_test_setup(test_pickup_of_two_keyboards, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
