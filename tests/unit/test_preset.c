// control/preset: every shipped preset loads and differs from the others; a bad
// one is refused with its file and line. The shipped ones are found by way of
// $MEANDER_DATA, which meson sets to the source tree.
#include "control/preset.h"
#include "data_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static Preset loaded[64];
static size_t loaded_count;

static void
load(const char* path, const char* name)
{
  Error error;
  (void)name;
  if (preset_load(path, &loaded[loaded_count], &error)) {
    fail_msg("%s", error.text);
  }
  assert_true(strlen(loaded[loaded_count].description) > 10);
  ++loaded_count;
}

static void
test_shipped(void** state)
{
  (void)state;
  data_list("presets", ".cfg", load);
  assert_true(loaded_count >= 6);
  for (size_t a = 0; a < loaded_count; ++a) {
    for (size_t b = 0; b < a; ++b) {
      assert_memory_not_equal(
        &loaded[a].params, &loaded[b].params, sizeof(Params));
    }
  }
  Preset preset;
  Error  error;
  assert_int_equal(preset_load("calm", &preset, &error), STATUS_OK);
  assert_int_equal(preset_load("no-such", &preset, &error), STATUS_NOT_FOUND);
}

// Loads `text` as a preset; its path goes to `path`.
static Status
load_text(const char* text, Preset* preset, char path[64], Error* error)
{
  strcpy(path, "/tmp/meander-preset-XXXXXX.cfg");
  const int file = mkstemps(path, 4);
  assert_true(file >= 0);
  assert_int_equal(write(file, text, strlen(text)), strlen(text));
  close(file);
  const Status status = preset_load(path, preset, error);
  unlink(path);
  return status;
}

static void
test_values(void** state)
{
  (void)state;
  Preset preset;
  Error  error;
  char   path[64];
  assert_int_equal(load_text("description = \"x\";\nmode = \"prior\"\n"
                             "tempo = 2\ntranspose = -12L\n",
                             &preset,
                             path,
                             &error),
                   STATUS_OK);
  assert_int_equal((int)preset.params.value[PARAM_MODE], GENERATOR_PRIOR);
  assert_true(preset.params.value[PARAM_TEMPO] == 2);
  assert_true(preset.params.value[PARAM_TRANSPOSE] == -12);
  assert_true(preset.params.value[PARAM_DYNAMICS] == 1);
  assert_string_equal(preset.model, "");
  assert_int_equal(load_text("model = \"student\"\nsteps = 4\nscale = "
                             "\"blues\"\ncontext = \"auto\"\n",
                             &preset,
                             path,
                             &error),
                   STATUS_OK);
  assert_string_equal(preset.model, "student");
  assert_true(preset.params.value[PARAM_STEPS] == 4);
  assert_true(params_is_auto(&preset.params, PARAM_CONTEXT));
  assert_int_equal(load_text("", &preset, path, &error), STATUS_OK);
}

static void
test_refusals(void** state)
{
  (void)state;
  const struct {
    const char* text;
    const char* line;
    const char* says;
  } cases[] = {
    { "volume = 1\n", ":1: ", "volume" },
    { "tempo = 1.0\n\nvolume = 1\n", ":3: ", "volume" },
    { "tempo = 4.5\n", ":1: ", "0.25 to 4" },
    { "\ntranspose = 3.5\n", ":2: ", "transpose" },
    { "channel = 0\n", ":1: ", "channel" },
    { "channel = 99999999999L\n", ":1: ", "channel" },
    { "mode = 1\n", ":1: ", "mode" },
    { "mode = \"x\"\n", ":1: ", "walk" },
    { "steps = 0\n", ":1: ", "1 to 4000" },
    { "eta = 1.5\n", ":1: ", "0 to 1" },
    { "eta = 0.5\nsampler = \"dpm++\"\n", "", "ddim" },
    { "model = 3\n", ":1: ", "model" },
    { "model = \"\"\n", ":1: ", "model" },
    { "model = \"../../etc/passwd\"\n", ":1: ", "meander models" },
    { "description = 3\n", ":1: ", "description" },
    { "tempo = { a = 1 }\n", ":1: ", "tempo" },
    { "tempo == 1\n", ":1: ", "syntax" },
    { "@include \"/etc/passwd\"\n", "", "@include" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    Preset preset;
    Error  error;
    char   path[64];
    char   where[96];
    assert_int_not_equal(load_text(cases[i].text, &preset, path, &error), 0);
    snprintf(where, sizeof where, "%s%s", path, cases[i].line);
    assert_non_null(strstr(error.text, where));
    assert_non_null(strstr(error.text, cases[i].says));
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_shipped),
    cmocka_unit_test(test_values),
    cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
