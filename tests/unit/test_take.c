// src/record/take: the ring of the last minutes. Random sessions against a
// plain account of everything that was ever played, and what is refused.
#include "caps.h"
#include "record/line_text.h"
#include "rng.h"
#include "take_fixture.h"

#include <math.h>

static void
test_golden(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  say(&ring, 7, true, "a");
  play(&ring, 1000, 7, 0x90, 60);
  say(&ring, 9, true, "b");
  play(&ring, 25000, 8, 0x91, 64);
  play(&ring, 25000, PLAYED_NO_NOTE, 0xb0, 64);  // a controller: kept
  play(&ring, 25000, PLAYED_NO_NOTE, 0xb0, 120); // a channel mode: not
  say_instead(&ring, 9, false, "c");             // of b
  play(&ring, 37000, 8, 0x81, 64);
  play(&ring, 49000, 9, 0x90, 67);
  const TakeRequest request = {
    .seconds = 2, .now_frame = 61000, .bpm = 60, .text = "x"
  };
  Take take;
  assert_int_equal(take_keep(&ring, take_path, &request, &take, &error),
                   STATUS_OK);
  MidiTrack track;
  assert_true(midi_track_read(take_path, &track));
  static const char cut[] =
    "meander: cut frame=60000 begin=1000 rate=48000 first=7 lost=0";
  // clang-format off
  static const uint8_t expected[] = {
    'M', 'T', 'h', 'd', 0, 0, 0, 6, 0, 0, 0, 1, 0x03, 0xc0,
    'M', 'T', 'r', 'k', 0, 0, 0, 162,
    0, 0xff, 0x51, 3, 0x0f, 0x42, 0x40, // 60 beats a minute
    0, 0xff, 0x01, 1, 'x',
    0, 0xff, 0x01, 23, 'm', 'e', 'a', 'n', 'd', 'e', 'r', ':', ' ', 'f', 'r',
      'o', 'm', ' ', '7', ' ', 'a', 'n', 'e', 'w', ':', ' ', 'a',
    0, 0x90, 60, 100,
    0x83, 0x60, 0x91, 64, 100, // 0.5 s: 480 ticks
    0, 0xb0, 64, 100,
    0x81, 0x70, 0x81, 64, 64, // 0.25 s
    0x81, 0x70, 0xff, 0x01, 18, 'm', 'e', 'a', 'n', 'd', 'e', 'r', ':', ' ',
      'f', 'r', 'o', 'm', ' ', '9', ':', ' ', 'c',
    0, 0x90, 67, 100,
    0x81, 0x70, 0x80, 60, 64, 0, 0x80, 67, 64, // what sounds ends now
    0, 0xff, 0x01, sizeof cut - 1,
  };
  // clang-format on
  assert_memory_equal(track.bytes, expected, sizeof expected);
  assert_int_equal(track.size, sizeof expected + sizeof cut - 1 + 4);
  assert_memory_equal(track.bytes + sizeof expected, cut, sizeof cut - 1);
  assert_int_equal(take.begin_frame, 1000);
  assert_int_equal(take.notes, 3);
  assert_int_equal(take.lines, 2);
  assert_true(take.can_be_made_again);
  assert_true(fabs(take.seconds - 1.25) < 1e-9);
  midi_track_free(&track);
  take_ring_free(&ring);
}

// Everything that was ever played or said.
#define HISTORY_MAX 4000
typedef struct {
  PlayedEvent events[HISTORY_MAX];
  size_t      count;
  struct {
    uint64_t number;
    bool     starts;
    char     text[40];
    int64_t  at; // -1: waits
  } lines[HISTORY_MAX];
  size_t   line_count;
  uint64_t now;
  uint64_t next; // note to be played
  struct {
    uint64_t off_frame;
    uint64_t number;
    int      pitch; // 0: free
  } sounding[16];
} History;

