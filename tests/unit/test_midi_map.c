// The MIDI map at work: controllers, pairs, NRPNs, keys and feedback.
#include "midi_world.h"

#define assert_near(a, b, by) assert_true(fabs((a) - (b)) <= (by))

static void
test_controller(void** state)
{
  (void)state;
  bind("cc 74 ch 2 = density 0.25..1");
  bind("cc 1 = temperature");
  assert_int_equal(cc(1, 74, 0), MIDI_HEARD_DONE);
  assert_int_equal(world.last.kind, ACTION_SET_SHARE);
  assert_int_equal(world.last.param, PARAM_DENSITY);
  assert_near(world.last.number, 0.25, 1e-12);
  cc(1, 74, 127);
  assert_near(world.last.number, 1, 1e-12);
  const size_t before = world.count;
  assert_int_equal(cc(2, 74, 3), MIDI_HEARD_NOTHING); // another channel
  assert_int_equal(cc(1, 75, 3), MIDI_HEARD_NOTHING);
  assert_int_equal(world.count, before);
  for (unsigned channel = 0; channel < 16; ++channel) {
    assert_int_equal(cc(channel, 1, 127), MIDI_HEARD_DONE);
    assert_near(world.params.value[PARAM_TEMPERATURE], 2, 1e-12);
    cc(channel, 1, 0);
    assert_near(world.params.value[PARAM_TEMPERATURE], 0, 1e-12);
  }
}

// Switches turn at 64, names lie side by side, a range turned round works.
static void
test_names(void** state)
{
  (void)state;
  bind("cc 64 = freeze");
  bind("cc 65 = mute 1..0");
  bind("cc 20 = listen");
  cc(0, 64, 63);
  assert_true(world.params.value[PARAM_FREEZE] == 0);
  cc(0, 64, 64);
  assert_true(world.params.value[PARAM_FREEZE] == 1);
  cc(0, 65, 63);
  assert_true(world.params.value[PARAM_MUTE] == 1);
  cc(0, 65, 64);
  assert_true(world.params.value[PARAM_MUTE] == 0);
  unsigned seen = 0;
  for (unsigned value = 0; value < 128; ++value) {
    cc(0, 20, value);
    seen |= 1u << (unsigned)world.params.value[PARAM_LISTEN];
  }
  assert_int_equal(seen, 15);
}

static void
test_several_targets(void** state)
{
  (void)state;
  bind("cc 1 = temperature");
  bind("cc 1 = density 0..0.5");
  cc(0, 1, 127);
  assert_int_equal(world.count, 2);
  assert_near(world.params.value[PARAM_TEMPERATURE], 2, 1e-12);
  assert_near(params_share(&world.params, PARAM_DENSITY), 0.5, 1e-12);
}

static void
expect_only(unsigned controller, ParamId param)
{
  const size_t before = world.count;
  cc(0, controller, 0);
  cc(0, controller, 127);
  assert_int_equal(world.count, before + 2);
  assert_int_equal(world.last.param, param);
}

// A later origin has its controllers to itself; what it took is there again
// when it goes.
static void
test_origins(void** state)
{
  (void)state;
  bind_as(MIDI_STANDARD, "cc 74 = density");
  bind_as(MIDI_OF_PRESET, "cc 74 ch 1 = tempo");
  bind_as(MIDI_OF_PRESET, "cc 20 = swing");
  bind_as(MIDI_OF_PRESET, "note 36 = panic");
  expect_only(74, PARAM_TEMPO);
  assert_false(midi_map_is_active(&world.map, 0));
  bind_as(MIDI_LEARNT, "cc 20 ch 1 = pull");
  expect_only(20, PARAM_PULL);
  // Another preset: one knob has one meaning, and the old key plays again.
  midi_map_drop(&world.map, MIDI_OF_PRESET);
  bind_as(MIDI_OF_PRESET, "cc 20 = quantise");
  expect_only(74, PARAM_DENSITY);
  expect_only(20, PARAM_PULL);
  assert_int_equal(hear(0x90, 36, 9), MIDI_HEARD_PLAYED);
  // The order in which they come is not what counts.
  bind_as(MIDI_STANDARD, "cc14 20 = bpm");
  expect_only(20, PARAM_PULL);
  assert_int_equal(midi_map_forget(&world.map, PARAM_PULL), 1);
  expect_only(20, PARAM_QUANTISE);
  assert_int_equal(world.map.bound_count, 3);
}

