// The data set file: what is written is what is read, windows stay inside their
// piece, statistics come from the training part, and a hostile file is one
// error.
#include "dataset.h"
#include "dataset_format.h"
#include "dataset_write.h"
#include "rng.h"
#include "split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PIECES 5
static const char* const names[PIECES]  = { "a/1.mid",
                                            "a/2.mid",
                                            "b/1.mid",
                                            "b/1.mid",
                                            "b/\xc3\xa9tude, no. 3.mid" };
static const uint32_t    counts[PIECES] = { 8, 20, 31, 9, 16 };
static const bool        tests[PIECES]  = { false, true, false, true, false };

static char directory[] = "/tmp/meander-dataset-XXXXXX";
static char path[64];

static NoteEvent
made_up(uint64_t piece, uint64_t index)
{
  Rng rng = rng_make(piece, RNG_USE_TEST, index);
  return (NoteEvent){
    .pitch      = (uint8_t)(1 + rng_below(&rng, 127)),
    .velocity   = velocity_from_midi((uint8_t)(1 + rng_below(&rng, 127))),
    .step_s     = (float)(20 + rng_below(&rng, 39981)) / 20000.0f,
    .duration_s = (float)(20 + rng_below(&rng, 39981)) / 20000.0f,
  };
}

static void
write_set(void)
{
  DatasetWriter writer;
  Error         error;
  NoteEvent     events[32];
  assert_int_equal(dataset_writer_open(&writer, path, &error), STATUS_OK);
  for (uint64_t p = 0; p < PIECES; ++p) {
    for (uint32_t i = 0; i < counts[p]; ++i) {
      events[i] = made_up(p, i);
    }
    assert_int_equal(dataset_writer_add(
                       &writer, names[p], tests[p], events, counts[p], &error),
                     STATUS_OK);
  }
  assert_int_equal(dataset_writer_commit(&writer, &error), STATUS_OK);
}

static Dataset*
open_set(void)
{
  Dataset* set = NULL;
  Error    error;
  if (dataset_open(path, &set, &error)) {
    print_error("%s\n", error.text);
    fail();
  }
  return set;
}

static void
assert_same(NoteEvent a, NoteEvent b)
{
  assert_int_equal(a.pitch, b.pitch);
  assert_true(a.velocity == b.velocity);
  assert_true(a.step_s == b.step_s);
  assert_true(a.duration_s == b.duration_s);
}

static void
test_what_is_written_is_read(void** state)
{
  (void)state;
  write_set();
  Dataset* const set = open_set();
  assert_int_equal(dataset_piece_count(set), PIECES);
  assert_int_equal(dataset_note_count(set, false), 8 + 31 + 16);
  assert_int_equal(dataset_note_count(set, true), 20 + 9);
  assert_int_equal(dataset_window_count(set, false), 1 + 3 + 2);
  assert_int_equal(dataset_window_count(set, true), 2 + 1);
  uint64_t first_note = 0;
  for (size_t p = 0; p < PIECES; ++p) {
    const DatasetPiece* const piece = dataset_piece(set, p);
    assert_string_equal(piece->name, names[p]);
    assert_int_equal(piece->first_note, first_note);
    assert_int_equal(piece->note_count, counts[p]);
    assert_int_equal(piece->is_test, tests[p]);
    NoteEvent events[32];
    dataset_notes(set, first_note, counts[p], events);
    for (uint32_t i = 0; i < counts[p]; ++i) {
      assert_same(events[i], made_up(p, i));
    }
    first_note += counts[p];
  }
  dataset_close(set);
}

// Window `index` of a side, moved `shift`, is notes `first`... of `piece`.
static void
assert_window(const Dataset* set,
              bool           test,
              uint64_t       index,
              unsigned       shift,
              uint64_t       piece,
              uint64_t       first)
{
  NoteEvent window[WINDOW_NOTES];
  dataset_window(set, test, index, shift, window);
  for (uint64_t i = 0; i < WINDOW_NOTES; ++i) {
    assert_same(window[i], made_up(piece, first + i));
  }
}

static void
test_windows_stay_inside_their_piece(void** state)
{
  (void)state;
  write_set();
  Dataset* const set = open_set();
  assert_window(set, false, 0, 0, 0, 0);
  assert_window(set, false, 0, 7, 0, 0); // 8 notes: no room to move
  assert_window(set, false, 1, 0, 2, 0);
  assert_window(set, false, 1, 7, 2, 7);
  assert_window(set, false, 3, 0, 2, 16);
  assert_window(set, false, 3, 7, 2, 23); // the last 8 of 31
  assert_window(set, false, 4, 3, 4, 3);
  assert_window(set, false, 5, 3, 4, 8);
  assert_window(set, true, 1, 3, 1, 11);
  assert_window(set, true, 1, 5, 1, 12);
  assert_window(set, true, 2, 1, 3, 1);
  assert_window(set, true, 2, 2, 3, 1);
  dataset_close(set);
}

