// control/state_file: points come back to the last bit, each model has its own,
// and no file is lost, whatever is in it.
#include "control/state_file.h"
#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "user_folder.h"

#include "libconfig_leak.h"

static PointSet set;
static Error    error;

static void
load(void)
{
  if (points_load(&set, &error)) {
    fail_msg("%s", error.text);
  }
}

static void
store(uint32_t slot, float first)
{
  float z[MODEL_LATENT_MAX];
  for (uint32_t i = 0; i < set.size; ++i) {
    z[i] = first + (float)i;
  }
  if (points_store(&set, slot, z, &error)) {
    fail_msg("%s", error.text);
  }
}

static void
expect_point(uint32_t slot, float first)
{
  const float* const z = points_get(&set, slot);
  assert_non_null(z);
  for (uint32_t i = 0; i < set.size; ++i) {
    assert_true(z[i] == first + (float)i);
  }
}

static void
test_models(void** state)
{
  (void)state;
  load();
  float z[4] = { 0 };
  assert_int_not_equal(points_store(&set, 1, z, &error), STATUS_OK);
  points_choose(&set, "aaaaaaaaaaaaaaaa", 4);
  assert_null(points_get(&set, 1));
  store(1, 10);
  store(16, 20);
  // Another model: nothing is offered, and its slots are its own.
  points_choose(&set, "bbbbbbbbbbbbbbbb", 512);
  assert_null(points_get(&set, 1));
  store(1, 30);
  expect_point(1, 30);
  points_choose(&set, "aaaaaaaaaaaaaaaa", 4);
  expect_point(1, 10);
  expect_point(16, 20);
  assert_null(points_get(&set, 2));
  assert_null(points_get(&set, 0));
  assert_null(points_get(&set, 17));
  store(1, 11);
  // The next evening.
  load();
  assert_null(points_get(&set, 1));
  points_choose(&set, "bbbbbbbbbbbbbbbb", 512);
  expect_point(1, 30);
  points_choose(&set, "aaaaaaaaaaaaaaaa", 4);
  expect_point(1, 11);
  expect_point(16, 20);
  // The name of a model of another size.
  points_choose(&set, "aaaaaaaaaaaaaaaa", 5);
  assert_null(points_get(&set, 1));
  store(1, 40);
  load();
  points_choose(&set, "aaaaaaaaaaaaaaaa", 5);
  expect_point(1, 40);
}

static void
test_bad_points(void** state)
{
  (void)state;
  load();
  points_choose(&set, "aa", 2);
  store(3, 1);
  const float bad[][2] = { { NAN, 0 }, { 0, INFINITY } };
  assert_int_not_equal(points_store(&set, 3, bad[0], &error), STATUS_OK);
  assert_int_not_equal(points_store(&set, 3, bad[1], &error), STATUS_OK);
  assert_int_not_equal(points_store(&set, 0, bad[0], &error), STATUS_OK);
  assert_int_not_equal(points_store(&set, 17, bad[0], &error), STATUS_OK);
  expect_point(3, 1);
  load();
  points_choose(&set, "aa", 2);
  expect_point(3, 1);
}

static void
test_exact(void** state)
{
  (void)state;
  Rng   rng = rng_make(11, RNG_USE_TEST, 0);
  float z[MODEL_LATENT_MAX];
  load();
  points_choose(&set, "0123456789abcdef", MODEL_LATENT_MAX);
  for (uint32_t slot = 1; slot <= POINTS_MAX; ++slot) {
    for (uint32_t i = 0; i < MODEL_LATENT_MAX; ++i) {
      do { // any bits but those of no number
        const uint32_t bits = rng_u32(&rng);
        memcpy(&z[i], &bits, sizeof bits);
      } while (!isfinite(z[i]));
    }
    z[0] = -0.0f;
    z[1] = 1e-45f;
    z[2] = 3;
    assert_int_equal(points_store(&set, slot, z, &error), STATUS_OK);
  }
  static PointSet before;
  before = set;
  load();
  points_choose(&set, "0123456789abcdef", MODEL_LATENT_MAX);
  for (uint32_t slot = 1; slot <= POINTS_MAX; ++slot) {
    assert_memory_equal(points_get(&set, slot),
                        points_get(&before, slot),
                        sizeof before.slots[0].z);
  }
}

static void
choose_numbered(int number)
{
  char digest[17];
  snprintf(digest, sizeof digest, "%016x", number);
  points_choose(&set, digest, 1);
}

