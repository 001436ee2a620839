// Checkpoints: each rule of the format has a hostile file that is refused with
// one line naming file, tensor and reason; random mutants never crash.
#include "checkpoint_file.h"
#include "rng.h"

#include <math.h>
#include <sys/stat.h>

#define MUTANTS 20000

#define TENSOR(shape, offsets)                                                 \
  "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

// Each with 16 bytes of data.
static const struct {
  const char* json;
  Status      status;
  const char* tensor;
  const char* reason;
} hostile[] = {
  // JSON
  { "", STATUS_BAD_FILE, NULL, "length is 0 bytes, not a multiple of 8" },
  { "[" A "]", STATUS_BAD_FILE, NULL, "does not begin with '{'" },
  { " {" A "}", STATUS_BAD_FILE, NULL, "does not begin with '{'" },
  { "{" A, STATUS_BAD_FILE, NULL, "not complete" },
  { "{" A "]", STATUS_BAD_FILE, NULL, "not valid JSON" },
  { "{" A ",}", STATUS_BAD_FILE, NULL, "not valid JSON" },
  { "{" A "," B "}}", STATUS_BAD_FILE, NULL, "other than spaces" },
  { "{" A "," B "}\n", STATUS_BAD_FILE, NULL, "other than spaces" },
  { "{\"a", STATUS_BAD_FILE, NULL, "ends in a string" },
  { "{\"a\\", STATUS_BAD_FILE, NULL, "ends in a string" },
  { "{\"a\\q\":1}", STATUS_BAD_FILE, NULL, "not valid JSON" },
  { "{\"a\\u0000b\":1}", STATUS_BAD_FILE, NULL, "a NUL in a string" },
  { "{\"a\tb\":1}", STATUS_BAD_FILE, NULL, "a control character" },
  { "{\"a\xc3(\":1}", STATUS_BAD_FILE, NULL, "not UTF-8" },
  { "{\"a\xed\xa0\x80\":1}", STATUS_BAD_FILE, NULL, "not UTF-8" },
  { "{\"a\xc0\x80\":1}", STATUS_BAD_FILE, NULL, "not UTF-8" },
  { "{'a':1}", STATUS_BAD_FILE, NULL, "not valid JSON: byte 0x27" },
  { "{\"a\":nul}", STATUS_BAD_FILE, NULL, "not valid JSON" },
  { TENSOR("[[[2]]]", "[0,8]"), STATUS_LIMIT, "a", "nested deeper than 4" },
  { TENSOR("[[2]]", "[0,8]"), STATUS_BAD_FILE, "a", "not made of numbers" },
  { "{}", STATUS_BAD_FILE, NULL, "holds no tensors" },
  { "{" META "}", STATUS_BAD_FILE, NULL, "holds no tensors" },
  // Keys
  { "{" A "," A "}", STATUS_BAD_FILE, "a", "appears twice" },
  { "{" A ",\"\\u0061\":1}", STATUS_BAD_FILE, "a", "appears twice" },
  { "{" META "," META "," A "}", STATUS_BAD_FILE, "__metadata__", "twice" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"shape\":[2],"
    "\"data_offsets\":[0,8]}}",
    STATUS_BAD_FILE,
    "a",
    "once each" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}",
    STATUS_BAD_FILE,
    "a",
    "exactly dtype, shape and data_offsets" },
  { "{\"a\":1}", STATUS_BAD_FILE, "a", "not an object" },
  { "{\"a\":[1]}", STATUS_BAD_FILE, "a", "not an object" },
  { "{\"\":1}", STATUS_BAD_FILE, "", "its name is not 1 to 95 bytes" },
  // Metadata
  { "{\"__metadata__\":{\"n\":1}," A "}",
    STATUS_BAD_FILE,
    NULL,
    "metadata 'n' is not a string" },
  { "{\"__metadata__\":{\"n\":{}}," A "}",
    STATUS_BAD_FILE,
    NULL,
    "metadata 'n' is not a string" },
  { "{\"__metadata__\":[\"n\"]," A "}",
    STATUS_BAD_FILE,
    NULL,
    "not an object" },
  { "{\"__metadata__\":{\"n\":\"\",\"n\":\"\"}," A "}",
    STATUS_BAD_FILE,
    NULL,
    "metadata 'n' appears twice" },
  // Types
  { "{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]}}",
    STATUS_UNSUPPORTED,
    "a",
    "dtype F16 is not supported" },
  { "{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
    STATUS_UNSUPPORTED,
    "a",
    "dtype f32 is not supported" },
  { "{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}",
    STATUS_BAD_FILE,
    "a",
    "dtype is not a string" },
  // Shapes
  { TENSOR("[-2]", "[0,8]"), STATUS_BAD_FILE, "a", "number -2 is not a whole" },
  { TENSOR("[2.0]", "[0,8]"), STATUS_BAD_FILE, "a", "number 2.0 is not a" },
  { TENSOR("[1.5]", "[0,6]"), STATUS_BAD_FILE, "a", "number 1.5 is not a" },
  { TENSOR("[2e0]", "[0,8]"), STATUS_BAD_FILE, "a", "number 2e0 is not a" },
  { TENSOR("[02]", "[0,8]"), STATUS_BAD_FILE, "a", "number 02 is not a whole" },
  { TENSOR("[1000000000000000000000]", "[0,8]"),
    STATUS_BAD_FILE,
    "a",
    "at most 15 digits" },
  { TENSOR("[999999999999999]", "[0,8]"), STATUS_LIMIT, "a", "too large" },
  // 2^64 elements, which wrap to 0; 2^62 + 2, whose bytes wrap to 8.
  { TENSOR("[65536,65536,65536,65536]", "[0,0]"),
    STATUS_LIMIT,
    "a",
    "too large" },
  { TENSOR("[2,2147483649,1073741824]", "[0,8]"),
    STATUS_LIMIT,
    "a",
    "too large" },
  { TENSOR("[2,0]", "[0,0]"), STATUS_UNSUPPORTED, "a", "a dimension of 0" },
  { TENSOR("[1,1,1,1,2]", "[0,8]"), STATUS_UNSUPPORTED, "a", "5 dimensions" },
  { TENSOR("2", "[0,8]"), STATUS_BAD_FILE, "a", "shape is not an array" },
  { TENSOR("[\"2\"]", "[0,8]"), STATUS_BAD_FILE, "a", "not made of numbers" },
  // Offsets
  { TENSOR("[2]", "[8,0]"), STATUS_BAD_FILE, "a", "reversed: 8 to 0" },
  { TENSOR("[2]", "[-8,0]"), STATUS_BAD_FILE, "a", "number -8 is not a whole" },
  { TENSOR("[2]", "[0]"), STATUS_BAD_FILE, "a", "array of two numbers" },
  { TENSOR("[2]", "[0,8,8]"), STATUS_BAD_FILE, "a", "array of two numbers" },
  { TENSOR("[2]", "[0,\"8\"]"), STATUS_BAD_FILE, "a", "array of two numbers" },
  { TENSOR("[2]", "8"), STATUS_BAD_FILE, "a", "array of two numbers" },
  { TENSOR("[2]", "[0,4]"), STATUS_BAD_FILE, "a", "hold 4 bytes, the shape" },
  { TENSOR("[2]", "[0,12]"), STATUS_BAD_FILE, "a", "hold 12 bytes, the shape" },
  { TENSOR("[2]", "[12,20]"), STATUS_BAD_FILE, "a", "out of range" },
  { TENSOR("[2]", "[999999999999991,999999999999999]"),
    STATUS_BAD_FILE,
    "a",
    "out of range" },
  { TENSOR("[2]", "[8,16]"),
    STATUS_BAD_FILE,
    "a",
    "leaving a gap after byte 0" },
  { "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}," A "}",
    STATUS_BAD_FILE,
    "b",
    "leaving a gap after byte 8" },
  { "{\"c\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[4,16]}," A "}",
    STATUS_BAD_FILE,
    "c",
    "overlapping the tensor that ends at byte 8" },
  { TENSOR("[2]", "[0,8]"), STATUS_BAD_FILE, NULL, "8 bytes too many" },
};

