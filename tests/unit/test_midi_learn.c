// MIDI learn: what is meant is bound, what trembles or is reserved is not.
#include "midi_world.h"

static void
test_learn_controller(void** state)
{
  (void)state;
  bind("cc 21 = density");
  bind("cc 22 = mute");
  midi_map_learn_param(&world.map, PARAM_TEMPO);
  // A knob that trembles is not what was meant; nor does it do anything.
  for (unsigned i = 0; i < 100; ++i) {
    assert_int_equal(cc(0, 22, 70 + i % 8), MIDI_HEARD_DONE);
    assert_int_equal(cc(0, 30, 70 + i % 8), MIDI_HEARD_NOTHING);
  }
  assert_int_equal(world.count, 0);
  assert_false(midi_map_changed(&world.map));
  assert_int_equal(cc(3, 21, 10), MIDI_HEARD_DONE);
  assert_int_equal(cc(3, 21, 17), MIDI_HEARD_DONE);
  assert_int_equal(cc(3, 21, 18), MIDI_HEARD_LEARNT);
  assert_false(midi_map_is_learning(&world.map));
  assert_true(midi_map_changed(&world.map));
  // It is bound to nothing else now.
  assert_int_equal(world.map.bound_count, 2);
  assert_string_equal(binding_text(1), "cc 21 ch 4 = tempo");
  cc(3, 21, 127);
  assert_int_equal(world.count, 1);
  assert_int_equal(world.last.param, PARAM_TEMPO);
}

static void
test_learn_button(void** state)
{
  (void)state;
  Error error;
  assert_int_equal(midi_map_learn_text(&world.map, "store 3", &error), 0);
  assert_int_equal(cc(0, 40, 127), MIDI_HEARD_NOTHING);
  assert_int_equal(cc(0, 40, 127), MIDI_HEARD_LEARNT);
  assert_string_equal(binding_text(0), "cc 40 ch 1 = store 3");
  assert_int_equal(midi_map_learn_text(&world.map, "tempo 1..0.5", &error), 0);
  assert_int_equal(cc(0, 41, 127), MIDI_HEARD_NOTHING);
  assert_int_equal(cc(0, 41, 0), MIDI_HEARD_LEARNT);
  assert_string_equal(binding_text(1), "cc 41 ch 1 = tempo 1..0.5");
  assert_int_not_equal(midi_map_learn_text(&world.map, "store", &error), 0);
  assert_int_not_equal(midi_map_learn_text(&world.map, "volume", &error), 0);
  assert_false(midi_map_is_learning(&world.map));
}

static void
test_learn_pair_and_nrpn(void** state)
{
  (void)state;
  bind("cc 17 = density");
  bind("cc 49 = density");
  midi_map_learn_param(&world.map, PARAM_TEMPO);
  for (unsigned i = 0; i < 8; ++i) {
    cc(0, 17, 50 + i);
    assert_int_not_equal(cc(0, 49, i * 16), MIDI_HEARD_LEARNT);
  }
  assert_int_equal(cc(0, 17, 58), MIDI_HEARD_LEARNT);
  assert_int_equal(world.map.bound_count, 1);
  assert_string_equal(binding_text(0), "cc14 17 ch 1 = tempo");
  // A lone controller from 32 on is one.
  midi_map_learn_param(&world.map, PARAM_MUTE);
  cc(0, 50, 0);
  assert_int_equal(cc(0, 50, 127), MIDI_HEARD_LEARNT);
  assert_string_equal(binding_text(1), "cc 50 ch 1 = mute");
  midi_map_learn_param(&world.map, PARAM_BPM);
  for (unsigned i = 0; i < 8; ++i) {
    nrpn(300, 50 + i);
    cc(0, 38, i);
    assert_true(midi_map_is_learning(&world.map));
  }
  nrpn(300, 60);
  assert_false(midi_map_is_learning(&world.map));
  assert_string_equal(binding_text(2), "nrpn 300 ch 1 = bpm");
}

static void
test_learn_key(void** state)
{
  (void)state;
  assert_int_equal(hear(0x90, 50, 9), MIDI_HEARD_PLAYED);
  midi_map_learn_param(&world.map, PARAM_FREEZE);
  assert_int_equal(hear(0x80, 50, 9), MIDI_HEARD_PLAYED);
  assert_int_equal(hear(0x90, 51, 9), MIDI_HEARD_LEARNT);
  assert_int_equal(hear(0x80, 51, 9), MIDI_HEARD_NOTHING);
  assert_string_equal(binding_text(0), "note 51 ch 1 = freeze");
  assert_true(world.params.value[PARAM_FREEZE] == 0);
}

