// Figures about note events: reconstruction as the reference system measures
// it, and the spreads by which a collapsed model shows. Pure; any thread.
#pragma once

#include "music/note.h"

#include <stdint.h>

// Adds up over windows of WINDOW_NOTES.
typedef struct {
  uint64_t note_count;
  uint64_t pitch_hits; // equal pitch at equal index
  double   iou_sum;    // of the intervals [onset, onset + duration] at equal
                       // index, onsets being cumulative steps from the window's
                       // start: as the reference, pitch is ignored and onset
                       // errors add up
} Reconstruction;

void   reconstruction_add(Reconstruction*  sum,
                          const NoteEvent* truth,
                          const NoteEvent* ours);
double reconstruction_accuracy(const Reconstruction* sum);
double reconstruction_iou(const Reconstruction* sum);

enum {
  SPREAD_PITCH,
  SPREAD_VELOCITY,
  SPREAD_STEP,
  SPREAD_DURATION,
  SPREAD_COUNT
};

// Mean and standard deviation of each field over notes.
typedef struct {
  uint64_t count;
  double   sum[SPREAD_COUNT];
  double   square[SPREAD_COUNT];
} Spread;

void   spread_add(Spread* spread, const NoteEvent* events, uint32_t count);
double spread_mean(const Spread* spread, int field);
double spread_deviation(const Spread* spread, int field);

// The share of a window's notes that fit the major scale which fits most of
// them (scale consistency, Mogren 2016, over the twelve major scales).
double scale_consistency(const NoteEvent* window);
