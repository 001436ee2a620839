// The two-sample test and the Frechet distance on data whose answer is known.
#include "boosted_trees.h"
#include "c2st.h"
#include "frechet.h"
#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 4000u
#define COLUMNS 4u

typedef struct {
  float   x[ROWS * COLUMNS];
  uint8_t half[ROWS];
} Sample;

static Sample a, b;

// Standard normal, halves in turn.
static void
fill(Sample* s, uint64_t index)
{
  Rng rng = rng_make(1, RNG_USE_TEST, index);
  rng_normals(&rng, s->x, ROWS * COLUMNS);
  for (uint32_t r = 0; r < ROWS; ++r) {
    s->half[r] = r % 2;
  }
}

static double
auc_of(uint64_t seed)
{
  const C2stSet real  = { ROWS, a.x, a.half };
  const C2stSet other = { ROWS, b.x, b.half };
  double        auc;
  Error         error;
  assert_int_equal(c2st(COLUMNS, &real, &other, seed, &auc, &error), STATUS_OK);
  return auc;
}

static void
test_auc_by_ranks_is_a_count_of_pairs(void** state)
{
  (void)state;
  for (uint64_t round = 0; round < 20; ++round) {
    float   score[60];
    uint8_t label[60];
    Rng     rng   = rng_make(2, RNG_USE_TEST, round);
    double  won   = 0.0;
    double  pairs = 0.0;
    for (int i = 0; i < 60; ++i) {
      score[i] = (float)rng_below(&rng, 9) - 4.0f; // many ties
      label[i] = rng_below(&rng, 3) == 0;
    }
    for (int i = 0; i < 60; ++i) {
      for (int k = 0; k < 60; ++k) {
        if (label[i] == 1 && label[k] == 0) {
          pairs += 1.0;
          won += score[i] > score[k] ? 1.0 : score[i] < score[k] ? 0.0 : 0.5;
        }
      }
    }
    assert_true(fabs(c2st_auc_of_scores(60, score, label) - won / pairs) <
                1e-12);
  }
  const float   score[2] = { 1.0f, 2.0f };
  const uint8_t ones[2]  = { 1, 1 };
  assert_true(isnan(c2st_auc_of_scores(2, score, ones)));
}

static void
test_same_distribution_is_not_told_apart(void** state)
{
  (void)state;
  fill(&a, 1);
  fill(&b, 2);
  const double auc = auc_of(1);
  assert_true(fabs(auc - 0.5) < 0.04);
  assert_true(auc_of(1) == auc);
  assert_true(auc_of(2) != auc);
  b = a; // every row on both sides: nothing can be learned
  assert_true(fabs(auc_of(1) - 0.5) < 0.02);
}

static void
test_separable_sets_are_told_apart(void** state)
{
  (void)state;
  fill(&a, 1);
  fill(&b, 2);
  for (uint32_t r = 0; r < ROWS; ++r) {
    b.x[r * COLUMNS + 2] += 10.0f;
  }
  assert_true(auc_of(1) > 0.999);
}

// A shift d of a unit normal has AUC Phi(d / sqrt 2) at best.
static void
test_shift_comes_near_the_best_auc(void** state)
{
  (void)state;
  fill(&a, 1);
  fill(&b, 2);
  for (uint32_t r = 0; r < ROWS; ++r) {
    b.x[r * COLUMNS + 1] += 1.0f;
  }
  const double best = 0.5 * erfc(-0.5);
  const double auc  = auc_of(1);
  assert_true(auc > best - 0.08 && auc < best + 0.02);
}

// Equal marginals, means and covariances: only the sizes go together.
static void
test_relations_are_seen(void** state)
{
  (void)state;
  fill(&a, 1);
  fill(&b, 2);
  for (uint32_t r = 0; r < ROWS; ++r) {
    float* const x = b.x + (size_t)r * COLUMNS;
    x[1]           = copysignf(x[0], x[1]);
  }
  assert_true(auc_of(1) > 0.8);
}

