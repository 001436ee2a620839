// Names of ports and what is said to mean them.
#include "backend/port_pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char synth_port[] = "FLUID Synth (1234):Synth input port (1234:0)";

static bool
matches(const char* text, const char* name)
{
  PortPattern pattern = { .given = false };
  Error       error;
  assert_int_equal(port_pattern_compile(&pattern, text, "--connect", &error),
                   STATUS_OK);
  const bool result = port_pattern_matches(&pattern, name);
  port_pattern_free(&pattern);
  return result;
}

static void
test_expressions(void** state)
{
  (void)state;
  assert_true(matches("^FLUID", synth_port));
  assert_true(matches("Synth.*input|nothing", synth_port));
  assert_false(matches("fluid", synth_port));
  assert_false(matches("Synth$", synth_port));
  assert_false(matches(NULL, synth_port));
}

// As a list of ports shows it, whatever its signs would mean.
static void
test_names(void** state)
{
  (void)state;
  assert_true(matches(synth_port, synth_port));
  assert_false(matches("FLUID Synth (1234)", synth_port));
  assert_true(matches("system:midi_playback_1", "system:midi_playback_1"));
  assert_true(matches("a+b:in [1]", "a+b:in [1]"));
}

static void
test_refusal(void** state)
{
  (void)state;
  PortPattern pattern = { .given = false };
  Error       error;
  assert_int_equal(port_pattern_compile(&pattern, "a(b", "--control", &error),
                   STATUS_BAD_ARGUMENT);
  assert_non_null(strstr(error.text, "--control"));
  assert_non_null(strstr(error.text, "a(b"));
  assert_false(port_pattern_matches(&pattern, "a(b"));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_expressions),
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_refusal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