static void
test_statistics_come_from_the_training_part(void** state)
{
  (void)state;
  write_set();
  double mean[3] = { 0 };
  double std[3]  = { 0 };
  for (int pass = 0; pass < 2; ++pass) {
    for (size_t p = 0; p < PIECES; ++p) {
      for (uint32_t i = 0; i < counts[p] && !tests[p]; ++i) {
        const NoteEvent e    = made_up(p, i);
        const double    x[3] = { log(1.0 + (double)e.step_s / 0.02),
                                 log(fmax((double)e.duration_s, 0.01)),
                                 (double)e.velocity };
        for (int k = 0; k < 3; ++k) {
          if (pass == 0) {
            mean[k] += x[k] / 55.0;
          } else {
            std[k] += (x[k] - mean[k]) * (x[k] - mean[k]) / 55.0;
          }
        }
      }
    }
  }
  Dataset* const             set   = open_set();
  const EncodingStats* const stats = dataset_stats(set);
  assert_true(fabs((double)stats->u_mean - mean[0]) < 1e-6);
  assert_true(fabs((double)stats->u_std - sqrt(std[0])) < 1e-6);
  assert_true(fabs((double)stats->w_mean - mean[1]) < 1e-6);
  assert_true(fabs((double)stats->w_std - sqrt(std[1])) < 1e-6);
  assert_true(fabs((double)stats->v_mean - mean[2]) < 1e-6);
  assert_true(fabs((double)stats->v_std - sqrt(std[2])) < 1e-6);
  dataset_close(set);
}

static void
test_equal_notes_still_give_a_usable_std(void** state)
{
  (void)state;
  DatasetWriter writer;
  Error         error;
  NoteEvent     events[8];
  for (int i = 0; i < 8; ++i) {
    events[i] = (NoteEvent){ 60, 0.5f, 0.5f, 0.5f };
  }
  assert_int_equal(dataset_writer_open(&writer, path, &error), STATUS_OK);
  assert_int_equal(
    dataset_writer_add(&writer, "a/x.mid", false, events, 8, &error),
    STATUS_OK);
  assert_int_equal(dataset_writer_commit(&writer, &error), STATUS_OK);
  Dataset* const set = open_set();
  assert_true(dataset_stats(set)->u_std >= ENCODING_STD_MIN);
  dataset_close(set);
}

static void
test_nothing_to_train_on_leaves_the_old_file(void** state)
{
  (void)state;
  write_set();
  Dataset* set = open_set();
  char     digest[17];
  strcpy(digest, dataset_digest(set));
  dataset_close(set);
  DatasetWriter writer;
  Error         error;
  assert_int_equal(dataset_writer_open(&writer, path, &error), STATUS_OK);
  assert_int_equal(dataset_writer_commit(&writer, &error), STATUS_BAD_ARGUMENT);
  set = open_set();
  assert_string_equal(dataset_digest(set), digest);
  dataset_close(set);
}

typedef struct {
  uint8_t data[4096];
  size_t  size;
} Image;

static Image
load_image(void)
{
  Image       image = { 0 };
  FILE* const file  = fopen(path, "rb");
  assert_non_null(file);
  image.size = fread(image.data, 1, sizeof image.data, file);
  fclose(file);
  return image;
}

// Stores the image, with its digest put right if `forge`, and expects an error
// that holds `text`.
static void
assert_refused(Image image, bool forge, const char* text)
{
  if (forge) {
    uint64_t digest = digest_bytes(DIGEST_START,
                                   image.data + DATASET_HEADER_BYTES,
                                   image.size - DATASET_HEADER_BYTES);
    digest          = digest_bytes(digest, image.data, DATASET_DIGEST_AT);
    put_bytes(image.data + DATASET_DIGEST_AT, digest, 8);
  }
  FILE* const file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(image.data, 1, image.size, file), image.size);
  fclose(file);
  Dataset*     set = NULL;
  Error        error;
  const Status status = dataset_open(path, &set, &error);
  assert_null(set);
  assert_int_equal(status, STATUS_BAD_FILE);
  assert_non_null(strstr(error.text, path));
  if (!strstr(error.text, text)) {
    print_error("'%s' does not say '%s'\n", error.text, text);
    fail();
  }
}

