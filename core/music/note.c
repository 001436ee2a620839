// Condensed note events.
#include "music/note_portable.h"

#include <math.h>

NoteEvent
note_event_clamp(NoteEvent event)
{
  return note_clamped(event);
}

float
velocity_from_midi(uint8_t velocity)
{
  return note_velocity(velocity);
}

uint8_t
velocity_to_midi(float velocity)
{
  return (uint8_t)lrintf(note_clamp(velocity * 127.0f, 1.0f, 127.0f));
}
