// Windows as training draws them from a data set in device memory: an epoch
// visits each once, a draw is a pure function of its number, augmentation keeps
// what it must, test pieces never appear; and the recipe survives its own text.
#include "dataset_write.h"
#include "draw.h"
#include "draw_source.h"
#include "encoding.h"
#include "vae_recipe.h"

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
  NoteEvent     events[NOTES + 1];
  snprintf(path, sizeof path, "/tmp/meander-batch-XXXXXX");
  close(mkstemp(path));
  assert_int_equal(dataset_writer_open(&writer, path, NULL), STATUS_OK);
  for (uint32_t p = 0; p < PIECES; ++p) {
    const bool test = p % 3 == 2;
    // An odd number in all: the last record ends within a float.
    const uint32_t count = NOTES + (p == PIECES - 1);
    for (uint32_t i = 0; i < count; ++i) {
      events[i] = (NoteEvent){ (uint8_t)((test ? 100 : 60) + i % 8),
                               0.5f,
                               i % 8 < 4 ? 0.1f + 0.002f * (float)i : 0.001f,
                               0.4f };
    }
    char name[16];
    snprintf(name, sizeof name, "p/%u.mid", p);
    assert_int_equal(
      dataset_writer_add(&writer, name, test, events, count, NULL), STATUS_OK);
  }
  assert_int_equal(dataset_writer_commit(&writer, NULL), STATUS_OK);
  assert_int_equal(dataset_open(path, &dataset, NULL), STATUS_OK);
  return dataset;
}

typedef struct {
  float pitch[ROWS];
  float channels[ROWS * CHANNEL_COUNT];
  float force[ROWS];
} Rows;

typedef struct {
  Device*    device;
  Dataset*   dataset;
  DrawSource source;
  DrawRule   rule;
} World;

static World
open_world(void)
{
  const VaeRecipe recipe = vae_recipe_default();
  World           w      = { .dataset = open_set() };
  assert_int_equal(device_open("auto", &w.device, NULL, NULL), STATUS_OK);
  assert_int_equal(
    draw_source_notes(w.device, w.dataset, &w.source.notes, NULL), STATUS_OK);
  assert_int_equal(
    draw_source_windows(w.device, w.dataset, &w.source.units, NULL), STATUS_OK);
  w.rule = draw_source_rule(&recipe.run, w.dataset);
  return w;
}

static void
close_world(World* w)
{
  assert_int_equal(device_status(w->device, NULL), STATUS_OK);
  tensor_free(w->device, &w->source.notes);
  tensor_free(w->device, &w->source.units);
  device_close(w->device);
  dataset_close(w->dataset);
  unlink(path);
}

// Draws `first` and on of an epoch.
static void
draw(World*   w,
     uint64_t first,
     uint64_t epoch,
     uint32_t count,
     float    forcing,
     Rows*    out)
{
  const uint32_t rows   = WINDOW_NOTES * count;
  const uint32_t wide[] = { 1, CHANNEL_COUNT, 1, DRAW_NOW_FLOATS };
  Tensor         t[4];
  float          now[DRAW_NOW_FLOATS];
  for (int i = 0; i < 4; ++i) {
    assert_int_equal(
      tensor_allocate(w->device, i < 3 ? rows : 1, wide[i], &t[i], NULL),
      STATUS_OK);
  }
  draw_now(1, first, epoch, forcing, now);
  tensor_write(w->device, t[3], now);
  op_draw_windows(w->device, &w->rule, &w->source, t[3], t[0], t[1], t[2]);
  tensor_read(w->device, t[0], out->pitch);
  tensor_read(w->device, t[1], out->channels);
  tensor_read(w->device, t[2], out->force);
  for (int i = 0; i < 4; ++i) {
    tensor_free(w->device, &t[i]);
  }
}

