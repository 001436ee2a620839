// Figures about note events: reconstruction as the reference system measures
// it, spreads and marginals by which a collapsed model shows, copies of
// training music, constancy of long streams. Pure but for the interval index's
// memory; any thread.
#pragma once

#include "music/note.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>

// --- Reconstruction ----------------------------------------------------------

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

// --- Spread and marginals ----------------------------------------------------

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

enum {
  MARGINAL_PITCH,
  MARGINAL_CLASS,    // pitch class
  MARGINAL_INTERVAL, // between neighbours of one window, signed semitones
  MARGINAL_VELOCITY, // MIDI's, four to a bin
  MARGINAL_STEP,     // of ln(1 + S / 0.02 s), bins 0.1 wide
  MARGINAL_DURATION, // of ln(max(D, 0.01 s)), likewise
  MARGINAL_COUNT
};
#define MARGINAL_BINS 256

// Histograms of fields.
typedef struct {
  uint64_t total[MARGINAL_COUNT];
  uint64_t bins[MARGINAL_COUNT][MARGINAL_BINS];
} Marginals;

void marginals_add(Marginals*       marginals,
                   const NoteEvent* window,
                   uint32_t         notes);
// Overlapping area: sum over bins of min(p, q), 0..1.
double marginals_overlap(const Marginals* a, const Marginals* b, int field);

// The share of a run's notes that fit the major scale which fits most of them
// (scale consistency, Mogren 2016, over the twelve major scales).
double scale_consistency(const NoteEvent* events, uint32_t notes);

// --- Memorisation ------------------------------------------------------------

// The interval sequences of all runs of WINDOW_NOTES notes that were added,
// each exactly, with the one piece where it stands or the fact that several
// have it.
typedef struct {
  uint64_t* keys;   // 0: empty
  uint32_t* pieces; // of each key
  uint64_t  mask;
  uint64_t  count;
} IntervalIndex;

#define INTERVAL_NO_PIECE UINT32_MAX

// Room for `runs_max` runs.
Status interval_index_create(IntervalIndex* index,
                             uint64_t       runs_max,
                             Error*         error);
void   interval_index_free(IntervalIndex* index);
void   interval_index_add(IntervalIndex*   index,
                          const NoteEvent* window,
                          uint32_t         piece);
// Does any piece other than `but` (INTERVAL_NO_PIECE: any at all) have a run
// with exactly these intervals?
bool interval_index_has(const IntervalIndex* index,
                        const NoteEvent*     window,
                        uint32_t             but);

// --- Streams -----------------------------------------------------------------

// Overlapping area of two normal densities, 0..1; deviations above 0.
double normal_overlap(double mean1,
                      double deviation1,
                      double mean2,
                      double deviation2);

// Framewise self-similarity (Choi et al. 2020; Plasser et al. 2023, SCHmUBERT):
// of frames of 16 notes, hop 8, the overlapping area of the normal densities
// fitted to neighbours' pitches and to their log durations. Added up over
// streams.
typedef struct {
  uint64_t count;
  double   sum[2]; // pitch, duration
  double   square[2];
} SelfSimilarity;

#define FRAME_NOTES 16u
#define FRAME_HOP 8u

void self_similarity_add(SelfSimilarity*  sum,
                         const NoteEvent* events,
                         uint32_t         notes);
// 1 - |ours - real| / real of the areas' mean and of their variance, not below
// 0; field 0: pitch, 1: duration.
double self_similarity_consistency(const SelfSimilarity* ours,
                                   const SelfSimilarity* real,
                                   int                   field);
double self_similarity_variance(const SelfSimilarity* ours,
                                const SelfSimilarity* real,
                                int                   field);
