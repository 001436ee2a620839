// Training batches: an epoch is a permutation, a batch is a pure function of
// its numbers, augmentation keeps what it must, test pieces never appear; and
// the recipe survives its own text.
#include "batch.h"
#include "dataset_write.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PIECES 6u
#define NOTES 80u
#define COUNT 50u
#define ROWS (WINDOW_NOTES * COUNT)

static char path[64];

// Pitches tell the part: training pieces play 60..67, test pieces 100..107; in
// each window the second half is a chord.
static Dataset*
open_set(void)
{
  DatasetWriter writer;
  Dataset*      dataset;
  NoteEvent     events[NOTES];
  snprintf(path, sizeof path, "/tmp/meander-batch-XXXXXX");
  close(mkstemp(path));
  assert_int_equal(dataset_writer_open(&writer, path, NULL), STATUS_OK);
  for (uint32_t p = 0; p < PIECES; ++p) {
    const bool test = p % 3 == 2;
    for (uint32_t i = 0; i < NOTES; ++i) {
      events[i] = (NoteEvent){ (uint8_t)((test ? 100 : 60) + i % 8),
                               0.5f,
                               i % 8 < 4 ? 0.1f + 0.002f * (float)i : 0.001f,
                               0.4f };
    }
    char name[16];
    snprintf(name, sizeof name, "p/%u.mid", p);
    assert_int_equal(
      dataset_writer_add(&writer, name, test, events, NOTES, NULL), STATUS_OK);
  }
  assert_int_equal(dataset_writer_commit(&writer, NULL), STATUS_OK);
  assert_int_equal(dataset_open(path, &dataset, NULL), STATUS_OK);
  return dataset;
}

static void
test_epoch_is_a_permutation(void** state)
{
  (void)state;
  Dataset* const dataset = open_set();
  Shuffle        shuffle;
  uint32_t       first[64];
  assert_int_equal(
    shuffle_init(
      &shuffle, dataset_window_count(dataset, false), 1, "windows", NULL),
    STATUS_OK);
  assert_int_equal(shuffle.count, 40);
  for (uint64_t epoch = 0; epoch < 3; ++epoch) {
    bool seen[64] = { false };
    shuffle_epoch(&shuffle, 5, epoch);
    for (uint32_t i = 0; i < 40; ++i) {
      assert_false(seen[shuffle.order[i]]);
      seen[shuffle.order[i]] = true;
    }
    if (epoch == 0) {
      memcpy(first, shuffle.order, 40 * sizeof *first);
    }
  }
  assert_memory_not_equal(first, shuffle.order, 40 * sizeof *first);
  shuffle_epoch(&shuffle, 5, 0);
  assert_memory_equal(first, shuffle.order, 40 * sizeof *first);
  shuffle_free(&shuffle);
  dataset_close(dataset);
  unlink(path);
}

typedef struct {
  float pitch[ROWS];
  float channels[ROWS * CHANNEL_COUNT];
  float force[ROWS];
} Rows;

static void
test_batch(void** state)
{
  (void)state;
  Dataset* const dataset = open_set();
  VaeRecipe      recipe  = vae_recipe_default();
  Shuffle        shuffle;
  static Rows    rows, again, part;
  assert_int_equal(
    shuffle_init(
      &shuffle, dataset_window_count(dataset, false), 1, "windows", NULL),
    STATUS_OK);
  shuffle_epoch(&shuffle, recipe.run.seed, 0);
  batch_fill(dataset,
             &shuffle,
             &recipe,
             0,
             COUNT,
             0.5f,
             rows.pitch,
             rows.channels,
             rows.force);
  batch_fill(dataset,
             &shuffle,
             &recipe,
             0,
             COUNT,
             0.5f,
             again.pitch,
             again.channels,
             again.force);
  assert_memory_equal(&rows, &again, sizeof rows);
  // Window 7 does not depend on the call it is made in.
  batch_fill(dataset,
             &shuffle,
             &recipe,
             7,
             1,
             0.5f,
             part.pitch,
             part.channels,
             part.force);
  uint32_t forced    = 0;
  bool     moved[16] = { false };
  for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
    assert_true(part.pitch[t] == rows.pitch[t * COUNT + 7]);
  }
  for (uint32_t b = 0; b < COUNT; ++b) {
    // The rotation of 60..67 by the window's shift, moved as a whole.
    const int low = (int)rows.pitch[b] - 60;
    for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
      const uint32_t  row   = t * COUNT + b;
      const int       pitch = (int)rows.pitch[row];
      const NoteEvent event =
        decode_event(dataset_stats(dataset),
                     rows.pitch[row],
                     rows.channels + (size_t)row * CHANNEL_COUNT);
      assert_in_range(pitch, 55, 72); // never a test piece's
      assert_true(event.velocity >= 0.449f && event.velocity <= 0.551f);
      assert_true(event.duration_s >= 0.359f && event.duration_s <= 0.441f);
      assert_true(event.step_s < 0.00101f ||
                  event.step_s > 0.089f); // a chord stays one
      forced += rows.force[row] != 0.0f;
    }
    moved[(low % 16 + 16) % 16] = true;
  }
  assert_in_range(forced, ROWS * 4 / 10, ROWS * 6 / 10);
  int kinds = 0;
  for (int i = 0; i < 16; ++i) {
    kinds += moved[i];
  }
  assert_true(kinds > 5); // transposition and shift are at work
  shuffle_free(&shuffle);
  dataset_close(dataset);
  unlink(path);
}

static void
test_recipe_text(void** state)
{
  (void)state;
  VaeRecipe recipe         = vae_recipe_default();
  VaeRecipe read           = { 0 };
  recipe.run.seed          = 77;
  recipe.run.learning_rate = 0.00123f;
  recipe.channel_weight    = 3.0f;
  char text[RECIPE_TEXT_BYTES];
  recipe_print(&vae_recipe_format, &recipe, text);
  Error error;
  assert_int_equal(
    recipe_read_text("text", text, &vae_recipe_format, &read, &error),
    STATUS_OK);
  assert_memory_equal(&recipe, &read, sizeof recipe);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_epoch_is_a_permutation),
    cmocka_unit_test(test_batch),
    cmocka_unit_test(test_recipe_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