static void
test_hostile_headers(void** state)
{
  (void)state;
  uint8_t file[1024];
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; ++i) {
    write_bytes(file,
                make_file(file, hostile[i].json, numbers, sizeof numbers));
    refuses(hostile[i].status, hostile[i].tensor, hostile[i].reason);
  }
}

static void
test_hostile_lengths(void** state)
{
  (void)state;
  uint8_t      file[1024];
  const size_t size_bytes = make_file(file, GOOD, numbers, sizeof numbers);
  static const struct {
    uint64_t    length;
    Status      status;
    const char* reason;
  } cases[] = {
    { 0, STATUS_BAD_FILE, "length is 0 bytes" },
    { 7, STATUS_BAD_FILE, "not a multiple of 8" },
    { 1000, STATUS_BAD_FILE, "beyond the file's end" },
    { CHECKPOINT_HEADER_BYTES_MAX, STATUS_BAD_FILE, "beyond the file's end" },
    { CHECKPOINT_HEADER_BYTES_MAX + 1, STATUS_LIMIT, "1048576 at most" },
    { UINT64_MAX, STATUS_LIMIT, "1048576 at most" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    memcpy(file, &cases[i].length, 8);
    write_bytes(file, size_bytes);
    refuses(cases[i].status, NULL, cases[i].reason);
  }
}

// A header of exactly 1 MiB is taken.
static void
test_longest_header(void** state)
{
  (void)state;
  const size_t   size_bytes = 8 + CHECKPOINT_HEADER_BYTES_MAX + sizeof numbers;
  const uint64_t length     = CHECKPOINT_HEADER_BYTES_MAX;
  uint8_t* const file       = malloc(size_bytes);
  if (!file) {
    fail(); // returns as far as the compiler knows
    return;
  }
  memset(file, ' ', size_bytes);
  memcpy(file, &length, 8);
  memcpy(file + 8, GOOD, strlen(GOOD));
  memcpy(file + 8 + length, numbers, sizeof numbers);
  write_bytes(file, size_bytes);
  checkpoint_close(opens());
  // Deep and wide JSON that fills it is refused in time and memory at hand.
  memset(file + 8, '[', length);
  file[8] = '{';
  write_bytes(file, size_bytes);
  refuses(STATUS_LIMIT, NULL, "nested deeper than 4");
  memcpy(file + 8, "{\"a\":[", 6);
  size_t at = 8 + 6;
  for (; at + 6 < 8 + length; at += 3) {
    memcpy(file + at, "[],", 3);
  }
  memset(file + at, ' ', 8 + length - at);
  memcpy(file + at, "0]}", 3);
  write_bytes(file, size_bytes);
  refuses(STATUS_BAD_FILE, "a", "not an object");
  free(file);
}

static void
test_weights_not_finite(void** state)
{
  (void)state;
  static const struct {
    float       value;
    const char* name;
  } cases[] = { { NAN, "is NaN" },
                { -NAN, "is NaN" },
                { INFINITY, "is infinite" },
                { -INFINITY, "is infinite" } };
  uint8_t file[8192];
  float   data[1500];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    // In a whole block of the check and in the rest after it.
    for (size_t at = 1000; at < 1500; at += 499) {
      memset(data, 0, sizeof data);
      data[at] = cases[i].value;
      write_bytes(
        file, make_file(file, TENSOR("[1500]", "[0,6000]"), data, sizeof data));
      char reason[32];
      snprintf(reason, sizeof reason, "element %zu %s", at, cases[i].name);
      refuses(STATUS_BAD_FILE, "a", reason);
    }
  }
}

