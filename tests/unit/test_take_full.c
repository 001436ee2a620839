// src/record/take: what goes when the ring is full, and that what stays can be
// made again, or says that it cannot.
#include "caps.h"
#include "record/line_text.h"
#include "record/provenance_read.h"
#include "take_fixture.h"

// Ten minutes are there and not much more.
static void
test_ten_minutes(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  play_phrases(&ring, 0, 1000); // 2000 s
  MidiTrack      track;
  const uint64_t now  = 1000ull * 2 * RATE;
  Take           take = keep(&ring, 1e9, now, &track);
  assert_true(take.seconds >= TAKE_SECONDS &&
              take.seconds < TAKE_SECONDS + 2.5);
  assert_true(take.can_be_made_again);
  assert_string_equal(track.events[0].text, "meander of tests");
  assert_non_null(strstr(track.events[1].text, " anew: phrase 699"));
  midi_track_free(&track);
  // Two notes a second, and no more than was wanted; the lines reach back to
  // where the phrase began.
  take = keep(&ring, 10, now, &track);
  assert_int_equal(take.notes, 20);
  assert_true(take.seconds == 10);
  assert_non_null(strstr(track.events[1].text, " anew: phrase 995"));
  midi_track_free(&track);
  take = keep(&ring, 11.25, now, &track);
  assert_int_equal(take.notes, 22);
  assert_true(take.seconds == 11.25);
  assert_non_null(strstr(track.events[1].text, " anew: phrase 994"));
  assert_int_equal(track.events[2].tick, 480); // the note 11 s ago
  midi_track_free(&track);
  take_ring_free(&ring);
}

// More events than there is room for: whole phrases go.
static void
test_full_of_events(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  uint64_t frame = 0;
  for (uint64_t n = 0; n < TAKE_EVENTS; ++n, frame += 100) {
    if (n % 1000 == 0) {
      say(&ring, n, true, "phrase");
    }
    play(&ring, frame, n, 0x90, 60);
    play(&ring, frame + 50, n, 0x80, 60);
  }
  MidiTrack  track;
  const Take take = keep(&ring, 1e9, frame, &track);
  assert_true(take.can_be_made_again);
  assert_true(take.notes > TAKE_EVENTS / 2 - 1100);
  assert_int_equal(take.begin_frame % (1000 * 100), 0);
  midi_track_free(&track);
  take_ring_free(&ring);
}

// A phrase that fills the ring alone: its oldest notes go, its lines stay.
static void
test_endless_phrase(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  say(&ring, 0, true, "frozen");
  for (uint64_t n = 0; n < TAKE_EVENTS; ++n) {
    play(&ring, n * 100, n, 0x90, 60);
    play(&ring, n * 100 + 50, n, 0x80, 60);
  }
  MidiTrack  track;
  const Take take = keep(&ring, 1e9, TAKE_EVENTS * 100, &track);
  assert_true(take.can_be_made_again);
  assert_int_equal(take.lines, 1);
  assert_true(take.notes > TAKE_EVENTS / 2 - TAKE_EVENTS / 16 - 2);
  const uint64_t first = TAKE_EVENTS - take.notes;
  assert_int_equal(take.begin_frame, first * 100);
  Provenance provenance;
  assert_int_equal(provenance_read(take_path, &provenance, &error), STATUS_OK);
  assert_int_equal(provenance.count, 1);
  assert_int_equal(provenance.lines[0].number, 0);
  assert_int_equal(provenance.cut.first, first);
  assert_int_equal(provenance.cut.begin, first * 100);
  assert_int_equal(provenance_check(&provenance, &error), STATUS_OK);
  provenance_free(&provenance);
  midi_track_free(&track);
  take_ring_free(&ring);
}

// More lines than there is room for, in their number and in their bytes.
static void
test_full_of_lines(void** state)
{
  (void)state;
  static char text[RECORD_LINE_BYTES_MAX];
  for (int longest = 0; longest < 2; ++longest) {
    TakeRing ring;
    Error    error;
    assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
    memset(text, 'x', sizeof text - 1);
    text[longest ? sizeof text - 1 : 3] = '\0';
    const uint64_t count                = 3 * TAKE_LINES;
    for (uint64_t n = 0; n < count; ++n) {
      say(&ring, n, n % 10 == 0, text);
      play(&ring, n * 100, n, 0x90, 60);
      play(&ring, n * 100 + 50, n, 0x80, 60);
    }
    MidiTrack  track;
    const Take take = keep(&ring, 1e9, count * 100, &track);
    assert_true(take.can_be_made_again);
    assert_int_equal(take.lines, take.notes);
    assert_int_equal(take.begin_frame % 1000, 0);
    const uint64_t room =
      longest ? TAKE_LINE_BYTES / RECORD_LINE_BYTES_MAX : TAKE_LINES;
    assert_true(take.lines <= room && take.lines + 20 > room);
    midi_track_free(&track);
    take_ring_free(&ring);
  }
}

