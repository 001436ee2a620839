// Classifier two-sample test.
#include "c2st.h"

#include "boosted_trees.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  float   score;
  uint8_t label;
} Scored;

static int
compare_scores(const void* a, const void* b)
{
  const float x = ((const Scored*)a)->score;
  const float y = ((const Scored*)b)->score;
  return (x > y) - (x < y);
}

double
c2st_auc_of_scores(uint32_t count, const float* score, const uint8_t* label)
{
  Scored* const sorted = malloc(count * sizeof *sorted);
  double        ones   = 0.0;
  double        ranks  = 0.0; // of label 1, summed
  for (uint32_t i = 0; sorted && i < count; ++i) {
    sorted[i] = (Scored){ score[i], label[i] };
    ones += label[i];
  }
  const double zeros = count - ones;
  if (!sorted || ones == 0.0 || zeros == 0.0) {
    free(sorted);
    return NAN;
  }
  qsort(sorted, count, sizeof *sorted, compare_scores);
  for (uint32_t i = 0; i < count;) {
    uint32_t end       = i;
    double   tied_ones = 0.0;
    while (end < count && !(sorted[end].score > sorted[i].score)) {
      tied_ones += sorted[end++].label;
    }
    ranks += tied_ones * 0.5 * (i + 1.0 + end); // mean of ranks i + 1 .. end
    i = end;
  }
  free(sorted);
  return (ranks - 0.5 * ones * (ones + 1.0)) / (ones * zeros);
}

// Rows of one half of both sets, label 0 for `real`.
typedef struct {
  uint32_t rows;
  float*   x;
  uint8_t* label;
} Half;

static bool
half_make(Half*          half,
          uint8_t        which,
          uint32_t       columns,
          const C2stSet* real,
          const C2stSet* other)
{
  const size_t all = (size_t)real->rows + other->rows;
  *half = (Half){ 0, malloc(all * columns * sizeof(float)), malloc(all) };
  if (!half->x || !half->label) {
    return false;
  }
  const C2stSet* const sets[2] = { real, other };
  for (uint8_t s = 0; s < 2; ++s) {
    for (uint32_t r = 0; r < sets[s]->rows; ++r) {
      if (sets[s]->half[r] == which) {
        memcpy(half->x + (size_t)half->rows * columns,
               sets[s]->x + (size_t)r * columns,
               columns * sizeof(float));
        half->label[half->rows++] = s;
      }
    }
  }
  return true;
}

static Status
judge(const Half* train,
      const Half* held_out,
      uint32_t    columns,
      uint64_t    seed,
      double*     auc,
      Error*      error)
{
  const TreesSettings settings = {
    .trees         = 400,
    .leaves        = 31,
    .rate          = 0.05f,
    .leaf_rows_min = 20,
    .column_share  = 0.3f,
    .seed          = seed,
  };
  BoostedTrees* trees;
  float* const  score = malloc(held_out->rows * sizeof *score);
  Status        status =
    score ? trees_train(&settings,
                        train->rows,
                        columns,
                        train->x,
                        train->label,
                        &trees,
                        error)
                 : error_set(error, STATUS_NO_MEMORY, "no memory for a classifier");
  if (status == STATUS_OK) {
    trees_score(trees, held_out->rows, held_out->x, score);
    *auc = c2st_auc_of_scores(held_out->rows, score, held_out->label);
    trees_free(trees);
  }
  free(score);
  return status;
}

// A half without rows of one set cannot be learned from, or judged.
static Status
check_sets(const C2stSet* real, const C2stSet* other, Error* error)
{
  const C2stSet* const sets[2] = { real, other };
  for (int s = 0; s < 2; ++s) {
    uint32_t of_half[2] = { 0 };
    for (uint32_t r = 0; r < sets[s]->rows; ++r) {
      ++of_half[sets[s]->half[r]];
    }
    if (!of_half[0] || !of_half[1]) {
      return error_set(
        error,
        STATUS_BAD_ARGUMENT,
        "music of two pieces at least is needed on each side, to "
        "learn from one and judge by another");
    }
  }
  return STATUS_OK;
}

Status
c2st(uint32_t       columns,
     const C2stSet* real,
     const C2stSet* other,
     uint64_t       seed,
     double*        auc,
     Error*         error)
{
  Half   halves[2] = { { 0 } };
  double aucs[2]   = { 0 };
  Status status    = check_sets(real, other, error);
  for (uint8_t i = 0; i < 2 && status == STATUS_OK; ++i) {
    if (!half_make(&halves[i], i, columns, real, other)) {
      status = error_set(error, STATUS_NO_MEMORY, "no memory for a classifier");
    }
  }
  for (int i = 0; i < 2 && status == STATUS_OK; ++i) {
    status = judge(&halves[i], &halves[1 - i], columns, seed, &aucs[i], error);
  }
  for (int i = 0; i < 2; ++i) {
    free(halves[i].x);
    free(halves[i].label);
  }
  *auc = 0.5 * (aucs[0] + aucs[1]);
  return status;
}