static void
history_play(History* h, TakeRing* ring, uint64_t number, int kind, int pitch)
{
  if (kind == 0x90 && number != PLAYED_NO_NOTE) {
    for (size_t i = 0; i < h->line_count; ++i) {
      // It, or one that was given after it, concerns the note.
      bool is_due = false;
      bool stands = true; // none after it says otherwise of its notes
      for (size_t k = i; k < h->line_count; ++k) {
        is_due = is_due || h->lines[k].number <= number;
        stands = stands && h->lines[k].number >= h->lines[i].number;
      }
      if (h->lines[i].at < 0 && is_due) {
        h->lines[i].at     = (int64_t)h->count;
        h->lines[i].starts = h->lines[i].starts && stands;
      }
    }
  }
  h->events[h->count++] =
    (PlayedEvent){ .frame   = h->now,
                   .number  = number,
                   .message = { (uint8_t)kind, (uint8_t)pitch, 64 } };
  take_ring_add(ring, &h->events[h->count - 1]);
}

static void
history_say(History*  h,
            TakeRing* ring,
            uint64_t  number,
            bool      starts,
            bool      replaces)
{
  size_t kept = 0;
  for (size_t i = 0; i < h->line_count; ++i) {
    if (!replaces || h->lines[i].at >= 0 || h->lines[i].number < number) {
      h->lines[kept++] = h->lines[i];
    }
  }
  static unsigned serial = 0;
  Error           error;
  char* const     text = h->lines[kept].text;
  snprintf(text, sizeof h->lines[kept].text, "s%u", ++serial);
  h->line_count         = kept + 1;
  h->lines[kept].number = number;
  h->lines[kept].starts = starts;
  h->lines[kept].at     = -1;
  const RecordLine line = { number, starts, text, replaces, false };
  assert_int_equal(take_ring_line(ring, &line, &error), STATUS_OK);
}

static void
history_advance(History* h, TakeRing* ring, uint64_t frames)
{
  const uint64_t until = h->now + frames;
  for (;;) {
    int next = -1;
    for (int i = 0; i < 16; ++i) {
      if (h->sounding[i].pitch && h->sounding[i].off_frame <= until &&
          (next < 0 ||
           h->sounding[i].off_frame < h->sounding[next].off_frame)) {
        next = i;
      }
    }
    if (next < 0) {
      break;
    }
    h->now = h->sounding[next].off_frame;
    history_play(
      h, ring, h->sounding[next].number, 0x80, h->sounding[next].pitch);
    h->sounding[next].pitch = 0;
  }
  h->now = until;
}

static void
history_step(History* h, TakeRing* ring, Rng* rng)
{
  const uint32_t what = rng_below(rng, 10);
  if (what < 2) {
    history_say(h,
                ring,
                h->next + rng_below(rng, 6),
                rng_below(rng, 2),
                rng_below(rng, 4) == 0);
  } else if (what < 3) {
    history_play(h, ring, PLAYED_NO_NOTE, 0xb0, (int)rng_below(rng, 128));
  } else if (what < 4) {
    h->next += rng_below(rng, 3); // dropped notes
  } else {
    history_advance(h, ring, rng_below(rng, 3) ? rng_below(rng, RATE) : 0);
    const uint32_t slot = rng_below(rng, 16);
    if (!h->sounding[slot].pitch) {
      const bool     mine   = rng_below(rng, 8);
      const uint64_t number = mine ? h->next++ : PLAYED_NO_NOTE;
      const int      pitch  = 40 + (int)slot;
      history_play(h, ring, number, 0x90, pitch);
      if (rng_below(rng, 10)) { // or its off gets lost
        h->sounding[slot].pitch     = pitch;
        h->sounding[slot].number    = number;
        h->sounding[slot].off_frame = h->now + 1 + rng_below(rng, 2 * RATE);
      }
    }
  }
}

