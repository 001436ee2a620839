// Ops for training data on every CPU variant: the order of an epoch, masks and
// what follows from them, what a draw takes from its unit, and the shapes that
// are refused. What training draws from a data set is in test_draws and
// test_sequence_batch.
#include "kernels_test.h"

#include "draw.h"

#include <stdlib.h>

// --- Order -------------------------------------------------------------------

static void
check_order(uint32_t count, uint64_t seed, uint64_t epoch)
{
  uint8_t* const seen = calloc(count, 1);
  assert_non_null(seen);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t unit = draw_order(i, count, seed, epoch);
    assert_true(unit < count);
    assert_false(seen[unit]);
    seen[unit] = 1;
  }
  free(seen);
}

static void
test_an_order_is_a_permutation(void** state)
{
  (void)state;
  static const uint32_t counts[] = { 1,  2,  3,  4,   5,    7,     8,
                                     31, 32, 33, 127, 1009, 65537, 100003 };
  for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i) {
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      check_order(counts[i], 5, epoch);
    }
  }
}

// A data set of full size, once, and the largest: no overflow at its end.
static void
test_a_long_order(void** state)
{
  (void)state;
  check_order(4300000, 1, 2);
  for (uint32_t i = 0; i < 1000; ++i) {
    assert_true(draw_order(UINT32_MAX - 1 - i, UINT32_MAX, 1, 0) < UINT32_MAX);
  }
}

static void
test_orders_differ(void** state)
{
  (void)state;
  const struct {
    uint64_t seed, epoch;
  } others[] = { { 5, 1 }, { 6, 0 }, { 5ull << 32, 0 }, { 5, 1ull << 32 } };
  for (size_t k = 0; k < sizeof others / sizeof *others; ++k) {
    uint32_t same = 0;
    for (uint32_t i = 0; i < 1000; ++i) {
      same += draw_order(i, 1000, 5, 0) ==
              draw_order(i, 1000, others[k].seed, others[k].epoch);
    }
    assert_true(same < 10); // one on average
  }
  // All six orders of three come up.
  uint32_t found = 0;
  for (uint64_t epoch = 0; epoch < 100; ++epoch) {
    found |=
      1u << (3 * draw_order(0, 3, 1, epoch) + draw_order(1, 3, 1, epoch));
  }
  assert_int_equal(found,
                   1u << 1 | 1u << 2 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7);
}

// Place and unit have nothing to do with each other, nor have neighbours: pairs
// fall evenly into cells (chi squared has its degrees of freedom as mean and
// twice that as variance).
static void
test_an_order_is_random(void** state)
{
  (void)state;
  enum { SIDE = 16, CELLS = SIDE * SIDE, COUNT = 50000 };
  for (uint64_t epoch = 0; epoch < 4; ++epoch) {
    double   counts[3][CELLS] = { { 0 } };
    uint32_t before           = draw_order(COUNT - 1, COUNT, 1, epoch);
    for (uint32_t i = 0; i < COUNT; ++i) {
      const uint32_t unit  = draw_order(i, COUNT, 1, epoch);
      const uint32_t way   = (unit + COUNT - before) % COUNT;
      const uint32_t cell  = (uint32_t)((uint64_t)unit * SIDE / COUNT);
      const uint32_t place = (uint32_t)((uint64_t)i * SIDE / COUNT);
      ++counts[0][place * SIDE + cell];
      ++counts[1][(uint32_t)((uint64_t)before * SIDE / COUNT) * SIDE + cell];
      ++counts[2][(uint32_t)((uint64_t)way * CELLS / COUNT)];
      before = unit;
    }
    for (int k = 0; k < 3; ++k) {
      const double mean = (double)COUNT / CELLS;
      double       chi  = 0.0;
      for (int c = 0; c < CELLS; ++c) {
        chi += (counts[k][c] - mean) * (counts[k][c] - mean) / mean;
      }
      assert_true(fabs(chi - CELLS) < 6.0 * sqrt(2.0 * CELLS));
    }
  }
}

// --- Masks -------------------------------------------------------------------

