// The piano roll and its keyboard, which is the row of now.
#include "view/view_internal.h"

#include <string.h>

#define ROW_S 0.16
#define PIANO_KEYS 88
#define PIANO_FIRST 21
#define MIDDLE_C1 24        // so that 80 columns reach G7
#define COLUMNS_FOR_KEYS 60 // with fewer, several keys share a column
#define FUTURE_SHARE 3      // a third of the rows at most is what is planned

static void
choose_keys(RollGrid* grid, int columns)
{
  grid->keys_per_column = 1;
  grid->first_key       = PIANO_FIRST;
  grid->columns         = PIANO_KEYS;
  if (columns >= (int)ROLL_KEYS) {
    grid->first_key = 0;
    grid->columns   = ROLL_KEYS;
  } else if (columns < COLUMNS_FOR_KEYS) {
    const int keys        = (PIANO_KEYS + columns - 1) / columns;
    grid->keys_per_column = (uint8_t)keys;
    grid->columns         = (uint32_t)((PIANO_KEYS + keys - 1) / keys);
  } else if (columns < PIANO_KEYS) {
    grid->first_key = MIDDLE_C1;
    grid->columns   = (uint32_t)columns;
  }
}

static bool
is_black(int key)
{
  return 0x54a >> key % 12 & 1;
}

// Octaves by name; what sounds, in its colour.
static void
draw_keyboard(View* view, const Box* box, int row)
{
  const RollGrid* const grid    = &view->grid;
  const bool            unicode = view->pen.unicode;
  uint8_t               velocities[ROLL_KEYS];
  roll_sounding(&view->roll, grid, velocities);
  for (int column = 0; column < (int)grid->columns; ++column) {
    const int key = grid->first_key + column * grid->keys_per_column;
    pen_put(&view->pen,
            box,
            row,
            column,
            INK_QUIET,
            is_black(key) ? (unicode ? "┴" : "'") : (unicode ? "─" : "-"));
  }
  for (int key = 0; key < (int)ROLL_KEYS; key += 12) {
    const uint32_t column = roll_column(grid, (uint8_t)key);
    if (key >= grid->first_key && column + 1 < grid->columns) {
      pen_put_format(
        &view->pen, box, row, (int)column, INK_PLAIN, "C%d", key / 12 - 1);
    }
  }
  for (int column = 0; column < (int)grid->columns; ++column) {
    const uint8_t velocity = velocities[column];
    if (velocity) {
      const uint8_t cell =
        (uint8_t)(ROLL_PRESSED + velocity * ROLL_SHADES / 128u);
      pen_cell(&view->pen, box, row, column, cell, cell, false);
    }
  }
}

static void
draw_cells(View* view, const Box* box, int now_row)
{
  const RollGrid* const grid  = &view->grid;
  const int             slots = pen_slots(&view->pen);
  for (int row = 0; row < box->rows; ++row) {
    // The keyboard's row takes no time.
    const int slot = (row - (row > now_row)) * slots;
    if (row == now_row || slot + slots > (int)grid->slots) {
      continue;
    }
    for (int column = 0; column < (int)grid->columns; ++column) {
      const bool octave =
        (grid->first_key + column * grid->keys_per_column) % 12 <
        grid->keys_per_column;
      pen_cell(&view->pen,
               box,
               row,
               column,
               grid->cells[slot][column],
               grid->cells[slot + slots - 1][column],
               octave);
    }
  }
}

void
view_draw_roll(View* view, const ViewStatus* status, const Box* box)
{
  RollGrid* const grid  = &view->grid;
  const int       slots = pen_slots(&view->pen);
  if (box->rows < 1 || box->columns < 1) {
    return;
  }
  const int now_row = status->planned_count && box->rows >= FUTURE_SHARE
                        ? box->rows / FUTURE_SHARE
                        : 0;
  const int shown   = box->rows < (int)ROLL_SLOTS_MAX / slots
                        ? box->rows
                        : (int)ROLL_SLOTS_MAX / slots;
  choose_keys(grid, box->columns);
  grid->slots  = (uint32_t)((shown - 1) * slots);
  grid->now    = (uint32_t)(now_row * slots);
  grid->slot_s = ROW_S / slots;
  // A narrower keyboard stands in the middle.
  Box inner = *box;
  inner.column += (box->columns - (int)grid->columns) / 2;
  inner.columns = (int)grid->columns;
  roll_paint(
    &view->roll, view->now_s, status->planned, status->planned_count, grid);
  draw_cells(view, &inner, now_row);
  draw_keyboard(view, &inner, now_row);
}
