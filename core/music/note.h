// Condensed note events and played notes: the two shapes that music has here.
// Pure data; any thread.
#pragma once

#include "caps.h"

#include <stdint.h>

// X = (P, V, S, D) of DESIGN.md.
typedef struct {
  uint8_t pitch;      // MIDI key, 1..127
  float   velocity;   // (0, 1]; MIDI velocity / 127
  float   step_s;     // seconds since the previous key press, [0.001, 2]
  float   duration_s; // seconds until the key is released, [0.001, 2]
} NoteEvent;

// A note on the absolute time line of a file.
typedef struct {
  double  onset_s;
  double  duration_s;
  uint8_t pitch;    // 0..127
  uint8_t velocity; // 1..127
  uint8_t channel;  // 0..15
} PlayedNote;

// Clamps every field into its range (a NaN becomes the range's lowest value).
NoteEvent note_event_clamp(NoteEvent event);

// 1..127 <-> (0, 1]
float   velocity_from_midi(uint8_t velocity);
uint8_t velocity_to_midi(float velocity);