static void
test_mask(void** state)
{
  (void)state;
  enum { NOTES = 5, SEQUENCES = 3, ALL = NOTES * SEQUENCES };
  const float  clean[ALL] = { 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1 };
  float        got[3][ALL], may[ALL * NOTES];
  Tensor       t[5]    = { make_values(ALL, 1, clean),
                           poisoned(ALL, 1),
                           poisoned(ALL, 1),
                           poisoned(ALL, 1),
                           poisoned(ALL, NOTES + 2) };
  const Tensor allowed = tensor_columns(t[4], 1, NOTES);
  op_mask(device, NOTES, t[0], t[1], t[2], t[3], allowed);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  for (int i = 0; i < 3; ++i) {
    tensor_read(device, t[i + 1], got[i]);
  }
  tensor_read(device, allowed, may);
  for (int r = 0; r < ALL; ++r) {
    const int s = r / NOTES;
    assert_true(got[0][r] == 1.0f - clean[r]);
    assert_true(got[1][r] == (float)(r % NOTES));
    assert_true(got[2][r] == (float)(clean[r] != 0.0f ? SEQUENCES : s));
    for (int k = 0; k < NOTES; ++k) {
      const bool other = clean[s * NOTES + k] != 0.0f;
      assert_true(may[r * NOTES + k] ==
                  (clean[r] == 0.0f || other ? 1.0f : 0.0f));
    }
  }
  RELEASE(t[0], t[1], t[2], t[3], t[4]);
}

// --- Draws -------------------------------------------------------------------

// Notes whose place in the records is their pitch and step.
typedef struct {
  DrawSource source;
  DrawRule   rule;
  Tensor     now;
} Draws;

static Draws
make_draws(const float* units, uint32_t count)
{
  enum { COUNT = 80 };
  static union {
    uint8_t bytes[COUNT * NOTE_RECORD_BYTES];
    float   floats[COUNT * NOTE_RECORD_BYTES / 4];
  } records;
  for (uint32_t i = 0; i < COUNT; ++i) {
    const uint32_t units_of_step = 1000 + 300 * i; // both bytes count
    uint8_t* const note          = records.bytes + i * NOTE_RECORD_BYTES;
    note[0]                      = (uint8_t)(21 + i);
    note[1]                      = 127;
    note[2]                      = (uint8_t)units_of_step;
    note[3]                      = (uint8_t)(units_of_step >> 8);
    note[4]                      = 0x40; // 40000: two seconds
    note[5]                      = 0x9c;
  }
  return (Draws){
    .source = { .notes =
                  make_values(1, sizeof records.floats / 4, records.floats),
                .units = make_values(count, DRAW_UNIT_FLOATS, units) },
    .rule   = { .scale        = { .step_scale_s     = 0.02f,
                                  .duration_floor_s = 0.01f,
                                  .mean             = { 0.5f, 0.0f, 0.0f },
                                  .deviation        = { 0.25f, 1.0f, 2.0f } },
                .prefix_share = 1.0f },
    .now    = poisoned(1, DRAW_NOW_FLOATS),
  };
}

// A window begins where its unit does or later, as far as that may.
static void
test_draws_move_as_their_unit_may(void** state)
{
  (void)state;
  enum { WINDOWS = 64, ALL = 8 * WINDOWS };
  float units[DRAW_UNIT_FLOATS], now[DRAW_NOW_FLOATS];
  float pitch[ALL], channels[ALL * NOTE_CHANNELS];
  draw_unit(10, 0, 3, units);
  Draws  d    = make_draws(units, 1);
  Tensor t[3] = { poisoned(ALL, 1),
                  poisoned(ALL, NOTE_CHANNELS),
                  poisoned(ALL, 1) };
  draw_now(3, 5ull << 33, 0, 0.5f, now);
  tensor_write(device, d.now, now);
  op_draw_windows(device, &d.rule, &d.source, d.now, t[0], t[1], t[2]);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  tensor_read(device, t[0], pitch);
  tensor_read(device, t[1], channels);
  uint32_t places[4] = { 0 };
  for (uint32_t b = 0; b < WINDOWS; ++b) {
    const int first = (int)pitch[b] - 21;
    assert_in_range(first, 10, 13);
    ++places[first - 10];
    for (uint32_t i = 0; i < 8; ++i) {
      const size_t       row = (size_t)i * WINDOWS + b;
      const float* const c   = channels + row * NOTE_CHANNELS;
      const double       s   = (1000 + 300 * (first + (int)i)) / 20000.0;
      assert_int_equal((int)pitch[row] - 21, first + (int)i);
      assert_close((double)c[0], 2.0, 1e-6);
      assert_close((double)c[1], log1p(s / 0.02), 1e-6);
      assert_close((double)c[2], log(2.0) / 2.0, 1e-6);
    }
  }
  // Of eight shifts five lead to the last place.
  assert_in_range(places[3], WINDOWS * 4 / 10, WINDOWS * 8 / 10);
  assert_true(places[0] && places[1] && places[2]);
  RELEASE(t[0], t[1], t[2], d.now, d.source.notes, d.source.units);
}