// What comes to light again is shown to its controller.
static void
test_origins_feedback(void** state)
{
  (void)state;
  MidiMessage messages[8];
  bind_as(MIDI_STANDARD, "cc 74 = density");
  assert_int_equal(midi_map_feedback(&world.map, &world.params, messages, 8),
                   1);
  bind_as(MIDI_OF_PRESET, "cc 74 = walk_step 0..0.5");
  assert_int_equal(midi_map_feedback(&world.map, &world.params, messages, 8),
                   1);
  assert_int_equal(messages[0].message[2], 89); // 0.35 of 0.5
  midi_map_drop(&world.map, MIDI_OF_PRESET);
  assert_int_equal(midi_map_feedback(&world.map, &world.params, messages, 8),
                   1);
  assert_int_equal(messages[0].message[2], 64); // 1 is the middle
}

static void
test_pair(void** state)
{
  (void)state;
  bind("cc14 16 = walk_step");
  const double* const value = &world.params.value[PARAM_WALK_STEP];
  assert_int_equal(cc(0, 48, 77), MIDI_HEARD_NOTHING); // half of nothing
  assert_int_equal(cc(0, 16, 127), MIDI_HEARD_DONE);
  assert_near(*value, 1, 1e-12); // as long as there is no fine half
  cc(0, 16, 64);
  assert_near(*value, 64 / 127.0, 1e-12);
  assert_int_equal(cc(0, 48, 3), MIDI_HEARD_DONE);
  assert_near(*value, (64 * 128 + 3) / 16383.0, 1e-12);
  // Turned down over a coarse step it never dips below, and up never above.
  cc(0, 48, 0);
  cc(0, 16, 63);
  assert_near(*value, (63 * 128 + 127) / 16383.0, 1e-12);
  cc(0, 48, 126);
  assert_near(*value, (63 * 128 + 126) / 16383.0, 1e-12);
  cc(0, 16, 64);
  assert_near(*value, 64 * 128 / 16383.0, 1e-12);
  cc(0, 16, 127);
  cc(0, 48, 127);
  assert_near(*value, 1, 1e-12);
  // Another channel has a state of its own.
  cc(5, 16, 127);
  assert_near(*value, 1, 1e-12);
  cc(5, 16, 64);
  assert_near(*value, 64 / 127.0, 1e-12);
}

static void
test_nrpn(void** state)
{
  (void)state;
  bind("nrpn 1042 = walk_step");
  nrpn(1042, 127);
  assert_near(world.params.value[PARAM_WALK_STEP], 1, 1e-12);
  cc(0, 38, 0);
  assert_near(world.params.value[PARAM_WALK_STEP], 127 * 128 / 16383.0, 1e-12);
  cc(0, 97, 0);
  assert_int_equal(world.last.kind, ACTION_NUDGE);
  assert_true(world.last.number == -1);
  cc(0, 96, 0);
  assert_true(world.last.number == 1);
  // Each parameter has its own.
  for (int id = 0; id < PARAM_COUNT; ++id) {
    nrpn((unsigned)id, 127);
    assert_int_equal(world.last.kind, ACTION_SET_SHARE);
    assert_int_equal(world.last.param, id);
    assert_true(world.params.value[id] == param_table[id].high);
    cc(0, 97, 1);
    assert_int_equal(world.last.kind, ACTION_NUDGE);
    assert_int_equal(world.last.param, id);
  }
  const size_t before = world.count;
  nrpn(PARAM_COUNT, 1);
  nrpn(16383, 1); // none
  cc(0, 96, 0);
  cc(0, 38, 5);
  nrpn(0x1fff, 64); // a strange one
  assert_int_equal(world.count, before);
}

