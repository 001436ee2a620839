// view/roll: which cells a note fills as time runs.
#include "view/roll.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Roll     roll;
static RollGrid grid;

static int
begin(void** state)
{
  (void)state;
  memset(&roll, 0, sizeof roll);
  grid = (RollGrid){ .columns         = 88,
                     .slots           = 20,
                     .now             = 5,
                     .slot_s          = 0.1,
                     .first_key       = 21,
                     .keys_per_column = 1 };
  return 0;
}

static void
play(double now_s, uint8_t status, uint8_t pitch, uint8_t velocity)
{
  roll_play(&roll, now_s, (const uint8_t[3]){ status, pitch, velocity });
}

static void
paint(double now_s)
{
  roll_paint(&roll, now_s, NULL, 0, &grid);
}

// A column as text, from above: '.' empty, '-' planned, h and p and the shade.
static void
expect_column(uint32_t column, const char* cells)
{
  char text[ROLL_SLOTS_MAX + 1] = "";
  for (uint32_t slot = 0; slot < grid.slots; ++slot) {
    text[slot] = ".-hhhhpppp"[grid.cells[slot][column]];
  }
  assert_string_equal(text, cells);
}

static void
test_a_note_runs_down(void** state)
{
  (void)state;
  play(10.05, 0x90, 60, 100);
  paint(10.05);
  expect_column(39, ".....p..............");
  paint(10.25);
  expect_column(39, ".....hhp............");
  play(10.35, 0x80, 60, 0);
  paint(10.36);
  expect_column(39, ".....hhhp...........");
  paint(10.66);
  expect_column(39, "........hhhp........");
  paint(20);
  expect_column(39, "....................");
}

// Its length stays the same whenever it is drawn.
static void
test_length_holds(void** state)
{
  (void)state;
  play(10.05, 0x90, 60, 100);
  play(10.35, 0x80, 60, 0);
  for (int i = 0; i < 100; ++i) {
    int count = 0;
    paint(10.4 + 0.01 * i);
    for (uint32_t slot = 0; slot < grid.slots; ++slot) {
      count += grid.cells[slot][39] != ROLL_EMPTY;
    }
    assert_int_equal(count, 4);
  }
}

static void
test_velocity_is_the_shade(void** state)
{
  (void)state;
  const uint8_t velocities[] = { 1, 31, 32, 64, 96, 127 };
  const uint8_t shades[]     = { 0, 0, 1, 2, 3, 3 };
  for (uint8_t i = 0; i < 6; ++i) {
    play(1, 0x90, (uint8_t)(30 + i), velocities[i]);
  }
  paint(1.15);
  for (uint32_t i = 0; i < 6; ++i) {
    assert_int_equal(grid.cells[6][9 + i], ROLL_PRESSED + shades[i]);
    assert_int_equal(grid.cells[5][9 + i], ROLL_HELD + shades[i]);
  }
}

static void
test_what_sounds(void** state)
{
  (void)state;
  uint8_t velocities[ROLL_KEYS];
  play(1, 0x90, 60, 50);
  play(1, 0x91, 60, 70); // the same key on another channel
  roll_sounding(&roll, &grid, velocities);
  assert_int_equal(velocities[39], 70);
  play(2, 0x81, 60, 0);
  roll_sounding(&roll, &grid, velocities);
  assert_int_equal(velocities[39], 50);
  play(2, 0x90, 60, 0); // a note-off, too
  roll_sounding(&roll, &grid, velocities);
  assert_int_equal(velocities[39], 0);
  play(2, 0x80, 60, 0);   // once more: no effect
  play(2, 0xb0, 60, 99);  // no note
  play(2, 0x90, 200, 99); // no MIDI
  roll_sounding(&roll, &grid, velocities);
  for (int i = 0; i < 88; ++i) {
    assert_int_equal(velocities[i], 0);
  }
  assert_int_equal(roll.count, 2);
}

static void
test_keys_beyond_the_edge(void** state)
{
  (void)state;
  assert_int_equal(roll_column(&grid, 0), 0);
  assert_int_equal(roll_column(&grid, 21), 0);
  assert_int_equal(roll_column(&grid, 22), 1);
  assert_int_equal(roll_column(&grid, 108), 87);
  assert_int_equal(roll_column(&grid, 127), 87);
  grid.columns         = 18;
  grid.keys_per_column = 5;
  assert_int_equal(roll_column(&grid, 25), 0);
  assert_int_equal(roll_column(&grid, 26), 1);
  assert_int_equal(roll_column(&grid, 127), 17);
}

static void
test_planned(void** state)
{
  (void)state;
  const RollPlanned planned[] = {
    { 0.2, 0.43, 60, 100 }, { 0.01, 9, 61, 100 }, { 3, 4, 62, 100 },
    { -1, 2, 63, 100 },     { NAN, 2, 64, 100 },  { 2, 1, 65, 100 },
  };
  roll_paint(&roll, 100.05, planned, 6, &grid);
  expect_column(39, ".---................");
  expect_column(40, "-----..............."); // never at or below now
  for (uint32_t column = 41; column < 45; ++column) {
    expect_column(column, "....................");
  }
}

// Thousands of notes that never end: the newest are shown, nothing breaks.
static void
test_many(void** state)
{
  (void)state;
  for (int i = 0; i < 100000; ++i) {
    play(0.001 * i,
         (uint8_t)(0x90 | i % 16),
         (uint8_t)(i * 7 % 128),
         (uint8_t)(1 + i % 127));
  }
  paint(100);
  uint8_t velocities[ROLL_KEYS];
  roll_sounding(&roll, &grid, velocities);
  assert_int_equal(roll.count, 100000);
  assert_true(velocities[39] > 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_a_note_runs_down, begin),
    cmocka_unit_test_setup(test_length_holds, begin),
    cmocka_unit_test_setup(test_velocity_is_the_shade, begin),
    cmocka_unit_test_setup(test_what_sounds, begin),
    cmocka_unit_test_setup(test_keys_beyond_the_edge, begin),
    cmocka_unit_test_setup(test_planned, begin),
    cmocka_unit_test_setup(test_many, begin),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
