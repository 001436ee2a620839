// control/audition while checkpoints are trained: which new ones play, on which
// side, and what of those that are bad, half-written or only touched.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "audition_world.h"

static void
write_run(uint32_t version)
{
  char step[16];
  snprintf(step, sizeof step, "%u", 100 * version);
  write_vae(in_folder("run/checkpoint.safetensors"), version, step);
}

static bool
plays_step(uint32_t step)
{
  const AuditionStatus status = status_now();
  return status.playing.step == step && !*status.pending;
}

static void
start_run(void)
{
  const AuditionSetup setup = {
    .watch = folder, .follow = true, .device = "cpu", .seed = 7
  };
  make_folder("run");
  write_run(1);
  start(&setup, in_folder("run/checkpoint.safetensors"));
}

static void
test_follows_training(void** state)
{
  (void)state;
  start_run();
  assert_true(status_now().following);
  for (uint32_t version = 2; version < 8; ++version) {
    write_run(version);
    WAIT_UNTIL(plays_step(100 * version), turn());
    // The version before is at hand, though its file is gone.
    assert_int_equal(status_now().other.step, 100 * (version - 1));
    assert_int_equal(status_now().count, 1);
    WAIT_UNTIL(held_left() == 2, turn());
  }
  act(ACTION_AB);
  WAIT_UNTIL(plays_step(600), turn());
  assert_int_equal(status_now().index, 0);
  assert_false(status_now().following);
  write_run(8);
  WAIT_UNTIL(status_now().count == 1, turn());
  for (int i = 0; i < 100; ++i) {
    turn();
    clock_sleep_ns(1000000);
  }
  assert_true(plays_step(600)); // who listens to an old one is left alone
  act(ACTION_NEXT);
  WAIT_UNTIL(plays_step(800), turn());
  assert_true(status_now().following);
  write_run(9);
  WAIT_UNTIL(plays_step(900), turn());
  finish();
}

static void
test_starts_with_nothing(void** state)
{
  (void)state;
  char                path[1024];
  const char* const   watch = in_folder("runs");
  const AuditionSetup setup = {
    .watch = watch, .follow = true, .device = "cpu", .seed = 7
  };
  write_vae(in_folder("shipped.safetensors"), 50, NULL);
  start(&setup, in_folder("shipped.safetensors"));
  assert_false(audition_first(audition, path));
  turn();
  assert_true(was_said("no such folder yet"));
  make_folder("runs");
  make_folder("runs/1");
  write_vae(in_folder("runs/1/checkpoint.safetensors"), 1, "10");
  WAIT_UNTIL(plays("1"), turn());
  assert_true(audition_first(audition, path));
  assert_says(path, "runs/1/checkpoint.safetensors");
  make_folder("runs/2");
  write_vae(in_folder("runs/2/checkpoint.safetensors"), 2, "20");
  WAIT_UNTIL(plays("2"), turn());
  assert_string_equal(status_now().other.name, "1");
  finish();
}

// One that was named is what to compare with.
static void
test_named_stays(void** state)
{
  (void)state;
  static const char* const names[] = { "ref.safetensors" };
  write_vae(in_folder("ref.safetensors"), 50, NULL);
  make_folder("runs");
  make_folder("runs/run");
  start_named(1, names, in_folder("runs"));
  for (uint32_t version = 1; version < 5; ++version) {
    char step[16];
    snprintf(step, sizeof step, "%u", version);
    write_vae(in_folder("runs/run/checkpoint.safetensors"), version, step);
    WAIT_UNTIL(plays_step(version), turn());
    assert_sides('B', "run", "ref");
  }
  finish();
}

static void
test_half_written(void** state)
{
  (void)state;
  static uint8_t bytes[1 << 16];
  write_vae(in_folder("whole"), 9, "900");
  const size_t size = read_whole(in_folder("whole"), bytes, sizeof bytes);
  start_run();
  // A scan meets it half-written: here, that of a new folder.
  char path[1100];
  snprintf(path, sizeof path, "%s/late/x.safetensors", folder);
  make_folder("late");
  FILE* const file = fopen(path, "wb");
  append_bytes(file, bytes, size / 2);
  WAIT_UNTIL(was_said("not played: "), turn());
  assert_true(was_said("late/x.safetensors: "));
  assert_true(plays_step(100));
  append_bytes(file, bytes + size / 2, size - size / 2);
  fclose(file);
  WAIT_UNTIL(plays_step(900), turn());
  finish();
}

static void
test_touched_only(void** state)
{
  (void)state;
  start_run();
  write_run(2);
  WAIT_UNTIL(plays_step(200), turn());
  const int swaps = instrument.swaps;
  const int loads = held_loaded();
  write_run(2); // the same bytes
  WAIT_UNTIL(held_loaded() == loads + 1 && !status_now().loading, turn());
  turn();
  assert_int_equal(instrument.swaps, swaps);
  assert_true(plays_step(200));
  assert_int_equal(status_now().index, 1);
  assert_int_equal(status_now().other.step, 100);
  WAIT_UNTIL(held_left() == 2, turn());
  finish();
}

static void
test_many_new_files(void** state)
{
  (void)state;
  start_run();
  for (uint32_t i = 0; i < 200; ++i) {
    char name[32];
    char step[16];
    snprintf(name, sizeof name, "%03u.safetensors", i);
    snprintf(step, sizeof step, "%u", 1000 + i);
    write_vae(in_folder(name), 1000 + i, step);
  }
  WAIT_UNTIL(plays_step(1199), turn());
  assert_int_equal(status_now().count, 201);
  assert_true(status_now().following);
  WAIT_UNTIL(held_left() == 2, turn());
  finish();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_follows_training), TEST(test_starts_with_nothing),
    TEST(test_named_stays),      TEST(test_half_written),
    TEST(test_touched_only),     TEST(test_many_new_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
