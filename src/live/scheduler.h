// When each note sounds: turns condensed note events into notes stamped with
// absolute session frames. A pure function of what it was given, so that play,
// freewheel and render agree. Worker thread (or whoever runs the worker
// synchronously).
//
// Time is counted in beats (beat.h): a step of S seconds lasts 2 S / (tempo *
// density) beats, a duration of D seconds 2 D / tempo.
#pragma once

#include "live/beat.h"
#include "live/params.h"
#include "live/process.h"
#include "music/note.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What the next note's stamp follows from, beside the parameters.
typedef struct {
  BeatMap  map;
  double   at; // beat of the last note, before it was pulled to the grid
  bool     started;
  uint64_t earliest_frame; // nothing begins before it
} SchedulerState;

typedef struct {
  Params         params;
  uint32_t       sample_rate_hz;
  uint64_t       end_frame; // UINT64_MAX: plays on
  SchedulerState state;
  // Every onset before this frame has been scheduled; UINT64_MAX at the end.
  uint64_t planned_until;
} Scheduler;

// The music starts at `origin_frame`: the first note's onset, or where it would
// be without a latency above 0. `seconds` < 0: plays on.
Scheduler scheduler_make(const Params* params,
                         uint32_t      sample_rate_hz,
                         uint64_t      origin_frame,
                         double        seconds);

// The beat whose notes come at `frame`, and where those of `beat` come: by the
// map and the latency, before any are pulled to the grid.
double   scheduler_beat_at(const Scheduler* scheduler, uint64_t frame);
uint64_t scheduler_frame_of(const Scheduler* scheduler, double beat);

// How much sooner than their beat notes come, in frames: 0 where they come
// later.
uint64_t scheduler_early_frames(const Params* params, uint32_t sample_rate_hz);

// How many beats a step of one second lasts.
double scheduler_step_beats(const Params* params);

// Stamps the note that comes next, with off_frame > on_frame and on_frame never
// below that of the note before. Of a muted note the velocity is 0. False: the
// music has ended.
bool scheduler_stamp(Scheduler*       scheduler,
                     const NoteEvent* event,
                     uint64_t         number,
                     StampedNote*     out);

// Leaves out time: what is stamped next follows `frame` as it would have
// followed the last note. Never goes back.
void scheduler_skip(Scheduler* scheduler, uint64_t frame);
