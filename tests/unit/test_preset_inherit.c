// control/preset: inheritance, names, the player's own presets before shipped
// ones, their listing and numbers. Shipped ones are those of $MEANDER_DATA.
#include "control/preset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "user_folder.h"

static Preset preset;
static Error  error;

static void
load(const char* name)
{
  if (preset_load(name, &preset, &error)) {
    fail_msg("%s: %s", name, error.text);
  }
}

// Is refused, in one line with all of `says`, which ends with NULL.
static void
expect_refusal(const char* name, const char* const* says)
{
  assert_int_not_equal(preset_load(name, &preset, &error), STATUS_OK);
  for (; *says; ++says) {
    if (!strstr(error.text, *says)) {
      fail_msg("no '%s' in: %s", *says, error.text);
    }
  }
  assert_null(strchr(error.text, '\n'));
}

#define REFUSED(name, ...)                                                     \
  expect_refusal(name, (const char* const[]){ __VA_ARGS__, NULL })

static void
test_values(void** state)
{
  (void)state;
  user_write_preset("base",
                    "description = \"the base\"\nmodel = \"vae\"\n"
                    "tempo = 2.0\ntranspose = 3\nchannel = 4\n");
  user_write_preset("second", "transpose = 5\nmode = \"prior\"\n");
  // The place of `inherits` in the file makes no difference.
  user_write_preset("heir", "channel = 9\ninherits = \"base\"\n");
  load("heir");
  assert_string_equal(preset.name, "heir");
  assert_string_equal(preset.description, "");
  assert_string_equal(preset.model, "vae");
  assert_true(preset.params.value[PARAM_TEMPO] == 2);
  assert_true(preset.params.value[PARAM_TRANSPOSE] == 3);
  assert_true(preset.params.value[PARAM_CHANNEL] == 9);
  assert_int_equal(preset.parent_count, 1);
  assert_string_equal(preset.parents[0], "base");

  user_write_preset("both",
                    "inherits = ( \"base\", \"second\" )\nmodel = \"student\"\n"
                    "mode = \"auto\"\n");
  load("both");
  assert_string_equal(preset.model, "student");
  assert_true(preset.named[PARAM_TEMPO]);
  assert_true(preset.params.value[PARAM_TEMPO] == 2);
  assert_true(preset.params.value[PARAM_TRANSPOSE] == 5);
  assert_true(params_is_auto(&preset.params, PARAM_MODE));
  assert_int_equal(preset.parent_count, 2);

  // The same parent twice by two ways is no circle.
  user_write_preset("diamond", "inherits = [ \"heir\", \"both\" ]\n");
  load("diamond");
  assert_true(preset.params.value[PARAM_CHANNEL] == 4);
  assert_int_equal(preset.parent_count, 2);

  // What two presets only say together is checked together.
  user_write_preset("loud", "velocity_low = 90\n");
  user_write_preset("soft", "inherits = \"loud\"\nvelocity_high = 80\n");
  REFUSED("soft", "soft.cfg", "velocity_low is 90");
  user_write_preset("low", "velocity_low = 90\nvelocity_high = 80\n");
  user_write_preset("mended", "inherits = \"low\"\nvelocity_low = 10\n");
  load("mended");
}

static void
test_circles(void** state)
{
  (void)state;
  user_write_preset("self", "tempo = 2.0\ninherits = \"self\"\n");
  REFUSED("self", "self.cfg:2: ", "inherits self: ", "circle");
  user_write_preset("a", "inherits = \"b\"\n");
  user_write_preset("b", "inherits = \"c\"\n");
  user_write_preset("c", "inherits = \"a\"\n");
  REFUSED("a",
          "a.cfg:1: inherits b, which inherits c, which inherits a: a circle");
  REFUSED("c", "c.cfg:1: inherits a, which inherits b, which inherits c: ");
  // A file that is named as such runs into it too.
  char path[1024];
  assert_true(data_user_path(DATA_CONFIG, "presets/b.cfg", path));
  REFUSED(path, "circle");
}