static void
test_every_length(void** state)
{
  (void)state;
  uint8_t      file[1024];
  const size_t size_bytes = make_file(file, GOOD, numbers, sizeof numbers);
  for (size_t cut = 1; cut < size_bytes; ++cut) {
    write_bytes(file, cut);
    const int in_data = cut >= size_bytes - sizeof numbers;
    refuses(STATUS_BAD_FILE,
            !in_data               ? NULL
            : cut < size_bytes - 8 ? "a"
                                   : "b",
            cut < 8    ? "too short for a checkpoint"
            : !in_data ? "beyond the file's end"
                       : "cut short");
  }
  // The same cuts, with a length field that follows them.
  for (uint64_t cut = 8; cut < strlen(GOOD); cut += 8) {
    memcpy(file, &cut, 8);
    write_bytes(file, 8 + cut);
    Checkpoint* checkpoint = NULL;
    Error       error      = { 0 };
    assert_int_equal(checkpoint_open(path, &checkpoint, &error),
                     STATUS_BAD_FILE);
    assert_text(error.text, path);
  }
}

static void
test_trailing_bytes(void** state)
{
  (void)state;
  uint8_t      file[1024] = { 0 };
  const size_t size_bytes = make_file(file, GOOD, numbers, sizeof numbers);
  write_bytes(file, size_bytes + 1);
  refuses(STATUS_BAD_FILE, NULL, "1 bytes too many after the last tensor");
}

static void
test_not_a_file(void** state)
{
  (void)state;
  unlink(path);
  refuses(STATUS_NOT_FOUND, NULL, "No such file");
  assert_int_equal(mkdir(path, 0700), 0);
  refuses(STATUS_IO, NULL, "not a regular file");
  rmdir(path);
  write_bytes("", 0);
  refuses(STATUS_BAD_FILE, NULL, "0 bytes are too short for a checkpoint");
}

// A path longer than an error line still leaves room for the reason.
static void
test_long_path(void** state)
{
  (void)state;
  char  long_path[900];
  Error error;
  memset(long_path, '/', sizeof long_path);
  memcpy(
    long_path + sizeof long_path - strlen(path) - 1, path, strlen(path) + 1);
  write_bytes("12345678", 8);
  Checkpoint* checkpoint = NULL;
  assert_int_equal(checkpoint_open(long_path, &checkpoint, &error),
                   STATUS_LIMIT);
  assert_error(&error, NULL, "1048576 at most are taken");
}

