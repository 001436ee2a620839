// When each note sounds: turns phrases of condensed note events into notes
// stamped with absolute session frames. A pure function of what it was given,
// so that play, freewheel and render agree. Worker thread (or whoever runs the
// worker synchronously).
#pragma once

#include "live/params.h"
#include "live/process.h"
#include "music/note.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  Params   params;
  uint32_t sample_rate_hz;
  uint64_t origin_frame; // where the music starts: the first note's onset
  uint64_t end_frame;    // UINT64_MAX: plays on
  double   onset_s;      // of the last note, since the origin
  bool     started;
  uint64_t number; // of the next note
  // Every onset before this frame has been scheduled; UINT64_MAX at the end.
  uint64_t planned_until;
} Scheduler;

// `seconds` < 0: plays on.
Scheduler scheduler_make(const Params* params,
                         uint32_t      sample_rate_hz,
                         uint64_t      origin_frame,
                         double        seconds);

// Stamps the phrase that comes next: out[count] at most, sorted by on_frame,
// each with off_frame > on_frame. Returns how many were written: fewer than
// `count` only at the end.
size_t scheduler_add(Scheduler*       scheduler,
                     const NoteEvent* events,
                     size_t           count,
                     StampedNote*     out);

// Leaves out time: what is stamped next follows `frame` as it would have
// followed the last note. Never goes back.
void scheduler_skip(Scheduler* scheduler, uint64_t frame);
