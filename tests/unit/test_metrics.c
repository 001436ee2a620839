// The reference system's reconstruction figures on windows whose values are
// worked out by hand, and spreads.
#include "metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
fill(NoteEvent window[WINDOW_NOTES])
{
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i] = (NoteEvent){ (uint8_t)(60 + i), 0.5f, 0.25f, 0.5f };
  }
}

static void
test_equal_windows(void** state)
{
  (void)state;
  NoteEvent      window[WINDOW_NOTES];
  Reconstruction sum = { 0 };
  fill(window);
  reconstruction_add(&sum, window, window);
  assert_true(reconstruction_accuracy(&sum) == 1.0);
  assert_true(fabs(reconstruction_iou(&sum) - 1.0) < 1e-9);
}

static void
test_pitch_counts_at_equal_index_only(void** state)
{
  (void)state;
  NoteEvent      truth[WINDOW_NOTES];
  NoteEvent      ours[WINDOW_NOTES];
  Reconstruction sum = { 0 };
  fill(truth);
  fill(ours);
  ours[0].pitch = 61; // right notes, swapped: both wrong
  ours[1].pitch = 60;
  reconstruction_add(&sum, truth, ours);
  assert_true(fabs(reconstruction_accuracy(&sum) - 0.75) < 1e-9);
  assert_true(fabs(reconstruction_iou(&sum) - 1.0) < 1e-9); // pitch is ignored
}

static void
test_iou_adds_onset_errors_up(void** state)
{
  (void)state;
  NoteEvent      truth[WINDOW_NOTES];
  NoteEvent      ours[WINDOW_NOTES];
  Reconstruction sum = { 0 };
  fill(truth);
  fill(ours);
  ours[4].step_s += 0.25f; // this and all later notes come 0.25 s late
  reconstruction_add(&sum, truth, ours);
  // Four at 1; four overlap by 0.25 of 0.75 s.
  assert_true(fabs(reconstruction_iou(&sum) - (4.0 + 4.0 / 3.0) / 8.0) < 1e-6);

  Reconstruction half = { 0 };
  fill(ours);
  ours[7].duration_s = 0.25f;
  reconstruction_add(&half, truth, ours);
  assert_true(fabs(reconstruction_iou(&half) - 7.5 / 8.0) < 1e-6);
}

static void
test_spread(void** state)
{
  (void)state;
  const NoteEvent notes[4] = { { 50, 0.2f, 0.1f, 1.0f },
                               { 70, 0.4f, 0.1f, 1.0f },
                               { 50, 0.2f, 0.3f, 1.0f },
                               { 70, 0.4f, 0.3f, 1.0f } };
  Spread          spread   = { 0 };
  spread_add(&spread, notes, 4);
  assert_true(fabs(spread_mean(&spread, SPREAD_PITCH) - 60.0) < 1e-9);
  assert_true(fabs(spread_deviation(&spread, SPREAD_PITCH) - 10.0) < 1e-9);
  assert_true(fabs(spread_deviation(&spread, SPREAD_VELOCITY) - 0.1) < 1e-6);
  assert_true(fabs(spread_deviation(&spread, SPREAD_STEP) - 0.1) < 1e-6);
  assert_true(spread_deviation(&spread, SPREAD_DURATION) < 1e-6);
}

static void
test_scale_consistency(void** state)
{
  (void)state;
  static const uint8_t a_major[WINDOW_NOTES] = {
    69, 71, 61, 62, 64, 78, 80, 33
  };
  static const uint8_t chromatic[WINDOW_NOTES] = { 60, 61, 62, 63,
                                                   64, 65, 66, 67 };
  NoteEvent            window[WINDOW_NOTES];
  fill(window);
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i].pitch = a_major[i];
  }
  assert_true(scale_consistency(window, WINDOW_NOTES) == 1.0);
  window[3].pitch = 65; // F natural
  assert_true(scale_consistency(window, WINDOW_NOTES) == 7.0 / 8.0);
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i].pitch = chromatic[i];
  }
  assert_true(scale_consistency(window, WINDOW_NOTES) ==
              5.0 / 8.0); // C to G: C D E F G
}

