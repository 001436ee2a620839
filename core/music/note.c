// Condensed note events.
#include "note.h"

#include <math.h>

static float
clampf(float value, float low, float high)
{
  // Written so that a NaN fails the first comparison.
  return !(value > low) ? low : value > high ? high : value;
}

NoteEvent
note_event_clamp(NoteEvent event)
{
  event.pitch    = event.pitch < 1 ? 1 : event.pitch > 127 ? 127 : event.pitch;
  event.velocity = clampf(event.velocity, 1.0f / 127.0f, 1.0f);
  event.step_s   = clampf(event.step_s, NOTE_STEP_MIN_S, NOTE_STEP_MAX_S);
  event.duration_s =
    clampf(event.duration_s, NOTE_DURATION_MIN_S, NOTE_DURATION_MAX_S);
  return event;
}

float
velocity_from_midi(uint8_t velocity)
{
  return (float)velocity / 127.0f;
}

uint8_t
velocity_to_midi(float velocity)
{
  return (uint8_t)lrintf(clampf(velocity * 127.0f, 1.0f, 127.0f));
}
