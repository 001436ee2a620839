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
  static KeeperAnswer answer;
  assert_true(keeper_finish(keeper, &answer));
  assert_false(answer.is_recording);
  *take  = answer.take;
  *path  = answer.path;
  *error = answer.error;
  KeeperAnswer none;
  assert_false(keeper_turn(keeper, &none)); // told once
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
  Keeper       keeper;
  Take         take;
  const char*  path;
  Error        error;
  KeeperAnswer answer;
  assert_int_equal(keeper_init(&keeper, &error), STATUS_OK);
  assert_false(keeper_turn(&keeper, &answer));
  assert_false(keeper_finish(&keeper, &answer));
  assert_int_equal(keep(&keeper, in_folder("takes"), &take, &path, &error),
                   STATUS_OK);
  check_file(path, &take);
  keeper_free(&keeper);
}

// A scribe that is held up.
static pthread_mutex_t slow = PTHREAD_MUTEX_INITIALIZER;

static void
wait_for_test(void* context)
{
  (void)context;
  pthread_mutex_lock(&slow);
  pthread_mutex_unlock(&slow);
}

// Many in a row: each waits its turn, in order; one too many is refused and
// counted, and all that was taken is written.
static void
test_queue(void** state)
{
  (void)state;
  Keeper       keeper;
  Error        error;
  KeeperAnswer answer;
  char         last[PLACE_BYTES_MAX] = "";
  assert_int_equal(keeper_init(&keeper, &error), STATUS_OK);
  pthread_mutex_lock(&slow);
  scribe_give(&keeper.scribe, wait_for_test, NULL);
  keeper.first                           = KEEPER_JOBS_MAX - 1; // round the end
  keeper.jobs[keeper.first].is_recording = true;
  keeper.count                           = 1; // the slow one
  for (unsigned i = 0; i < KEEPER_JOBS_MAX + 2; ++i) {
    const TakeRequest request = { .seconds   = 0.5 + 0.1 * i,
                                  .now_frame = now_frame,
                                  .bpm       = 90 };
    const Status      status =
      keeper_keep(&keeper, &ring, &request, in_folder("queue"), &error);
    assert_int_equal(status,
                     i < KEEPER_JOBS_MAX - 1 ? STATUS_OK : STATUS_UNAVAILABLE);
  }
  assert_int_equal(keeper.refused, 3);
  assert_non_null(strstr(error.text, "still being written"));
  assert_false(keeper_turn(&keeper, &answer));
  pthread_mutex_unlock(&slow);
  assert_true(keeper_finish(&keeper, &answer));
  assert_true(answer.is_recording);
  for (unsigned i = 0; i < KEEPER_JOBS_MAX - 1; ++i) {
    assert_true(keeper_finish(&keeper, &answer));
    assert_int_equal(answer.error.status, STATUS_OK);
    assert_int_equal(answer.take.notes, 5 + i);
    assert_string_not_equal(answer.path, last);
    strcpy(last, answer.path);
    MidiTrack track;
    assert_true(midi_track_read(answer.path, &track));
    midi_track_free(&track);
  }
  assert_false(keeper_finish(&keeper, &answer));
  keeper_free(&keeper);
}

// Who frees the keeper has all that was given on the disk: a recording, too.
static void
test_recording(void** state)
{
  (void)state;
  Keeper   keeper;
  Error    error;
  Recorder recorder;
  char     path[300];
  snprintf(path, sizeof path, "%s/whole.mid", folder);
  recorder_init(&recorder);
  for (uint32_t i = 0; i < 50000; ++i) {
    const uint8_t message[3] = { i % 2 ? 0x80 : 0x90, 60, 90 };
    recorder_add(&recorder, i * 100, i / 2, message);
  }
  recorder_finish(&recorder, 50000 * 100);
  assert_int_equal(keeper_init(&keeper, &error), STATUS_OK);
  assert_int_equal(
    keeper_end_recording(&keeper, &recorder, path, RATE, "about", &error),
    STATUS_OK);
  assert_int_equal(recorder.count, 0);
  keeper_free(&keeper);
  MidiTrack track;
  assert_true(midi_track_read(path, &track));
  assert_int_equal(track.count, 50001);
  midi_track_free(&track);
  // What cannot be written is said, and where it was saved instead.
  KeeperAnswer  answer;
  const uint8_t message[3] = { 0x90, 60, 90 };
  recorder_add(&recorder, 0, 0, message);
  recorder_finish(&recorder, 100);
  setenv("TMPDIR", folder, 1);
  assert_int_equal(keeper_init(&keeper, &error), STATUS_OK);
  assert_int_equal(
    keeper_end_recording(&keeper, &recorder, "/no/such.mid", RATE, "", &error),
    STATUS_OK);
  assert_true(keeper_finish(&keeper, &answer));
  assert_true(answer.is_recording);
  assert_int_equal(answer.error.status, STATUS_IO);
  assert_non_null(strstr(answer.error.text, "was saved as"));
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
    cmocka_unit_test(test_queue),
    cmocka_unit_test(test_recording),
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