static void
test_learn_reserved(void** state)
{
  (void)state;
  const unsigned refused[] = { 0, 6, 32, 96, 97, 120, 121, 123, 127 };
  midi_map_learn_param(&world.map, PARAM_TEMPO);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
    assert_int_not_equal(cc(0, refused[i], 0), MIDI_HEARD_LEARNT);
    assert_int_equal(world.error.status, STATUS_BAD_ARGUMENT);
    assert_non_null(strstr(world.error.text, "reserved"));
    // Said once, however long it is moved.
    assert_int_not_equal(cc(0, refused[i], 127), MIDI_HEARD_LEARNT);
    assert_int_equal(world.error.status, STATUS_OK);
  }
  // Choosing an NRPN or RPN is not asking to learn it.
  for (unsigned controller = 98; controller < 102; ++controller) {
    cc(0, controller, 0);
    assert_int_equal(cc(0, controller, 127), MIDI_HEARD_NOTHING);
    assert_int_equal(world.error.status, STATUS_OK);
  }
  assert_true(midi_map_is_learning(&world.map));
  assert_int_equal(world.map.bound_count, 0);
  assert_int_equal(world.count, 0);
}

static void
test_learn_by_controller(void** state)
{
  (void)state;
  bind("cc 20 = learn");
  bind("note 36 = panic");
  cc(0, 20, 127);
  assert_non_null(strstr(world.error.text, "no parameter was touched"));
  midi_map_touch(&world.map, PARAM_SWING);
  cc(0, 20, 0);
  cc(0, 20, 127);
  assert_true(midi_map_is_learning(&world.map));
  assert_int_equal(world.last.param, PARAM_SWING);
  // Panic is never shut out, and once more ends it.
  hear(0x90, 36, 9);
  assert_int_equal(world.last.kind, ACTION_PANIC);
  assert_true(midi_map_is_learning(&world.map));
  cc(0, 20, 0);
  cc(0, 20, 127);
  assert_false(midi_map_is_learning(&world.map));
  assert_int_equal(world.map.bound_count, 2);
}

// Begun by mistake: it ends by itself, and once.
static void
test_learning_ends(void** state)
{
  (void)state;
  bind("cc 1 = tempo");
  assert_false(midi_map_learn_ends(&world.map, 1e6));
  midi_map_learn_param(&world.map, PARAM_SWING);
  assert_false(midi_map_learn_ends(&world.map, 100));
  assert_false(midi_map_learn_ends(&world.map, 114.9));
  cc(0, 1, 127);
  assert_int_equal(world.count, 0);
  midi_map_learn_param(&world.map, PARAM_SWING); // asked for again
  assert_false(midi_map_learn_ends(&world.map, 115));
  assert_false(midi_map_learn_ends(&world.map, 129.9));
  assert_true(midi_map_learn_ends(&world.map, 130));
  assert_false(midi_map_learn_ends(&world.map, 131));
  cc(0, 1, 0);
  cc(0, 1, 127);
  assert_int_equal(world.count, 2);
  assert_int_equal(world.last.param, PARAM_TEMPO);
  assert_false(midi_map_changed(&world.map));
}

static void
test_keys(void** state)
{
  (void)state;
  uint64_t keys[16][2];
  bind("note 36 = panic");
  bind("note 64 ch 3 = freeze");
  bind("cc 1 = tempo");
  midi_map_keys(&world.map, keys);
  for (unsigned channel = 0; channel < 16; ++channel) {
    assert_true(keys[channel][0] == UINT64_C(1) << 36);
    assert_true(keys[channel][1] == (channel == 2));
  }
  midi_map_learn_param(&world.map, PARAM_SWING);
  midi_map_keys(&world.map, keys);
  assert_true(keys[0][0] == UINT64_MAX && keys[15][1] == UINT64_MAX);
}

static void
test_full_table(void** state)
{
  (void)state;
  for (unsigned i = 0; i < MIDI_BINDINGS_MAX; ++i) {
    char text[64];
    snprintf(text, sizeof text, "nrpn %u = tempo", i + 1000);
    bind(text);
  }
  midi_map_learn_param(&world.map, PARAM_MUTE);
  hear(0x90, 1, 1);
  assert_int_equal(world.error.status, STATUS_LIMIT);
  assert_int_equal(world.map.bound_count, MIDI_BINDINGS_MAX);
  assert_false(midi_map_changed(&world.map));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_learn_controller, set_up),
    cmocka_unit_test_setup(test_learn_button, set_up),
    cmocka_unit_test_setup(test_learn_pair_and_nrpn, set_up),
    cmocka_unit_test_setup(test_learn_key, set_up),
    cmocka_unit_test_setup(test_learn_reserved, set_up),
    cmocka_unit_test_setup(test_learn_by_controller, set_up),
    cmocka_unit_test_setup(test_learning_ends, set_up),
    cmocka_unit_test_setup(test_keys, set_up),
    cmocka_unit_test_setup(test_full_table, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