// What a take must hold, from the history alone: texts in `expected`, in order.
static size_t
history_expect(const History* h,
               uint64_t       from,
               uint64_t       now,
               char (*expected)[64],
               uint64_t* zero)
{
  size_t begin = HISTORY_MAX;
  for (size_t i = 0; i < h->line_count; ++i) {
    if (h->lines[i].starts && h->lines[i].at >= 0 &&
        (begin == HISTORY_MAX || h->events[h->lines[i].at].frame <= from)) {
      begin = i;
    }
  }
  if (begin == HISTORY_MAX) {
    return 0;
  }
  size_t count = 0;
  size_t line  = begin;
  *zero        = from > h->events[0].frame ? from : h->events[0].frame;
  for (size_t i = (size_t)h->lines[begin].at; i < h->count; ++i) {
    const PlayedEvent* const e = &h->events[i];
    if (e->frame >= now) {
      break;
    }
    if ((e->message[0] & 0xf0) != 0x90 || e->frame < *zero ||
        (e->number != PLAYED_NO_NOTE && e->number < h->lines[begin].number)) {
      continue;
    }
    for (; line < h->line_count && h->lines[line].at >= 0 &&
           h->lines[line].at <= (int64_t)i;
         ++line) {
      snprintf(expected[count++], 64, "line %s", h->lines[line].text);
    }
    snprintf(expected[count++],
             64,
             "%d at %u",
             e->message[1],
             (unsigned)smf_tick(e->frame - *zero, RATE, 500000));
  }
  return count;
}

static size_t
found_in(const MidiTrack* track, char (*found)[64])
{
  size_t count = 0;
  for (size_t i = 0; i < track->count; ++i) {
    const TrackEvent* const e = &track->events[i];
    RecordLine              line;
    if (e->text && line_text_parse(e->text, &line)) {
      snprintf(found[count++], 64, "line %.40s", line.text);
    } else if (!e->text && (e->message[0] & 0xf0) == 0x90) {
      snprintf(
        found[count++], 64, "%d at %u", e->message[1], (unsigned)e->tick);
    }
  }
  return count;
}

// Each off stands where it was played, or at the cut.
static void
check_offs(const History* h, const MidiTrack* track, uint64_t zero)
{
  for (size_t i = 0; i < track->count; ++i) {
    const TrackEvent* const e = &track->events[i];
    if (e->text || (e->message[0] & 0xf0) != 0x80) {
      continue;
    }
    bool found = e->tick == track->events[track->count - 1].tick;
    for (size_t k = 0; k < h->count && !found; ++k) {
      // A lost off is made up for where the key is pressed again.
      found = h->events[k].frame >= zero &&
              h->events[k].message[1] == e->message[1] &&
              smf_tick(h->events[k].frame - zero, RATE, 500000) == e->tick;
    }
    assert_true(found);
  }
}

static void
test_random_sessions(void** state)
{
  (void)state;
  static History h;
  static char    expected[2 * HISTORY_MAX][64];
  static char    found[2 * HISTORY_MAX][64];
  unsigned       keeps = 0;
  for (uint64_t session = 0; session < 150; ++session) {
    Rng      rng = rng_make(11, RNG_USE_TEST, session);
    TakeRing ring;
    Error    error;
    memset(&h, 0, sizeof h);
    assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
    history_say(&h, &ring, 0, true, false);
    history_play(&h, &ring, h.next++, 0x90, 30);
    for (int step = 0; step < 600; ++step) {
      history_step(&h, &ring, &rng);
      if (rng_below(&rng, 40)) {
        continue;
      }
      const uint64_t now =
        h.now > 9000 && !rng_below(&rng, 3) ? h.now - 9 : h.now;
      const double seconds = 0.01 + rng_below(&rng, 1000) * 0.06;
      const double from    = (double)now - seconds * RATE;
      uint64_t     zero    = 0;
      const size_t count   = history_expect(
        &h, from > 0 ? (uint64_t)llround(from) : 0, now, expected, &zero);
      Take              take;
      const TakeRequest request = { .seconds   = seconds,
                                    .now_frame = now,
                                    .bpm       = 120 };
      const Status      status =
        take_keep(&ring, take_path, &request, &take, &error);
      if (!count) {
        assert_int_equal(status, STATUS_NOT_FOUND);
        continue;
      }
      assert_int_equal(status, STATUS_OK);
      MidiTrack track;
      assert_true(midi_track_read(take_path, &track));
      assert_int_equal(take.begin_frame, zero);
      assert_int_equal(take.zero_frame, zero);
      assert_true(take.can_be_made_again);
      assert_int_equal(found_in(&track, found), count);
      for (size_t i = 0; i < count; ++i) {
        assert_string_equal(found[i], expected[i]);
      }
      check_offs(&h, &track, zero);
      midi_track_free(&track);
      ++keeps;
    }
    take_ring_free(&ring);
  }
  assert_true(keeps > 1500);
}

