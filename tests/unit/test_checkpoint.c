// Checkpoints: what is written is read back, what a model expects is checked,
// and a failed write leaves the old file.
#include "checkpoint_file.h"

#include <cjson/cJSON.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>

static Status
write_pair(Error* error)
{
  const CheckpointText   texts[]   = { { "kind", "vae" },
                                       { "note", "\"a\\b\"\n\xc3\xa9" } };
  const CheckpointTensor tensors[] = {
    { "encoder.weight", { 1, 3 }, 2, numbers, 3 },
    { "bias", { 0 }, 0, numbers + 3, 1 },
  };
  return checkpoint_write(path, texts, 2, tensors, 2, error);
}

static void
test_round_trip(void** state)
{
  (void)state;
  assert_int_equal(write_pair(NULL), STATUS_OK);
  Checkpoint* const checkpoint = opens();
  assert_string_equal(checkpoint_path(checkpoint), path);
  assert_string_equal(checkpoint_text(checkpoint, "kind"), "vae");
  assert_string_equal(checkpoint_text(checkpoint, "note"),
                      "\"a\\b\"\n\xc3\xa9");
  assert_null(checkpoint_text(checkpoint, "Kind"));
  const uint32_t dims[] = { 1, 3 };
  const float*   data   = NULL;
  Error          error;
  assert_int_equal(
    checkpoint_tensor(checkpoint, "encoder.weight", dims, 2, &data, &error),
    STATUS_OK);
  assert_memory_equal(data, numbers, 3 * sizeof(float));
  assert_int_equal(checkpoint_expect_no_others(checkpoint, &error),
                   STATUS_BAD_FILE);
  assert_error(&error, "bias", "unexpected");
  assert_int_equal(
    checkpoint_tensor(checkpoint, "bias", NULL, 0, &data, &error), STATUS_OK);
  assert_memory_equal(data, numbers + 3, sizeof(float));
  assert_int_equal(checkpoint_expect_no_others(checkpoint, &error), STATUS_OK);
  checkpoint_close(checkpoint);
  checkpoint_close(NULL);
}

// The published format: length, '{', spaces up to a multiple of 8.
static void
test_bytes(void** state)
{
  (void)state;
  static const char json[] =
    "{\"__metadata__\":{\"kind\":\"vae\",\"note\":\"\\\"a\\\\b\\\"\\n"
    "\xc3\xa9\"},\"encoder.weight\":{\"dtype\":\"F32\",\"shape\":[1,3],"
    "\"data_offsets\":[0,12]},\"bias\":{\"dtype\":\"F32\",\"shape\":[],"
    "\"data_offsets\":[12,16]}}";
  uint8_t      expected[1024];
  uint8_t      found[1024];
  const size_t size_bytes = make_file(expected, json, numbers, sizeof numbers);
  for (int i = 0; i < 2; ++i) {
    assert_int_equal(write_pair(NULL), STATUS_OK);
    assert_int_equal(read_file(found, sizeof found), size_bytes);
    assert_memory_equal(found, expected, size_bytes);
  }
}

static void
test_digest(void** state)
{
  (void)state;
  uint8_t file[1024];
  size_t  size_bytes = make_file(file, GOOD, numbers, sizeof numbers);
  char    first[17];
  write_bytes(file, size_bytes);
  Checkpoint* checkpoint = opens();
  strcpy(first, checkpoint_digest(checkpoint));
  assert_int_equal(strspn(first, "0123456789abcdef"), 16);
  checkpoint_close(checkpoint);
  checkpoint = opens();
  assert_string_equal(checkpoint_digest(checkpoint), first);
  checkpoint_close(checkpoint);
  file[size_bytes - 4] ^= 1; // the last weight's lowest bit
  write_bytes(file, size_bytes);
  checkpoint = opens();
  assert_string_not_equal(checkpoint_digest(checkpoint), first);
  checkpoint_close(checkpoint);
}