static void
test_marginals(void** state)
{
  (void)state;
  Marginals low  = { 0 };
  Marginals high = { 0 };
  Marginals both = { 0 };
  NoteEvent window[WINDOW_NOTES];
  fill(window);
  marginals_add(&low, window, WINDOW_NOTES);
  marginals_add(&both, window, WINDOW_NOTES);
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i].pitch += 36;
    window[i].velocity   = 0.9f;
    window[i].step_s     = 0.001f;
    window[i].duration_s = 2.0f;
  }
  marginals_add(&high, window, WINDOW_NOTES);
  marginals_add(&both, window, WINDOW_NOTES);
  for (int f = 0; f < MARGINAL_COUNT; ++f) {
    const bool same = f == MARGINAL_CLASS || f == MARGINAL_INTERVAL;
    assert_true(fabs(marginals_overlap(&low, &low, f) - 1.0) < 1e-12);
    assert_true(fabs(marginals_overlap(&low, &high, f) - (same ? 1.0 : 0.0)) <
                1e-12);
    assert_true(fabs(marginals_overlap(&low, &both, f) - (same ? 1.0 : 0.5)) <
                1e-12);
  }

  Marginals down = { 0 }; // by a semitone
  Marginals fall = { 0 }; // by two
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i].pitch = (uint8_t)(80 - i);
  }
  marginals_add(&down, window, WINDOW_NOTES);
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i].pitch = (uint8_t)(80 - 2 * i);
  }
  marginals_add(&fall, window, WINDOW_NOTES);
  assert_true(marginals_overlap(&down, &fall, MARGINAL_INTERVAL) == 0.0);
  assert_true(marginals_overlap(&down, &low, MARGINAL_INTERVAL) == 0.0);
}

static void
test_copies_are_found(void** state)
{
  (void)state;
  IntervalIndex index;
  Error         error;
  NoteEvent     window[WINDOW_NOTES];
  fill(window);
  assert_int_equal(interval_index_create(&index, 1000, &error), STATUS_OK);
  assert_false(interval_index_has(&index, window, INTERVAL_NO_PIECE));
  interval_index_add(&index, window, 3);
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i].pitch += 5; // in another key, with other times
    window[i].step_s = 0.7f;
  }
  assert_true(interval_index_has(&index, window, INTERVAL_NO_PIECE));
  assert_true(interval_index_has(&index, window, 4));
  assert_false(interval_index_has(&index, window, 3)); // no piece but its own
  interval_index_add(&index, window, 4);
  assert_true(interval_index_has(&index, window, 3));
  assert_int_equal(index.count, 1);
  window[7].pitch += 1;
  assert_false(interval_index_has(&index, window, INTERVAL_NO_PIECE));
  for (uint8_t i = 0; i < 100; ++i) { // many, the widest intervals among them
    for (int k = 0; k < WINDOW_NOTES; ++k) {
      window[k].pitch = k % 2 ? 127 : (uint8_t)(1 + i);
    }
    interval_index_add(&index, window, i);
    assert_true(interval_index_has(&index, window, INTERVAL_NO_PIECE));
    assert_false(interval_index_has(&index, window, i));
  }
  assert_int_equal(index.count, 101);
  interval_index_free(&index);
}

// The smaller of two normal densities, summed in small steps.
static double
overlap_by_sum(double m1, double s1, double m2, double s2)
{
  double sum = 0.0;
  for (double x = -40.0; x < 40.0; x += 1e-3) {
    const double p = exp(-0.5 * (x - m1) * (x - m1) / s1 / s1) / s1;
    const double q = exp(-0.5 * (x - m2) * (x - m2) / s2 / s2) / s2;
    sum += fmin(p, q) * 1e-3 / sqrt(2.0 * acos(-1.0));
  }
  return sum;
}

static void
test_self_similarity(void** state)
{
  (void)state;
  static const double cases[][4] = {
    { 0, 1, 0, 1 }, { 0, 1, 1, 1 },   { 0, 1, 0, 3 },
    { 2, 3, 0, 1 }, { 0, 0.1, 5, 2 }, { -8, 0.5, 8, 0.5 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const double* const c = cases[i];
    assert_true(fabs(normal_overlap(c[0], c[1], c[2], c[3]) -
                     overlap_by_sum(c[0], c[1], c[2], c[3])) < 1e-4);
  }
  SelfSimilarity constant = { 0 };
  SelfSimilarity moving   = { 0 };
  NoteEvent      stream[32];
  for (int i = 0; i < 32; ++i) {
    fill(stream + i / 8 * 8);
  }
  self_similarity_add(&constant, stream, 32);
  assert_int_equal(constant.count, 2); // three frames, two pairs
  assert_true(fabs(constant.sum[0] - 2.0) < 1e-9);
  for (int i = 16; i < 32; ++i) {
    stream[i].pitch += 40;
  }
  self_similarity_add(&moving, stream, 32);
  assert_true(self_similarity_consistency(&constant, &constant, 0) == 1.0);
  assert_true(self_similarity_consistency(&moving, &constant, 0) < 0.8);
  assert_true(self_similarity_consistency(&moving, &constant, 1) == 1.0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_equal_windows),
    cmocka_unit_test(test_pitch_counts_at_equal_index_only),
    cmocka_unit_test(test_iou_adds_onset_errors_up),
    cmocka_unit_test(test_spread),
    cmocka_unit_test(test_scale_consistency),
    cmocka_unit_test(test_marginals),
    cmocka_unit_test(test_copies_are_found),
    cmocka_unit_test(test_self_similarity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
