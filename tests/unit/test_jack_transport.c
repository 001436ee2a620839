// backend/jack_transport: what a timebase master says, in quarter notes, and
// what makes no sense of it, left out.
#include "backend/jack_transport.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

// 120 bpm in 4/4, bar 3, the middle of beat 2.
static jack_position_t
four_four(void)
{
  return (jack_position_t){
    .frame_rate       = 48000,
    .frame            = 228000,
    .valid            = JackPositionBBT,
    .bar              = 3,
    .beat             = 2,
    .tick             = 960,
    .beats_per_bar    = 4,
    .beat_type        = 4,
    .ticks_per_beat   = 1920,
    .beats_per_minute = 120,
  };
}

static void
assert_tempo(Transport transport, double bpm, double beat, double beats_per_bar)
{
  assert_true(transport.exists && transport.has_tempo);
  assert_true(fabs(transport.bpm - bpm) < 1e-9);
  assert_true(fabs(transport.beat - beat) < 1e-9);
  assert_true(fabs(transport.beats_per_bar - beats_per_bar) < 1e-9);
}

static void
test_states(void** state)
{
  (void)state;
  const jack_position_t none = { .frame = 77, .frame_rate = 48000 };
  const Transport stopped    = jack_transport_read(JackTransportStopped, &none);
  assert_true(stopped.exists && !stopped.rolling && !stopped.has_tempo);
  assert_int_equal(stopped.frame, 77);
  assert_true(jack_transport_read(JackTransportRolling, &none).rolling);
  assert_false(jack_transport_read(JackTransportStarting, &none).rolling);
}

static void
test_quarter_notes(void** state)
{
  (void)state;
  jack_position_t position = four_four();
  assert_tempo(
    jack_transport_read(JackTransportRolling, &position), 120, 9.5, 4);
  // 6/8: five eighths and a half, three bars of three quarters before.
  position.bar           = 4;
  position.beat          = 6;
  position.beats_per_bar = 6;
  position.beat_type     = 8;
  assert_tempo(
    jack_transport_read(JackTransportStopped, &position), 60, 11.75, 3);
  // 3/2.
  position.bar           = 2;
  position.beat          = 1;
  position.tick          = 0;
  position.beats_per_bar = 3;
  position.beat_type     = 2;
  assert_tempo(jack_transport_read(JackTransportStopped, &position), 240, 6, 6);
  // A count-in, and a master that says nothing of the metre's lower number.
  position           = four_four();
  position.bar       = 0;
  position.beat_type = 0;
  assert_tempo(
    jack_transport_read(JackTransportRolling, &position), 120, -2.5, 4);
}

static void
test_finer_figures(void** state)
{
  (void)state;
  jack_position_t position = four_four();
  position.valid |= JackBBTFrameOffset;
  position.bbt_offset = 6000; // a quarter of a beat ago
  assert_tempo(
    jack_transport_read(JackTransportRolling, &position), 120, 9.75, 4);
#ifdef JACK_TICK_DOUBLE
  position             = four_four();
  position.valid       = JackPositionBBT | JackTickDouble;
  position.tick_double = 480.5;
  assert_tempo(jack_transport_read(JackTransportRolling, &position),
               120,
               9 + 480.5 / 1920,
               4);
#endif
}

static void
test_nonsense(void** state)
{
  (void)state;
  static const double bad[] = { -1, NAN, INFINITY, -INFINITY, 1e30 };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    for (int field = 0; field < 4; ++field) {
      jack_position_t position = four_four();
      if (field == 0) {
        position.beats_per_minute = bad[i];
      } else if (field == 1) {
        position.ticks_per_beat = bad[i];
      } else if (field == 2) {
        position.beats_per_bar = (float)bad[i];
      } else {
        position.beat_type = (float)bad[i];
      }
      const Transport transport =
        jack_transport_read(JackTransportRolling, &position);
      assert_false(transport.has_tempo);
      assert_true(transport.bpm == 0 && transport.beat == 0);
      assert_true(transport.rolling && transport.frame == 228000);
    }
  }
  jack_position_t zero  = four_four();
  zero.beats_per_minute = 0; // unset, as of a master that keeps no tempo
  assert_false(jack_transport_read(JackTransportRolling, &zero).has_tempo);
  jack_position_t far = four_four();
  far.bar             = INT32_MIN;
  far.beat            = INT32_MAX;
  far.tick            = INT32_MIN;
  assert_false(jack_transport_read(JackTransportRolling, &far).has_tempo);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_states),
    cmocka_unit_test(test_quarter_notes),
    cmocka_unit_test(test_finer_figures),
    cmocka_unit_test(test_nonsense),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