// Data of an RPN is not ours, and none that comes before a choice.
static void
test_rpn(void** state)
{
  (void)state;
  cc(0, 6, 5);
  cc(0, 38, 5);
  cc(0, 96, 5);
  nrpn(PARAM_TEMPO, 0);
  assert_int_equal(world.count, 1);
  cc(0, 101, 0);
  cc(0, 100, 0);
  cc(0, 6, 2);
  cc(0, 38, 2);
  cc(0, 97, 2);
  assert_int_equal(world.count, 1);
  cc(0, 98, PARAM_DENSITY); // the MSB stands
  cc(0, 6, 127);
  assert_int_equal(world.count, 2);
  assert_int_equal(world.last.param, PARAM_DENSITY);
  cc(1, 6, 127); // another channel chose nothing
  assert_int_equal(world.count, 2);
}

static void
test_own_nrpn_can_be_bound(void** state)
{
  (void)state;
  char text[64];
  snprintf(text, sizeof text, "nrpn %d = panic", PARAM_TEMPO);
  bind(text);
  nrpn(PARAM_TEMPO, 127);
  assert_int_equal(world.count, 1);
  assert_int_equal(world.last.kind, ACTION_PANIC);
}

static void
test_actions(void** state)
{
  (void)state;
  bind("cc 80 = store 3");
  bind("note 36 = panic");
  bind("note 37 ch 10 = text mode walk");
  cc(0, 80, 63);
  assert_int_equal(world.count, 0);
  cc(0, 80, 64);
  assert_int_equal(world.last.kind, ACTION_STORE);
  assert_true(world.last.number == 3);
  cc(0, 80, 100); // still down
  assert_int_equal(world.count, 1);
  cc(0, 80, 0);
  cc(0, 80, 127);
  cc(0, 80, 127); // a button that never says 0
  assert_int_equal(world.count, 3);
  assert_int_equal(hear(0x93, 36, 1), MIDI_HEARD_DONE);
  assert_int_equal(world.last.kind, ACTION_PANIC);
  assert_int_equal(hear(0x83, 36, 0), MIDI_HEARD_NOTHING);
  assert_int_equal(world.count, 4);
  assert_int_equal(hear(0x99, 37, 1), MIDI_HEARD_DONE);
  assert_true(world.params.value[PARAM_MODE] == GENERATOR_WALK);
  assert_int_equal(hear(0xc4, 17, 0), MIDI_HEARD_DONE);
  assert_int_equal(world.last.kind, ACTION_PROGRAM);
  assert_true(world.last.number == 17);
}

// A key steps through names; of a number it sets the share of its velocity.
static void
test_keys_of_parameters(void** state)
{
  (void)state;
  bind("note 40 = freeze");
  bind("note 41 = listen");
  bind("note 42 = density");
  for (int i = 1; i < 8; ++i) {
    hear(0x90, 40, 100);
    hear(0x90, 40, 0);
    assert_true(world.params.value[PARAM_FREEZE] == i % 2);
    hear(0x90, 41, 1);
    assert_true(world.params.value[PARAM_LISTEN] == i % 4);
  }
  hear(0x90, 42, 127);
  assert_true(world.params.value[PARAM_DENSITY] ==
              param_table[PARAM_DENSITY].high);
}

