// src/record/provenance_read: what a file says comes back, and hostile files
// say nothing.
#include "caps.h"
#include "music/smf.h"
#include "record/provenance_read.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/meander-provenance-XXXXXX";

static void
write_texts(const char* const* texts, size_t count)
{
  SmfTrack track = { 0 };
  Error    error;
  for (size_t i = 0; i < count; ++i) {
    const SmfEvent event = { .tick = 10 * i, .text = texts[i] };
    assert_int_equal(smf_track_add(&track, &event, &error), STATUS_OK);
  }
  FILE* const file = fopen(path, "wb");
  assert_int_equal(smf_write_track(file, &track, 654321, &error), STATUS_OK);
  fclose(file);
  smf_track_free(&track);
}

static Provenance
read_back(void)
{
  Provenance provenance;
  Error      error;
  if (provenance_read(path, &provenance, &error)) {
    fail_msg("%s", error.text);
  }
  return provenance;
}

static void
test_round_trip(void** state)
{
  (void)state;
  const RecordLine lines[] = {
    { 0, true, "", false, false },
    { 5, false, "x: y: z", false, false },
    { 6, true, " anew: meander: from 9: \xc3\xa4", false, false },
    { UINT64_MAX - 1, false, "last", false, false }
  };
  const CutLine cut = { UINT64_MAX, 17, CUT_NO_NOTE,
                        UINT32_MAX, 3,  INT64_MIN + 1 };
  char          formatted[5][LINE_TEXT_BYTES_MAX];
  const char*   texts[6] = { "meander 0.1 model=x" };
  for (int i = 0; i < 4; ++i) {
    line_text_format(&lines[i], formatted[i]);
    texts[i + 1] = formatted[i];
  }
  line_text_format_cut(&cut, formatted[4]);
  texts[5] = formatted[4];
  write_texts(texts, 6);
  Provenance p = read_back();
  assert_string_equal(p.about, texts[0]);
  assert_int_equal(p.count, 4);
  for (int i = 0; i < 4; ++i) {
    assert_int_equal(p.lines[i].number, lines[i].number);
    assert_int_equal(p.lines[i].starts, lines[i].starts);
    assert_string_equal(p.lines[i].text, lines[i].text);
  }
  assert_true(p.has_cut);
  assert_int_equal(p.cut.frame, cut.frame);
  assert_int_equal(p.cut.begin, cut.begin);
  assert_int_equal(p.cut.first, cut.first);
  assert_int_equal(p.cut.sample_rate_hz, cut.sample_rate_hz);
  assert_int_equal(p.cut.lost, cut.lost);
  assert_int_equal(p.beat.tempo_us, 654321);
  provenance_free(&p);
}

// In the file's order, whatever the numbers.
static void
test_order(void** state)
{
  (void)state;
  const char* const texts[] = { "meander: from 0 anew: a",
                                "meander: from 9: c",
                                "meander: from 8: d" };
  write_texts(texts, 3);
  Provenance p = read_back();
  assert_int_equal(p.count, 3);
  assert_string_equal(p.lines[1].text, "c");
  assert_string_equal(p.lines[2].text, "d");
  provenance_free(&p);
}

static void
test_not_lines(void** state)
{
  (void)state;
  const char* const texts[] = {
    "",
    "a comment",
    "meander:",
    "meander: from",
    "meander: from : x",
    "meander: from -1: x",
    "meander: from  1: x",
    "meander: from 1:x",
    "meander: from 1 again: x",
    "meander: from 18446744073709551616: x",
    "meander: from 99999999999999999999999999: x",
    "meander: from 1: two\nlines",
    "meander: from 1: \x1b[2J",
    "meander: cut",
    "meander: cut frame=1 begin=1 rate=0 first=1 lost=0",
    "meander: cut frame=1 begin=1 rate=4294967296 first=1 lost=0",
    "meander: cut frame=1 begin=1 rate=48000 first=1 lost=0 ",
    "meander: cut frame=x begin=1 rate=48000 first=1 lost=0",
  };
  write_texts(texts, sizeof texts / sizeof *texts);
  Provenance p = read_back();
  assert_int_equal(p.count, 0);
  assert_false(p.has_cut);
  assert_string_equal(p.about, "");
  Error error;
  assert_int_equal(provenance_check(&p, &error), STATUS_BAD_FILE);
  provenance_free(&p);
}

static void
test_lengths(void** state)
{
  (void)state;
  for (uint32_t length = RECORD_LINE_BYTES_MAX - 2;
       length <= RECORD_LINE_BYTES_MAX + 100;
       ++length) {
    char* const text = malloc(length + 32);
    const int   head = sprintf(text, "meander: from 1 anew: ");
    memset(text + head, 'x', length);
    text[(uint32_t)head + length] = '\0';
    write_texts((const char* const*)&text, 1);
    Provenance p = read_back();
    assert_int_equal(p.count, length < RECORD_LINE_BYTES_MAX);
    provenance_free(&p);
    free(text);
  }
}