// Real rows of a half share a mark that those of the other do not have, as a
// recording has; the other set has all marks. To judge rows by a classifier
// that knows their recording would find them out.
static void
test_marks_of_a_half_are_of_no_use(void** state)
{
  (void)state;
  fill(&a, 1);
  fill(&b, 2);
  for (uint32_t r = 0; r < ROWS; ++r) {
    a.x[r * COLUMNS] = (float)(2 * (r / 2 % 10));
    b.x[r * COLUMNS] = (float)(2 * (r / 2 % 10)) + 1.0f;
  }
  assert_true(auc_of(1) > 0.99); // marks that both halves share are learned
  for (uint32_t r = 0; r < ROWS; ++r) {
    a.x[r * COLUMNS] = (float)(4 * (r % 20) + 2);
    b.x[r * COLUMNS] = (float)(4 * ((r * 7) % 20) + 2);
    a.half[r]        = a.x[r * COLUMNS] > 40.0f;
    b.half[r]        = r % 2;
  }
  assert_true(auc_of(1) < 0.55);
}

static void
test_bad_settings(void** state)
{
  (void)state;
  fill(&a, 1);
  uint8_t       label[ROWS] = { 0, 1 };
  BoostedTrees* trees;
  Error         error;
  TreesSettings settings = { .trees = 1, .leaves = 1, .column_share = 1.0f };
  assert_int_equal(
    trees_train(&settings, ROWS, COLUMNS, a.x, label, &trees, &error),
    STATUS_BAD_ARGUMENT);
  assert_null(trees);
  settings.leaves = 2;
  assert_int_equal(
    trees_train(&settings, 1, COLUMNS, a.x, label, &trees, &error),
    STATUS_BAD_ARGUMENT);

  const uint8_t no_halves[8] = { 0 };
  const C2stSet real         = { ROWS, a.x, a.half };
  const C2stSet one_half     = { 8, a.x, no_halves };
  double        auc;
  assert_int_equal(c2st(COLUMNS, &one_half, &real, 1, &auc, &error),
                   STATUS_BAD_ARGUMENT);
  assert_int_equal(c2st(COLUMNS, &real, &one_half, 1, &auc, &error),
                   STATUS_BAD_ARGUMENT);
}

// One tree of two leaves finds the cut, and its leaves are the logits' first
// Newton step: sum of residuals over sum of p (1 - p), with p the mean.
static void
test_one_split_is_newtons_step(void** state)
{
  (void)state;
  static float        x[64];
  static uint8_t      label[64];
  float               score[2];
  const float         asked[2] = { 10.0f, 50.0f };
  const TreesSettings settings = { .trees         = 1,
                                   .leaves        = 2,
                                   .rate          = 1.0f,
                                   .leaf_rows_min = 4,
                                   .column_share  = 1.0f };
  for (int i = 0; i < 64; ++i) {
    x[i]     = (float)i;
    label[i] = i >= 32 ? i % 4 != 3 : i % 4 == 0; // 8 of 32, then 24 of 32
  }
  BoostedTrees* trees;
  Error         error;
  assert_int_equal(trees_train(&settings, 64, 1, x, label, &trees, &error),
                   STATUS_OK);
  trees_score(trees, 2, asked, score);
  trees_free(trees);
  assert_true(fabsf(score[0] + 1.0f) < 0.02f); // (8 - 16) / 8
  assert_true(fabsf(score[1] - 1.0f) < 0.02f);
}

// Three steps need a second split, of the child that was not counted.
static void
test_second_split(void** state)
{
  (void)state;
  static float        x[96];
  static uint8_t      label[96];
  float               score[3];
  const float         asked[3] = { 10.0f, 40.0f, 80.0f };
  const TreesSettings settings = { .trees         = 1,
                                   .leaves        = 3,
                                   .rate          = 1.0f,
                                   .leaf_rows_min = 4,
                                   .column_share  = 1.0f };
  for (int i = 0; i < 96; ++i) { // 4 of 32, 16 of 32, 28 of 32
    x[i]     = (float)i;
    label[i] = i < 32 ? i % 8 == 4 : i < 64 ? i % 2 == 0 : i % 8 != 3;
  }
  BoostedTrees* trees;
  Error         error;
  assert_int_equal(trees_train(&settings, 96, 1, x, label, &trees, &error),
                   STATUS_OK);
  trees_score(trees, 3, asked, score);
  trees_free(trees);
  assert_true(fabsf(score[0] + 1.5f) < 0.02f); // (4 - 16) / 8
  assert_true(fabsf(score[1]) < 0.02f);
  assert_true(fabsf(score[2] - 1.5f) < 0.02f);
}

