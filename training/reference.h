// Held-out music, and how far a set of windows or streams is from it: the
// classifier two-sample test and the Frechet distance on hand features. Main
// thread.
#pragma once

#include "window_set.h"

// What a classifier sees of each note besides the features: pitch, velocity,
// step, duration, interval from the note before.
#define REFERENCE_NOTE_COLUMNS 5u

typedef struct {
  const WindowSet* test;
  uint32_t         features; // FEATURE_COUNT, of streams STREAM_FEATURE_COUNT
  uint32_t         columns;  // features, then those of the notes
  float*           rows;     // [test->count][columns]
  float*           mean;     // [features], of the training set, by which the
  float*           scale;    // Frechet distance's features are z-scored
} Reference;

// `test` must outlive it. Both of WINDOW_NOTES notes, or of several windows.
Status reference_create(const WindowSet* test,
                        const WindowSet* train,
                        Reference*       out,
                        Error*           error);
void   reference_free(Reference* reference);

typedef struct {
  double auc;
  double frechet; // frechet_unbiased() of as many rows as both sets have
} Difference;

Status reference_compare(const Reference* reference,
                         const WindowSet* other,
                         uint64_t         seed,
                         Difference*      out,
                         Error*           error);