static void
test_metadata_numbers(void** state)
{
  (void)state;
  uint8_t           file[1024];
  static const char json[] =
    "{\"__metadata__\":{\"n\":\"12\",\"plus\":\"+1\",\"minus\":\"-1\","
    "\"empty\":\"\",\"big\":\"4294967296\",\"huge\":\"99999999999999999999\","
    "\"space\":\" 1\",\"hex\":\"0x10\",\"nan\":\"nan\",\"inf\":\"1e99\","
    "\"tail\":\"1.5x\",\"f\":\"0.1\",\"exp\":\"-2.5e-1\"}," A "}";
  write_bytes(file, make_file(file, json, numbers, 8));
  // A decimal comma must change nothing (where the locale is installed).
  setlocale(LC_ALL, "de_DE.UTF-8");
  Checkpoint* const checkpoint = opens();
  uint32_t          number     = 0;
  float             value      = 0;
  Error             error;
  assert_int_equal(checkpoint_get_u32(checkpoint, "n", 12, 12, &number, &error),
                   STATUS_OK);
  assert_int_equal(number, 12);
  assert_int_equal(checkpoint_get_u32(checkpoint, "n", 1, 11, &number, &error),
                   STATUS_BAD_FILE);
  assert_error(
    &error, NULL, "metadata 'n' is '12', expected a whole number from 1 to 11");
  assert_int_equal(checkpoint_get_u32(checkpoint, "n", 13, 99, &number, &error),
                   STATUS_BAD_FILE);
  assert_int_equal(checkpoint_get_u32(checkpoint, "x", 1, 9, &number, &error),
                   STATUS_BAD_FILE);
  assert_error(&error, NULL, "metadata 'x' is missing");
  static const char* const not_whole[] = { "plus", "minus", "empty", "big",
                                           "huge", "space", "hex",   "nan",
                                           "tail", "f",     "exp" };
  for (size_t i = 0; i < sizeof not_whole / sizeof *not_whole; ++i) {
    assert_int_equal(
      checkpoint_get_u32(
        checkpoint, not_whole[i], 0, UINT32_MAX, &number, &error),
      STATUS_BAD_FILE);
  }
  assert_int_equal(number, 12);
  // 0.1 rounds to the very float that is the limit.
  assert_int_equal(
    checkpoint_get_float(checkpoint, "f", 0.1f, 0.1f, &value, &error),
    STATUS_OK);
  assert_true(value == 0.1f);
  assert_int_equal(
    checkpoint_get_float(checkpoint, "exp", -1, 1, &value, &error), STATUS_OK);
  assert_true(value == -0.25f);
  assert_int_equal(
    checkpoint_get_float(checkpoint, "exp", 0, 1, &value, &error),
    STATUS_BAD_FILE);
  assert_error(&error, NULL, "'-2.5e-1', expected a number from 0 to 1");
  static const char* const not_number[] = { "empty", "space", "hex", "nan",
                                            "inf",   "tail",  "x" };
  for (size_t i = 0; i < sizeof not_number / sizeof *not_number; ++i) {
    assert_int_equal(
      checkpoint_get_float(
        checkpoint, not_number[i], -INFINITY, 3e38f, &value, &error),
      STATUS_BAD_FILE);
  }
  checkpoint_close(checkpoint);
  setlocale(LC_ALL, "C");
}

static void
test_expected_tensors(void** state)
{
  (void)state;
  Checkpoint* const checkpoint = opens_good();
  const float*      data       = NULL;
  Error             error;
  const uint32_t    dims[4] = { 1, 2, 1, 1 };
  assert_int_equal(checkpoint_tensor(checkpoint, "c", dims, 1, &data, &error),
                   STATUS_BAD_FILE);
  assert_error(&error, "c", "missing");
  assert_int_equal(checkpoint_tensor(checkpoint, "b", dims, 1, &data, &error),
                   STATUS_BAD_FILE);
  assert_error(&error, "b", "its shape is [1, 2], expected [1]");
  assert_int_equal(checkpoint_tensor(checkpoint, "b", dims, 4, &data, &error),
                   STATUS_BAD_FILE);
  assert_int_equal(
    checkpoint_tensor(checkpoint, "b", dims + 1, 2, &data, &error),
    STATUS_BAD_FILE);
  assert_error(&error, "b", "its shape is [1, 2], expected [2, 1]");
  assert_null(data);
  assert_int_equal(checkpoint_tensor(checkpoint, "b", dims, 2, &data, &error),
                   STATUS_OK);
  assert_true(data[0] == 3.25f);
  assert_int_equal(checkpoint_expect_no_others(checkpoint, &error),
                   STATUS_BAD_FILE);
  assert_error(&error, "a", "unexpected");
  checkpoint_close(checkpoint);
}