static void
test_played(void** state)
{
  (void)state;
  bind("note 36 = panic");
  assert_int_equal(hear(0x90, 60, 1), MIDI_HEARD_PLAYED);
  assert_int_equal(hear(0x80, 60, 1), MIDI_HEARD_PLAYED);
  assert_int_equal(hear(0x80, 60, 1), MIDI_HEARD_NOTHING); // it was up
  assert_int_equal(hear(0x9f, 127, 1), MIDI_HEARD_PLAYED);
  // Bound while it sounds: its note-off still comes through.
  bind("note 127 = panic");
  assert_int_equal(hear(0x9f, 127, 0), MIDI_HEARD_PLAYED);
  assert_int_equal(hear(0x9f, 127, 9), MIDI_HEARD_DONE);
  // All notes off, and its friends; a lone note-off after that is nothing.
  const unsigned ends[] = { 120, 123, 124, 125, 126, 127 };
  for (size_t i = 0; i < sizeof ends / sizeof *ends; ++i) {
    hear(0x95, 64, 1);
    assert_int_equal(cc(5, ends[i], 0), MIDI_HEARD_END);
    assert_int_equal(hear(0x85, 64, 0), MIDI_HEARD_NOTHING);
  }
  assert_int_equal(cc(5, 121, 0), MIDI_HEARD_NOTHING);
  assert_int_equal(hear(0xf8, 0, 0), MIDI_HEARD_CLOCK);
  assert_int_equal(hear(0xfa, 0, 0), MIDI_HEARD_CLOCK);
  assert_int_equal(hear(0xfb, 0, 0), MIDI_HEARD_CLOCK);
  assert_int_equal(hear(0xfc, 0, 0), MIDI_HEARD_CLOCK);
  assert_int_equal(hear(0xf2, 1, 2), MIDI_HEARD_CLOCK);
  assert_int_equal(hear(0xfe, 0, 0), MIDI_HEARD_NOTHING);
  assert_int_equal(hear(0xe0, 1, 2), MIDI_HEARD_NOTHING);
  assert_int_equal(hear(0xd0, 1, 0), MIDI_HEARD_NOTHING);
}

static void
test_malformed(void** state)
{
  (void)state;
  bind("cc 1 = tempo");
  const MidiMessage bad[] = {
    { .message = { 0xb0, 1, 1 }, .size_bytes = 2 },
    { .message = { 0xb0, 1, 128 }, .size_bytes = 3 },
    { .message = { 0xb0, 128, 1 }, .size_bytes = 3 },
    { .message = { 0x10, 1, 1 }, .size_bytes = 3 },
    { .message = { 0xc0, 1, 1 }, .size_bytes = 3 },
    { .message = { 0xf8, 1, 1 }, .size_bytes = 3 },
    { .message = { 0x90, 1, 1 }, .size_bytes = 0 },
    { .message = { 0x90, 1, 1 }, .size_bytes = 255 },
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    assert_int_equal(
      midi_map_hear(&world.map, &bad[i], &world.params, &world.error),
      MIDI_HEARD_NOTHING);
  }
  assert_int_equal(world.map.malformed_count, sizeof bad / sizeof *bad);
  assert_int_equal(world.count, 0);
}

static void
test_refusal_is_told(void** state)
{
  (void)state;
  bind("cc 1 = tempo");
  world.refuses = true;
  assert_int_equal(cc(0, 1, 5), MIDI_HEARD_DONE);
  assert_string_equal(world.error.text, "not now");
  world.refuses = false;
  cc(0, 1, 6);
  assert_int_equal(world.error.status, STATUS_OK);
}

// A preset that a key loads takes the bindings with it.
static void
test_table_changes_meanwhile(void** state)
{
  (void)state;
  bind("note 36 = preset calm");
  bind("note 36 = panic");
  assert_int_equal(hear(0x90, 36, 1), MIDI_HEARD_DONE);
  assert_int_equal(world.count, 1);
  assert_int_equal(world.map.bound_count, 0);
}

static void
assert_message(const MidiMessage* message, unsigned a, unsigned b, unsigned c)
{
  assert_int_equal(message->size_bytes, 3);
  assert_int_equal(message->message[0], a);
  assert_int_equal(message->message[1], b);
  assert_int_equal(message->message[2], c);
}

