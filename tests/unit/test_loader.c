// control/loader on real checkpoints: one answer a request and only to the
// last, whatever is in the file and happens to it; nothing waits, and nothing
// is left over. Loading and generating can be held up and made to fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "audition_fixture.h"
#include "control/loader.h"
#include "held_model.h"

#include <fcntl.h>

static Loader* loader;
static Loaded  loaded;

static void
start(void)
{
  Error error = { 0 };
  held_reset();
  assert_int_equal(loader_start(&loader, &error), STATUS_OK);
}

static void
stop(void)
{
  assert_true(loader_stop(loader, 10));
  held_assert_none_left();
}

static void
request(const char* path, const Params* params)
{
  const Params standard = params_standard();
  Error        error    = { 0 };
  assert_int_equal(
    loader_request(loader, path, "cpu", params ? params : &standard, 5, &error),
    STATUS_OK);
}

static void
await(void)
{
  WAIT_UNTIL(loader_poll(loader, &loaded), (void)0);
}

static void
await_model(void)
{
  await();
  if (loaded.status) {
    fail_msg("not loaded: %s", loaded.error.text);
  }
  assert_non_null(loaded.model);
}

static void
test_loads(void** state)
{
  (void)state;
  start();
  assert_false(loader_poll(loader, &loaded));
  assert_false(loader_is_busy(loader));
  write_vae(in_folder("a.safetensors"), 1, "12000");
  request(in_folder("a.safetensors"), NULL);
  await_model();
  assert_string_equal(loaded.path, in_folder("a.safetensors"));
  assert_string_equal(loaded.digest, model_digest(loaded.model));
  assert_true(loaded.has_step);
  assert_int_equal(loaded.step, 12000);
  assert_int_equal(loaded.fit, STATUS_OK);
  assert_true(loaded.seconds > 0);
  // Warmed up, in the thread.
  assert_int_equal(held_generated(), 2);
  assert_false(loader_is_busy(loader));
  assert_false(loader_poll(loader, &loaded)); // once
  loader_discard(loader, loaded.model);
  stop();
}

static void
test_what_parameters_ask_for(void** state)
{
  (void)state;
  Error  error  = { 0 };
  Params params = params_standard();
  assert_int_equal(params_set_text(&params, PARAM_MODE, "continue", &error),
                   STATUS_OK);
  start();
  write_vae(in_folder("a.safetensors"), 1, NULL);
  request(in_folder("a.safetensors"), &params);
  await_model();
  assert_false(loaded.has_step);
  assert_int_not_equal(loaded.fit, STATUS_OK);
  assert_says(loaded.misfit.text, "mode");
  assert_int_equal(held_generated(), 2);
  model_free(loaded.model);
  stop();
}

static void
assert_refused(const char* path, Status status, const char* part)
{
  request(path, NULL);
  await();
  assert_null(loaded.model);
  assert_int_equal(loaded.status, status);
  assert_says(loaded.error.text, path);
  assert_says(loaded.error.text, part);
  assert_null(strstr(loaded.error.text, "/proc/"));
}

static void
test_bad_files(void** state)
{
  (void)state;
  static uint8_t bytes[1 << 16];
  char           path[1024];
  snprintf(path, sizeof path, "%s", in_folder("a.safetensors"));
  start();
  assert_refused(path, STATUS_NOT_FOUND, "cannot read: No such file");
  assert_refused(folder, STATUS_IO, "not a regular file");
  assert_int_equal(mkfifo(in_folder("fifo.safetensors"), 0666), 0);
  assert_refused(
    in_folder("fifo.safetensors"), STATUS_IO, "not a regular file");
  write_vae(path, 1, NULL);
  const size_t size = read_whole(path, bytes, sizeof bytes);
  // Each half-written state.
  for (size_t part = 0; part < size; part += size / 13) {
    FILE* const file = fopen(path, "wb");
    append_bytes(file, bytes, part);
    fclose(file);
    assert_refused(path, STATUS_BAD_FILE, path);
  }
  held_fail_generating(true);
  write_vae(path, 1, NULL);
  assert_refused(path, STATUS_DEVICE, "fails when asked");
  stop();
}

static void
test_only_the_last_counts(void** state)
{
  (void)state;
  char name[32];
  start();
  for (uint32_t i = 0; i < 6; ++i) {
    snprintf(name, sizeof name, "%u.safetensors", i);
    write_vae(in_folder(name), i + 1, NULL);
  }
  // The first is under way, the others come meanwhile.
  held_hold(HELD_LOAD);
  request(in_folder("0.safetensors"), NULL);
  held_await();
  for (int i = 1; i < 6; ++i) {
    snprintf(name, sizeof name, "%d.safetensors", i);
    request(in_folder(name), NULL);
  }
  held_release();
  await_model();
  assert_says(loaded.path, "/5.safetensors");
  model_free(loaded.model);
  assert_int_equal(held_loaded(), 2);

  // One that is done and was not fetched.
  request(in_folder("0.safetensors"), NULL);
  WAIT_UNTIL(held_loaded() == 3 && held_generated() == 4, (void)0);
  request(in_folder("1.safetensors"), NULL);
  await_model();
  assert_says(loaded.path, "/1.safetensors");
  model_free(loaded.model);

  // And one that nobody wants any more.
  held_hold(HELD_GENERATE);
  request(in_folder("2.safetensors"), NULL);
  held_await();
  loader_cancel(loader);
  assert_false(loader_is_busy(loader));
  held_release();
  clock_sleep_ns(50000000);
  assert_false(loader_poll(loader, &loaded));
  stop();
}

