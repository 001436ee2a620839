// control/preset: what is saved is what is read back, to the last bit, or the
// file is as it was.
#include "control/preset.h"
#include "rng.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "user_folder.h"

static Preset given;
static Preset back;
static Error  error;

static Preset
standard(void)
{
  return (Preset){ .program = -1, .params = params_standard() };
}

// Saves `given` and reads it back.
static void
expect_trip(const char* name)
{
  if (preset_save(name, &given, NULL, &error) ||
      preset_load(name, &back, &error)) {
    fail_msg("%s", error.text);
  }
  assert_string_equal(back.description, given.description);
  assert_string_equal(back.model, given.model);
  assert_memory_equal(&back.params, &given.params, sizeof back.params);
  assert_int_equal(back.binding_count, given.binding_count);
  for (uint32_t i = 0; i < given.binding_count; ++i) {
    assert_string_equal(back.bindings[i], given.bindings[i]);
  }
}

static void
expect_text(const char* name, const char* text)
{
  char relative[128];
  snprintf(relative, sizeof relative, "presets/%s.cfg", name);
  char* const found = user_read(relative);
  assert_non_null(found);
  assert_string_equal(found, text);
  free(found);
}

static void
test_differences_only(void** state)
{
  (void)state;
  given = standard();
  expect_trip("plain");
  expect_text("plain", "");
  strcpy(given.description, "a \"quoted\" \\ one, \xc3\xa4");
  strcpy(given.model, "vae");
  given.params.value[PARAM_TEMPO]     = 0.35;
  given.params.value[PARAM_TRANSPOSE] = -40;
  given.params.value[PARAM_MODE]      = GENERATOR_PRIOR;
  strcpy(given.bindings[given.binding_count++], "cc 1 = tempo");
  strcpy(given.bindings[given.binding_count++], "cc 2 = \"x\"");
  char path[1024];
  assert_int_equal(preset_save("mine", &given, path, &error), STATUS_OK);
  assert_int_equal(access(path, R_OK), 0);
  given.program = 7;
  expect_trip("mine");
  assert_int_equal(back.program, 7);
  given.program = -1;
  expect_trip("mine");
  expect_text("mine",
              "description = \"a \\\"quoted\\\" \\\\ one, \xc3\xa4\"\n"
              "model = \"vae\"\n"
              "mode = \"prior\"\n"
              "tempo = 0.35\n"
              "transpose = -40\n"
              "bindings = (\n  \"cc 1 = tempo\",\n  \"cc 2 = \\\"x\\\"\"\n)\n");
}

static void
test_heirs(void** state)
{
  (void)state;
  user_write_preset("base",
                    "tempo = 2.0\nsteps = 7\nmodel = \"vae\"\n"
                    "bindings = (\"cc 1 = tempo\", \"cc 2 = pull\")\n");
  user_write_preset("heir", "inherits = \"base\"\nchannel = 2\n");
  assert_int_equal(preset_load("heir", &given, &error), STATUS_OK);
  given.params.value[PARAM_TEMPO] = 1; // the standard, not the parent's
  given.params.value[PARAM_STEPS] = 0; // auto
  strcpy(given.bindings[given.binding_count++], "cc 3 = density");
  expect_trip("heir");
  expect_text("heir",
              "inherits = (\n  \"base\"\n)\n"
              "steps = \"auto\"\ntempo = 1\nchannel = 2\n"
              "bindings = (\n  \"cc 3 = density\"\n)\n");
  // A binding of the parent that was forgotten.
  strcpy(given.bindings[0], given.bindings[--given.binding_count]);
  expect_trip("heir");
  expect_text("heir",
              "inherits = (\n  \"base\"\n)\n"
              "steps = \"auto\"\ntempo = 1\nchannel = 2\n"
              "bindings = (\n  \"none\",\n  \"cc 3 = density\",\n"
              "  \"cc 2 = pull\"\n)\n");
  given.binding_count = 0;
  expect_trip("heir");
  // Any model: the parent's cannot be unsaid, so it stands by itself.
  *given.model = '\0';
  expect_trip("heir");
  expect_text("heir", "channel = 2\n");
  // The parent is gone, or would become an heir of its heir.
  given = (Preset){ .program = -1, .params = given.params, .parent_count = 1 };
  strcpy(given.parents[0], "nowhere");
  expect_trip("orphan");
  expect_text("orphan", "channel = 2\n");
  user_write_preset("child", "inherits = \"parent\"\n");
  user_write_preset("parent", "tempo = 2.0\n");
  assert_int_equal(preset_load("child", &given, &error), STATUS_OK);
  strcpy(given.parents[0], "child");
  given.params.value[PARAM_CHANNEL] = 3;
  expect_trip("parent");
  expect_text("parent", "tempo = 2\nchannel = 3\n");
}

