// When each note sounds.
#include "live/scheduler.h"

#include <math.h>

Scheduler
scheduler_make(const Params* params,
               uint32_t      sample_rate_hz,
               uint64_t      origin_frame,
               double        seconds)
{
  return (Scheduler){
    .params         = *params,
    .sample_rate_hz = sample_rate_hz,
    .origin_frame   = origin_frame,
    .end_frame      = seconds < 0
                        ? UINT64_MAX
                        : origin_frame + (uint64_t)llround(seconds * sample_rate_hz),
    .planned_until  = origin_frame,
  };
}

static uint64_t
frame_at(const Scheduler* scheduler, double seconds)
{
  return scheduler->origin_frame +
         (uint64_t)llround(seconds * scheduler->sample_rate_hz);
}

static uint8_t
place_pitch(const Params* params, uint8_t pitch)
{
  const int low    = (int)params->value[PARAM_REGISTER_LOW];
  const int high   = (int)params->value[PARAM_REGISTER_HIGH];
  int       placed = pitch + (int)params->value[PARAM_TRANSPOSE];
  while (placed < low) {
    placed += 12;
  }
  while (placed > high) {
    placed -= 12; // the register is an octave wide or more
  }
  return (uint8_t)placed;
}

static uint8_t
place_velocity(const Params* params, float velocity)
{
  const double scaled = round(velocity * params->value[PARAM_DYNAMICS] * 127.0);
  return (uint8_t)fmin(fmax(scaled, params->value[PARAM_VELOCITY_LOW]),
                       params->value[PARAM_VELOCITY_HIGH]);
}

size_t
scheduler_add(Scheduler*       scheduler,
              const NoteEvent* events,
              size_t           count,
              StampedNote*     out)
{
  const Params* const params  = &scheduler->params;
  const double        tempo   = params->value[PARAM_TEMPO];
  size_t              written = 0;
  for (size_t i = 0; i < count; ++i) {
    const NoteEvent event = note_event_clamp(events[i]);
    if (scheduler->started) {
      scheduler->onset_s += event.step_s / tempo;
    }
    scheduler->started   = true; // the first note does not keep one waiting
    const double   end_s = scheduler->onset_s + event.duration_s / tempo;
    const uint64_t on    = frame_at(scheduler, scheduler->onset_s);
    uint64_t       off   = frame_at(scheduler, end_s);
    if (on >= scheduler->end_frame) {
      scheduler->planned_until = UINT64_MAX;
      return written;
    }
    off = off > on ? off : on + 1;
    off = off < scheduler->end_frame ? off : scheduler->end_frame;

    out[written++] = (StampedNote){
      .on_frame  = on,
      .off_frame = off,
      .number    = scheduler->number++,
      .pitch     = place_pitch(params, event.pitch),
      .velocity  = place_velocity(params, event.velocity),
      .channel   = (uint8_t)(params->value[PARAM_CHANNEL] - 1),
    };
    // The smallest step is many frames long: the next onset is later.
    scheduler->planned_until = on + 1;
  }
  return written;
}

void
scheduler_skip(Scheduler* scheduler, uint64_t frame)
{
  if (frame > scheduler->planned_until) {
    scheduler->onset_s =
      (double)(frame - scheduler->origin_frame) / scheduler->sample_rate_hz;
    scheduler->planned_until = frame;
  }
}