static void
test_every_changed_byte_is_found(void** state)
{
  (void)state;
  write_set();
  const Image good = load_image();
  for (size_t i = 0; i < good.size; ++i) {
    if (i >= DATASET_DIGEST_AT + 8 && i < DATASET_HEADER_BYTES) {
      continue; // padding
    }
    Image image = good;
    image.data[i] ^= 0x10;
    assert_refused(image, false, "data set");
  }
  for (size_t size = 0; size < good.size; ++size) {
    Image image = good;
    image.size  = size;
    assert_refused(image, false, "data set");
  }
}

// A field of the file, set to `value`, with the digest put right.
static void
assert_field_refused(size_t at, size_t bytes, uint64_t value, const char* text)
{
  write_set();
  Image image = load_image();
  put_bytes(image.data + at, value, bytes);
  assert_refused(image, true, text);
}

static void
test_hostile_fields(void** state)
{
  (void)state;
  const size_t table    = DATASET_HEADER_BYTES + 84 * DATASET_NOTE_BYTES;
  const char   header[] = "an offset of the header";
  const char   stats[]  = "statistic";
  const char   notes[]  = "a note is out of range";
  const char   pieces[] = "piece table";
  const char   name[]   = "name";
  assert_field_refused(8, 4, 2, "another version");
  assert_field_refused(12, 4, 0, header);
  assert_field_refused(12, 4, 4, header);
  assert_field_refused(12, 4, UINT32_MAX, header);
  assert_field_refused(16, 8, 85, header);
  assert_field_refused(16, 8, UINT64_MAX / 6 + 22, header);
  assert_field_refused(24, 8, 0, header);
  assert_field_refused(32, 8, UINT64_MAX, header);
  assert_field_refused(40, 8, table, header);
  assert_field_refused(48, 8, UINT64_MAX, "size");
  assert_field_refused(56, 4, 0x7f800000, stats); // infinity
  assert_field_refused(60, 4, 0x7fc00000, stats); // not a number
  assert_field_refused(60, 4, 0, stats);
  assert_field_refused(128, 1, 0, notes);
  assert_field_refused(128, 1, 128, notes);
  assert_field_refused(129, 1, 0, notes);
  assert_field_refused(129, 1, 255, notes);
  assert_field_refused(130, 2, 19, notes);
  assert_field_refused(132, 2, 40001, notes);
  assert_field_refused(table, 8, 1, pieces);
  assert_field_refused(table + 8, 4, 7, pieces);
  assert_field_refused(table + 8, 4, UINT32_MAX, pieces);
  assert_field_refused(table + 8, 4, 9, pieces); // overlaps the next
  assert_field_refused(table + 12, 4, 2, pieces);
  assert_field_refused(table + 4 * 24 + 8, 4, 15, pieces);
  assert_field_refused(table + 16, 4, 1, name);
  assert_field_refused(table + 20, 4, 0, name);
  assert_field_refused(table + 20, 4, 6, name);
  assert_field_refused(table + 4 * 24 + 20, 4, UINT32_MAX, name);
}

// A tenth is held out, another one for another seed.
static void
test_split_by_seed(void** state)
{
  (void)state;
  Split one, two;
  assert_int_equal(split_open(&one, NULL, 1, NULL), STATUS_OK);
  assert_int_equal(split_open(&two, NULL, 2, NULL), STATUS_OK);
  int count  = 0;
  int shared = 0;
  for (int i = 0; i < 1000; ++i) {
    char name[32];
    snprintf(name, sizeof name, "giantmidi/%d.mid", i);
    const bool is_test = split_is_test(&one, name);
    count += is_test;
    shared += is_test && split_is_test(&two, name);
    assert_int_equal(split_is_test(&one, name), is_test);
  }
  assert_in_range(count, 70, 130);
  assert_in_range(shared, 0, 40);
  split_close(&one);
  split_close(&two);
}

static int
set_up(void** state)
{
  (void)state;
  if (!mkdtemp(directory)) {
    return 1;
  }
  snprintf(path, sizeof path, "%s/set.data", directory);
  return 0;
}

static int
tear_down(void** state)
{
  (void)state;
  unlink(path);
  return rmdir(directory); // fails where a temporary file was left
}

int
main(void)
{
  const struct CMUnitTest all[] = {
    cmocka_unit_test(test_what_is_written_is_read),
    cmocka_unit_test(test_windows_stay_inside_their_piece),
    cmocka_unit_test(test_statistics_come_from_the_training_part),
    cmocka_unit_test(test_equal_notes_still_give_a_usable_std),
    cmocka_unit_test(test_nothing_to_train_on_leaves_the_old_file),
    cmocka_unit_test(test_every_changed_byte_is_found),
    cmocka_unit_test(test_hostile_fields),
    cmocka_unit_test(test_split_by_seed),
  };
  return cmocka_run_group_tests_name("dataset", all, set_up, tear_down);
}