static void
test_over_shipped(void** state)
{
  (void)state;
  assert_int_equal(preset_load("drift", &given, &error), STATUS_OK);
  char shipped[1024];
  strcpy(shipped, given.path);
  struct stat before;
  struct stat after;
  assert_int_equal(stat(shipped, &before), 0);
  given.params.value[PARAM_CHANNEL] = 5;
  expect_trip("drift");
  assert_non_null(strstr(back.path, user_folder));
  assert_int_equal(stat(shipped, &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  assert_int_equal(before.st_mtime, after.st_mtime);
  // Amended, not copied: calm in one's own words, with the shipped one's
  // values.
  given = standard();
  assert_int_equal(preset_load("calm", &given, &error), STATUS_OK);
  given.parent_count = 1;
  strcpy(given.parents[0], "calm");
  strcpy(given.bindings[given.binding_count++], "cc 1 = tempo");
  expect_trip("calm");
  expect_text("calm",
              "description = \"slow and soft, never far from where it was\"\n"
              "inherits = (\n  \"calm\"\n)\nprogram = 4\n"
              "bindings = (\n  \"cc 1 = tempo\"\n)\n");
}

static double
random_value(Rng* rng, ParamId id)
{
  const ParamInfo* const info  = &param_table[id];
  const double           share = rng_uniform(rng);
  const double           value = info->low + share * (info->high - info->low);
  if (info->flags & PARAM_MAY_BE_AUTO && rng_uniform(rng) < 0.2f) {
    return info->low - 1;
  }
  return info->type == PARAM_REAL ? value : round(value);
}

// Whatever the values, not one bit is lost.
static void
test_random_trips(void** state)
{
  (void)state;
  Rng rng = rng_make(7, RNG_USE_TEST, 0);
  for (int trip = 0; trip < 300; ++trip) {
    given = standard();
    for (int id = 0; id < PARAM_COUNT; ++id) {
      given.params.value[id] = random_value(&rng, (ParamId)id);
    }
    if (params_check(&given.params, &error)) {
      continue;
    }
    // Doubles that no short decimal names.
    given.params.value[PARAM_DYNAMICS] = nextafter(0.1, 1);
    given.params.value[PARAM_LATENCY]  = -1e-300 * (trip + 1);
    expect_trip("random");
  }
}

// Nothing is written, and what was there is as it was.
static void
expect_refusal(const char* name, const char* says)
{
  user_write_preset("kept", "tempo = 2.0\n");
  assert_int_not_equal(preset_save(name, &given, NULL, &error), STATUS_OK);
  if (!strstr(error.text, says)) {
    fail_msg("no '%s' in: %s", says, error.text);
  }
  expect_text("kept", "tempo = 2.0\n");
}

static int
files_in(const char* relative)
{
  char path[1024];
  assert_true(data_user_path(DATA_CONFIG, relative, path));
  DIR* const folder = opendir(path);
  int        count  = 0;
  assert_non_null(folder);
  for (const struct dirent* file; (file = readdir(folder));) {
    count += *file->d_name != '.';
  }
  closedir(folder);
  return count;
}

static void
test_refusals(void** state)
{
  (void)state;
  given = standard();
  expect_refusal("../kept", "letters");
  expect_refusal("kept.cfg", "letters");
  expect_refusal("", "letters");
  given.params.value[PARAM_TEMPO] = 17;
  expect_refusal("kept", "0.25 to 4");
  given                                   = standard();
  given.params.value[PARAM_VELOCITY_LOW]  = 100;
  given.params.value[PARAM_VELOCITY_HIGH] = 10;
  expect_refusal("kept", "velocity_low");
  given = standard();
  strcpy(given.description, "two\nlines");
  expect_refusal("kept", "control");
  given = standard();
  strcpy(given.model, "../x");
  expect_refusal("kept", "meander models");
  given = standard();
  strcpy(given.bindings[given.binding_count++], "none");
  expect_refusal("kept", "cannot hold");
  given = standard();
  for (int i = 0; i < 256; ++i) {
    memset(given.bindings[i], '"', 127);
    sprintf(given.bindings[i], "%03d", i);
    given.bindings[i][3] = '"';
  }
  given.binding_count = 256;
  expect_refusal("kept", "65536");
  assert_int_equal(files_in("presets"), 1);
}

static void
test_no_room(void** state)
{
  (void)state;
  given = standard();
  char path[1024];
  assert_true(data_user_path(DATA_CONFIG, "presets", path));
  // A file where the folder should be; also root cannot write there.
  user_write("presets", "a file");
  assert_int_not_equal(preset_save("x", &given, NULL, &error), STATUS_OK);
  assert_non_null(strstr(error.text, path));
  unlink(path);
  // A folder where the file should be.
  user_write("presets/x.cfg/y", "");
  assert_int_not_equal(preset_save("x", &given, NULL, &error), STATUS_OK);
  assert_int_equal(files_in("presets"), 1);
  unsetenv("XDG_CONFIG_HOME");
  unsetenv("HOME");
  assert_int_not_equal(preset_save("x", &given, NULL, &error), STATUS_OK);
  assert_non_null(strstr(error.text, "HOME"));
}

#define OWN_FOLDER(test)                                                       \
  cmocka_unit_test_setup_teardown(test, user_folder_make, user_folder_remove)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    OWN_FOLDER(test_differences_only), OWN_FOLDER(test_heirs),
    OWN_FOLDER(test_over_shipped),     OWN_FOLDER(test_random_trips),
    OWN_FOLDER(test_refusals),         OWN_FOLDER(test_no_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