static void
test_cap(void** state)
{
  (void)state;
  load();
  for (int model = 0; model < 16; ++model) {
    choose_numbered(model);
    for (uint32_t slot = 1; slot <= POINTS_MAX; ++slot) {
      store(slot, (float)model);
      set.slots[slot - 1].stored_s = 1000 - model; // the last are the oldest
    }
  }
  choose_numbered(99);
  assert_int_equal(set.other_count, POINTS_KEPT_MAX);
  store(1, 99);
  store(2, 99);
  store(2, 98);
  assert_int_equal(set.other_count, POINTS_KEPT_MAX - 2);
  load();
  assert_int_equal(set.other_count, POINTS_KEPT_MAX);
  choose_numbered(99);
  expect_point(1, 99);
  expect_point(2, 98);
  int lost = 0;
  choose_numbered(15);
  for (uint32_t slot = 1; slot <= POINTS_MAX; ++slot) {
    lost += !points_get(&set, slot);
  }
  assert_int_equal(lost, 2);
  for (int model = 0; model < 15; ++model) {
    choose_numbered(model);
    for (uint32_t slot = 1; slot <= POINTS_MAX; ++slot) {
      expect_point(slot, (float)model);
    }
  }
}

static void
expect_file(const char* relative, const char* text, size_t size)
{
  char* const found = user_read(relative);
  assert_non_null(found);
  assert_memory_equal(found, text, size);
  free(found);
}

#define POINT "{ slot = 1; model = \"aa\"; stored = 5L; z = [0.5] }"
#define LIST(points) "meander_points = 1\npoints = (" points ")\n"

