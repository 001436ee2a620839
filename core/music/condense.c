// Played notes <-> condensed note events. Owns nothing; any thread except
// process.
#include "music/condense.h"

// Two presses of a key closer than this are one press, written twice.
#define SAME_PRESS_S (0.5 * (double)NOTE_STEP_MIN_S)

static float
greater(float a, float b)
{
  return a > b ? a : b;
}

size_t
condense_notes(const PlayedNote* notes, size_t count, NoteEvent* out)
{
  // The last press of each key: its event plus one (0: none yet) and its onset.
  size_t last[128] = { 0 };
  double last_onset_s[128];
  size_t written          = 0;
  double previous_onset_s = 0.0;
  for (size_t i = 0; i < count; ++i) {
    const PlayedNote* const note  = &notes[i];
    const uint8_t           pitch = note->pitch;
    if (pitch == 0) {
      continue;
    }
    const NoteEvent event = note_event_clamp(
      (NoteEvent){ .pitch      = pitch,
                   .velocity   = velocity_from_midi(note->velocity),
                   .step_s     = (float)(note->onset_s - previous_onset_s),
                   .duration_s = (float)note->duration_s });
    if (last[pitch]) {
      NoteEvent* const earlier = &out[last[pitch] - 1];
      const double     gap_s   = note->onset_s - last_onset_s[pitch];
      if (gap_s < SAME_PRESS_S) {
        earlier->velocity   = greater(earlier->velocity, event.velocity);
        earlier->duration_s = greater(earlier->duration_s, event.duration_s);
        continue;
      }
      if ((double)earlier->duration_s > gap_s) {
        earlier->duration_s = (float)gap_s;
        *earlier            = note_event_clamp(*earlier);
      }
    }
    out[written++]      = event;
    last[pitch]         = written;
    last_onset_s[pitch] = note->onset_s;
    previous_onset_s    = note->onset_s;
  }
  return written;
}

void
expand_events(const NoteEvent* events,
              size_t           count,
              double           start_s,
              PlayedNote*      out)
{
  // The last note of each pitch, plus one; 0: none yet.
  size_t last[128] = { 0 };
  double onset_s   = start_s;
  for (size_t i = 0; i < count; ++i) {
    const NoteEvent event = note_event_clamp(events[i]);
    onset_s += (double)event.step_s;
    if (last[event.pitch]) {
      PlayedNote* const earlier = &out[last[event.pitch] - 1];
      if (earlier->onset_s + earlier->duration_s > onset_s) {
        earlier->duration_s = onset_s - earlier->onset_s;
      }
    }
    last[event.pitch] = i + 1;
    out[i]            = (PlayedNote){ .onset_s    = onset_s,
                                      .duration_s = (double)event.duration_s,
                                      .pitch      = event.pitch,
                                      .velocity   = velocity_to_midi(event.velocity),
                                      .channel    = 0 };
  }
}
