// Note events to network numbers and back: exact within rounding over the whole
// range, standardised as the data set says, and in range whatever a network
// puts out.
#include "encoding.h"
#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const EncodingStats stats = { 1.2f, 1.25f, -1.3f, 1.0f, 0.57f, 0.185f };

static void
test_round_trip(void** state)
{
  (void)state;
  Rng rng = rng_make(1, RNG_USE_TEST, 0);
  for (int i = 0; i < 10000; ++i) {
    const NoteEvent event = note_event_clamp((NoteEvent){
      .pitch      = (uint8_t)(1 + rng_below(&rng, 127)),
      .velocity   = rng_uniform(&rng),
      .step_s     = 2.0f * powf(rng_uniform(&rng), 4.0f),
      .duration_s = 0.01f + 1.99f * rng_uniform(&rng),
    });
    float           pitch;
    float           channels[CHANNEL_COUNT];
    encode_event(&stats, event, &pitch, channels);
    const NoteEvent back = decode_event(&stats, pitch, channels);
    assert_int_equal(back.pitch, event.pitch);
    assert_true(fabsf(back.velocity - event.velocity) < 1e-5f);
    assert_true(fabsf(back.step_s - event.step_s) < 1e-5f);
    assert_true(fabsf(back.duration_s - event.duration_s) < 1e-5f);
  }
}

static void
test_standardised(void** state)
{
  (void)state;
  // u = ln(1 + S / 0.02), w = ln D, v = V, at their means and one deviation up.
  const NoteEvent mean = { 60, 0.57f, 0.02f * expm1f(1.2f), expf(-1.3f) };
  const NoteEvent up   = {
      60, 0.57f + 0.185f, 0.02f * expm1f(1.2f + 1.25f), expf(-0.3f)
  };
  float pitch;
  float channels[CHANNEL_COUNT];
  encode_event(&stats, mean, &pitch, channels);
  for (int i = 0; i < CHANNEL_COUNT; ++i) {
    assert_true(fabsf(channels[i]) < 1e-5f);
  }
  encode_event(&stats, up, &pitch, channels);
  for (int i = 0; i < CHANNEL_COUNT; ++i) {
    assert_true(fabsf(channels[i] - 1.0f) < 1e-5f);
  }
}

static void
test_any_output_is_in_range(void** state)
{
  (void)state;
  const float wild[] = { NAN,    INFINITY, -INFINITY, 1e30f,
                         -1e30f, 0.0f,     200.0f,    -3.0f };
  const int   count  = sizeof wild / sizeof *wild;
  for (int p = 0; p < count; ++p) {
    for (int c = 0; c < count; ++c) {
      const NoteEvent event = decode_event(
        &stats,
        wild[p],
        (float[]){ wild[c], wild[(c + 1) % count], wild[(c + 3) % count] });
      assert_in_range(event.pitch, 1, 127);
      assert_true(event.velocity > 0.0f && event.velocity <= 1.0f);
      assert_true(event.step_s >= NOTE_STEP_MIN_S &&
                  event.step_s <= NOTE_STEP_MAX_S);
      assert_true(event.duration_s >= NOTE_DURATION_MIN_S &&
                  event.duration_s <= NOTE_DURATION_MAX_S);
    }
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_round_trip),
    cmocka_unit_test(test_standardised),
    cmocka_unit_test(test_any_output_is_in_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
