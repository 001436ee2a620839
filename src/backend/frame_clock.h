// A frame clock of 32 bits, as JACK's is, extended to 64. Process thread.
#pragma once

#include "rt.h"

#include <stdbool.h>
#include <stdint.h>

// All zero: no span was seen yet.
typedef struct {
  uint64_t frame; // last_frame extended to 64 bits
  uint32_t last_frame;
  uint32_t last_count;
  bool     has_frame;
} FrameClock;

// A span of `frame_count` frames begins at `now`: clock->frame is where. A
// clock that was set back goes on from the end of the span before. False: no
// time has passed, this is no span. (An overrun server wakes its clients once
// for each cycle they missed, all of them at the frame where it is now.)
bool frame_clock_next(FrameClock* clock,
                      uint32_t    now,
                      uint32_t    frame_count) REALTIME;
