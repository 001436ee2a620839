// Bindings and actions in words: what is read can be written and read again,
// and what makes no sense is refused with a reason.
#include "control/action_text.h"
#include "control/midi_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static Status
do_nothing(void* context, const Action* action, Error* error)
{
  (void)context;
  (void)action;
  (void)error;
  return STATUS_OK;
}

static void
test_there_and_back(void** state)
{
  (void)state;
  const struct {
    const char* text;
    const char* again; // NULL: as it was
  } cases[] = {
    { "cc 1 = temperature", NULL },
    { "cc 74 ch 2 = density 0.25..1", NULL },
    { "cc 74 ch 16 = density 1..0", NULL },
    { "cc 11 = density 0..1", "cc 11 = density" },
    { "  cc\t1  ch 1=  temperature  0.5..0.75 ",
      "cc 1 ch 1 = temperature 0.5..0.75" },
    { "cc14 16 = tempo", NULL },
    { "nrpn 1042 = walk_step", NULL },
    { "nrpn 16382 = walk_step", NULL },
    { "note 36 = panic", NULL },
    { "note 0 ch 10 = freeze", NULL },
    { "note 40 = store 3", NULL },
    { "note 41 = nudge tempo -1", NULL },
    { "note 42 = text mode walk", NULL },
    { "note 43 = set bpm 97.5", NULL },
    { "note 44 = preset late night", NULL },
    { "note 45 = learn_action store 3", NULL },
    { "note 46 = keep 12.5", NULL },
    { "cc 20 = learn", NULL },
    { "cc 21 = learn tempo", NULL },
    { "cc 22 = unlearn", NULL },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    MidiBinding binding;
    Error       error;
    char        text[MIDI_BINDING_BYTES];
    assert_int_equal(midi_map_parse_binding(cases[i].text, &binding, &error),
                     STATUS_OK);
    midi_map_format_binding(&binding, text, sizeof text);
    assert_string_equal(text, cases[i].again ? cases[i].again : cases[i].text);
  }
}

