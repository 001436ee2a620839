// src/record: what was played is what is written; every note has its off, even
// when the off never came; nothing that was there is lost.
#include "record.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/meander-record-XXXXXX";

static const uint8_t on_60[]  = { 0x90, 60, 100 };
static const uint8_t off_60[] = { 0x80, 60, 64 };
static const uint8_t on_72[]  = { 0x93, 72, 1 };

static SmfNotes
write_and_read(Recorder* recorder, uint32_t rate)
{
  SmfNotes notes;
  Error    error;
  if (recorder_write(recorder, path, rate, "where from", &error) ||
      smf_read_file(path, &notes, &error)) {
    fail_msg("%s", error.text);
  }
  return notes;
}

static void
assert_near(double a, double b)
{
  assert_true(a - b < 1.0 / SMF_WRITE_TICKS_PER_SECOND &&
              b - a < 1.0 / SMF_WRITE_TICKS_PER_SECOND);
}

static void
test_round_trip(void** state)
{
  (void)state;
  Recorder recorder;
  recorder_init(&recorder);
  recorder_add(&recorder, 4800, PLAYED_NO_NOTE, on_60);
  recorder_add(&recorder, 9600, PLAYED_NO_NOTE, off_60);
  recorder_add(
    &recorder, 9600, PLAYED_NO_NOTE, off_60); // ends nothing: left out
  recorder_add(&recorder, 12000, PLAYED_NO_NOTE, on_72);
  recorder_finish(&recorder, 48000);
  SmfNotes notes = write_and_read(&recorder, 48000);
  assert_int_equal(notes.count, 2);
  assert_near(notes.notes[0].onset_s, 0.1);
  assert_near(notes.notes[0].duration_s, 0.1);
  assert_int_equal(notes.notes[0].velocity, 100);
  assert_near(notes.notes[1].onset_s, 0.25);
  assert_near(notes.notes[1].duration_s, 0.75);
  assert_int_equal(notes.notes[1].channel, 3);
  smf_notes_free(&notes);
  recorder_free(&recorder);
}

// A frame goes to the nearest tick: 192.6 to 193, 384.4 to 384.
static void
test_nearest_tick(void** state)
{
  (void)state;
  const double tick_s = 1.0 / SMF_WRITE_TICKS_PER_SECOND;
  Recorder     recorder;
  recorder_init(&recorder);
  recorder_add(&recorder, 4815, PLAYED_NO_NOTE, on_60);
  recorder_add(&recorder, 9610, PLAYED_NO_NOTE, off_60);
  recorder_finish(&recorder, 48000);
  SmfNotes notes = write_and_read(&recorder, 48000);
  assert_int_equal(notes.count, 1);
  assert_true(fabs(notes.notes[0].onset_s - 193 * tick_s) < 0.01 * tick_s);
  assert_true(fabs(notes.notes[0].duration_s - (384 - 193) * tick_s) <
              0.01 * tick_s);
  smf_notes_free(&notes);
  recorder_free(&recorder);
}

// The report of an off was lost: the next on of that key ends the note.
static void
test_lost_off(void** state)
{
  (void)state;
  Recorder recorder;
  recorder_init(&recorder);
  recorder_add(&recorder, 0, PLAYED_NO_NOTE, on_60);
  recorder_add(&recorder, 24000, PLAYED_NO_NOTE, on_60);
  recorder_finish(&recorder, 20000); // earlier than the last: clamped
  assert_int_equal(recorder.count, 4);
  SmfNotes notes = write_and_read(&recorder, 24000);
  assert_int_equal(notes.count, 2);
  assert_near(notes.notes[0].duration_s, 1);
  smf_notes_free(&notes);
  recorder_free(&recorder);
}

static void
test_long(void** state)
{
  (void)state;
  Recorder recorder;
  recorder_init(&recorder);
  for (uint64_t i = 0; i < 20000; ++i) {
    recorder_add(&recorder, i * 1000, PLAYED_NO_NOTE, i % 2 ? off_60 : on_60);
  }
  recorder_finish(&recorder, 20000000);
  SmfNotes notes = write_and_read(&recorder, 44100);
  assert_int_equal(notes.count, 10000);
  assert_near(notes.notes[9999].onset_s, 19998000 / 44100.0);
  smf_notes_free(&notes);
  recorder_free(&recorder);
}

static void
test_targets(void** state)
{
  (void)state;
  Error error;
  assert_int_equal(record_check_target(path, &error), STATUS_OK);
  assert_int_equal(access(path, F_OK), 0); // still there
  assert_int_equal(record_check_target("/dev/null", &error), STATUS_IO);
  assert_int_equal(record_check_target("/tmp", &error), STATUS_IO);
  assert_int_equal(record_check_target("/nonexistent/x", &error), STATUS_IO);
}

static void
test_rescue(void** state)
{
  (void)state;
  Recorder recorder;
  Error    error;
  recorder_init(&recorder);
  recorder_add(&recorder, 0, PLAYED_NO_NOTE, on_60);
  recorder_finish(&recorder, 100);
  assert_int_equal(
    recorder_write(&recorder, "/nonexistent/x.mid", 48000, "", &error),
    STATUS_IO);
  char* const saved = strstr(error.text, "saved as ");
  assert_non_null(saved);
  char* const name          = saved + strlen("saved as ");
  *strstr(name, " instead") = '\0';
  SmfNotes notes;
  assert_int_equal(smf_read_file(name, &notes, &error), STATUS_OK);
  assert_int_equal(notes.count, 1);
  smf_notes_free(&notes);
  unlink(name);
  setenv("TMPDIR", "/nonexistent", 1);
  assert_int_equal(
    recorder_write(&recorder, "/nonexistent/x.mid", 48000, "", &error),
    STATUS_IO);
  assert_non_null(strstr(error.text, "lost"));
  recorder_free(&recorder);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_round_trip), cmocka_unit_test(test_nearest_tick),
    cmocka_unit_test(test_lost_off),   cmocka_unit_test(test_long),
    cmocka_unit_test(test_targets),    cmocka_unit_test(test_rescue),
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
