// What the tests of takes share: a ring that is played to, and takes of it that
// are read back.
#pragma once

#include "midi_track.h"
#include "record/take.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#define RATE 48000u

static char take_path[] = "/tmp/meander-take-XXXXXX";

static inline void
play(TakeRing* ring, uint64_t frame, uint64_t number, int kind, int pitch)
{
  const PlayedEvent event = {
    .frame   = frame,
    .number  = number,
    .message = { (uint8_t)kind, (uint8_t)pitch, kind < 0x90 ? 64 : 100 }
  };
  take_ring_add(ring, &event);
}

static inline void
say(TakeRing* ring, uint64_t number, bool starts, const char* text)
{
  Error            error;
  const RecordLine line = { number, starts, text, false, false };
  if (take_ring_line(ring, &line, &error)) {
    fail_msg("%s", error.text);
  }
}

static inline void
say_instead(TakeRing* ring, uint64_t number, bool starts, const char* text)
{
  Error            error;
  const RecordLine line = { number, starts, text, true, false };
  assert_int_equal(take_ring_line(ring, &line, &error), STATUS_OK);
}

// Keeps and reads back.
static inline Take
keep(const TakeRing* ring, double seconds, uint64_t now, MidiTrack* track)
{
  Take              take;
  Error             error;
  const TakeRequest request = {
    .seconds = seconds, .now_frame = now, .bpm = 120, .text = "meander of tests"
  };
  if (take_keep(ring, take_path, &request, &take, &error)) {
    fail_msg("%s", error.text);
  }
  assert_true(midi_track_read(take_path, track));
  return take;
}

// Phrases of 4 notes, 0.5 s apart, each 0.4 s long; phrase p starts at note 4
// p.
static inline void
play_phrases(TakeRing* ring, uint64_t first, uint64_t end)
{
  char text[64];
  for (uint64_t p = first; p < end; ++p) {
    snprintf(text, sizeof text, "phrase %u", (unsigned)p);
    say(ring, 4 * p, true, text);
    for (uint64_t n = 4 * p; n < 4 * p + 4; ++n) {
      play(ring, n * RATE / 2, n, 0x90, 40 + (int)(n % 50));
      play(ring, n * RATE / 2 + RATE * 2 / 5, n, 0x80, 40 + (int)(n % 50));
    }
  }
}

static inline int
run_take_tests(const struct CMUnitTest* tests, size_t count)
{
  const int file = mkstemp(take_path);
  if (file < 0) {
    return 1;
  }
  close(file);
  const int failed = _cmocka_run_group_tests("takes", tests, count, NULL, NULL);
  unlink(take_path);
  return failed;
}