// What a reader would refuse is not written, and the old file stays.
static void
test_write_refuses(void** state)
{
  (void)state;
  static const float infinite[] = { 1, INFINITY };
  static const struct {
    const char*      keys[2];
    CheckpointTensor tensors[2];
    Status           status;
    const char*      tensor;
    const char*      reason;
  } cases[] = {
    { { "k" },
      { { "a", { 2 }, 1, infinite, 2 } },
      STATUS_BAD_ARGUMENT,
      "a",
      "element 1 is not a finite number" },
    { { "k" },
      { { "a", { 3 }, 1, numbers, 2 } },
      STATUS_BAD_ARGUMENT,
      "a",
      "hold 8 bytes, the shape needs 12" },
    { { "k" },
      { { "a", { 1 }, 5, numbers, 1 } },
      STATUS_BAD_ARGUMENT,
      "a",
      "out of range" },
    { { "k" },
      { { "a", { 1 }, 1, numbers, 1 }, { "a", { 1 }, 1, numbers, 1 } },
      STATUS_BAD_ARGUMENT,
      "a",
      "appears twice" },
    { { "k" },
      { { "__metadata__", { 1 }, 1, numbers, 1 } },
      STATUS_BAD_ARGUMENT,
      "__metadata__",
      "appears twice" },
    { { "k" },
      { { "\xff", { 1 }, 1, numbers, 1 } },
      STATUS_BAD_ARGUMENT,
      NULL,
      "not UTF-8" },
    { { "k", "k" },
      { { "a", { 1 }, 1, numbers, 1 } },
      STATUS_BAD_ARGUMENT,
      NULL,
      "metadata 'k' appears twice" },
    { { "k" }, { { .name = "" } }, STATUS_BAD_ARGUMENT, NULL, "no tensors" },
  };
  uint8_t before[1024];
  uint8_t after[1024];
  assert_int_equal(write_pair(NULL), STATUS_OK);
  const size_t size_bytes = read_file(before, sizeof before);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const CheckpointText texts[] = { { cases[i].keys[0], "1" },
                                     { cases[i].keys[1], "2" } };
    Error                error;
    assert_int_equal(checkpoint_write(path,
                                      texts,
                                      cases[i].keys[1] ? 2 : 1,
                                      cases[i].tensors,
                                      !!*cases[i].tensors[0].name +
                                        !!*cases[i].tensors[1].name,
                                      &error),
                     cases[i].status);
    assert_int_equal(error.status, cases[i].status);
    assert_error(&error, cases[i].tensor, cases[i].reason);
    assert_int_equal(read_file(after, sizeof after), size_bytes);
    assert_memory_equal(after, before, size_bytes);
  }
}

// The disk fills up in mid-write (a file size limit stands in for it).
static void
test_disk_full(void** state)
{
  (void)state;
  uint8_t before[1024];
  uint8_t after[1024];
  assert_int_equal(write_pair(NULL), STATUS_OK);
  const size_t  size_bytes = read_file(before, sizeof before);
  float* const  zeros      = calloc(100000, sizeof *zeros);
  struct rlimit old;
  getrlimit(RLIMIT_FSIZE, &old);
  const struct rlimit limit = { 50000, old.rlim_max };
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  const CheckpointTensor tensor = { "a", { 100000 }, 1, zeros, 100000 };
  Error                  error;
  const Status status = checkpoint_write(path, NULL, 0, &tensor, 1, &error);
  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, SIG_DFL);
  free(zeros);
  assert_int_equal(status, STATUS_IO);
  assert_error(&error, NULL, "cannot write");
  assert_int_equal(read_file(after, sizeof after), size_bytes);
  assert_memory_equal(after, before, size_bytes);
}

static int allocations_left;

static void*
failing_malloc(size_t size_bytes)
{
  return allocations_left-- > 0 ? malloc(size_bytes) : NULL;
}

// Each of cJSON's allocations fails once: an error, no crash, no leak.
static void
test_memory_runs_out(void** state)
{
  (void)state;
  cJSON_Hooks hooks = { failing_malloc, free };
  int         count = 0;
  Status      status;
  Checkpoint* checkpoint = opens_good();
  checkpoint_close(checkpoint);
  cJSON_InitHooks(&hooks);
  do {
    allocations_left = count++;
    status           = checkpoint_open(path, &checkpoint, NULL);
  } while (status != STATUS_OK && count < 1000);
  checkpoint_close(checkpoint);
  assert_in_range(count, 20, 999);
  count = 0;
  do {
    allocations_left = count++;
    status           = write_pair(NULL);
  } while (status != STATUS_OK && count < 1000);
  assert_in_range(count, 40, 999);
  cJSON_InitHooks(NULL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_bytes),
    cmocka_unit_test(test_digest),
    cmocka_unit_test(test_metadata_numbers),
    cmocka_unit_test(test_expected_tensors),
    cmocka_unit_test(test_write_refuses),
    cmocka_unit_test(test_disk_full),
    cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
