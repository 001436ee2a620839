// The arithmetic of note.h for code that a GPU runs too (portable.h); note.c is
// made of it.
#pragma once

#include "music/note.h"
#include "portable.h"

PORTABLE float
note_clamp(float value, float low, float high)
{
  // Written so that a NaN fails the first comparison.
  return !(value > low) ? low : value > high ? high : value;
}

PORTABLE NoteEvent
note_clamped(NoteEvent event)
{
  event.pitch    = event.pitch < 1 ? 1 : event.pitch > 127 ? 127 : event.pitch;
  event.velocity = note_clamp(event.velocity, 1.0f / 127.0f, 1.0f);
  event.step_s   = note_clamp(event.step_s, NOTE_STEP_MIN_S, NOTE_STEP_MAX_S);
  event.duration_s =
    note_clamp(event.duration_s, NOTE_DURATION_MIN_S, NOTE_DURATION_MAX_S);
  return event;
}

PORTABLE float
note_velocity(uint8_t midi)
{
  return (float)midi / 127.0f;
}
