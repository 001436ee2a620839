// src/record/keeper and place: takes get names of their own, in the directory
// that is asked for or the one for music; a failure loses nothing; a thousand
// takes leave no memory behind.
#include "caps.h"
#include "midi_track.h"
#include "record/keeper.h"

#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RATE 48000u

static char folder[] = "/tmp/meander-keeper-XXXXXX";

static TakeRing ring;
static uint64_t now_frame;

// 200 notes in 50 phrases.
static void
fill_ring(void)
{
  Error error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  for (uint64_t n = 0; n < 200; ++n) {
    const RecordLine line = { n, n % 4 == 0, "how it was made", false, false };
    PlayedEvent event = { .frame = n * 4800, .number = n, { 0x90, 60, 90 } };
    assert_int_equal(take_ring_line(&ring, &line, &error), STATUS_OK);
    take_ring_add(&ring, &event);
    event.frame += 2400;
    event.message[0] = 0x80;
    take_ring_add(&ring, &event);
  }
  now_frame = 200 * 4800;
}

static const char*
in_folder(const char* name)
{
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static Status
keep(Keeper*      keeper,
     const char*  directory,
     Take*        take,
     const char** path,
     Error*       error)
{
  const TakeRequest request = { .seconds   = 10,
                                .now_frame = now_frame,
                                .bpm       = 90 };
  const Status status = keeper_keep(keeper, &ring, &request, directory, error);
  if (status) {
    return status;
  }
  assert_true(keeper_finish(keeper, take, path, error));
  assert_false(keeper_turn(keeper, take, path, error)); // told once
  return error->status;
}

static void
check_file(const char* path, const Take* take)
{
  MidiTrack track;
  assert_true(midi_track_read(path, &track));
  assert_int_equal(take->notes, 100);
  assert_int_equal(track.count, 100 * 2 + take->lines + 1);
  midi_track_free(&track);
}

static void
test_names(void** state)
{
  (void)state;
  char         paths[4][PLACE_BYTES_MAX];
  Error        error;
  const time_t when = 1795411017;
  setenv("TZ", "UTC", 1);
  tzset();
  for (int i = 0; i < 3; ++i) {
    assert_int_equal(place_take(in_folder("a/b"), when, paths[i], &error),
                     STATUS_OK);
    assert_int_equal(access(paths[i], F_OK), 0);
  }
  assert_string_equal(paths[0], in_folder("a/b/meander-2026-11-23_051657.mid"));
  assert_string_equal(paths[1],
                      in_folder("a/b/meander-2026-11-23_051657-2.mid"));
  assert_string_equal(paths[2],
                      in_folder("a/b/meander-2026-11-23_051657-3.mid"));
}

// What the environment says of where music goes.
static void
test_default_directory(void** state)
{
  (void)state;
  char  path[PLACE_BYTES_MAX];
  Error error;
  assert_int_equal(chdir(folder), 0);
  const struct {
    const char* music;
    const char* home;
    const char* begins;
  } cases[] = {
    { in_folder("m"), "/nonexistent", "/m/meander/meander-" },
    { "", folder, "/Music/meander/meander-" },
    { "relative", folder, "/Music/meander/meander-" },
    { "/dev/null", "/nonexistent", NULL },
    { "", "/proc/nothing", NULL },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    char expected[300] = "./meander-";
    if (cases[i].begins) {
      snprintf(expected, sizeof expected, "%s%s", folder, cases[i].begins);
    }
    setenv("XDG_MUSIC_DIR", cases[i].music, 1);
    setenv("HOME", cases[i].home, 1);
    assert_int_equal(place_take(NULL, time(NULL), path, &error), STATUS_OK);
    assert_memory_equal(path, expected, strlen(expected));
    assert_int_equal(unlink(path), 0);
  }
  assert_int_equal(chdir("/"), 0);
}

static void
test_keeps(void** state)
{
  (void)state;
  Keeper      keeper;
  Take        take;
  const char* path;
  Error       error;
  assert_int_equal(keeper_init(&keeper, &error), STATUS_OK);
  assert_false(keeper_turn(&keeper, &take, &path, &error));
  assert_int_equal(keep(&keeper, in_folder("takes"), &take, &path, &error),
                   STATUS_OK);
  check_file(path, &take);
  // While one is written there is no other.
  const TakeRequest request = { .seconds   = 1,
                                .now_frame = now_frame,
                                .bpm       = 90 };
  assert_int_equal(keeper_keep(&keeper, &ring, &request, folder, &error),
                   STATUS_OK);
  assert_int_equal(keeper_keep(&keeper, &ring, &request, folder, &error),
                   STATUS_UNAVAILABLE);
  assert_true(keeper_finish(&keeper, &take, &path, &error));
  keeper_free(&keeper);
}

static int
count_files(const char* directory)
{
  char command[400];
  snprintf(command, sizeof command, "ls -A %s | wc -l", directory);
  FILE* const list  = popen(command, "r");
  int         count = -1;
  assert_int_equal(fscanf(list, "%d", &count), 1);
  pclose(list);
  return count;
}

// A file too large for the limit, a directory that is a file: one error, no
// file, and the next take is as good as ever.
static void
test_failures(void** state)
{
  (void)state;
  Keeper      keeper;
  Take        take;
  const char* path;
  Error       error;
  char        directory[256];
  strcpy(directory, in_folder("failed"));
  assert_int_equal(keeper_init(&keeper, &error), STATUS_OK);
  struct rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  const struct rlimit small = { 100, limit.rlim_max };
  setrlimit(RLIMIT_FSIZE, &small);
  assert_int_equal(keep(&keeper, directory, &take, &path, &error), STATUS_IO);
  setrlimit(RLIMIT_FSIZE, &limit);
  assert_non_null(strstr(error.text, "File too large"));
  assert_non_null(strstr(error.text, directory));
  assert_int_equal(count_files(directory), 0);
  assert_int_equal(keep(&keeper, "/dev/null", &take, &path, &error), STATUS_IO);
  assert_non_null(strstr(error.text, "/dev/null"));
  static char far_too_long[5000];
  memset(far_too_long, 'x', sizeof far_too_long - 1);
  assert_int_equal(keep(&keeper, far_too_long, &take, &path, &error),
                   STATUS_BAD_ARGUMENT);
  assert_int_equal(keep(&keeper, directory, &take, &path, &error), STATUS_OK);
  check_file(path, &take);
  keeper_free(&keeper);
}

static void
test_thousand_takes(void** state)
{
  (void)state;
  Keeper      keeper;
  Take        take;
  const char* path;
  Error       error;
  char        directory[256];
  strcpy(directory, in_folder("many"));
  assert_int_equal(keeper_init(&keeper, &error), STATUS_OK);
  size_t used = 0;
  for (int i = 0; i < 1000; ++i) {
    if (keep(&keeper, directory, &take, &path, &error)) {
      fail_msg("%s", error.text);
    }
    if (i == 10) {
      used = mallinfo2().uordblks;
    }
  }
  assert_true(mallinfo2().uordblks <= used + 4096);
  check_file(path, &take);
  assert_int_equal(count_files(directory), 1000);
  keeper_free(&keeper);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_keeps),
    cmocka_unit_test(test_failures),
    cmocka_unit_test(test_thousand_takes),
    cmocka_unit_test(test_default_directory),
  };
  // Memory of all threads in one arena, so that it can be counted.
  mallopt(M_ARENA_MAX, 1);
  signal(SIGXFSZ, SIG_IGN);
  if (!mkdtemp(folder)) {
    return 1;
  }
  fill_ring();
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  take_ring_free(&ring);
  char command[128];
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command) || failed;
}