// Two notes at one frame, reported the other way round: the take whose lines
// begin between them has only the later one.
static void
test_chord_out_of_order(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  say(&ring, 0, true, "a");
  play(&ring, 0, 0, 0x90, 50);
  say(&ring, 5, true, "b");
  play(&ring, 9000, 5, 0x90, 65);
  play(&ring, 9000, 4, 0x90, 64);
  play(&ring, 9100, 4, 0x80, 64);
  play(&ring, 9100, 5, 0x80, 65);
  MidiTrack track;
  assert_int_equal(keep(&ring, 200.0 / RATE, 9200, &track).notes, 1);
  assert_int_equal(track.events[2].message[1], 65);
  assert_int_equal(track.events[3].message[1], 65);
  midi_track_free(&track);
  assert_int_equal(keep(&ring, 1, 9200, &track).notes, 3);
  midi_track_free(&track);
  take_ring_free(&ring);
}

static void
test_bad_lines(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  play_phrases(&ring, 0, 2);
  char* const text = calloc(1, RECORD_LINE_BYTES_MAX + 1);
  memset(text, 'x', RECORD_LINE_BYTES_MAX);
  const RecordLine bad[] = { { 8, false, text, false, false },
                             { 8, false, "two\nlines", false, false } };
  assert_int_equal(take_ring_line(&ring, &bad[0], &error), STATUS_LIMIT);
  assert_int_equal(take_ring_line(&ring, &bad[1], &error), STATUS_BAD_ARGUMENT);
  free(text);
  MidiTrack  track;
  const Take take = keep(&ring, 1, 4 * RATE, &track);
  assert_false(take.can_be_made_again);
  midi_track_free(&track);
  play_phrases(&ring, 3, 4);
  assert_true(keep(&ring, 1, 8 * RATE, &track).can_be_made_again);
  midi_track_free(&track);
  take_ring_free(&ring);
}

static void
test_refusals(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  Take     take;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  const struct {
    double seconds;
    double bpm;
    Status status;
  } cases[] = {
    { 1, 120, STATUS_NOT_FOUND },        { 0, 120, STATUS_BAD_ARGUMENT },
    { -1, 120, STATUS_BAD_ARGUMENT },    { NAN, 120, STATUS_BAD_ARGUMENT },
    { 1, 3.9, STATUS_BAD_ARGUMENT },     { 1, NAN, STATUS_BAD_ARGUMENT },
    { 1, INFINITY, STATUS_BAD_ARGUMENT }
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const TakeRequest request = { .seconds   = cases[i].seconds,
                                  .now_frame = 100,
                                  .bpm       = cases[i].bpm };
    assert_int_equal(take_keep(&ring, take_path, &request, &take, &error),
                     cases[i].status);
  }
  play(&ring, 100, 0, 0x90, 60); // not before now
  const TakeRequest request = { .seconds = 1, .now_frame = 100, .bpm = 120 };
  assert_int_equal(take_keep(&ring, take_path, &request, &take, &error),
                   STATUS_NOT_FOUND);
  take_ring_free(&ring);
}

