// Ops on training data against the CPU: windows and sequences as they are drawn
// from notes of any bytes, by any bits of a run's state, and what follows from
// which notes are given.
#include "caps.h"
#include "data.h"
#include "parity_cases.h"

static const DrawRule rule = {
  .scale        = { 0.1f, 0.02f, { 0.5f, 1.6f, -1.2f }, { 0.15f, 0.9f, 0.8f } },
  .transpose    = 5,
  .tempo_spread = 0.1f,
  .velocity_spread    = 0.2f,
  .continuation_share = 0.3f,
  .prefix_share       = 0.2f,
  .infill_share       = 0.3f
};

#define NOTES_FLOATS 400u // for the last of TABLE_ROWS units

// a windows or slots; b notes of a sequence. Pitch, channels, force or clean.
static int
shape_draws(const Size* z, Operand* operands, uint32_t notes_each)
{
  const uint32_t rows  = z->a * notes_each;
  const Operand  all[] = {
     { rows, 1, POISON, 0, false },
     { rows, NOTE_CHANNELS, POISON, 0, false },
     { rows, 1, POISON, 0, false },
     { 1, NOTES_FLOATS, NOISE, 0, false },
     { TABLE_ROWS, DRAW_UNIT_FLOATS, UNIT, 0, false },
     { 1, DRAW_NOW_FLOATS, NOISE, 0, false },
  };
  memcpy(operands, all, sizeof all);
  return 6;
}

static int
shape_windows(const Size* z, Operand* operands)
{
  return shape_draws(z, operands, WINDOW_NOTES);
}

static int
shape_sequences(const Size* z, Operand* operands)
{
  return shape_draws(z, operands, SEQUENCE_NOTES / z->b * z->b);
}

static void
run_windows(Device* device, const Tensor* t, const Size* z)
{
  (void)z;
  const DrawSource source = { .notes = t[3], .units = t[4] };
  op_draw_windows(device, &rule, &source, t[5], t[0], t[1], t[2]);
}

static void
run_sequences(Device* device, const Tensor* t, const Size* z)
{
  const DrawSource source = { .notes = t[3], .units = t[4] };
  op_draw_sequences(device, &rule, &source, t[5], z->b, t[0], t[1], t[2]);
}

// a sequences of b notes.
static int
shape_mask(const Size* z, Operand* operands)
{
  const uint32_t rows  = z->a * z->b;
  const Operand  all[] = {
     { rows, 1, POISON, 0, false }, { rows, 1, POISON, 0, false },
     { rows, 1, POISON, 0, false }, { rows, z->b, POISON, 0, false },
     { rows, 1, CHOICE, 0, false },
  };
  memcpy(operands, all, sizeof all);
  return 5;
}

static void
run_mask(Device* device, const Tensor* t, const Size* z)
{
  op_mask(device, z->b, t[4], t[0], t[1], t[2], t[3]);
}

static const Size sizes[] = {
  { 1, 8, 0, 0, 0 },
  { 3, 32, 0, 0, 0 },
  { 33, 9, 0, 0, 0 },
  { 64, 16, 0, 0, 0 },
  { 150, 31, 0, 0, 0 },
  { 300, 10, 0, 0, 0 },
  { 0 },
};

#define CASE(title, shape, run, most)                                          \
  {                                                                            \
    title, shape, run, most, sizes, false, false,                              \
    {                                                                          \
      {                                                                        \
        0                                                                      \
      }                                                                        \
    }                                                                          \
  }

static const Case cases[] = {
  CASE("draw_windows", shape_windows, run_windows, 5e-6),
  CASE("draw_sequences", shape_sequences, run_sequences, 5e-6),
  CASE("mask", shape_mask, run_mask, 0),
};

int
main(int argc, char** argv)
{
  return run_cases(cases, sizeof cases / sizeof *cases, argc, argv);
}