// A unit of a stream of more than 2^32 notes keeps its place.
static void
test_units_lie_anywhere(void** state)
{
  (void)state;
  float         unit[DRAW_UNIT_FLOATS];
  const DrawNow now = { .seed = 1 };
  draw_unit((5ull << 32) + 77, 16, 9, unit);
  const DrawSource source = { .units = { unit, 1, 2, 2 } };
  const Draw       draw   = draw_begin(&source, &now, 0);
  assert_true(draw.first_note == (5ull << 32) + 77);
  assert_int_equal(draw.back, 16);
  assert_int_equal(draw.ahead, 9);
}

// Of a slot of 32 notes a sequence of 24 is any.
static void
test_what_is_over_is_left_out_at_random(void** state)
{
  (void)state;
  enum { SLOTS = 100, ALL = 24 * SLOTS };
  float units[DRAW_UNIT_FLOATS], now[DRAW_NOW_FLOATS], pitch[ALL];
  draw_unit(10, 0, 0, units);
  Draws  d    = make_draws(units, 1);
  Tensor t[3] = { poisoned(ALL, 1),
                  poisoned(ALL, NOTE_CHANNELS),
                  poisoned(ALL, 1) };
  draw_now(3, 0, 0, 0.0f, now);
  tensor_write(device, d.now, now);
  op_draw_sequences(device, &d.rule, &d.source, d.now, 24, t[0], t[1], t[2]);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  tensor_read(device, t[0], pitch);
  uint32_t places[9] = { 0 };
  for (uint32_t s = 0; s < SLOTS; ++s) {
    const int first = (int)pitch[24 * s] - 21 - 10;
    assert_in_range(first, 0, 8);
    ++places[first];
    for (int i = 0; i < 24; ++i) {
      assert_int_equal((int)pitch[24 * s + (uint32_t)i], 31 + first + i);
    }
  }
  for (int i = 0; i < 9; ++i) {
    assert_true(places[i] > 0);
  }
  RELEASE(t[0], t[1], t[2], d.now, d.source.notes, d.source.units);
}

static void
test_shapes_are_checked(void** state)
{
  (void)state;
  float units[DRAW_UNIT_FLOATS];
  draw_unit(30, 16, 16, units);
  Draws        d     = make_draws(units, 1);
  Tensor       t[3]  = { poisoned(48, 1), poisoned(48, 3), poisoned(48, 1) };
  const Tensor bad[] = { tensor_rows(t[0], 0, 47), tensor_rows(t[1], 0, 47) };
  for (int i = 0; i < 8; ++i) {
    DrawSource none = d.source;
    none.units      = (Tensor){ 0 };
    switch (i) {
      case 0:
        op_draw_windows(device, &d.rule, &none, d.now, t[0], t[1], t[2]);
        break;
      case 1:
        op_draw_windows(
          device, &d.rule, &d.source, d.now, bad[0], bad[1], bad[0]);
        break;
      case 2:
        op_draw_windows(device, &d.rule, &d.source, t[0], t[0], t[1], t[2]);
        break;
      case 3: // 48 rows are two slots of 24 notes, and none of 16
        op_draw_sequences(
          device, &d.rule, &d.source, d.now, 16, t[0], t[1], t[2]);
        break;
      case 4:
        op_draw_sequences(
          device, &d.rule, &d.source, d.now, 33, t[0], t[1], t[2]);
        break;
      case 5:
        op_draw_sequences(
          device, &d.rule, &d.source, d.now, 7, t[0], t[1], t[2]);
        break;
      case 6:
        op_mask(device, 8, t[0], t[0], t[2], t[2], t[1]);
        break;
      default:
        op_mask(device, 5, t[0], t[0], t[2], t[2], t[1]);
    }
    assert_int_equal(device_status(device, NULL), STATUS_BAD_ARGUMENT);
    device_clear(device);
  }
  tensor_write(device, d.now, (float[DRAW_NOW_FLOATS]){ 0 });
  op_draw_sequences(device, &d.rule, &d.source, d.now, 24, t[0], t[1], t[2]);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  RELEASE(t[0], t[1], t[2], d.now, d.source.notes, d.source.units);
}

int
main(void)
{
  // Orders are the same on all.
  const struct CMUnitTest orders[] = {
    cmocka_unit_test(test_an_order_is_a_permutation),
    cmocka_unit_test(test_a_long_order),
    cmocka_unit_test(test_orders_differ),
    cmocka_unit_test(test_an_order_is_random),
    cmocka_unit_test(test_units_lie_anywhere),
  };
  const struct CMUnitTest ops[] = {
    cmocka_unit_test(test_mask),
    cmocka_unit_test(test_draws_move_as_their_unit_may),
    cmocka_unit_test(test_what_is_over_is_left_out_at_random),
    cmocka_unit_test(test_shapes_are_checked),
  };
  return cmocka_run_group_tests(orders, NULL, NULL) +
         run_on_all_variants(ops, sizeof ops / sizeof *ops);
}