// Lines of one phrase that fill the ring alone: the notes are kept, and the
// file says that it cannot be made again; the next phrase is whole.
static void
test_lines_of_one_phrase(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  const uint64_t count = TAKE_LINES + 1000;
  for (uint64_t n = 0; n < count; ++n) {
    say(&ring, n, n == 0, "a knob");
    play(&ring, n * 100, n, 0x90, 60);
    play(&ring, n * 100 + 50, n, 0x80, 60);
  }
  MidiTrack track;
  Take      take = keep(&ring, 1e9, count * 100, &track);
  assert_false(take.can_be_made_again);
  assert_int_equal(take.notes, count);
  midi_track_free(&track);
  Provenance provenance;
  assert_int_equal(provenance_read(take_path, &provenance, &error), STATUS_OK);
  assert_true(provenance.cut.lost >= TAKE_LINES);
  assert_int_equal(provenance_check(&provenance, &error), STATUS_BAD_FILE);
  provenance_free(&provenance);
  say(&ring, count, true, "anew");
  play(&ring, count * 100, count, 0x90, 60);
  take = keep(&ring, 50.0 / RATE, count * 100 + 50, &track);
  assert_true(take.can_be_made_again);
  assert_int_equal(take.notes, 1);
  midi_track_free(&track);
  take = keep(&ring, 1e9, count * 100 + 50, &track);
  assert_int_equal(take.notes, count + 1);
  assert_false(take.can_be_made_again);
  midi_track_free(&track);
  take_ring_free(&ring);
}

// Lines far ahead of the notes: hundreds of plans that are all replaced.
static void
test_superseded(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  say(&ring, 0, true, "begin");
  play(&ring, 0, 0, 0x90, 60);
  for (int i = 0; i < 100000; ++i) {
    say_instead(&ring, 5, true, "a");
    say_instead(&ring, 7, false, "b");
    say_instead(&ring, 3, false, i == 99999 ? "last" : "c");
  }
  say(&ring, 9, false, "never played");
  play(&ring, 100, 4, 0x90, 62); // 1 to 3 were dropped
  MidiTrack  track;
  const Take take = keep(&ring, 1, 200, &track);
  assert_int_equal(take.lines, 2);
  assert_string_equal(track.events[3].text, "meander: from 3: last");
  assert_int_equal(ring.lines_lost, 0);
  midi_track_free(&track);
  take_ring_free(&ring);
}

// A start that was planned anew before it was played is in the file, in the
// order of what was said, but nothing begins there.
static void
test_superseded_start(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  say(&ring, 0, true, "a");
  play(&ring, 0, 0, 0x90, 60);
  say(&ring, 8, true, "b");
  say(&ring, 4, false, "c");
  say(&ring, 8, true, "d");
  say(&ring, 8, false, "e");
  play(&ring, 1000, 4, 0x90, 64);
  play(&ring, 2000, 8, 0x90, 68);
  MidiTrack track;
  Take      take = keep(&ring, 3.0 / RATE, 2003, &track);
  assert_int_equal(take.begin_frame, 2000);
  assert_int_equal(take.lines, 2);
  assert_string_equal(track.events[1].text, "meander: from 8 anew: d");
  assert_string_equal(track.events[2].text, "meander: from 8: e");
  midi_track_free(&track);
  take = keep(&ring, 500.0 / RATE, 2003, &track);
  assert_int_equal(take.begin_frame, 1503);
  assert_int_equal(take.notes, 1);
  assert_int_equal(take.lines, 5);
  assert_string_equal(track.events[1].text, "meander: from 0 anew: a");
  assert_string_equal(track.events[5].text, "meander: from 8: e");
  assert_int_equal(track.events[6].message[1], 68);
  midi_track_free(&track);
  take = keep(&ring, 2003.0 / RATE, 2003, &track);
  assert_int_equal(take.begin_frame, 0);
  assert_int_equal(take.lines, 5);
  assert_string_equal(track.events[3].text, "meander: from 8: b");
  assert_string_equal(track.events[4].text, "meander: from 4: c");
  assert_int_equal(track.events[5].message[1], 64);
  midi_track_free(&track);
  take_ring_free(&ring);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ten_minutes),
    cmocka_unit_test(test_full_of_events),
    cmocka_unit_test(test_endless_phrase),
    cmocka_unit_test(test_full_of_lines),
    cmocka_unit_test(test_lines_of_one_phrase),
    cmocka_unit_test(test_superseded),
    cmocka_unit_test(test_superseded_start),
  };
  return run_take_tests(tests, sizeof tests / sizeof *tests);
}
