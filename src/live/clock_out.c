// Ticks of a beat.
#include "live/clock_out.h"

#include <math.h>

#define TICKS 24
#define CLOCK 0xf8
#define START 0xfa
#define STOP 0xfc
// Beats that differ by less go on.
#define SAME_BEAT (0.5 / TICKS)
#define EPSILON 1e-9

static void
stop_at(ClockOut* clock, uint64_t frame)
{
  if (clock->running) {
    clock->stops      = true;
    clock->stop_frame = frame;
  }
  clock->running = false;
}

static void
start_from(ClockOut* clock, uint64_t frame)
{
  const BeatMark* const mark = &clock->mark;
  const double          beat = beat_at(&mark->map, mark->sample_rate_hz, frame);
  clock->tick                = TICKS * (int64_t)ceil(beat - EPSILON);
}

void
clock_out_mark(ClockOut* clock, const BeatMark* mark) REALTIME
{
  const double was =
    clock->known ? beat_at(&clock->mark.map, mark->sample_rate_hz, mark->frame)
                 : 0;
  const double is      = beat_at(&mark->map, mark->sample_rate_hz, mark->frame);
  const bool   goes_on = clock->known && clock->running && mark->rolling &&
                       fabs(is - was) < SAME_BEAT;
  clock->mark  = *mark;
  clock->known = true;
  if (goes_on) {
    return; // ticks are counted: none is left out, none comes twice
  }
  stop_at(clock, mark->frame);
  start_from(clock, mark->frame);
}

void
clock_out_switch(ClockOut* clock, uint64_t frame, bool on) REALTIME
{
  if (on == clock->on) {
    return;
  }
  clock->on = on;
  if (!on) {
    stop_at(clock, frame);
  } else if (clock->known) {
    start_from(clock, frame);
  }
}

uint64_t
clock_out_next(const ClockOut* clock) REALTIME
{
  if (clock->stops) {
    return clock->stop_frame;
  }
  return clock->on && clock->known && clock->mark.rolling
           ? beat_frame(&clock->mark.map,
                        clock->mark.sample_rate_hz,
                        (double)clock->tick / TICKS)
           : UINT64_MAX;
}

uint8_t
clock_out_take(ClockOut* clock) REALTIME
{
  if (clock->stops) {
    clock->stops = false;
    return STOP;
  }
  if (!clock->running) {
    clock->running = true;
    return START;
  }
  ++clock->tick;
  return CLOCK;
}