static void
test_nobody_waits(void** state)
{
  (void)state;
  start();
  write_vae(in_folder("a.safetensors"), 1, NULL);
  request(in_folder("a.safetensors"), NULL);
  await_model();
  Model* const model = loaded.model;
  held_hold(HELD_LOAD);
  const double start_s = clock_now_s();
  request(in_folder("a.safetensors"), NULL);
  held_await();
  for (int i = 0; i < 100; ++i) {
    assert_false(loader_poll(loader, &loaded));
  }
  loader_discard(loader, model);
  request(in_folder("a.safetensors"), NULL);
  loader_cancel(loader);
  assert_true(clock_now_s() - start_s < WAIT_S_MAX / 2);
  held_release();
  stop();
}

static void
test_stuck(void** state)
{
  (void)state;
  start();
  write_vae(in_folder("a.safetensors"), 1, NULL);
  request(in_folder("a.safetensors"), NULL);
  await_model();
  Model* const kept = loaded.model;
  held_hold(HELD_GENERATE);
  request(in_folder("a.safetensors"), NULL);
  held_await();
  const double start_s = clock_now_s();
  assert_false(loader_stop(loader, 0.05));
  assert_true(clock_now_s() - start_s < WAIT_S_MAX / 2);
  // When it comes back after all, it frees what is its own, and nothing else.
  held_release();
  WAIT_UNTIL(held_left() == 1, (void)0);
  model_free(kept);
  held_assert_none_left();
}

static void
test_stopped_in_between(void** state)
{
  (void)state;
  write_vae(in_folder("a.safetensors"), 1, NULL);
  for (int i = 0; i < 40; ++i) {
    start();
    request(in_folder("a.safetensors"), NULL);
    clock_sleep_ns(i * 100000);
    stop(); // what was made and not fetched is freed
  }
}

// As another program that copies over a file: cut to nothing, then written.
static void
test_cut_short_meanwhile(void** state)
{
  (void)state;
  static uint8_t bytes[1 << 16];
  char           path[1024];
  int            good = 0;
  snprintf(path, sizeof path, "%s", in_folder("a.safetensors"));
  write_vae(path, 1, NULL);
  const size_t size = read_whole(path, bytes, sizeof bytes);
  start();
  for (int i = 0; i < 60; ++i) {
    held_hold(HELD_LOAD); // it was read, and is not made
    request(path, NULL);
    held_await();
    FILE* const file = fopen(path, "wb"); // to nothing
    held_release();
    await();
    good += !loaded.status;
    loader_discard(loader, loaded.model);
    append_bytes(file, bytes, size);
    fclose(file);
  }
  assert_int_equal(good, 60);
  stop();
}

static int64_t
resident_bytes(void)
{
  long  pages = 0;
  FILE* file  = fopen("/proc/self/statm", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

static int
open_files(void)
{
  DIR* const folder_of_files = opendir("/proc/self/fd");
  int        count           = 0;
  assert_non_null(folder_of_files);
  while (readdir(folder_of_files)) {
    ++count;
  }
  closedir(folder_of_files);
  return count;
}

static void
test_memory_is_flat(void** state)
{
  (void)state;
  int64_t   before = 0;
  const int files  = open_files();
  start();
  write_vae(in_folder("a.safetensors"), 1, NULL);
  write_vae(in_folder("b.safetensors"), 2, NULL);
  for (int i = 0; i < 340; ++i) {
    if (i == 40) {
      before = resident_bytes();
    }
    request(in_folder(i % 2 ? "a.safetensors" : "b.safetensors"), NULL);
    await_model();
    loader_discard(loader, loaded.model);
  }
  const int64_t grown = resident_bytes() - before;
  print_message("300 loads: %+lld KiB\n", (long long)grown / 1024);
  // A model takes more than 100 KiB. Sanitizers keep what was freed.
  if (!getenv("SLOW")) {
    assert_true(grown < 2 << 20);
  }
  stop();
  assert_int_equal(open_files(), files);
}

static void
test_step_of_a_file(void** state)
{
  (void)state;
  uint32_t step = 0;
  held_reset();
  start();
  write_vae(in_folder("a.safetensors"), 1, "77");
  request(in_folder("a.safetensors"), NULL);
  await_model();
  assert_true(
    loader_find_step(in_folder("a.safetensors"), loaded.digest, &step));
  assert_int_equal(step, 77);
  write_vae(in_folder("a.safetensors"), 2, "78"); // another file by now
  assert_false(
    loader_find_step(in_folder("a.safetensors"), loaded.digest, &step));
  assert_false(loader_find_step(in_folder("no"), loaded.digest, &step));
  model_free(loaded.model);
  stop();
}

static void
test_long_path(void** state)
{
  (void)state;
  char         path[2000];
  const Params params = params_standard();
  Error        error  = { 0 };
  memset(path, 'x', sizeof path - 1);
  path[sizeof path - 1] = '\0';
  start();
  assert_int_equal(loader_request(loader, path, "cpu", &params, 1, &error),
                   STATUS_BAD_ARGUMENT);
  assert_false(loader_is_busy(loader));
  stop();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_loads),
    TEST(test_what_parameters_ask_for),
    TEST(test_bad_files),
    TEST(test_only_the_last_counts),
    TEST(test_nobody_waits),
    TEST(test_stuck),
    TEST(test_stopped_in_between),
    TEST(test_cut_short_meanwhile),
    TEST(test_memory_is_flat),
    TEST(test_step_of_a_file),
    TEST(test_long_path),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
