// Notes to cells.
#include "view/roll.h"

#include <math.h>
#include <string.h>

static RollNote*
note_of(Roll* roll, uint64_t number)
{
  return number && roll->count - number < ROLL_NOTES
           ? &roll->notes[(number - 1) % ROLL_NOTES]
           : NULL;
}

void
roll_play(Roll* roll, double now_s, const uint8_t message[3])
{
  const uint8_t kind = message[0] & 0xf0;
  if ((kind != 0x90 && kind != 0x80) || message[1] >= ROLL_KEYS) {
    return;
  }
  uint64_t* const sounding = &roll->sounding[message[0] & 0xf][message[1]];
  RollNote* const before   = note_of(roll, *sounding);
  if (before) {
    before->off_s = now_s;
  }
  *sounding = 0;
  if (kind == 0x90 && message[2]) {
    *sounding = ++roll->count;
    *note_of(roll, roll->count) =
      (RollNote){ now_s, INFINITY, message[1], message[2] & 0x7f };
  }
}

uint32_t
roll_column(const RollGrid* grid, uint8_t pitch)
{
  const int column = ((int)pitch - grid->first_key) /
                     (grid->keys_per_column ? grid->keys_per_column : 1);
  return pitch < grid->first_key        ? 0
         : column >= (int)grid->columns ? grid->columns - 1
                                        : (uint32_t)column;
}

static void
put(RollGrid* grid, double slot, uint32_t column, uint32_t value)
{
  if (slot >= 0 && slot < grid->slots) {
    uint8_t* const cell = &grid->cells[(uint32_t)slot][column];
    *cell               = value > *cell ? (uint8_t)value : *cell;
  }
}

// Slots are whole numbers on the clock, so that a note keeps its length as it
// moves.
static double
slot_of(const RollGrid* grid, double now_s, double time_s)
{
  return grid->now + floor(now_s / grid->slot_s) - floor(time_s / grid->slot_s);
}

// Pressed at the bottom of its bar, held above.
static void
paint_note(RollGrid* grid, double now_s, const RollNote* note)
{
  const uint32_t shade  = note->velocity * ROLL_SHADES / 128u;
  const uint32_t column = roll_column(grid, note->pitch);
  const double   bottom = slot_of(grid, now_s, note->on_s);
  const double   end_s  = fmin(note->off_s, now_s);
  for (double slot = fmax(slot_of(grid, now_s, end_s), 0);
       slot < fmin(bottom, grid->slots);
       ++slot) {
    put(grid, slot, column, ROLL_HELD + shade);
  }
  put(grid, bottom, column, ROLL_PRESSED + shade);
}

static void
paint_planned(RollGrid* grid, double now_s, const RollPlanned* note)
{
  if (!(note->on_s >= 0 && note->off_s >= note->on_s)) {
    return;
  }
  const double bottom =
    fmin(slot_of(grid, now_s, now_s + note->on_s), (double)grid->now - 1);
  const double top = fmin(slot_of(grid, now_s, now_s + note->off_s), bottom);
  for (double slot = fmax(top, 0); slot <= bottom; ++slot) {
    put(grid, slot, roll_column(grid, note->pitch), ROLL_PLANNED);
  }
}

void
roll_paint(const Roll*        roll,
           double             now_s,
           const RollPlanned* planned,
           size_t             planned_count,
           RollGrid*          grid)
{
  memset(grid->cells, 0, sizeof *grid->cells * grid->slots);
  for (size_t i = 0; i < planned_count; ++i) {
    paint_planned(grid, now_s, &planned[i]);
  }
  const uint64_t held = roll->count < ROLL_NOTES ? roll->count : ROLL_NOTES;
  for (uint64_t i = 0; i < held; ++i) {
    paint_note(grid, now_s, &roll->notes[i]);
  }
}

void
roll_sounding(const Roll* roll, const RollGrid* grid, uint8_t* velocities)
{
  memset(velocities, 0, grid->columns);
  for (unsigned channel = 0; channel < 16; ++channel) {
    for (unsigned key = 0; key < ROLL_KEYS; ++key) {
      const uint64_t number = roll->sounding[channel][key];
      if (number && roll->count - number < ROLL_NOTES) {
        const uint8_t velocity =
          roll->notes[(number - 1) % ROLL_NOTES].velocity;
        uint8_t* const loudest = &velocities[roll_column(grid, (uint8_t)key)];
        *loudest               = velocity > *loudest ? velocity : *loudest;
      }
    }
  }
}
