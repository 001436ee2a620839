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
  assert_true(scale_consistency(window, WINDOW_NOTES) == 5.0 / 8.0); // C to G: C D E F G
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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
