// core: ring transactions and wrap-around across two threads, the counter-based
// generator against published vectors, files written whole or not at all.
#include "file.h"
#include "ring.h"
#include "rng.h"
#include "status.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_ring_is_a_transaction(void** state)
{
  (void)state;
  Ring  ring;
  Error error;
  assert_int_equal(ring_init(&ring, sizeof(int), 4, &error), STATUS_OK);
  for (int i = 0; i < 4; ++i) {
    assert_true(ring_push(&ring, &i));
  }
  assert_false(ring_push(&ring, &(int){ 9 }));
  assert_null(ring_peek(&ring)); // nothing was committed yet
  ring_commit(&ring);
  assert_int_equal(ring_read_space(&ring), 4);
  for (int i = 0; i < 4; ++i) {
    assert_int_equal(*(const int*)ring_peek(&ring), i);
    ring_pop(&ring);
  }
  assert_null(ring_peek(&ring));
  ring_free(&ring);
  assert_int_equal(ring_init(&ring, 4, 6, &error), STATUS_BAD_ARGUMENT);
}

#define CROSSINGS 200000u

static void*
ring_writer(void* context)
{
  Ring* const ring = context;
  for (uint32_t i = 0; i < CROSSINGS;) {
    // Pairs: the reader must never see half of one.
    if (ring_write_space(ring) >= 2) {
      ring_push(ring, &(uint64_t){ i });
      ring_push(ring, &(uint64_t){ ~(uint64_t)i });
      ring_commit(ring);
      ++i;
    } else {
      sched_yield();
    }
  }
  return NULL;
}

static void
test_ring_across_threads(void** state)
{
  (void)state;
  Ring  ring;
  Error error;
  assert_int_equal(ring_init(&ring, sizeof(uint64_t), 64, &error), STATUS_OK);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, ring_writer, &ring), 0);
  for (uint32_t i = 0; i < CROSSINGS;) {
    const uint32_t space = ring_read_space(&ring);
    assert_int_equal(space % 2, 0);
    if (space) {
      assert_int_equal(*(const uint64_t*)ring_peek(&ring), i);
      ring_pop(&ring);
      assert_int_equal(*(const uint64_t*)ring_peek(&ring), ~(uint64_t)i);
      ring_pop(&ring);
      ++i;
    } else {
      sched_yield();
    }
  }
  pthread_join(thread, NULL);
  ring_free(&ring);
}

// Known-answer vectors of the authors' Random123 (kat_vectors, philox4x32 10).
static void
test_rng_known_answers(void** state)
{
  (void)state;
  uint32_t words[4];
  rng_block(0, 0, 0, words);
  assert_int_equal(words[0], 0x6627e8d5u);
  assert_int_equal(words[1], 0xe169c58du);
  assert_int_equal(words[2], 0xbc57ac4cu);
  assert_int_equal(words[3], 0x9b00dbd8u);
  rng_block(~0ull, ~0ull, ~0ull, words);
  assert_int_equal(words[0], 0x408f276du);
  assert_int_equal(words[1], 0x41c83b0eu);
  assert_int_equal(words[2], 0xa20bc7c6u);
  assert_int_equal(words[3], 0x6d5451fdu);
}

static void
test_rng_normals_are_standard(void** state)
{
  (void)state;
  enum { COUNT = 100000 };
  float* const values = malloc(COUNT * sizeof *values);
  Rng          rng    = rng_make(1, RNG_USE_TEST, 0);
  rng_normals(&rng, values, COUNT);
  double sum    = 0;
  double square = 0;
  double fourth = 0;
  for (int i = 0; i < COUNT; ++i) {
    const double v = values[i];
    sum += v;
    square += v * v;
    fourth += v * v * v * v;
  }
  assert_true(fabs(sum / COUNT) < 0.015);
  assert_true(fabs(square / COUNT - 1) < 0.02);
  assert_true(fabs(fourth / COUNT - 3) < 0.15);
  free(values);
}

static void
test_rng_streams_differ(void** state)
{
  (void)state;
  Rng            a     = rng_make(7, RNG_USE_LATENT, 3);
  Rng            b     = rng_make(7, RNG_USE_LATENT, 4);
  Rng            c     = rng_make(7, RNG_USE_TOKENS, 3);
  Rng            d     = rng_make(7, RNG_USE_LATENT, 3);
  const uint32_t first = rng_u32(&a);
  assert_int_not_equal(first, rng_u32(&b));
  assert_int_not_equal(first, rng_u32(&c));
  assert_int_equal(first, rng_u32(&d));
}

static void
test_error_text_is_printable(void** state)
{
  (void)state;
  Error error;
  error_set(&error, STATUS_IO, "bad\033[31m name\n%s", "x");
  assert_string_equal(error.text, "bad?[31m name?x");
  error_prefix(&error, "%s: ", "f");
  assert_string_equal(error.text, "f: bad?[31m name?x");
}

static void
test_file_is_whole_or_absent(void** state)
{
  (void)state;
  char directory[] = "/tmp/meander-core-XXXXXX";
  assert_non_null(mkdtemp(directory));
  char path[64];
  snprintf(path, sizeof path, "%s/file", directory);

  FileWriter writer;
  Error      error;
  assert_int_equal(file_writer_open(&writer, path, &error), STATUS_OK);
  fputs("old", writer.stream);
  assert_int_equal(file_writer_commit(&writer, &error), STATUS_OK);

  assert_int_equal(file_writer_open(&writer, path, &error), STATUS_OK);
  fputs("half", writer.stream);
  file_writer_abort(&writer);

  FileMap map;
  assert_int_equal(file_map_open(&map, path, &error), STATUS_OK);
  assert_int_equal(map.size_bytes, 3);
  assert_memory_equal(map.data, "old", 3);
  file_map_close(&map);
  unlink(path);

  assert_int_equal(file_map_open(&map, path, &error), STATUS_NOT_FOUND);
  assert_non_null(strstr(error.text, path));
  assert_int_equal(file_map_open(&map, directory, &error), STATUS_IO);
  rmdir(directory); // fails if a temporary file was left
  assert_int_not_equal(access(directory, F_OK), 0);

  assert_int_equal(file_writer_open(&writer, "/dev/full/x", &error), STATUS_IO);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ring_is_a_transaction),
    cmocka_unit_test(test_ring_across_threads),
    cmocka_unit_test(test_rng_known_answers),
    cmocka_unit_test(test_rng_normals_are_standard),
    cmocka_unit_test(test_rng_streams_differ),
    cmocka_unit_test(test_error_text_is_printable),
    cmocka_unit_test(test_file_is_whole_or_absent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