static void
test_foreign_files(void** state)
{
  (void)state;
  const struct {
    const char* text;
    const char* says;
  } cases[] = {
    { "", ":0: no file of stored points" },
    { "hello there\n", "points:1: syntax" },
    { "meander_points = 2\npoints = ()\n", "no file of stored points" },
    { "meander_points = 1\n", "no list" },
    { "meander_points = 1\npoints = 3\n", "no list" },
    { LIST("3"), ":2: not a point" },
    { LIST("{ }"), "without a slot" },
    { LIST("{ slot = 0; model = \"aa\"; stored = 5L; z = [0.5] }"), "slot" },
    { LIST("{ slot = 17; model = \"aa\"; stored = 5L; z = [0.5] }"), "slot" },
    { LIST("{ slot = 1.0; model = \"aa\"; stored = 5L; z = [0.5] }"), "slot" },
    { LIST("{ slot = 1; model = \"\"; stored = 5L; z = [0.5] }"), "digest" },
    { LIST("{ slot = 1; model = \"../a\"; stored = 5L; z = [0.5] }"),
      "digest" },
    { LIST("{ slot = 1; model = \"0123456789abcdef0\"; stored = 5; z=[0.5] }"),
      "digest" },
    { LIST("{ slot = 1; model = \"aa\"; stored = \"now\"; z = [0.5] }"),
      "time" },
    { LIST("{ slot = 1; model = \"aa\"; stored = 5L; z = [] }"), "512 finite" },
    { LIST("{ slot = 1; model = \"aa\"; stored = 5L; z = [1] }"), "finite" },
    { LIST("{ slot = 1; model = \"aa\"; stored = 5L; z = [1e39] }"), "finite" },
    { LIST("{ slot = 1; model = \"aa\"; stored = 5L; z = [1e999] }"),
      "finite" },
    { LIST("{ slot = 1; model = \"aa\"; stored = 5L; z = { a = 1.0 } }"),
      "finite" },
    { LIST(POINT ", " POINT), "second point" },
    { "@include \"/etc/passwd\"\n", "@include" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    char aside[32] = "points.bad";
    if (i) {
      snprintf(aside, sizeof aside, "points.bad%zu", i + 1);
    }
    user_write("points", cases[i].text);
    assert_int_not_equal(points_load(&set, &error), STATUS_OK);
    if (!strstr(error.text, cases[i].says) || !strstr(error.text, aside)) {
      fail_msg("no '%s', '%s' in: %s", cases[i].says, aside, error.text);
    }
    // Kept under a name of its own, and the set can be used.
    expect_file(aside, cases[i].text, strlen(cases[i].text) + 1);
    assert_null(user_read("points"));
    assert_int_equal(set.other_count, 0);
  }
  points_choose(&set, "aa", 1);
  store(1, 7);
  load();
  points_choose(&set, "aa", 1);
  expect_point(1, 7);
}

static void
test_large_files(void** state)
{
  (void)state;
  enum { SIZE = POINTS_BYTES_MAX + 1 };
  static char text[SIZE];
  memset(text, ' ', SIZE);
  user_write_bytes("points", text, SIZE);
  assert_int_equal(points_load(&set, &error), STATUS_LIMIT);
  memset(text, '(', SIZE);
  user_write_bytes("points", text, SIZE - 1);
  assert_int_equal(points_load(&set, &error), STATUS_BAD_FILE);
  user_write_bytes("points", LIST(POINT) "\0", sizeof LIST(POINT));
  assert_int_equal(points_load(&set, &error), STATUS_BAD_FILE);
  // One number more than any latent has.
  strcpy(text,
         "meander_points = 1\npoints = ({ slot = 1; model = \"aa\"; "
         "stored = 5L; z = [0.5");
  for (uint32_t i = 1; i < MODEL_LATENT_MAX; ++i) {
    strcat(text, ",0.5");
  }
  char* const end = text + strlen(text);
  strcpy(end, ",0.5] })\n");
  user_write("points", text);
  assert_int_equal(points_load(&set, &error), STATUS_BAD_FILE);
  strcpy(end, "] })\n");
  user_write("points", text);
  load();
  points_choose(&set, "aa", MODEL_LATENT_MAX);
  assert_non_null(points_get(&set, 1));
}

// A file that says nothing about itself is not written over.
static void
test_unreadable(void** state)
{
  (void)state;
  user_write("points/inside", "a folder in the file's place");
  assert_int_equal(points_load(&set, &error), STATUS_IO);
  points_choose(&set, "aa", 1);
  const float z[1] = { 2 };
  assert_int_equal(points_store(&set, 1, z, &error), STATUS_IO);
  assert_non_null(strstr(error.text, "not written over"));
  expect_point(1, 2); // as long as the program runs
  expect_file("points/inside", "a folder", 8);
  unsetenv("XDG_STATE_HOME");
  unsetenv("HOME");
  load();
  points_choose(&set, "aa", 1);
  assert_int_equal(points_store(&set, 1, z, &error), STATUS_NOT_FOUND);
  expect_point(1, 2);
}

// Where nothing can be written the file stays whole.
static void
test_full_disk(void** state)
{
  (void)state;
  load();
  points_choose(&set, "aa", 1);
  store(1, 5);
  char path[1024];
  char temporary[1100];
  assert_true(data_user_path(DATA_STATE, "points", path));
  snprintf(temporary, sizeof temporary, "%s.tmp%d", path, (int)getpid());
  assert_int_equal(symlink("/dev/full", temporary), 0);
  const float z[1] = { 6 };
  assert_int_equal(points_store(&set, 1, z, &error), STATUS_IO);
  assert_non_null(strstr(error.text, path));
  assert_int_not_equal(access(temporary, F_OK), 0);
  load();
  points_choose(&set, "aa", 1);
  expect_point(1, 5);
}

static void
test_mutations(void** state)
{
  (void)state;
  Rng       rng    = rng_make(5, RNG_USE_TEST, 0);
  int       taken  = 0;
  const int trials = getenv("SLOW") ? 500 : 3000;
  char      good[] = LIST(POINT ",\n { slot = 2; model = \"0123456789abcdef\"; "
                                "stored = 1763870000L;\n z = [-1.5, 1e-7, 2.0] }");
  char      path[1024];
  assert_true(data_user_path(DATA_STATE, "points", path));
  for (int trial = 0; trial < trials; ++trial) {
    char text[sizeof good];
    memcpy(text, good, sizeof good);
    for (uint32_t change = 1 + rng_below(&rng, 2); change-- > 0;) {
      text[rng_below(&rng, sizeof good - 1)] =
        (char)(' ' + rng_below(&rng, 96));
    }
    user_write_bytes("points", text, sizeof good - 1);
    const Status status = points_load(&set, &error);
    taken += !status;
    if (!status) {
      points_choose(&set, "aa", 1);
      assert_int_equal(points_save(&set, &error), STATUS_OK);
      load();
    } else {
      char aside[1100];
      snprintf(aside, sizeof aside, "%s.bad", path);
      assert_int_equal(unlink(aside), 0);
    }
  }
  assert_in_range(taken, trials / 100, trials - trials / 100);
}

#define OWN_FOLDER(test)                                                       \
  cmocka_unit_test_setup_teardown(test, user_folder_make, user_folder_remove)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    OWN_FOLDER(test_models),        OWN_FOLDER(test_bad_points),
    OWN_FOLDER(test_exact),         OWN_FOLDER(test_cap),
    OWN_FOLDER(test_foreign_files), OWN_FOLDER(test_large_files),
    OWN_FOLDER(test_unreadable),    OWN_FOLDER(test_full_disk),
    OWN_FOLDER(test_mutations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
