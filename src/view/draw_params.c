// The parameters: the chosen one large, then all that there is room for. What
// they are called and may be comes from the one table.
#include "view/view_internal.h"

#include <stdio.h>
#include <string.h>

#define NAME_COLUMNS 15
#define VALUE_COLUMNS 9
#define CELL_COLUMNS (NAME_COLUMNS + VALUE_COLUMNS + 3) // with spaces
#define BAR_COLUMNS 12
#define BOUND_COLUMNS 7 // "CC 74"
#define HELP_ROWS_MAX 3

// "4 beats", or "4" where the unit has no room.
static void
format_value(const ViewStatus* status, ParamId id, int columns, char text[64])
{
  char value[40];
  params_format(status->params, id, value, sizeof value);
  snprintf(text, 64, "%s %s", value, param_table[id].unit);
  if (!*param_table[id].unit || params_is_auto(status->params, id) ||
      (int)strlen(text) > columns) {
    snprintf(text, 64, "%s", value);
  }
}

// What may be typed: "0 to 2", or the names.
static void
format_range(ParamId id, char* text, size_t size)
{
  const ParamInfo* const info = &param_table[id];
  size_t                 used = 0;
  *text                       = '\0';
  if (info->type != PARAM_CHOICE) {
    used = (size_t)snprintf(text, size, "%g to %g", info->low, info->high);
  }
  for (int i = 0; info->type == PARAM_CHOICE && i <= (int)info->high; ++i) {
    if (used < size) {
      used += (size_t)snprintf(
        text + used, size - used, "%s%s", i ? " " : "", info->choices[i]);
    }
  }
  if (info->flags & PARAM_MAY_BE_AUTO && used < size) {
    snprintf(text + used, size - used, " auto");
  }
}

void
view_draw_chosen(View* view, const ViewStatus* status, const Box* box)
{
  const ParamId id = view->keys.chosen;
  char          text[64];
  char          range[256];
  if (!status->params) {
    return;
  }
  format_value(status, id, box->columns, text);
  format_range(id, range, sizeof range);
  int column = pen_put_format(
    &view->pen, box, 0, 0, INK_CHOSEN, " %s %s ", param_table[id].name, text);
  ++column;
  if (box->columns >= column + BAR_COLUMNS + 3 &&
      !params_is_auto(status->params, id)) {
    pen_bar(&view->pen,
            box,
            0,
            column,
            BAR_COLUMNS,
            INK_ACCENT,
            params_share(status->params, id));
    column += BAR_COLUMNS + 1;
  }
  column += pen_put(&view->pen, box, 0, column, INK_QUIET, range) + 1;
  if (status->bound && status->bound[id]) {
    pen_put(&view->pen, box, 0, column, INK_ACCENT, status->bound[id]);
  }
}

// A bar, and what the parameter is bound to; where there is room.
static void
draw_cell_bar(View* view, const ViewStatus* status, const Box* box, ParamId id)
{
  const int room    = box->columns - CELL_COLUMNS - BOUND_COLUMNS;
  const int columns = room < BAR_COLUMNS ? room : BAR_COLUMNS;
  if (columns < BAR_COLUMNS / 2) {
    return;
  }
  if (!params_is_auto(status->params, id)) {
    pen_bar(&view->pen,
            box,
            0,
            CELL_COLUMNS,
            columns,
            id == view->keys.chosen ? INK_ACCENT : INK_PLAIN,
            params_share(status->params, id));
  }
  if (status->bound && status->bound[id]) {
    pen_put(&view->pen,
            box,
            0,
            CELL_COLUMNS + columns + 1,
            INK_ACCENT,
            status->bound[id]);
  }
}

static void
draw_cell(View* view, const ViewStatus* status, const Box* box, ParamId id)
{
  const bool chosen  = id == view->keys.chosen;
  const bool changed = status->params->value[id] != param_table[id].standard;
  char       text[64];
  const int  over         = CELL_COLUMNS - 1 - box->columns;
  const int  name_columns = NAME_COLUMNS - (over > 0 ? over : 0);
  if (name_columns < 1) {
    return;
  }
  format_value(status, id, VALUE_COLUMNS, text);
  pen_put_format(&view->pen,
                 box,
                 0,
                 0,
                 chosen    ? INK_CHOSEN
                 : changed ? INK_BRIGHT
                           : INK_QUIET,
                 "%s%-*.*s %-*.*s",
                 chosen ? ">" : " ",
                 name_columns,
                 name_columns,
                 param_table[id].name,
                 VALUE_COLUMNS,
                 VALUE_COLUMNS,
                 text);
  draw_cell_bar(view, status, box, id);
}

static void
draw_grid(View* view, const ViewStatus* status, const Box* box)
{
  int columns = (box->columns + 1) / CELL_COLUMNS;
  columns     = columns < 1 ? 1 : columns;
  // Where all fit, as few columns as that takes: then there is room for bars.
  while (columns > 1 && (columns - 1) * box->rows >= PARAM_COUNT) {
    --columns;
  }
  const int held  = columns * box->rows;
  const int width = box->columns / columns;
  // Whole columns go by, so that a name does not wander.
  const int chosen_column = box->rows ? (int)view->keys.chosen / box->rows : 0;
  const int first =
    chosen_column < columns ? 0 : (chosen_column - columns + 1) * box->rows;
  for (int i = 0; i < held && first + i < PARAM_COUNT; ++i) {
    const Box cell = {
      box->row + i % box->rows, box->column + i / box->rows * width, 1, width
    };
    draw_cell(view, status, &cell, (ParamId)(first + i));
  }
}

void
view_draw_params(View* view, const ViewStatus* status, const Box* box)
{
  if (!status->params) {
    pen_put(&view->pen, box, 0, 0, INK_QUIET, "no parameters here");
    return;
  }
  const char* const help = param_table[view->keys.chosen].help;
  // A quarter at most for the help of the chosen one, at the bottom.
  const int most =
    box->rows < 4 * HELP_ROWS_MAX ? box->rows / 4 : HELP_ROWS_MAX;
  const int rows = pen_wrap(NULL, box, 0, most, INK_PLAIN, help);
  view_draw_chosen(view, status, box);
  Box grid = *box;
  ++grid.row;
  grid.rows -= 1 + most;
  if (grid.rows > 0) {
    draw_grid(view, status, &grid);
    pen_wrap(&view->pen, box, box->rows - most, rows, INK_PLAIN, help);
  }
}
