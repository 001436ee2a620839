// JACK's transport as backend.h's. Process thread.
#include "backend/jack_transport.h"

#include <math.h>

// Beats a minute beyond this are a master's mistake.
#define BPM_MAX 10000.0
// More than 2^32 frames hold at that pace. (After a relocation JACK 2 shows a
// master a rate of 0 frames a second: some then count infinitely many.)
#define BEATS_MAX 1e8

static bool
is_positive(double value, double max) REALTIME
{
  return value > 0.0 && value <= max; // not for a NaN
}

// Beats of the master since bar 1 beat 1 at the span's start.
static double
beats_passed(const jack_position_t* position) REALTIME
{
  double tick = position->tick;
#ifdef JACK_TICK_DOUBLE
  if (position->valid & JackTickDouble) {
    tick = position->tick_double;
  }
#endif
  double beats = (position->bar - 1.0) * (double)position->beats_per_bar +
                 (position->beat - 1.0) + tick / position->ticks_per_beat;
  // The figures may be those of a moment before the span.
  if (position->valid & JackBBTFrameOffset && position->frame_rate) {
    beats += position->bbt_offset * position->beats_per_minute /
             (60.0 * position->frame_rate);
  }
  return beats;
}

// A beat is the note that the metre's lower number names, also in
// beats_per_minute: so JACK's own example of a master has it, and Ardour. Some
// masters leave that number 0.
static void
read_tempo(const jack_position_t* position, Transport* transport) REALTIME
{
  const double note = position->beat_type == 0.0f ? 4.0 : position->beat_type;
  if (!(position->valid & JackPositionBBT) || !is_positive(note, 1024.0) ||
      !is_positive(position->beats_per_minute, BPM_MAX) ||
      !is_positive((double)position->beats_per_bar, 1024.0) ||
      !is_positive(position->ticks_per_beat, 1e9)) {
    return;
  }
  const double beats = beats_passed(position);
  if (!(fabs(beats) <= BEATS_MAX)) { // a NaN, too
    return;
  }
  const double quarters    = 4.0 / note; // of one beat
  transport->has_tempo     = true;
  transport->bpm           = position->beats_per_minute * quarters;
  transport->beat          = beats * quarters;
  transport->beats_per_bar = (double)position->beats_per_bar * quarters;
}

Transport
jack_transport_read(jack_transport_state_t state,
                    const jack_position_t* position)
{
  Transport transport = {
    .exists  = true,
    .rolling = state == JackTransportRolling || state == JackTransportLooping,
    .frame   = position->frame,
  };
  read_tempo(position, &transport);
  return transport;
}