static void
test_depth(void** state)
{
  (void)state;
  char name[16];
  char text[64];
  user_write_preset("d0", "tempo = 3.0\n");
  for (int i = 1; i <= 9; ++i) {
    snprintf(name, sizeof name, "d%d", i);
    snprintf(text, sizeof text, "inherits = \"d%d\"\n", i - 1);
    user_write_preset(name, text);
  }
  load("d8");
  assert_true(preset.params.value[PARAM_TEMPO] == 3);
  REFUSED("d9", "d9.cfg:1: inherits d8, which inherits d7", "d0: more than 8");
  // Nor may the work grow with the power of the depth.
  user_write_preset("w0", "tempo = 3.0\n");
  for (int i = 1; i <= 8; ++i) {
    snprintf(name, sizeof name, "w%d", i);
    snprintf(
      text, sizeof text, "inherits = (\"w%d\", \"w%d\")\n", i - 1, i - 1);
    user_write_preset(name, text);
  }
  load("w3"); // 15 files
  REFUSED("w8", "more than 32 files");
}

static void
test_bad_parents(void** state)
{
  (void)state;
  user_write_preset("bad", "\n\ntempo = 99.0\n");
  user_write_preset("x", "inherits = \"bad\"\n");
  user_write_preset("y", "\ninherits = \"x\"\n");
  REFUSED("y", "y.cfg:2: inherits x, which inherits bad: ", "bad.cfg:3: tempo");
  user_write_preset("lost", "inherits = \"nowhere\"\n");
  user_write_preset("z", "inherits = \"lost\"\n");
  REFUSED("z", "z.cfg:1: inherits lost, which inherits nowhere: no preset");
  const struct {
    const char* text;
    const char* says;
  } cases[] = {
    { "inherits = \"../x\"\n", "letters" },
    { "inherits = \"x/y\"\n", "letters" },
    { "inherits = \"/etc/passwd\"\n", "letters" },
    { "inherits = \"..\"\n", "letters" },
    { "inherits = \"x.cfg\"\n", "letters" },
    { "inherits = \"\"\n", "letters" },
    { "inherits = 3\n", "not a string" },
    { "inherits = ( \"calm\", 3 )\n", "not a string" },
    { "inherits = ( ( \"x\" ) )\n", "not a string" },
    { "inherits = [\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]\n",
      "inherits from 9" },
    { "@include \"x.cfg\"\n", "use inherits" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    user_write_preset("case", cases[i].text);
    REFUSED("case", "case.cfg", cases[i].says);
  }
}

static Status
check_cc(const char* text, Error* why)
{
  return strncmp(text, "cc ", 3)
           ? error_set(why, STATUS_BAD_ARGUMENT, "'%s' binds nothing", text)
           : STATUS_OK;
}

static void
expect_bindings(const char* joined)
{
  char text[4096] = "";
  for (uint32_t i = 0; i < preset.binding_count; ++i) {
    strcat(strcat(text, i ? "; " : ""), preset.bindings[i]);
  }
  assert_string_equal(text, joined);
}

static void
test_bindings(void** state)
{
  (void)state;
  user_write_preset("hand",
                    "bindings = ( \"cc 1 = tempo\", \"cc 2 = pull\" );\n");
  user_write_preset("glove",
                    "bindings = ( \"cc 1 = density\" )\ninherits = \"hand\"\n");
  load("glove");
  expect_bindings("cc 2 = pull; cc 1 = density"); // one knob, one heir
  user_write_preset("mitten",
                    "inherits = \"glove\"\nbindings = \"cc 1 = tempo\"\n");
  load("mitten");
  expect_bindings("cc 2 = pull; cc 1 = tempo");
  // Within a file a knob may do several things.
  user_write_preset("two",
                    "inherits = \"hand\"\nbindings = ( \"cc 1 ch 3 = swing\","
                    " \"cc 1 ch 3 = density 1..0\" )\n");
  load("two");
  expect_bindings("cc 2 = pull; cc 1 ch 3 = swing; cc 1 ch 3 = density 1..0");
  user_write_preset(
    "bare", "inherits = \"glove\"\nbindings = [ \"none\", \"cc 7 = pull\" ]\n");
  load("bare");
  expect_bindings("cc 7 = pull");
  user_write_preset("nude", "inherits = \"glove\"\nbindings = \"none\"\n");
  load("nude");
  expect_bindings("");
  user_write_preset("silent", "bindings = ()\n");
  load("silent");

  assert_int_equal(preset_load_checked("glove", check_cc, &preset, &error), 0);
  user_write_preset("odd", "\nbindings = ( \"cc 1 = tempo\", \"blah\" )\n");
  load("odd");
  assert_int_not_equal(preset_load_checked("odd", check_cc, &preset, &error),
                       0);
  assert_non_null(strstr(error.text, "odd.cfg:2: 'blah' binds nothing"));
  const char* const refused[][2] = {
    { "bindings = ( 3 )\n", "not a string" },
    { "bindings = 3\n", "not a string" },
    { "bindings = ( \"\" )\n", "empty" },
    { "bindings = ( \"a\\x1b[2Jb\" )\n", "control" },
    { "bindings = ( \"a\\x7fb\" )\n", "control" },
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
    user_write_preset("case", refused[i][0]);
    REFUSED("case", "case.cfg:1: ", refused[i][1]);
  }
}

// `count` different bindings of `length` bytes each.
static void
write_many(int count, int length)
{
  char* const text = calloc(1, 1u << 17);
  strcpy(text, "bindings = (");
  for (int i = 0; i < count; ++i) {
    sprintf(
      text + strlen(text), "%s\n\"cc %0*d\"", i ? "," : "", length - 3, i);
  }
  strcat(text, ")\n");
  user_write_preset("many", text);
  free(text);
}

static void
test_binding_caps(void** state)
{
  (void)state;
  write_many(256, 127);
  load("many");
  assert_int_equal(preset.binding_count, 256);
  assert_int_equal(strlen(preset.bindings[255]), 127);
  write_many(257, 12);
  REFUSED("many", "many.cfg:1: ", "more than 256");
  write_many(1, 128);
  REFUSED("many", "many.cfg:1: ", "longer than 127");
}

static void
test_yours_first(void** state)
{
  (void)state;
  load("calm");
  const double shipped = preset.params.value[PARAM_TEMPO];
  assert_null(strstr(preset.path, user_folder));
  user_write_preset("calm", "inherits = \"calm\"\nchannel = 7\n");
  load("calm");
  assert_non_null(strstr(preset.path, user_folder));
  assert_true(preset.params.value[PARAM_CHANNEL] == 7);
  assert_true(preset.params.value[PARAM_TEMPO] == shipped);
  // An heir of calm gets the one that --preset calm would be.
  load("drift");
  assert_true(preset.params.value[PARAM_CHANNEL] == 7);
  user_write_preset("calm", "inherits = \"drift\"\n");
  REFUSED("calm", "inherits drift, which inherits calm: a circle");
  char path[1024];
  assert_int_equal(preset_find("calm", true, path, &error), STATUS_OK);
  assert_null(strstr(path, user_folder));
  user_write_preset("calm", "tempo = 77\n");
  REFUSED("calm", "calm.cfg:1: ");
}

static char refused_paths[4096];
static void
refuse(const char* path, const Error* why)
{
  assert_non_null(strstr(why->text, "cannot name"));
  strcat(strcat(refused_paths, path), ";");
}

static void
test_list(void** state)
{
  (void)state;
  PresetEntry  before[PRESETS_MAX];
  const size_t shipped = preset_list(before, refuse);
  assert_string_equal(refused_paths, "");
  assert_true(shipped >= 10);
  user_write_preset("aaa", "");
  user_write_preset("calm", "");
  user_write_preset("not a name", "");
  user_write_preset("-dash", "");
  user_write("presets/.#calm.cfg", "");
  user_write("presets/.cfg", "");
  user_write("presets/readme.txt", "");
  PresetEntry entries[PRESETS_MAX];
  assert_int_equal(preset_list(entries, refuse), shipped + 1);
  assert_non_null(strstr(refused_paths, "not a name.cfg;"));
  assert_non_null(strstr(refused_paths, "-dash.cfg;"));
  assert_null(strstr(refused_paths, "/.cfg;"));
  // Shipped ones are numbered without a gap, and keep their numbers.
  for (size_t i = 0; i < shipped; ++i) {
    assert_string_equal(entries[i].name, before[i].name);
    assert_int_equal(entries[i].number, i);
    assert_int_equal(before[i].number, i);
    const bool is_calm = !strcmp(entries[i].name, "calm");
    assert_int_equal(entries[i].shadows, is_calm);
    assert_int_equal(entries[i].yours, is_calm);
  }
  assert_string_equal(entries[shipped].name, "aaa");
  assert_true(entries[shipped].yours && !entries[shipped].shadows);
  assert_int_equal(entries[shipped].number, PRESET_PROGRAM_YOURS);
}

static void
expect_number(const char* name, int number)
{
  static PresetEntry entries[PRESETS_MAX];
  const size_t       count = preset_list(entries, NULL);
  size_t             i     = 0;
  while (i < count && strcmp(entries[i].name, name)) {
    ++i;
  }
  assert_true(i < count);
  assert_int_equal(entries[i].number, number);
  char found[PRESET_NAME_BYTES];
  if (number >= 0) {
    assert_int_equal(preset_by_number((uint32_t)number, found, &error), 0);
    assert_string_equal(found, name);
  }
}

// What a file says, one's own first; else the next free one from 64 on.
static void
test_numbers(void** state)
{
  (void)state;
  user_write_preset("song", "program = 4\n");
  expect_number("song", 4);
  expect_number("calm", 64); // whose number that was
  expect_number("cellar", 5);
  user_write_preset("heir", "inherits = \"song\"\n");
  user_write_preset("twin", "program = 4\n");
  user_write_preset("last", "program = 65\n");
  expect_number("calm", 64);
  expect_number("heir", 66);
  expect_number("last", 65);
  expect_number("song", 4);
  expect_number("twin", 67);
  // A file that is broken keeps its number, as long as that can be read.
  user_write_preset("song", "tempo = 99\nprogram = 4\n");
  expect_number("song", 4);
  user_write_preset("song", "program = 4\ntempo =\n");
  expect_number("twin", 4);
  expect_number("song", 67);
  char name[PRESET_NAME_BYTES] = "as it was";
  assert_int_equal(preset_by_number(50, name, &error), STATUS_NOT_FOUND);
  assert_string_equal(name, "as it was");
  assert_non_null(strstr(error.text, "program = 50"));
  const char* const refused[] = { "-1", "128", "1.0", "\"1\"" };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
    char text[32];
    snprintf(text, sizeof text, "program = %s\n", refused[i]);
    user_write_preset("case", text);
    REFUSED("case", "case.cfg:1: ", "0 to 127");
  }
}