// Which cut of column 1 is best for the large child, which is what is left of
// the whole when the small one is counted: all of those that have label 1 for
// sure, told by column 0, crowd at the low end of column 1.
static void
test_the_rest_is_split_where_it_gains_most(void** state)
{
  (void)state;
  enum { LARGE = 100, SMALL = 60, ALL = LARGE + SMALL, LEAST = 15 };
  static float        x[ALL][2];
  static uint8_t      label[ALL];
  const TreesSettings settings = { .trees         = 1,
                                   .leaves        = 3,
                                   .rate          = 1.0f,
                                   .leaf_rows_min = LEAST,
                                   .column_share  = 1.0f };
  for (uint64_t round = 0; round < 40; ++round) {
    Rng    rng     = rng_make(5, RNG_USE_TEST, round);
    double ones[2] = { 0 }, best = 0.0;
    float  want = 0.0f;
    for (uint32_t r = 0; r < ALL; ++r) {
      x[r][0]  = r >= LARGE;
      x[r][1]  = (float)(r < LARGE ? r / 10 : r % 3);
      label[r] = r >= LARGE || rng_below(&rng, 5) == 0;
      ones[1] += label[r];
    }
    const double p = (ones[1] + 0.5) / (ALL + 1.0);
    ones[1] -= SMALL; // of the large child, above a cut
    for (uint32_t r = 0; r < LARGE - LEAST; ++r) {
      ones[0] += label[r];
      ones[1] -= label[r];
      const double low = r + 1, high = LARGE - low;
      const double gain =
        pow(low * p - ones[0], 2.0) / low + pow(high * p - ones[1], 2.0) / high;
      if (low >= LEAST && r % 10 == 9 && gain > best) {
        best = gain;
        want = x[r][1] + 0.5f;
      }
    }
    float         asked[10][2], score[10];
    BoostedTrees* trees;
    Error         error;
    assert_int_equal(
      trees_train(&settings, ALL, 2, &x[0][0], label, &trees, &error),
      STATUS_OK);
    for (int i = 0; i < 10; ++i) {
      asked[i][0] = 0.0f;
      asked[i][1] = (float)i;
    }
    trees_score(trees, 10, &asked[0][0], score);
    trees_free(trees);
    for (int i = 1; i < 10; ++i) {
      const bool cut = (float)i > want && (float)i - 1.0f < want;
      assert_true((score[i] != score[i - 1]) == cut);
    }
  }
}

// Which half is the first does not matter.
static void
test_both_halves_are_judged(void** state)
{
  (void)state;
  fill(&a, 1);
  fill(&b, 2);
  for (uint32_t r = 0; r < ROWS; ++r) {
    b.x[r * COLUMNS] += r % 2 ? 1.0f : 0.2f;
  }
  const double auc = auc_of(1);
  for (uint32_t r = 0; r < ROWS; ++r) {
    a.half[r] = b.half[r] = r % 2 == 0;
  }
  assert_true(fabs(auc_of(1) - auc) < 1e-12);
}

static double
distance(uint32_t      columns,
         const double* mean1,
         const double* s1,
         const double* mean2,
         const double* s2)
{
  double d;
  Error  error;
  assert_int_equal(frechet_gaussians(columns, mean1, s1, mean2, s2, &d, &error),
                   STATUS_OK);
  return d;
}

static void
test_frechet_of_known_gaussians(void** state)
{
  (void)state;
  const double m0[3] = { 0, 0, 0 };
  const double m1[3] = { 1, -2, 0.5 };
  const double s1[9] = { 4, 0, 0, 0, 9, 0, 0, 0, 1 };
  const double s2[9] = { 1, 0, 0, 0, 16, 0, 0, 0, 1 };
  // Diagonal: squared distance of means and of deviations.
  assert_true(fabs(distance(3, m0, s1, m1, s2) - (5.25 + 1 + 1)) < 1e-9);
  assert_true(fabs(distance(3, m1, s1, m1, s1)) < 1e-9);

  // Two columns that do not commute: Tr sqrt(S1 S2) is
  // sqrt(Tr(S1 S2) + 2 sqrt(det S1 det S2)).
  const double t1[4]   = { 2, 1, 1, 3 };
  const double t2[4]   = { 5, -2, -2, 1 };
  const double trace   = 2 * 5 + 2 * (1 * -2) + 3 * 1;
  const double product = (2 * 3 - 1) * (5 * 1 - 4);
  const double want    = 2 + 3 + 5 + 1 - 2 * sqrt(trace + 2 * sqrt(product));
  assert_true(fabs(distance(2, m0, t1, m0, t2) - want) < 1e-9);
  assert_true(fabs(distance(2, m0, t2, m0, t1) - want) < 1e-9);

  // Singular: a column that is the sum of the others.
  const double u[9] = { 1, 0, 1, 0, 1, 1, 1, 1, 2 };
  assert_true(fabs(distance(3, m0, u, m0, u)) < 1e-6);
  Error  error;
  double d;
  assert_int_equal(frechet_gaussians(0, m0, s1, m0, s1, &d, &error),
                   STATUS_BAD_ARGUMENT);
}

