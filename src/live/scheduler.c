// When each note sounds.
#include "live/scheduler.h"

#include <math.h>

#define FRAMES_PER_MS(rate_hz) ((rate_hz) / 1000.0)

uint64_t
scheduler_early_frames(const Params* params, uint32_t sample_rate_hz)
{
  const double early_ms = -params->value[PARAM_LATENCY];
  return early_ms > 0
           ? (uint64_t)llround(early_ms * FRAMES_PER_MS(sample_rate_hz))
           : 0;
}

Scheduler
scheduler_make(const Params* params,
               uint32_t      sample_rate_hz,
               uint64_t      origin_frame,
               double        seconds)
{
  // Notes that come before their beat need one that is not yet there.
  const uint64_t early = scheduler_early_frames(params, sample_rate_hz);
  return (Scheduler){
    .params         = *params,
    .sample_rate_hz = sample_rate_hz,
    .end_frame      = seconds < 0
                        ? UINT64_MAX
                        : origin_frame + (uint64_t)llround(seconds * sample_rate_hz),
    .state          = { .earliest_frame = origin_frame,
                        .map            = { .frame = origin_frame + early,
                                            .bpm   = params->value[PARAM_BPM] } },
    .planned_until  = origin_frame,
  };
}

double
scheduler_step_beats(const Params* params)
{
  return BEATS_PER_OWN_SECOND /
         (params->value[PARAM_TEMPO] * params->value[PARAM_DENSITY]);
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
  if (params->value[PARAM_MUTE] > 0) {
    return 0;
  }
  const double scaled = round(velocity * params->value[PARAM_DYNAMICS] * 127.0);
  return (uint8_t)fmin(fmax(scaled, params->value[PARAM_VELOCITY_LOW]),
                       params->value[PARAM_VELOCITY_HIGH]);
}

// The place of the grid that number `n` is; odd ones swing.
static double
grid_place(const Params* params, double n)
{
  const double grid = grid_quarters[(int)params->value[PARAM_GRID]];
  const double late = fmod(n, 2) != 0 ? 0.5 * params->value[PARAM_SWING] : 0;
  return (n + late) * grid;
}

// Pulled towards the nearest place of the grid; never past another beat that
// was before it.
static double
quantised(const Params* params, double beat)
{
  const double strength = params->value[PARAM_QUANTISE];
  if (strength <= 0) {
    return beat;
  }
  const double grid = grid_quarters[(int)params->value[PARAM_GRID]];
  const double n    = floor(beat / grid);
  double       best = grid_place(params, n);
  for (int i = -1; i <= 1; i += 2) {
    const double place = grid_place(params, n + i);
    best               = fabs(place - beat) < fabs(best - beat) ? place : best;
  }
  return beat + strength * (best - beat);
}

static uint64_t
moved(uint64_t frame, double frames)
{
  return frames < 0 && -frames > (double)frame
           ? 0
           : frame + (uint64_t)(int64_t)llround(frames);
}

uint64_t
scheduler_frame_of(const Scheduler* scheduler, double beat)
{
  const double late_ms = scheduler->params.value[PARAM_LATENCY];
  return moved(
    beat_frame(&scheduler->state.map, scheduler->sample_rate_hz, beat),
    late_ms * FRAMES_PER_MS(scheduler->sample_rate_hz));
}

double
scheduler_beat_at(const Scheduler* scheduler, uint64_t frame)
{
  const BeatMap* const map     = &scheduler->state.map;
  const double         late_ms = scheduler->params.value[PARAM_LATENCY];
  return beat_at(map, scheduler->sample_rate_hz, frame) -
         late_ms / 1000 * (map->bpm / 60);
}

bool
scheduler_stamp(Scheduler*       scheduler,
                const NoteEvent* event,
                uint64_t         number,
                StampedNote*     out)
{
  const Params* const   params = &scheduler->params;
  SchedulerState* const state  = &scheduler->state;
  if (state->started) {
    state->at += event->step_s * scheduler_step_beats(params);
  }
  state->started    = true; // the first note does not keep one waiting
  const double beat = quantised(params, state->at);
  const double length =
    event->duration_s * BEATS_PER_OWN_SECOND / params->value[PARAM_TEMPO];
  uint64_t on  = scheduler_frame_of(scheduler, beat);
  uint64_t off = scheduler_frame_of(scheduler, beat + length);
  if (on < state->earliest_frame) {
    off += state->earliest_frame - on;
    on = state->earliest_frame;
  }
  if (on >= scheduler->end_frame) {
    scheduler->planned_until = UINT64_MAX;
    return false;
  }
  state->earliest_frame    = on;
  scheduler->planned_until = on;
  off                      = off > on ? off : on + 1;
  *out                     = (StampedNote){
                        .on_frame  = on,
                        .off_frame = off < scheduler->end_frame ? off : scheduler->end_frame,
                        .number    = number,
                        .pitch     = place_pitch(params, event->pitch),
                        .velocity  = place_velocity(params, event->velocity),
                        .channel   = (uint8_t)(params->value[PARAM_CHANNEL] - 1),
  };
  return true;
}

void
scheduler_skip(Scheduler* scheduler, uint64_t frame)
{
  if (frame > scheduler->planned_until) {
    SchedulerState* const state = &scheduler->state;
    state->at                   = scheduler_beat_at(scheduler, frame);
    state->earliest_frame       = frame;
    scheduler->planned_until    = frame;
  }
}