static void
test_list_cap(void** state)
{
  (void)state;
  for (int i = 0; i < (int)PRESETS_MAX + 10; ++i) {
    char name[16];
    snprintf(name, sizeof name, "p%03d", i);
    user_write_preset(name, "");
  }
  PresetEntry* const entries = malloc(PRESETS_MAX * sizeof *entries);
  assert_true(preset_list(entries, NULL) > PRESETS_MAX);
  assert_string_equal(entries[0].name, "p000");
  assert_string_equal(entries[PRESETS_MAX - 1].name, "p255");
  free(entries);
}

static void
test_folders(void** state)
{
  (void)state;
  char path[1024];
  setenv("XDG_CONFIG_HOME", "relative", 1);
  setenv("HOME", "/home/someone", 1);
  assert_true(data_user_path(DATA_CONFIG, "presets", path));
  assert_string_equal(path, "/home/someone/.config/meander/presets");
  unsetenv("XDG_STATE_HOME");
  assert_true(data_user_path(DATA_STATE, "points", path));
  assert_string_equal(path, "/home/someone/.local/state/meander/points");
  unsetenv("HOME");
  assert_false(data_user_path(DATA_STATE, "points", path));
  assert_int_equal(preset_load("calm", &preset, &error), STATUS_OK);
  char long_one[2000];
  memset(long_one, 'x', sizeof long_one - 1);
  long_one[0]                   = '/';
  long_one[sizeof long_one - 1] = '\0';
  setenv("HOME", long_one, 1);
  assert_false(data_user_path(DATA_STATE, "points", path));
}

