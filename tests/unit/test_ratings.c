// control/ratings: what is written is read again, by two programs at a time,
// and nothing is lost where it cannot be written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "audition_fixture.h"
#include "control/ratings.h"

#include <regex.h>
#include <sys/wait.h>

#define ONE "0123456789abcdef"
#define TWO "fedcba9876543210"

static Ratings*
open_ratings(void)
{
  Ratings* ratings;
  Error    error = { 0 };
  assert_int_equal(ratings_open(&ratings, &error), STATUS_OK);
  return ratings;
}

static void
read_text(const char* name, char text[8192])
{
  FILE* const  file   = fopen(in_folder(name), "r");
  const size_t length = file ? fread(text, 1, 8191, file) : 0;
  text[length]        = '\0';
  assert_non_null(file);
  fclose(file);
}

static void
write_text(const char* name, const char* text)
{
  FILE* const file = fopen(in_folder(name), "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static Status
add(Ratings* ratings, const char* name, const char* digest, Rating rating)
{
  Error            error = { 0 };
  const RatingLine line  = { .path     = in_folder(name),
                             .digest   = digest,
                             .rating   = rating,
                             .has_step = true,
                             .step     = 12000,
                             .seed     = 7 };
  return ratings_add(ratings, &line, &error);
}

static void
test_round_trip(void** state)
{
  (void)state;
  char     text[8192];
  Ratings* ratings = open_ratings();
  assert_int_equal(ratings_find(ratings, ONE), RATING_NONE);
  assert_int_equal(add(ratings, "a.safetensors", ONE, RATING_KEEP), 0);
  assert_int_equal(add(ratings, "b b.safetensors", TWO, RATING_REJECT), 0);
  assert_int_equal(ratings_find(ratings, ONE), RATING_KEEP);
  read_text(RATINGS_FILE, text);
  regex_t form;
  assert_int_equal(regcomp(&form,
                           "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z\t" ONE
                           "\tkeep\ta.safetensors\t12000\t7\n"
                           "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z\t" TWO
                           "\treject\tb b.safetensors\t12000\t7\n$",
                           REG_EXTENDED | REG_NOSUB),
                   0);
  if (regexec(&form, text, 0, NULL, 0)) {
    fail_msg("not as promised: %s", text);
  }
  regfree(&form);
  // A change of mind, then another program.
  assert_int_equal(add(ratings, "a.safetensors", ONE, RATING_REJECT), 0);
  ratings_close(ratings);
  ratings = open_ratings();
  assert_int_equal(ratings_find(ratings, ONE), RATING_NONE); // not read yet
  ratings_read_beside(ratings, in_folder("c.safetensors"));
  assert_int_equal(ratings_find(ratings, ONE), RATING_REJECT);
  assert_int_equal(ratings_find(ratings, TWO), RATING_REJECT);
  ratings_close(ratings);
}

// Names of files are not to be trusted.
static void
test_names(void** state)
{
  (void)state;
  char           text[8192];
  Ratings* const ratings = open_ratings();
  Error          error   = { 0 };
  RatingLine     line    = { .path   = in_folder("a\tb\nc.safetensors"),
                             .digest = ONE,
                             .rating = RATING_KEEP };
  assert_int_equal(ratings_add(ratings, &line, &error), 0);
  read_text(RATINGS_FILE, text);
  assert_says(text, "\tkeep\ta?b?c.safetensors\t-\t0\n");
  ratings_close(ratings);
}

static void
test_what_people_write(void** state)
{
  (void)state;
  char text[8192];
  write_text(RATINGS_FILE,
             "# mine\n"
             "\n"
             "2026\t" ONE "\n"
             "2026\t" ONE "\tlovely\ta\t1\t2\n"
             "2026\tDIGEST\tkeep\ta\t1\t2\n"
             "2026\t" TWO "\tkeep\n"
             "no end of line");
  Ratings* const ratings = open_ratings();
  ratings_read_beside(ratings, in_folder("a.safetensors"));
  assert_int_equal(ratings_find(ratings, ONE), RATING_NONE);
  assert_int_equal(ratings_find(ratings, TWO), RATING_KEEP);
  assert_int_equal(add(ratings, "a.safetensors", ONE, RATING_KEEP), 0);
  read_text(RATINGS_FILE, text);
  assert_says(text, "no end of line\n2");
  ratings_close(ratings);
}

static void
test_long_file(void** state)
{
  (void)state;
  FILE* const file = fopen(in_folder(RATINGS_FILE), "w");
  fprintf(file, "2026\t" TWO "\tkeep\tfirst\t1\t2\n");
  for (uint32_t i = 0; i < 40000; ++i) {
    fprintf(file, "2026\t%016x\tkeep\ta.safetensors\t1\t2\n", i);
  }
  fclose(file);
  Ratings* const ratings = open_ratings();
  ratings_read_beside(ratings, in_folder("a.safetensors"));
  assert_int_equal(ratings_find(ratings, "0000000000009c3f"), RATING_KEEP);
  assert_int_equal(ratings_find(ratings, TWO), RATING_NONE);
  // The first ones are forgotten, the last ones stay.
  assert_int_equal(add(ratings, "a.safetensors", ONE, RATING_KEEP), 0);
  assert_int_equal(ratings_find(ratings, ONE), RATING_KEEP);
  assert_int_equal(ratings_find(ratings, "0000000000009c3f"), RATING_KEEP);
  ratings_close(ratings);
}

// A file in the place of a folder: no one may write there, not even root.
static void
test_unwritable(void** state)
{
  (void)state;
  Error    error = { 0 };
  Ratings* ratings;
  char     text[8192];
  char     path[1024];
  snprintf(path, sizeof path, "%s", in_folder("run/a.safetensors"));
  const RatingLine line = { .path     = path,
                            .digest   = ONE,
                            .rating   = RATING_KEEP,
                            .has_step = true,
                            .step     = 3,
                            .seed     = 7 };
  make_folder("run");
  make_folder("run/" RATINGS_FILE);
  setenv("XDG_STATE_HOME", in_folder("home/state"), 1);
  make_folder("home");
  ratings = open_ratings();
  assert_int_equal(ratings_add(ratings, &line, &error), STATUS_IO);
  assert_says(error.text, "run/" RATINGS_FILE ": cannot write: Is a directory");
  assert_says(error.text, "home/state/meander/" RATINGS_FILE);
  assert_int_equal(ratings_find(ratings, ONE), RATING_KEEP);
  read_text("home/state/meander/" RATINGS_FILE, text);
  assert_says(text, "run/a.safetensors\t3\t7\n");
  // Said once.
  assert_int_equal(add(ratings, "run/a.safetensors", TWO, RATING_REJECT), 0);
  ratings_close(ratings);
  ratings = open_ratings();
  assert_int_equal(ratings_find(ratings, ONE), RATING_KEEP);
  assert_int_equal(ratings_find(ratings, TWO), RATING_REJECT);
  ratings_close(ratings);

  // Nor there.
  char broken[1100];
  write_text("file", "");
  snprintf(broken, sizeof broken, "%s/state", in_folder("file"));
  setenv("XDG_STATE_HOME", broken, 1);
  ratings = open_ratings();
  for (int i = 0; i < 2; ++i) {
    assert_int_equal(ratings_add(ratings, &line, &error), STATUS_IO);
    assert_says(error.text, "only remembered until the end");
  }
  assert_int_equal(ratings_find(ratings, ONE), RATING_KEEP);
  ratings_close(ratings);
}

#define WRITERS 2
#define LINES 500

static void
write_many(int writer)
{
  Ratings* const ratings = open_ratings();
  char           digest[17];
  for (int i = 0; i < LINES; ++i) {
    snprintf(digest, sizeof digest, "%08x%08x", writer, i);
    if (add(ratings, "a.safetensors", digest, RATING_KEEP)) {
      _exit(1);
    }
  }
  ratings_close(ratings);
  _exit(0);
}

static void
test_two_programs(void** state)
{
  (void)state;
  for (int i = 0; i < WRITERS; ++i) {
    if (!fork()) {
      write_many(i);
    }
  }
  for (int i = 0; i < WRITERS; ++i) {
    int status;
    wait(&status);
    assert_int_equal(status, 0);
  }
  FILE* const file = fopen(in_folder(RATINGS_FILE), "r");
  char        line[512];
  int         count = 0;
  assert_non_null(file);
  while (fgets(line, sizeof line, file)) {
    if (*line == '\n') {
      continue; // who met a line half written began anew
    }
    assert_says(line, "\tkeep\ta.safetensors\t12000\t7\n");
    ++count;
  }
  fclose(file);
  assert_int_equal(count, WRITERS * LINES);
  Ratings* const ratings = open_ratings();
  ratings_read_beside(ratings, in_folder("a.safetensors"));
  for (int i = 0; i < WRITERS * LINES; ++i) {
    char digest[17];
    snprintf(digest, sizeof digest, "%08x%08x", i / LINES, i % LINES);
    assert_int_equal(ratings_find(ratings, digest), RATING_KEEP);
  }
  ratings_close(ratings);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_round_trip), TEST(test_names),      TEST(test_what_people_write),
    TEST(test_long_file),  TEST(test_unwritable), TEST(test_two_programs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
