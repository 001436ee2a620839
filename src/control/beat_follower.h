// Whose beat the music keeps: turns the server's transport, or MIDI clock at
// meander:control, into what the worker is told (command.h). Control thread.
//
// MIDI clock comes 24 times a quarter note, and jitters. A straight line
// through the last TICKS_FITTED ticks (least squares) gives tempo and phase;
// where ticks leave it for good the line begins anew.
#pragma once

#include "live/command.h"
#include "live/process.h"

#include <stdbool.h>
#include <stdint.h>

#define TICKS_A_BEAT 24u
#define TICKS_FITTED 96u

typedef struct {
  uint32_t sample_rate_hz;
  Sync     sync;
  double   own_bpm; // where nobody else tells a tempo
  double   own_beats_per_bar;

  Transport transport; // as last heard, at
  uint64_t  transport_frame;
  uint32_t  breaks;
  uint32_t  breaks_told;
  uint64_t  break_frame; // the first that was not told

  // MIDI clock.
  bool     running;
  bool     begins; // the next tick that counts is `tick`; else
  int64_t  tick;   // of the song, the last one heard
  uint64_t start_frame;
  double   times[TICKS_FITTED]; // frames of the last ticks, a ring
  uint32_t count;
  uint32_t next;
  uint32_t astray; // ticks in a row that the line does not explain
  double   frame;  // of the last tick, by the line
  double   period; // frames from tick to tick, by the line; 0: not known

  bool    due; // something is to be told
  bool    told_rolling;
  BeatMap told;
} BeatFollower;

void beat_follower_init(BeatFollower* follower,
                        uint32_t      sample_rate_hz,
                        Sync          sync);

// What process heard: transport and MIDI messages (those that are no clock are
// passed over).
void beat_follower_hear(BeatFollower* follower, const HeardEvent* event);

// Other parameters: sync, bpm, beats_per_bar.
void beat_follower_set(BeatFollower* follower, const Params* params);

// Whether the worker is to be told something new.
bool beat_follower_take(BeatFollower* follower, BeatTime* time);

// Tempo as it is followed; 0: none.
double beat_follower_bpm(const BeatFollower* follower);
// And bars, in quarter notes: the transport's, or else one's own.
double beat_follower_quarters_per_bar(const BeatFollower* follower);