static void
test_frechet_of_samples_is_corrected_for_size(void** state)
{
  (void)state;
  enum { rows = 800, columns = 20 };
  static float x[rows * columns];
  static float y[rows * columns];
  double       plain, unbiased;
  Error        error;
  Rng          rng = rng_make(3, RNG_USE_TEST, 0);
  rng_normals(&rng, x, rows * columns);
  rng_normals(&rng, y, rows * columns);
  assert_int_equal(frechet_samples(rows, columns, x, x, &plain, &error),
                   STATUS_OK);
  assert_true(fabs(plain) < 1e-6);
  assert_int_equal(frechet_samples(rows, columns, x, y, &plain, &error),
                   STATUS_OK);
  assert_int_equal(frechet_unbiased(rows, columns, x, y, &unbiased, &error),
                   STATUS_OK);
  assert_true(plain > 0.1); // though they are of one distribution
  assert_true(fabs(unbiased) < 0.3 * plain);

  for (int i = 0; i < rows * columns; ++i) {
    y[i] = 2.0f * y[i] + (i % columns == 0 ? 3.0f : 0.0f);
  }
  assert_int_equal(frechet_unbiased(rows, columns, x, y, &unbiased, &error),
                   STATUS_OK);
  assert_true(fabs(unbiased - (9.0 + columns)) < 1.0);
}

// The line through the distances of the whole, of halves and of quarters, by
// the reciprocal of their sizes.
static void
test_frechet_of_parts(void** state)
{
  (void)state;
  enum { rows = 160, columns = 3 };
  static float x[rows * columns], y[rows * columns];
  double       mean[3] = { 0 }, unbiased;
  Error        error;
  Rng          rng = rng_make(3, RNG_USE_TEST, 1);
  rng_normals(&rng, x, rows * columns);
  rng_normals(&rng, y, rows * columns);
  for (int i = 0; i < rows * columns; ++i) {
    y[i] += (float)i / 100.0f; // each part is another
  }
  for (uint32_t k = 0; k < 3; ++k) {
    const uint32_t of_part = rows >> k;
    for (uint32_t part = 0; part < 1u << k; ++part) {
      const size_t at = (size_t)part * of_part * columns;
      double       d;
      assert_int_equal(
        frechet_samples(of_part, columns, x + at, y + at, &d, &error),
        STATUS_OK);
      mean[k] += d / (1u << k);
    }
  }
  assert_int_equal(frechet_unbiased(rows, columns, x, y, &unbiased, &error),
                   STATUS_OK);
  // Sizes are as 1, 2 and 4: their mean is 7/3, at 0 the line is there.
  const double middle = (mean[0] + mean[1] + mean[2]) / 3.0;
  const double slope =
    (-4.0 * mean[0] - mean[1] + 5.0 * mean[2]) / 3.0 / (14.0 / 3.0);
  assert_true(fabs(unbiased - (middle - slope * 7.0 / 3.0)) < 1e-6);

  // Of two values each, by hand: variances 2 and 8, means 1 and 2.
  const float few[2] = { 0.0f, 2.0f }, far[2] = { 0.0f, 4.0f };
  assert_int_equal(frechet_samples(2, 1, few, far, &unbiased, &error),
                   STATUS_OK);
  assert_true(fabs(unbiased - 3.0) < 1e-9);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_auc_by_ranks_is_a_count_of_pairs),
    cmocka_unit_test(test_same_distribution_is_not_told_apart),
    cmocka_unit_test(test_separable_sets_are_told_apart),
    cmocka_unit_test(test_shift_comes_near_the_best_auc),
    cmocka_unit_test(test_relations_are_seen),
    cmocka_unit_test(test_marks_of_a_half_are_of_no_use),
    cmocka_unit_test(test_bad_settings),
    cmocka_unit_test(test_one_split_is_newtons_step),
    cmocka_unit_test(test_second_split),
    cmocka_unit_test(test_the_rest_is_split_where_it_gains_most),
    cmocka_unit_test(test_both_halves_are_judged),
    cmocka_unit_test(test_frechet_of_known_gaussians),
    cmocka_unit_test(test_frechet_of_samples_is_corrected_for_size),
    cmocka_unit_test(test_frechet_of_parts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
