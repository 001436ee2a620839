// Classifier two-sample test (Lopez-Paz and Oquab 2017): how well a fresh
// classifier tells two sets of rows apart that it has not seen. Pure but for
// scratch memory; any thread.
#pragma once

#include "status.h"

#include <stdint.h>

// Area under the ROC curve: the chance that a row of label 1 scores above one
// of label 0, ties counting half (Mann-Whitney, by ranks). NaN where one label
// is missing.
double c2st_auc_of_scores(uint32_t       count,
                          const float*   score,
                          const uint8_t* label);

// One of the two sets. Rows of one half are never judged by a classifier that
// was trained on rows of that half.
typedef struct {
  uint32_t       rows;
  const float*   x;    // [rows][columns]
  const uint8_t* half; // [rows], 0 or 1
} C2stSet;

// A classifier (boosted_trees.h) is trained on half 0 of both sets and judged
// on half 1, another the other way round; `auc` is the mean of both. 0.5: not
// to be told apart; 1: always. It can come out a little below 0.5.
// STATUS_BAD_ARGUMENT where a half of one set has no rows.
Status c2st(uint32_t       columns,
            const C2stSet* real,
            const C2stSet* other,
            uint64_t       seed,
            double*        auc,
            Error*         error);