static void
test_refusals(void** state)
{
  (void)state;
  const struct {
    const char* text;
    const char* says;
  } cases[] = {
    { "", "cc 74 = density" },
    { "cc 74", "cc 74 = density" },
    { "= density", "use cc, cc14, nrpn or note" },
    { "knob 3 = density", "'knob' is no controller" },
    { "cc = density", "cc is ''" },
    { "cc -1 = density", "cc is '-1', use 0 to 127" },
    { "cc 128 = density", "use 0 to 127" },
    { "cc 4294967297 = density", "use 0 to 127" },
    { "cc 1x = density", "cc is '1x'" },
    { "cc14 32 = density", "use 0 to 31" },
    { "nrpn 16383 = density", "use 0 to 16382" },
    { "note 128 = density", "use 0 to 127" },
    { "cc 1 ch 0 = density", "use 1 to 16" },
    { "cc 1 ch 17 = density", "use 1 to 16" },
    { "cc 1 ch = density", "channel is ''" },
    { "cc 1 channel 3 = density", "'channel' after cc 1" },
    { "cc 1 ch 3 4 = density", "'4' after the channel" },
    { "cc 0 = density", "CC 0 is reserved for bank select" },
    { "cc 32 = density", "reserved for bank select" },
    { "cc 6 = density", "reserved for data entry" },
    { "cc 38 = density", "reserved for data entry" },
    { "cc 96 = density", "reserved for data increment" },
    { "cc 98 = density", "reserved for NRPN" },
    { "cc 101 = density", "reserved for RPN" },
    { "cc 120 = density", "reserved for channel mode" },
    { "cc 127 = panic", "reserved for channel mode" },
    { "cc14 0 = density", "reserved for bank select" },
    { "cc14 6 = density", "reserved for data entry" },
    { "cc 1 = ", "no parameter and no action ''" },
    { "cc 1 = volume", "no parameter and no action 'volume'" },
    { "cc 1 = density 0.2", "two shares of it" },
    { "cc 1 = density 0.2..", "two shares of it" },
    { "cc 1 = density 0..1.5", "two shares of it" },
    { "cc 1 = density nan..1", "two shares of it" },
    { "cc 1 = density 0.5..0.5", "two shares of it" },
    { "cc 1 = density 0..1 x", "two shares of it" },
    { "cc 1 = panic now", "panic: 'now' is too much" },
    { "cc 1 = store", "store wants a number" },
    { "cc 1 = store 17", "store is 17, out of its range 1 to 16" },
    { "cc 1 = store 1.5", "use a whole number" },
    { "cc 1 = store nan", "out of its range" },
    { "cc 1 = nudge", "nudge wants a parameter" },
    { "cc 1 = nudge volume 1", "there is no parameter 'volume'" },
    { "cc 1 = share tempo 2", "out of its range 0 to 1" },
    { "cc 1 = preset", "preset wants a name" },
    { "cc 1 = learn volume", "there is no parameter 'volume'" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    MidiBinding       binding = { .low = 42 };
    const MidiBinding before  = binding;
    Error             error;
    assert_int_equal(midi_map_parse_binding(cases[i].text, &binding, &error),
                     STATUS_BAD_ARGUMENT);
    if (!strstr(error.text, cases[i].says)) {
      fail_msg("'%s' gives '%s'", cases[i].text, error.text);
    }
    assert_memory_equal(&binding, &before, sizeof binding);
  }
}

// A name means one thing.
static void
test_names_differ(void** state)
{
  (void)state;
  for (int kind = 0; kind < ACTION_COUNT; ++kind) {
    assert_int_equal(params_find(action_table[kind].name), PARAM_COUNT);
  }
}

static void
test_long_text(void** state)
{
  (void)state;
  char        text[ACTION_TEXT_BYTES + 64] = "note 1 = preset ";
  MidiBinding binding;
  Error       error;
  memset(text + strlen(text), 'x', ACTION_TEXT_BYTES);
  assert_int_equal(midi_map_parse_binding(text, &binding, &error),
                   STATUS_LIMIT);
  text[strlen("note 1 = preset ") + ACTION_TEXT_BYTES - 1] = '\0';
  assert_int_equal(midi_map_parse_binding(text, &binding, &error), STATUS_OK);
  char again[MIDI_BINDING_BYTES];
  midi_map_format_binding(&binding, again, sizeof again);
  assert_string_equal(again, text);
}

static void
test_table(void** state)
{
  (void)state;
  static MidiMap map;
  MidiBinding    binding;
  Error          error;
  midi_map_init(&map, do_nothing, NULL);
  // The standard ones can be read, and none is there twice.
  for (size_t i = 0; i < midi_map_standard_count; ++i) {
    assert_int_equal(
      midi_map_parse_binding(midi_map_standard[i], &binding, &error), 0);
    assert_int_equal(midi_map_add(&map, &binding, MIDI_STANDARD, &error),
                     STATUS_OK);
  }
  assert_int_equal(map.bound_count, midi_map_standard_count);
  // The same once more only changes its range.
  assert_int_equal(
    midi_map_parse_binding("cc 74 = density 0..0.5", &binding, &error), 0);
  assert_int_equal(midi_map_add(&map, &binding, MIDI_STANDARD, &error),
                   STATUS_OK);
  assert_int_equal(map.bound_count, midi_map_standard_count);
  assert_false(midi_map_changed(&map));
  assert_int_equal(midi_map_forget(&map, PARAM_DENSITY), 1);
  assert_true(midi_map_changed(&map));
  midi_map_saved(&map);
  assert_int_equal(midi_map_forget(&map, PARAM_DENSITY), 0);
  assert_false(midi_map_changed(&map));
  midi_map_clear(&map);
  for (unsigned i = 0; i < MIDI_BINDINGS_MAX; ++i) {
    char text[64];
    snprintf(text, sizeof text, "nrpn %u = tempo", i);
    assert_int_equal(midi_map_parse_binding(text, &binding, &error), 0);
    assert_int_equal(midi_map_add(&map, &binding, MIDI_STANDARD, &error),
                     STATUS_OK);
  }
  assert_int_equal(midi_map_parse_binding("cc 1 = mute", &binding, &error), 0);
  assert_int_equal(midi_map_add(&map, &binding, MIDI_STANDARD, &error),
                   STATUS_LIMIT);
  assert_non_null(strstr(error.text, "256"));
  assert_int_equal(map.bound_count, MIDI_BINDINGS_MAX);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_refusals),
    cmocka_unit_test(test_names_differ),   cmocka_unit_test(test_long_text),
    cmocka_unit_test(test_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