static void
test_checks(void** state)
{
  (void)state;
  static const char good[] =
    "meander: cut frame=1 begin=1 rate=1 first=1 lost=0";
  static const char lost[] =
    "meander: cut frame=1 begin=1 rate=1 first=1 lost=2";
  const struct {
    const char* texts[2];
    const char* says; // NULL: it is good
  } cases[] = {
    { { "meander: from 1 anew: x", good }, NULL },
    { { "", good }, "does not say how" },
    { { "meander: from 1: x", good }, "first notes" },
    { { "meander: from 1 anew: x", "" }, "where it was cut" },
    { { "meander: from 1 anew: x", lost }, "some of its notes" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    write_texts(cases[i].texts, 2);
    Provenance   p = read_back();
    Error        error;
    const Status status = provenance_check(&p, &error);
    assert_int_equal(status, cases[i].says ? STATUS_BAD_FILE : STATUS_OK);
    assert_true(!cases[i].says || strstr(error.text, cases[i].says));
    provenance_free(&p);
  }
}

static void
test_too_many(void** state)
{
  (void)state;
  SmfTrack track = { 0 };
  Error    error;
  char     text[64];
  for (uint32_t i = 0; i <= PROVENANCE_LINES_MAX; ++i) {
    const SmfEvent event = { .text = text };
    snprintf(text, sizeof text, "meander: from %u: ", i);
    assert_int_equal(smf_track_add(&track, &event, &error), STATUS_OK);
  }
  FILE* const file = fopen(path, "wb");
  assert_int_equal(smf_write_track(file, &track, 500000, &error), STATUS_OK);
  fclose(file);
  smf_track_free(&track);
  Provenance p;
  assert_int_equal(provenance_read(path, &p, &error), STATUS_LIMIT);
  assert_non_null(strstr(error.text, path));
  assert_null(p.lines);
}

// Bytes of a good file changed at random: an error or some lines, no crash (and
// nothing for the sanitizers).
static void
test_damaged(void** state)
{
  (void)state;
  const char* const texts[] = {
    "meander 0.1",
    "meander: from 0 anew: abcdef",
    "meander: from 8: b",
    "meander: cut frame=1 begin=1 rate=1 first=1 lost=0"
  };
  write_texts(texts, 4);
  static uint8_t bytes[4096];
  FILE*          file = fopen(path, "rb");
  const size_t   size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  Rng rng     = rng_make(5, RNG_USE_TEST, 0);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    uint8_t damaged[4096];
    memcpy(damaged, bytes, size);
    for (uint32_t k = 1 + rng_below(&rng, 4); k > 0; --k) {
      damaged[rng_below(&rng, (uint32_t)size)] = (uint8_t)rng_below(&rng, 256);
    }
    file = fopen(path, "wb");
    fwrite(damaged, 1, size - rng_below(&rng, 3) * rng_below(&rng, 9), file);
    fclose(file);
    Provenance p;
    Error      error;
    if (provenance_read(path, &p, &error)) {
      ++refused;
      assert_null(p.lines);
      assert_non_null(strstr(error.text, path));
    }
    provenance_free(&p);
  }
  assert_true(refused > 300 && refused < 2900);
}

static void
test_no_file(void** state)
{
  (void)state;
  Provenance p;
  Error      error;
  assert_int_equal(provenance_read("/nonexistent/x.mid", &p, &error),
                   STATUS_NOT_FOUND);
  assert_int_equal(provenance_read("/dev/null", &p, &error), STATUS_IO);
}

// Where a model's file was, in a word of the text at the start.
static void
test_files(void** state)
{
  (void)state;
  char text[400] = "meander 0.1 file=0123456789abcdef:";
  char found[1024];
  provenance_write_path("my runs/100%/r1\n.safetensors", text + strlen(text));
  strcat(text, PROVENANCE_FILE "fedcba9876543210:/b");
  assert_null(strchr(text + 12, '\n'));
  Provenance told = { .about = text };
  assert_true(provenance_file(&told, "0123456789abcdef", found));
  assert_string_equal(found, "my runs/100%/r1\n.safetensors");
  assert_true(provenance_file(&told, "fedcba9876543210", found));
  assert_string_equal(found, "/b");
  assert_false(provenance_file(&told, "0123456789abcdee", found));
  assert_false(provenance_file(&told, "0123", found));
  static char  far_too_long[2000] = "meander file=1:";
  const size_t length             = strlen(far_too_long);
  memset(far_too_long + length, 'x', sizeof far_too_long - length - 1);
  told.about = far_too_long;
  assert_false(provenance_file(&told, "1", found));
  strcpy(far_too_long, "meander file=1:%00%4%zz file=2:");
  assert_false(provenance_file(&told, "1", found));
  assert_false(provenance_file(&told, "2", found));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_round_trip), cmocka_unit_test(test_order),
    cmocka_unit_test(test_not_lines),  cmocka_unit_test(test_lengths),
    cmocka_unit_test(test_checks),     cmocka_unit_test(test_too_many),
    cmocka_unit_test(test_damaged),    cmocka_unit_test(test_no_file),
    cmocka_unit_test(test_files),
  };
  const int file = mkstemp(path);
  if (file < 0) {
    return 1;
  }
  close(file);
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(path);
  return failed;
}