static void
test_too_many(void** state)
{
  (void)state;
  CheckpointTensor* const tensors =
    calloc(CHECKPOINT_TENSORS_MAX + 1, sizeof *tensors);
  for (uint32_t i = 0; i <= CHECKPOINT_TENSORS_MAX; ++i) {
    tensors[i].data          = numbers;
    tensors[i].element_count = 1;
    snprintf(tensors[i].name, sizeof tensors[i].name, "t%u", i);
  }
  Error error;
  assert_int_equal(
    checkpoint_write(path, NULL, 0, tensors, CHECKPOINT_TENSORS_MAX, &error),
    STATUS_OK);
  checkpoint_close(opens());
  assert_int_equal(
    checkpoint_write(
      path, NULL, 0, tensors, CHECKPOINT_TENSORS_MAX + 1, &error),
    STATUS_LIMIT);
  assert_error(&error, NULL, "at most 256 and 512");
  free(tensors);
  char*  json = NULL;
  size_t size = 0;
  FILE*  text = open_memstream(&json, &size);
  for (uint32_t i = 0; i <= CHECKPOINT_TENSORS_MAX; ++i) {
    fprintf(text, "%c\"t%u\":1", i ? ',' : '{', i);
  }
  fputc('}', text);
  fclose(text);
  uint8_t* const file = malloc(size + 64);
  write_bytes(file, make_file(file, json, numbers, 0));
  refuses(STATUS_LIMIT, NULL, "513 tensors, 512 at most");
  free(json);
  free(file);
}

// One to four small changes, biased to what the header is made of.
static size_t
mutate(Rng* rng, uint8_t* file, size_t size_bytes)
{
  static const char bytes[] = "{}[]\":,\\0123456789-. u\xff\x80tfn";
  for (uint32_t left = 1 + rng_below(rng, 4); left > 0; --left) {
    const size_t at = rng_below(rng, (uint32_t)size_bytes);
    switch (rng_below(rng, 6)) {
      case 0:
        file[at] ^= (uint8_t)(1u << rng_below(rng, 8));
        break;
      case 1:
        file[at] = (uint8_t)bytes[rng_below(rng, sizeof bytes)];
        break;
      case 2: // insert
        memmove(file + at + 1, file + at, size_bytes++ - at);
        file[at] = (uint8_t)bytes[rng_below(rng, sizeof bytes)];
        break;
      case 3: // delete
        memmove(file + at, file + at + 1, --size_bytes - at);
        break;
      case 4: // copy within
        file[at] = file[rng_below(rng, (uint32_t)size_bytes)];
        break;
      default: // make the length field fit again after the others
        file[0] = (uint8_t)(8 * rng_below(rng, 32));
    }
  }
  return rng_below(rng, 16) ? size_bytes
                            : 1 + rng_below(rng, (uint32_t)size_bytes);
}

static void
test_mutants(void** state)
{
  (void)state;
  uint32_t opened = 0;
  for (uint32_t i = 0; i < MUTANTS; ++i) {
    Rng     rng = rng_make(2, RNG_USE_TEST, i);
    uint8_t file[1024];
    size_t  size_bytes = make_file(file, GOOD, numbers, sizeof numbers);
    size_bytes         = mutate(&rng, file, size_bytes);
    write_bytes(file, size_bytes);
    Checkpoint* checkpoint = NULL;
    Error       error      = { 0 };
    if (checkpoint_open(path, &checkpoint, &error) == STATUS_OK) {
      const uint32_t dims[] = { 2 };
      const float*   data   = numbers;
      checkpoint_tensor(checkpoint, "a", dims, 1, &data, &error);
      assert_true(isfinite(data[0]) && isfinite(data[1]));
      checkpoint_close(checkpoint);
      ++opened;
    } else {
      assert_null(checkpoint);
      assert_text(error.text, path);
      assert_int_equal(error.status == STATUS_OK, 0);
    }
  }
  print_message("%u of %u mutants opened\n", opened, MUTANTS);
  assert_in_range(opened, 100, MUTANTS / 4);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_hostile_headers),
    cmocka_unit_test(test_hostile_lengths),
    cmocka_unit_test(test_longest_header),
    cmocka_unit_test(test_weights_not_finite),
    cmocka_unit_test(test_every_length),
    cmocka_unit_test(test_trailing_bytes),
    cmocka_unit_test(test_not_a_file),
    cmocka_unit_test(test_long_path),
    cmocka_unit_test(test_too_many),
    cmocka_unit_test(test_mutants),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
