// A classifier of two kinds of rows: gradient-boosted regression trees on
// histograms with logistic loss (Friedman 2001; leaf-wise growth and histograms
// as LightGBM, Ke et al. 2017). Small and deterministic: one thread, a pure
// function of its arguments. Any thread.
#pragma once

#include "status.h"

#include <stdint.h>

#define TREES_COLUMNS_MAX 1024u
#define TREES_BINS 128u // of a column, cut at its quantiles
#define TREES_LEAVES_MAX 64u

typedef struct {
  uint32_t trees;
  uint32_t leaves; // of each, 2 .. TREES_LEAVES_MAX
  float    rate;   // of learning
  uint32_t leaf_rows_min;
  float    column_share; // of columns that one tree may look at, (0, 1]
  uint64_t seed;         // which those are
} TreesSettings;

typedef struct BoostedTrees BoostedTrees;

// x[rows][columns], finite; label[rows] 0 or 1; 2 rows at least.
Status trees_train(const TreesSettings* settings,
                   uint32_t             rows,
                   uint32_t             columns,
                   const float*         x,
                   const uint8_t*       label,
                   BoostedTrees**       out,
                   Error*               error);
void   trees_free(BoostedTrees* trees);

// score[rows]: log odds of label 1.
void trees_score(const BoostedTrees* trees,
                 uint32_t            rows,
                 const float*        x,
                 float*              score);