static void
test_names(void** state)
{
  (void)state;
  const char* const good[] = { "a", "Calm-2_b", "0" };
  const char* const bad[]  = { "",   ".",   "..",  "a/b",      "a.b",  "-a",
                               "_a", "a b", "a\n", "\xc3\xa4", "a\x1b" };
  for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
    assert_int_equal(preset_check_name(good[i], &error), STATUS_OK);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    assert_int_not_equal(preset_check_name(bad[i], &error), STATUS_OK);
  }
  char name[100];
  memset(name, 'x', sizeof name);
  name[63] = '\0';
  assert_int_equal(preset_check_name(name, &error), STATUS_OK);
  memcpy(name + 63, "x", 2);
  assert_int_not_equal(preset_check_name(name, &error), STATUS_OK);
}

#define OWN_FOLDER(test)                                                       \
  cmocka_unit_test_setup_teardown(test, user_folder_make, user_folder_remove)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    OWN_FOLDER(test_values),      OWN_FOLDER(test_circles),
    OWN_FOLDER(test_depth),       OWN_FOLDER(test_bad_parents),
    OWN_FOLDER(test_bindings),    OWN_FOLDER(test_binding_caps),
    OWN_FOLDER(test_yours_first), OWN_FOLDER(test_list),
    OWN_FOLDER(test_numbers),     OWN_FOLDER(test_list_cap),
    OWN_FOLDER(test_names),       OWN_FOLDER(test_folders),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
