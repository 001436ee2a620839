// control/preset: every shipped preset loads and differs from the others; a bad
// one is refused with its file and line. The shipped ones are found by way of
// $MEANDER_DATA, which meson sets to the source tree.
#include "control/preset.h"
#include "data_path.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libconfig_leak.h"

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
  ++loaded_count;
}

static bool
differ(const Preset* a, const Preset* b)
{
  int differing = 0;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    differing += a->params.value[id] != b->params.value[id];
  }
  return differing >= 3;
}

static void
test_shipped(void** state)
{
  (void)state;
  size_t heirs      = 0;
  size_t responding = 0;
  size_t clocked    = 0;
  size_t swinging   = 0;
  data_list("presets", ".cfg", load);
  assert_true(loaded_count >= 10);
  for (size_t a = 0; a < loaded_count; ++a) {
    const Preset* const preset = &loaded[a];
    const double* const v      = preset->params.value;
    assert_in_range(strlen(preset->description), 20, 72);
    assert_true(*preset->model);
    heirs += preset->parent_count > 0;
    responding += v[PARAM_LISTEN] == LISTEN_RESPOND;
    clocked += v[PARAM_SYNC] == SYNC_MIDI && v[PARAM_QUANTISE] > 0;
    swinging += v[PARAM_SWING] > 0;
    for (size_t b = 0; b < a; ++b) {
      assert_true(differ(preset, &loaded[b]));
      assert_string_not_equal(preset->description, loaded[b].description);
    }
  }
  assert_true(heirs >= 3 && responding && clocked && swinging);
  Preset preset;
  Error  error;
  assert_int_equal(preset_load("calm", &preset, &error), STATUS_OK);
  assert_int_equal(preset_load("no-such", &preset, &error), STATUS_NOT_FOUND);
  assert_int_equal(preset_load("../presets/calm", &preset, &error),
                   STATUS_NOT_FOUND);
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
  assert_true(preset.named[PARAM_STEPS] && !preset.named[PARAM_SYNC]);
  assert_int_equal(
    load_text("model = \"/my runs/a.safetensors\"\n", &preset, path, &error),
    STATUS_OK);
  assert_string_equal(preset.model, "/my runs/a.safetensors");
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
    { "model = \"/etc/passwd\"\n", ":1: ", "whole path" },
    { "model = \"a.safetensors\"\n", ":1: ", "whole path" },
    { "model = \"/a\tb.safetensors\"\n", ":1: ", "control" },
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

// A file of `size` bytes is taken or refused in one line, and does not crash.
static Status
load_bytes(const char* bytes, size_t size, Error* error)
{
  char   path[] = "/tmp/meander-preset-XXXXXX.cfg";
  Preset preset;
  error->text[0] = '\0';
  const int file = mkstemps(path, 4);
  assert_true(file >= 0);
  assert_int_equal(write(file, bytes, size), size);
  close(file);
  const Status status = preset_load(path, &preset, error);
  unlink(path);
  if (status) {
    assert_non_null(strstr(error->text, path));
    assert_null(strchr(error->text, '\n'));
  } else {
    assert_int_equal(params_check(&preset.params, error), STATUS_OK);
  }
  return status;
}

static void
test_hostile(void** state)
{
  (void)state;
  enum { SIZE = 100000 };
  static char text[SIZE];
  Error       error;
  memset(text, 'x', SIZE);
  assert_int_equal(load_bytes(text, SIZE, &error), STATUS_LIMIT);
  // One line of all that a preset may be.
  memset(text, ' ', PRESET_BYTES_MAX);
  memcpy(text, "tempo = 2", 9);
  assert_int_equal(load_bytes(text, PRESET_BYTES_MAX, &error), STATUS_OK);
  assert_int_equal(load_bytes(text, PRESET_BYTES_MAX + 1, &error),
                   STATUS_LIMIT);
  const char nul[]     = "tempo = 2\n\0volume = 3\n";
  const char control[] = "description = \"\x1b]0;mine\a\"";
  assert_int_equal(load_bytes(nul, sizeof nul - 1, &error), STATUS_BAD_FILE);
  assert_int_equal(load_bytes("", 1, &error), STATUS_BAD_FILE);
  assert_int_equal(load_bytes(control, sizeof control - 1, &error),
                   STATUS_BAD_FILE);
  assert_non_null(strstr(error.text, "control"));
  const char* const nests[] = { "(", "[", "{", "a=(", "a={", "a=\"" };
  for (size_t i = 0; i < sizeof nests / sizeof *nests; ++i) {
    const size_t length = strlen(nests[i]);
    for (size_t at = 0; at < 60000; at += length) {
      memcpy(text + at, nests[i], length);
    }
    assert_int_equal(load_bytes(text, 60000, &error), STATUS_BAD_FILE);
    // Closed, in the right order, and as deep as that.
    memset(text, '(', 1000);
    memset(text + 1000, ')', 1000);
    memcpy(text, "tempo=", 6);
    assert_int_equal(load_bytes(text, 1994, &error), STATUS_BAD_FILE);
  }
  Preset preset;
  assert_int_not_equal(preset_load("/tmp/", &preset, &error), STATUS_OK);
  assert_int_not_equal(preset_load("/dev/zero", &preset, &error), STATUS_OK);
}

// Bytes of a good preset changed, cut out and doubled.
static void
test_mutations(void** state)
{
  (void)state;
  const char good[] =
    "description = \"a good one\"\ninherits = ( \"calm\", \"glass\" )\n"
    "model = \"vae\"\nmode = \"walk\"\ntempo = 0.55\ntranspose = -12\n"
    "bindings = [ \"cc 1 = tempo\", \"none\", \"cc 2 = pull\" ]\n"
    "seven = { a = 1; b = 0x1fL }\n";
  Rng rng   = rng_make(3, RNG_USE_TEST, 0);
  int taken = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    char   text[2 * sizeof good];
    size_t size = sizeof good - 1;
    // Half of them without the key that is unknown.
    size -= trial % 2 ? strlen(strstr(good, "seven")) : 0;
    memcpy(text, good, size);
    for (uint32_t change = rng_below(&rng, 4); change-- > 0;) {
      const size_t at     = rng_below(&rng, (uint32_t)size);
      const size_t length = 1 + rng_below(&rng, (uint32_t)(size - at));
      if (rng_below(&rng, 3)) {
        text[at] = (char)rng_u32(&rng);
      } else if (size - length > 40) {
        memmove(text + at, text + at + length, size - at - length);
        size -= length;
      } else {
        text[at] = "\"(){}[],;=\\#\n"[rng_below(&rng, 13)];
      }
    }
    Error error;
    taken += load_bytes(text, size, &error) == STATUS_OK;
  }
  // Else this has only tried the parser's first line.
  assert_in_range(taken, 300, 2700);
}

int
main(void)
{
  setenv("XDG_CONFIG_HOME", "/nowhere", 1);
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_shipped),   cmocka_unit_test(test_values),
    cmocka_unit_test(test_refusals),  cmocka_unit_test(test_hostile),
    cmocka_unit_test(test_mutations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
