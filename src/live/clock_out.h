// MIDI clock that goes out: 24 ticks a quarter note of the beat that the music
// keeps; start at a whole beat, stop where it stands still or jumps. Pure, no
// memory; the process thread's.
#pragma once

#include "live/beat.h"
#include "rt.h"

#include <stdbool.h>
#include <stdint.h>

// The beat from `frame` on.
typedef struct {
  uint64_t frame;
  BeatMap  map;
  uint32_t sample_rate_hz;
  bool     rolling;
} BeatMark;

typedef struct {
  BeatMark mark;
  bool     known;   // there is a mark
  bool     on;      // somebody wants it
  bool     running; // start was sent, and no stop since
  bool     stops;   // stop is to be sent, at
  uint64_t stop_frame;
  int64_t  tick; // the next one's number
} ClockOut;

// From mark->frame on another beat.
void clock_out_mark(ClockOut* clock, const BeatMark* mark) REALTIME;
void clock_out_switch(ClockOut* clock, uint64_t frame, bool on) REALTIME;

// The frame of the next message; UINT64_MAX: there is none.
uint64_t clock_out_next(const ClockOut* clock) REALTIME;
// That message: clock, start or stop.
uint8_t clock_out_take(ClockOut* clock) REALTIME;
