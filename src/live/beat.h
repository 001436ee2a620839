// Beats and frames: one steady tempo, anchored where both are known. Pure; any
// thread.
#pragma once

#include <stdint.h>

// Music keeps its own pace at this tempo; two of its beats last a second.
#define BEAT_OWN_BPM 120.0
#define BEATS_PER_OWN_SECOND 2.0

typedef struct {
  uint64_t frame; // where `beat` falls
  double   beat;  // quarter notes
  double   bpm;   // quarter notes a minute, above 0
} BeatMap;

// Nearest frame, not below 0.
uint64_t beat_frame(const BeatMap* map, uint32_t sample_rate_hz, double beat);
double   beat_at(const BeatMap* map, uint32_t sample_rate_hz, uint64_t frame);

// The same beats until `frame`, from there at another tempo.
BeatMap beat_turn(const BeatMap* map,
                  uint32_t       sample_rate_hz,
                  uint64_t       frame,
                  double         bpm);