// Bars of 2 s whose lines are at 4800, 100800, ...: time zero is one, whenever
// it is asked for; a note that comes a bit early is on it; one that sounds on
// is left out; the lines of the phrase that sounds there are in it.
static void
test_bars(void** state)
{
  (void)state;
  TakeRing ring;
  Error    error;
  assert_int_equal(take_ring_init(&ring, RATE, &error), STATUS_OK);
  const uint64_t bar = 2 * RATE;
  say(&ring, 0, true, "a");
  for (uint64_t n = 0; n < 16; ++n) { // two a bar, the first 10 ms early
    const uint64_t on = 4800 + n * bar / 2 - (n % 2 ? 0 : 480);
    play(&ring, on, n, 0x90, 40 + (int)n);
    if (n) { // the one before sounds on a bit
      play(&ring, on + 960, n - 1, 0x80, 40 + (int)n - 1);
    }
  }
  for (unsigned asked = 1; asked <= 9; ++asked) {
    for (unsigned late = 0; late < 100; late += 9) {
      const uint64_t    now     = 4800 + 8 * bar + late * bar / 100;
      const TakeRequest request = { .seconds          = asked * 2.0,
                                    .now_frame        = now,
                                    .bpm              = 120,
                                    .quarters_per_bar = 4,
                                    .bar_frame  = 4800 + 3.0 * (double)bar,
                                    .bar_frames = (double)bar };
      Take              take;
      MidiTrack         track;
      assert_int_equal(take_keep(&ring, take_path, &request, &take, &error),
                       STATUS_OK);
      assert_true(midi_track_read(take_path, &track));
      // The music began 10 ms before the first bar line: that is in the bar
      // before.
      const bool     more = asked == 9;
      const uint64_t bars = more ? 8 : asked;
      assert_int_equal(take.zero_frame,
                       (int64_t)(4800 + (8 - bars) * bar) -
                         (more ? (int64_t)bar : 0));
      assert_true(fabs(take.seconds - (asked + late / 100.0) * 2) < 1e-9);
      assert_int_equal(track.meter[0], 4);
      assert_int_equal(track.meter[1], 2);
      assert_int_equal(take.notes, 2 * bars);
      assert_int_equal(take.lines, 1);
      assert_true(take.can_be_made_again);
      assert_int_equal(track.events[1].message[1], 40 + 16 - 2 * (int)bars);
      assert_int_equal(track.events[1].tick, more ? 3840 - 19 : 0);
      midi_track_free(&track);
    }
  }
  take_ring_free(&ring);
}

// A frame comes back from its tick within half a tick, at any tempo.
static void
test_resolution(void** state)
{
  (void)state;
  const double tempos[] = { TAKE_BPM_MIN, 33.3, 60, 119.7, 120, 1000 };
  for (size_t i = 0; i < sizeof tempos / sizeof *tempos; ++i) {
    const uint32_t tempo_us = smf_tempo_us(tempos[i]);
    const double   tick_s   = tempo_us / 960e6;
    assert_true(fabs(60e6 / tempo_us - tempos[i]) < 1e-2);
    for (uint64_t frame = 0; frame < 600ull * RATE; frame += 99991) {
      const double back =
        (double)smf_tick(frame, RATE, tempo_us) * tick_s * RATE;
      assert_true(fabs(back - (double)frame) <= 0.5001 * tick_s * RATE);
    }
  }
  assert_int_equal(smf_tick(48000, 48000, 500000), 1920);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_golden),
    cmocka_unit_test(test_random_sessions),
    cmocka_unit_test(test_chord_out_of_order),
    cmocka_unit_test(test_bars),
    cmocka_unit_test(test_bad_lines),
    cmocka_unit_test(test_refusals),
    cmocka_unit_test(test_resolution),
  };
  return run_take_tests(tests, sizeof tests / sizeof *tests);
}
