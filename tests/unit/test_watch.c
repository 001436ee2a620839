// control/checkpoint_list and control/watch on real files and real inotify:
// what appears, changes and goes, in whichever way files do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "audition_fixture.h"
#include "control/watch.h"

#include <fcntl.h>
#include <utime.h>

typedef struct {
  CheckpointList list;
  Watch*         watch;
} World;

static World world;

static void
open_world(const char* path)
{
  Error error = { 0 };
  assert_int_equal(checkpoint_list_init(&world.list, &error), 0);
  assert_int_equal(watch_open(path, &world.list, &world.watch, &error), 0);
}

static void
close_world(void)
{
  watch_close(world.watch);
  checkpoint_list_free(&world.list);
}

static void
write_text(const char* path, const char* text)
{
  FILE* const file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static void
write_renamed(const char* path, const char* text)
{
  char temporary[1100];
  snprintf(temporary, sizeof temporary, "%s.tmp7", path);
  write_text(temporary, text);
  assert_int_equal(rename(temporary, path), 0);
}

static CheckpointEntry*
entry(const char* name)
{
  return checkpoint_list_by_path(&world.list, in_folder(name));
}

static uint64_t
serial(const char* name)
{
  const CheckpointEntry* const found = entry(name);
  return found ? found->serial : 0;
}

static void
turn(void)
{
  watch_poll(world.watch);
}

// A few turns in which nothing is to happen.
static void
idle(void)
{
  for (int i = 0; i < 20; ++i) {
    turn();
    clock_sleep_ns(1000000);
  }
}

static void
test_renamed_into_place(void** state)
{
  (void)state;
  open_world(folder);
  write_renamed(in_folder("a.safetensors"), "1");
  const double start_s = clock_now_s();
  WAIT_UNTIL(entry("a.safetensors"), turn());
  assert_true(clock_now_s() - start_s < 1); // as is promised
  assert_int_equal(world.list.count, 1);
  const uint64_t first = serial("a.safetensors");

  write_renamed(in_folder("a.safetensors"), "2");
  WAIT_UNTIL(serial("a.safetensors") != first, turn());
  assert_int_equal(world.list.count, 1);
  assert_true(entry("a.safetensors")->fresh);
  close_world();
}

// The time stamps of a file system are coarse: a version of the same size may
// have the time of the one before.
static void
test_same_size_and_time(void** state)
{
  (void)state;
  open_world(folder);
  const char* const    path = in_folder("a.safetensors");
  const struct utimbuf when = { 1000, 1000 };
  write_text(path, "1");
  utime(path, &when);
  WAIT_UNTIL(entry("a.safetensors"), turn());
  idle();
  const uint64_t first = serial("a.safetensors");
  write_text(path, "2");
  utime(path, &when);
  WAIT_UNTIL(serial("a.safetensors") != first, turn());
  close_world();
}

static void
test_written_in_place(void** state)
{
  (void)state;
  open_world(folder);
  FILE* const file = fopen(in_folder("a.safetensors"), "w");
  for (int i = 0; i < 20; ++i) {
    fputs("part", file);
    fflush(file);
    turn();
    clock_sleep_ns(1000000);
    assert_null(entry("a.safetensors")); // its writer has not closed it
  }
  fclose(file);
  WAIT_UNTIL(entry("a.safetensors"), turn());
  assert_int_equal(entry("a.safetensors")->size_bytes, 80);
  close_world();
}

static void
test_linked_into_place(void** state)
{
  (void)state;
  make_folder("out");
  make_folder("in");
  write_text(in_folder("out/a.safetensors"), "1");
  open_world(in_folder("in"));
  assert_int_equal(
    link(in_folder("out/a.safetensors"), in_folder("in/hard.safetensors")), 0);
  assert_int_equal(
    symlink("../out/a.safetensors", in_folder("in/soft.safetensors")), 0);
  WAIT_UNTIL(entry("in/hard.safetensors") && entry("in/soft.safetensors"),
             turn());
  close_world();
}

static void
test_gone(void** state)
{
  (void)state;
  write_text(in_folder("a.safetensors"), "1");
  write_text(in_folder("b.safetensors"), "1");
  open_world(folder);
  assert_int_equal(world.list.count, 2); // without a turn
  unlink(in_folder("a.safetensors"));
  rename(in_folder("b.safetensors"), in_folder("c.safetensors"));
  WAIT_UNTIL(world.list.count == 1 && entry("c.safetensors"), turn());
  rename(in_folder("c.safetensors"), in_folder("c.bak"));
  WAIT_UNTIL(!world.list.count, turn());
  close_world();
}

static void
test_what_is_no_checkpoint(void** state)
{
  (void)state;
  write_text(in_folder("early.safetensors.tmp12"), "1");
  write_text(in_folder("state.safetensors"), "1");
  open_world(folder);
  write_text(in_folder("state.safetensors"), "2");
  write_text(in_folder(".hidden.safetensors"), "2");
  write_text(in_folder(".safetensors"), "2");
  write_text(in_folder("log.csv"), "2");
  make_folder("folder.safetensors");
  make_folder(".git");
  write_text(in_folder(".git/a.safetensors"), "2");
  assert_int_equal(mkfifo(in_folder("fifo.safetensors"), 0666), 0);
  idle();
  assert_int_equal(world.list.count, 0);
  close_world();
}

static void
test_folders_below(void** state)
{
  (void)state;
  make_folder("old");
  write_text(in_folder("old/checkpoint.safetensors"), "1");
  open_world(folder);
  assert_non_null(entry("old/checkpoint.safetensors"));
  // As `mkdir -p` and a quick program do: no turn in between.
  make_folder("new");
  make_folder("new/deep");
  write_renamed(in_folder("new/checkpoint.safetensors"), "1");
  write_renamed(in_folder("new/deep/checkpoint.safetensors"), "1");
  WAIT_UNTIL(world.list.count == 3, turn());
  write_renamed(in_folder("new/deep/other.safetensors"), "1");
  WAIT_UNTIL(entry("new/deep/other.safetensors"), turn());

  rename(in_folder("new"), in_folder("newer"));
  WAIT_UNTIL(world.list.count == 4 && entry("newer/deep/other.safetensors"),
             turn());
  assert_null(entry("new/checkpoint.safetensors"));
  // The folder is heard of under its new name.
  write_renamed(in_folder("newer/deep/last.safetensors"), "1");
  WAIT_UNTIL(entry("newer/deep/last.safetensors"), turn());
  assert_int_equal(world.list.count, 5);

  char command[128];
  snprintf(command, sizeof command, "rm -r '%s/newer'", folder);
  assert_int_equal(system(command), 0);
  WAIT_UNTIL(world.list.count == 1, turn());
  close_world();
}

static void
test_folder_again(void** state)
{
  (void)state;
  open_world(folder);
  for (int i = 0; i < 5; ++i) {
    char command[128];
    make_folder("run");
    write_renamed(in_folder("run/checkpoint.safetensors"), "1");
    WAIT_UNTIL(entry("run/checkpoint.safetensors"), turn());
    snprintf(command, sizeof command, "rm -r '%s/run'", folder);
    assert_int_equal(system(command), 0);
    if (i % 2) { // in one reading with what comes
      WAIT_UNTIL(!world.list.count, turn());
    }
  }
  close_world();
}

static void
test_too_deep(void** state)
{
  (void)state;
  make_folder("1");
  make_folder("1/2");
  make_folder("1/2/3");
  make_folder("1/2/3/4");
  write_text(in_folder("1/2/3/a.safetensors"), "1");
  write_text(in_folder("1/2/3/4/a.safetensors"), "1");
  // A way round in circles.
  assert_int_equal(symlink("..", in_folder("1/up")), 0);
  open_world(folder);
  assert_int_equal(world.list.count, 1);
  assert_non_null(entry("1/2/3/a.safetensors"));
  close_world();
}

static void
test_appears_later(void** state)
{
  (void)state;
  Error error = { 0 };
  open_world(in_folder("later"));
  assert_true(watch_problem(world.watch, &error));
  assert_says(error.text, "later: no such folder yet");
  idle();
  assert_false(watch_problem(world.watch, &error));
  make_folder("later");
  write_renamed(in_folder("later/a.safetensors"), "1");
  WAIT_UNTIL(entry("later/a.safetensors"), turn());
  write_renamed(in_folder("later/b.safetensors"), "1");
  WAIT_UNTIL(entry("later/b.safetensors"), turn());
  // It goes, and comes again.
  rename(in_folder("later"), in_folder("away"));
  WAIT_UNTIL(!world.list.count, turn());
  make_folder("later");
  write_renamed(in_folder("later/c.safetensors"), "1");
  WAIT_UNTIL(world.list.count == 1 && entry("later/c.safetensors"), turn());
  close_world();
}

static void
test_many_at_once(void** state)
{
  (void)state;
  open_world(folder);
  for (int i = 0; i < 200; ++i) {
    char name[64];
    snprintf(name, sizeof name, "%03d.safetensors", i);
    write_renamed(in_folder(name), "1");
  }
  WAIT_UNTIL(world.list.count == 200, turn());
  close_world();
}

static void
test_lost_events(void** state)
{
  (void)state;
  make_folder("run");
  write_text(in_folder("a.safetensors"), "1");
  write_text(in_folder("gone.safetensors"), "1");
  write_text(in_folder("run/gone.safetensors"), "1");
  open_world(folder);
  const uint64_t first = serial("a.safetensors");
  write_text(in_folder("x"), "1");
  char from[1100];
  char to[1100];
  snprintf(from, sizeof from, "%s", in_folder("x"));
  snprintf(to, sizeof to, "%s", in_folder("y"));
  // More than /proc/sys/fs/inotify/max_queued_events (16384).
  for (int i = 0; i < 40000; ++i) {
    assert_int_equal(rename(i % 2 ? to : from, i % 2 ? from : to), 0);
  }
  unlink(in_folder("gone.safetensors"));
  unlink(in_folder("run/gone.safetensors"));
  rmdir(in_folder("run"));
  make_folder("run"); // another one
  make_folder("other");
  write_renamed(in_folder("run/b.safetensors"), "1");
  write_renamed(in_folder("other/c.safetensors"), "1");
  write_text(in_folder("a.safetensors"), "22");
  WAIT_UNTIL(entry("run/b.safetensors") && entry("other/c.safetensors"),
             turn());
  WAIT_UNTIL(world.list.count == 3 && serial("a.safetensors") != first, turn());
  // And it hears of the folders that it met on the way.
  write_renamed(in_folder("run/d.safetensors"), "1");
  write_renamed(in_folder("other/e.safetensors"), "1");
  WAIT_UNTIL(world.list.count == 5, turn());
  close_world();
}

// Where a scan is under way while a file grows it is listed; what it is in the
// end is news again.
static void
test_half_written_at_start(void** state)
{
  (void)state;
  FILE* const file = fopen(in_folder("a.safetensors"), "w");
  fputs("part", file);
  fflush(file);
  open_world(folder);
  const uint64_t first = serial("a.safetensors");
  assert_int_not_equal(first, 0);
  fputs("part", file);
  fclose(file);
  WAIT_UNTIL(serial("a.safetensors") != first, turn());
  close_world();
}

static void
test_too_many_folders(void** state)
{
  (void)state;
  Error error = { 0 };
  char  name[32];
  for (int i = 0; i < 300; ++i) {
    snprintf(name, sizeof name, "%d", i);
    make_folder(name);
  }
  open_world(folder);
  assert_true(watch_problem(world.watch, &error));
  assert_says(error.text, "more than 256 folders");
  assert_false(watch_problem(world.watch, &error));
  write_renamed(in_folder("a.safetensors"), "1");
  WAIT_UNTIL(entry("a.safetensors"), turn());
  close_world();
}

static void
test_bad_folders(void** state)
{
  (void)state;
  Error  error = { 0 };
  Watch* watch;
  assert_int_equal(checkpoint_list_init(&world.list, &error), 0);
  write_text(in_folder("a.safetensors"), "1");
  assert_int_equal(
    watch_open(in_folder("a.safetensors"), &world.list, &watch, &error),
    STATUS_BAD_ARGUMENT);
  assert_says(error.text, "a.safetensors: is no folder");
  assert_int_equal(watch_open("", &world.list, &watch, &error),
                   STATUS_BAD_ARGUMENT);
  checkpoint_list_free(&world.list);
}

// --- The list alone ----------------------------------------------------------

static void
set_time(const char* name, long seconds)
{
  const struct timespec times[2] = { { seconds, 0 }, { seconds, 0 } };
  assert_int_equal(utimensat(AT_FDCWD, in_folder(name), times, 0), 0);
}

static void
test_order_and_steps(void** state)
{
  (void)state;
  Error error = { 0 };
  make_folder("watched");
  write_text(in_folder("z.safetensors"), "1");
  write_text(in_folder("watched/new.safetensors"), "1");
  write_text(in_folder("watched/old.safetensors"), "1");
  write_text(in_folder("watched/mid.safetensors"), "1");
  set_time("watched/new.safetensors", 3000);
  set_time("watched/mid.safetensors", 2000);
  set_time("watched/old.safetensors", 1000);
  assert_int_equal(checkpoint_list_init(&world.list, &error), 0);
  CheckpointList* const list = &world.list;
  assert_int_equal(
    checkpoint_list_add_named(list, in_folder("z.safetensors"), &error), 0);
  assert_int_equal(watch_open(in_folder("watched"), list, &world.watch, &error),
                   0);
  static const char* const order[] = {
    "z.safetensors",
    "watched/old.safetensors",
    "watched/mid.safetensors",
    "watched/new.safetensors",
  };
  for (size_t i = 0; i < 4; ++i) {
    assert_string_equal(list->entries[i].key.path, in_folder(order[i]));
    const CheckpointKey* const key = &list->entries[i].key;
    assert_ptr_equal(checkpoint_list_step(list, key, 1, 0),
                     list->entries + (i + 1) % 4);
    assert_ptr_equal(checkpoint_list_step(list, key, -1, 0),
                     list->entries + (i + 3) % 4);
  }
  assert_string_equal(checkpoint_list_newest(list)->key.path,
                      in_folder("watched/new.safetensors"));
  // Those that failed are passed over, and so is who asks.
  list->entries[3].failed = true;
  assert_ptr_equal(checkpoint_list_newest(list), list->entries + 2);
  assert_ptr_equal(checkpoint_list_step(list, &list->entries[2].key, 1, 0),
                   list->entries);
  assert_ptr_equal(checkpoint_list_step(
                     list, &list->entries[2].key, 1, list->entries[0].serial),
                   list->entries + 1);
  // From where an entry was.
  const CheckpointKey gone = list->entries[1].key;
  checkpoint_list_lost(list, gone.path);
  assert_string_equal(checkpoint_list_step(list, &gone, 1, 0)->key.path,
                      in_folder("watched/mid.safetensors"));
  assert_string_equal(checkpoint_list_step(list, &gone, -1, 0)->key.path,
                      in_folder("z.safetensors"));
  close_world();
}

static void
test_named(void** state)
{
  (void)state;
  Error                 error = { 0 };
  CheckpointList* const list  = &world.list;
  make_folder("some");
  make_folder("none");
  write_text(in_folder("some/b.safetensors"), "1");
  write_text(in_folder("some/a.safetensors"), "1");
  write_text(in_folder("some/state.safetensors"), "1");
  write_text(in_folder("odd-name"), "1");
  set_time("some/b.safetensors", 1000);
  set_time("some/a.safetensors", 2000);
  assert_int_equal(checkpoint_list_init(list, &error), 0);
  assert_int_equal(
    checkpoint_list_add_named(list, in_folder("nowhere.safetensors"), &error),
    STATUS_NOT_FOUND);
  assert_says(error.text, "nowhere.safetensors: cannot read");
  assert_int_equal(checkpoint_list_add_named(list, in_folder("none"), &error),
                   STATUS_NOT_FOUND);
  assert_int_equal(list->count, 0);
  // A file by any name: it was named.
  assert_int_equal(
    checkpoint_list_add_named(list, in_folder("odd-name"), &error), 0);
  assert_int_equal(checkpoint_list_add_named(list, in_folder("some"), &error),
                   0);
  assert_int_equal(
    checkpoint_list_add_named(list, in_folder("odd-name"), &error), 0);
  assert_int_equal(list->count, 3);
  assert_string_equal(list->entries[0].key.path, in_folder("odd-name"));
  assert_string_equal(list->entries[1].key.path,
                      in_folder("some/b.safetensors"));

  // One that is written anew keeps its place.
  const uint64_t before = list->entries[0].serial;
  write_text(in_folder("odd-name"), "22");
  checkpoint_list_look_at_named(list);
  assert_string_equal(list->entries[0].key.path, in_folder("odd-name"));
  assert_int_not_equal(list->entries[0].serial, before);
  checkpoint_list_free(list);
}

static void
test_full(void** state)
{
  (void)state;
  Error                 error = { 0 };
  CheckpointList* const list  = &world.list;
  struct stat           info  = { .st_mode = S_IFREG };
  char                  name[64];
  write_text(in_folder("a.safetensors"), "1");
  assert_int_equal(checkpoint_list_init(list, &error), 0);
  assert_int_equal(
    checkpoint_list_add_named(list, in_folder("a.safetensors"), &error), 0);
  for (int i = 0; i < 1500; ++i) {
    snprintf(name, sizeof name, "/nowhere/%04d.safetensors", i);
    info.st_mtim.tv_sec = 1000 + i;
    checkpoint_list_found(list, name, &info, false);
  }
  assert_int_equal(list->count, CHECKPOINT_LIST_MAX);
  assert_int_equal(list->left_out, 1501 - CHECKPOINT_LIST_MAX);
  assert_string_equal(list->entries[0].key.path, in_folder("a.safetensors"));
  assert_string_equal(list->entries[CHECKPOINT_LIST_MAX - 1].key.path,
                      "/nowhere/1499.safetensors");
  // Older than all.
  info.st_mtim.tv_sec = 1;
  checkpoint_list_found(list, "/nowhere/early.safetensors", &info, false);
  assert_null(checkpoint_list_by_path(list, "/nowhere/early.safetensors"));
  write_text(in_folder("b.safetensors"), "1");
  assert_int_equal(
    checkpoint_list_add_named(list, in_folder("b.safetensors"), &error),
    STATUS_LIMIT);
  checkpoint_list_free(list);
}

static void
test_short_names(void** state)
{
  (void)state;
  static const char* const names[][2] = {
    { "runs/run12/checkpoint.safetensors", "run12" },
    { "/run12/checkpoint.safetensors", "run12" },
    { "checkpoint.safetensors", "checkpoint" },
    { "/checkpoint.safetensors", "checkpoint" },
    { "old/calm.safetensors", "calm" },
    { "odd-name", "odd-name" },
    { "a/b\x1b[2J.safetensors", "b?[2J" },
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    char name[CHECKPOINT_SHORT_BYTES];
    checkpoint_short_name(names[i][0], name);
    assert_string_equal(name, names[i][1]);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_renamed_into_place),
    TEST(test_same_size_and_time),
    TEST(test_written_in_place),
    TEST(test_linked_into_place),
    TEST(test_gone),
    TEST(test_what_is_no_checkpoint),
    TEST(test_folders_below),
    TEST(test_folder_again),
    TEST(test_too_deep),
    TEST(test_appears_later),
    TEST(test_many_at_once),
    TEST(test_lost_events),
    TEST(test_half_written_at_start),
    TEST(test_too_many_folders),
    TEST(test_bad_folders),
    TEST(test_order_and_steps),
    TEST(test_named),
    TEST(test_full),
    cmocka_unit_test(test_short_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