static void
test_all_notes_are_there(void** state)
{
  (void)state;
  World                w = open_world();
  uint64_t             bytes;
  const uint8_t* const records = dataset_records(w.dataset, &bytes);
  float                read[NOTES * PIECES * NOTE_RECORD_BYTES / 4 + 2];
  assert_int_equal(bytes, (NOTES * PIECES + 1) * NOTE_RECORD_BYTES);
  assert_true(bytes % sizeof(float) != 0);
  assert_true(w.source.notes.columns * sizeof(float) <= sizeof read);
  tensor_read(w.device, w.source.notes, read);
  assert_memory_equal(read, records, bytes);
  close_world(&w);
}

// The units are the data set's windows with all their shifts: without
// augmentation each draw is one of the window's, and an epoch has each once.
static void
test_units_are_the_windows(void** state)
{
  (void)state;
  static Rows    rows;
  World          w     = open_world();
  const uint32_t count = (uint32_t)dataset_window_count(w.dataset, false);
  w.rule.transpose     = 0;
  w.rule.tempo_spread = w.rule.velocity_spread = 0.0f;
  assert_int_equal(w.source.units.rows, count);
  assert_int_equal(count, 40);
  draw(&w, 3 * count, 7, count, 0.5f, &rows);
  bool shifts[WINDOW_NOTES] = { false };
  for (uint32_t b = 0; b < count; ++b) {
    const uint32_t index   = draw_order(b, count, 1, 7);
    uint32_t       matches = 0;
    for (uint32_t shift = 0; shift < WINDOW_NOTES && !matches; ++shift) {
      NoteEvent window[WINDOW_NOTES];
      bool      same = true;
      dataset_window(w.dataset, false, index, shift, window);
      for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
        float pitch, channels[CHANNEL_COUNT];
        encode_event(dataset_stats(w.dataset), window[t], &pitch, channels);
        const size_t row = t * count + b;
        same             = same && rows.pitch[row] == pitch;
        for (uint32_t c = 0; c < CHANNEL_COUNT; ++c) {
          same = same && fabsf(rows.channels[row * CHANNEL_COUNT + c] -
                               channels[c]) < 1e-5f;
        }
      }
      matches += same;
      shifts[shift] = shifts[shift] || same;
    }
    assert_int_equal(matches, 1);
  }
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    assert_true(shifts[i]);
  }
  close_world(&w);
}

static void
test_windows(void** state)
{
  (void)state;
  static Rows rows, again, part;
  World       w = open_world();
  draw(&w, 0, 0, COUNT, 0.5f, &rows);
  draw(&w, 0, 0, COUNT, 0.5f, &again);
  assert_memory_equal(&rows, &again, sizeof rows);
  // Window 7 does not depend on the call it is made in.
  draw(&w, 7, 0, 1, 0.5f, &part);
  uint32_t forced    = 0;
  bool     moved[16] = { false };
  for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
    assert_true(part.pitch[t] == rows.pitch[t * COUNT + 7]);
    assert_true(part.force[t] == rows.force[t * COUNT + 7]);
  }
  for (uint32_t b = 0; b < COUNT; ++b) {
    // The rotation of 60..67 by the window's shift, moved as a whole.
    const int low = (int)rows.pitch[b] - 60;
    for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
      const uint32_t  row   = t * COUNT + b;
      const int       pitch = (int)rows.pitch[row];
      const NoteEvent event =
        decode_event(dataset_stats(w.dataset),
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
  draw(&w, 0, 0, COUNT, 1.0f, &again);
  for (uint32_t i = 0; i < ROWS; ++i) {
    assert_true(again.force[i] == 1.0f);
  }
  // Another epoch has another order.
  draw(&w, 0, 1, COUNT, 0.5f, &again);
  assert_memory_not_equal(rows.pitch, again.pitch, sizeof rows.pitch);
  close_world(&w);
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
    cmocka_unit_test(test_all_notes_are_there),
    cmocka_unit_test(test_units_are_the_windows),
    cmocka_unit_test(test_windows),
    cmocka_unit_test(test_recipe_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