static void
test_feedback(void** state)
{
  (void)state;
  MidiMessage messages[64];
  bind("cc 1 ch 3 = walk_step");
  bind("cc14 16 = pull");
  bind("nrpn 300 = quantise");
  bind("cc 20 = listen");
  bind("note 36 = freeze");
  bind("cc 30 = panic");
  world.params.value[PARAM_WALK_STEP] = 1;
  world.params.value[PARAM_PULL]      = 0.5;
  world.params.value[PARAM_QUANTISE]  = 1;
  world.params.value[PARAM_LISTEN]    = LISTEN_FOLLOW;
  assert_int_equal(feedback(messages), 1 + 2 + 4 + 1);
  assert_message(&messages[0], 0xb2, 1, 127);
  assert_message(&messages[1], 0xb0, 16, 64);
  assert_message(&messages[2], 0xb0, 48, 0);
  assert_message(&messages[3], 0xb0, 99, 2);
  assert_message(&messages[4], 0xb0, 98, 44);
  assert_message(&messages[5], 0xb0, 6, 127);
  assert_message(&messages[6], 0xb0, 38, 127);
  assert_message(&messages[7], 0xb0, 20, 85);
  assert_int_equal(feedback(messages), 0);
  // No echo of what a controller says itself, though a name's middle is not
  // where the knob stands.
  for (unsigned value = 0; value < 128; ++value) {
    cc(2, 1, value);
    cc(0, 16, value);
    cc(0, 48, 127 - value);
    cc(0, 20, value);
    assert_int_equal(feedback(messages), 0);
  }
  world.params.value[PARAM_WALK_STEP] = 0;
  assert_int_equal(feedback(messages), 1);
  assert_message(&messages[0], 0xb2, 1, 0);
  // What was refused is put right.
  world.refuses = true;
  cc(2, 1, 100);
  world.refuses = false;
  assert_int_equal(feedback(messages), 1);
  assert_message(&messages[0], 0xb2, 1, 0);
  midi_map_feedback_all(&world.map);
  assert_int_equal(feedback(messages), 8);
}

// Two knobs of one parameter: the other one follows.
static void
test_feedback_of_two(void** state)
{
  (void)state;
  MidiMessage messages[64];
  bind("cc 1 = walk_step");
  bind("cc 2 = walk_step 0..0.5");
  feedback(messages);
  cc(0, 1, 127);
  assert_int_equal(feedback(messages), 1);
  assert_message(&messages[0], 0xb0, 2, 127);
  cc(7, 2, 64);
  assert_int_equal(feedback(messages), 1);
  assert_message(&messages[0], 0xb0, 1, 32);
}

// Little room: nothing is lost and nobody starves.
static void
test_feedback_in_parts(void** state)
{
  (void)state;
  MidiMessage messages[4];
  bool        seen[10] = { false };
  char        text[64];
  for (int i = 0; i < 10; ++i) {
    snprintf(
      text, sizeof text, "cc14 %d = walk_step 0..%g", i + 10, 1 - i * .1);
    bind(text);
  }
  for (int turn = 0; turn < 10; ++turn) {
    world.params.value[PARAM_WALK_STEP] = turn * 0.1;
    const size_t count =
      midi_map_feedback(&world.map, &world.params, messages, 4);
    assert_int_equal(count, 2);
    seen[messages[0].message[1] - 10] = true;
  }
  for (int i = 0; i < 10; ++i) {
    assert_true(seen[i]);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_controller, set_up),
    cmocka_unit_test_setup(test_names, set_up),
    cmocka_unit_test_setup(test_several_targets, set_up),
    cmocka_unit_test_setup(test_origins, set_up),
    cmocka_unit_test_setup(test_origins_feedback, set_up),
    cmocka_unit_test_setup(test_pair, set_up),
    cmocka_unit_test_setup(test_nrpn, set_up),
    cmocka_unit_test_setup(test_rpn, set_up),
    cmocka_unit_test_setup(test_own_nrpn_can_be_bound, set_up),
    cmocka_unit_test_setup(test_actions, set_up),
    cmocka_unit_test_setup(test_keys_of_parameters, set_up),
    cmocka_unit_test_setup(test_played, set_up),
    cmocka_unit_test_setup(test_malformed, set_up),
    cmocka_unit_test_setup(test_refusal_is_told, set_up),
    cmocka_unit_test_setup(test_table_changes_meanwhile, set_up),
    cmocka_unit_test_setup(test_feedback, set_up),
    cmocka_unit_test_setup(test_feedback_of_two, set_up),
    cmocka_unit_test_setup(test_feedback_in_parts, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
