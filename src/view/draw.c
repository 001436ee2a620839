// A frame: what goes where. The smaller the screen, the less is on it: first
// the pages' panels go, then help, messages and readout; the last row left says
// how the music is.
#include "view/view_internal.h"

#include <stdio.h>
#include <string.h>

// Panels beside each other from here on; the roll then has all 88 keys.
#define WIDE_COLUMNS 120
#define ROLL_COLUMNS 88
#define PARAMS_COLUMNS_MIN 40
#define PANELS_ROWS_MIN 10
#define WALK_COLUMNS_MIN 60 // of the screen
#define FRESH_S 4.0 // how long a refusal takes the chosen parameter's place

// Takes `rows` rows off the top of a box, or off its bottom when below 0.
static Box
cut(Box* box, int rows)
{
  const int size = rows < 0 ? -rows : rows;
  const int take = size < box->rows ? size : box->rows;
  Box       part = *box;
  part.rows      = take;
  if (rows < 0) {
    part.row += box->rows - take;
  } else {
    box->row += take;
  }
  box->rows -= take;
  return part;
}

// The same to the left, with an empty column between; below 0 to the right.
static Box
split(Box* box, int columns)
{
  const int size = columns < 0 ? -columns : columns;
  const int take = size < box->columns ? size : box->columns;
  const int rest = box->columns - take - (take < box->columns);
  Box       part = *box;
  part.columns   = take;
  if (columns < 0) {
    part.column += box->columns - take;
  } else {
    box->column += box->columns - rest;
  }
  box->columns = rest;
  return part;
}

// Whether there is room for more than the roll.
static bool
has_panels(const Box* box)
{
  return box->columns >= WIDE_COLUMNS ||
         (box->rows >= PANELS_ROWS_MIN && box->columns >= PARAMS_COLUMNS_MIN);
}

static void
draw_play(View* view, const ViewStatus* status, Box box)
{
  if (!has_panels(&box)) {
    view_draw_roll(view, status, &box);
    return;
  }
  // All 88 keys, or half the rows.
  const bool wide = box.columns >= WIDE_COLUMNS;
  const Box  roll = wide ? split(&box, ROLL_COLUMNS) : cut(&box, box.rows / 2);
  Box        walk = { 0 };
  if (wide) {
    const int most = box.columns / 2; // as high as it is wide
    const int rows = box.rows * 2 / 5;
    walk           = cut(&box, rows < most ? -rows : -most);
  } else if (box.columns >= WALK_COLUMNS_MIN) {
    walk = split(&box, -(box.columns * 3 / 10));
  }
  view_draw_roll(view, status, &roll);
  view_draw_params(view, status, &box);
  view_draw_walk(view, &walk);
}

static void
draw_page(View* view, const ViewStatus* status, const Box* box)
{
  if (view->keys.help) {
    view_draw_help(view, box);
    return;
  }
  switch (view->keys.page) {
    case VIEW_PARAMETERS:
      view_draw_params(view, status, box);
      break;
    case VIEW_ROLL:
      view_draw_roll(view, status, box);
      break;
    case VIEW_WALK:
      view_draw_walk(view, box);
      break;
    case VIEW_LOG:
      view_draw_messages(view, box);
      break;
    default:
      draw_play(view, status, *box);
  }
}

// What is asked now, or was just refused where there is no other place to say
// so; else what keys there are, or the parameter that the arrows change.
static void
draw_bottom(View*             view,
            const ViewStatus* status,
            const Box*        box,
            bool              tell_refusals,
            bool              tell_keys)
{
  const Message* const newest = messages_get(&view->messages, 0);
  char                 text[ACTION_TEXT_BYTES + 80];
  view_question(view, status, text, sizeof text);
  if (*text) {
    // The end of a long text is where it is typed.
    const char* from = text;
    while (pen_width(from) > box->columns && *from) {
      for (++from; (*from & 0xc0) == 0x80; ++from) {
      }
    }
    pen_put(&view->pen, box, 0, 0, INK_CHOSEN, from);
  } else if (tell_refusals && newest && newest->refusal &&
             view->now_s - newest->time_s < FRESH_S) {
    pen_put(&view->pen, box, 0, 0, INK_WARNING, newest->text);
  } else if (tell_keys) {
    view_draw_help_line(view, box);
  } else {
    view_draw_chosen(view, status, box);
  }
}

void
view_draw(View* view, const ViewStatus* status)
{
  Box        box      = pen_clear();
  const int  rows     = box.rows;
  const bool whole    = view->keys.help || view->keys.page == VIEW_LOG;
  const Box  head     = cut(&box, rows >= 12 ? 3 : rows >= 8 ? 2 : 1);
  const Box  bottom   = cut(&box, rows >= 3 ? -1 : 0);
  const Box  messages = cut(&box,
                           whole || rows < 5 ? 0
                            : rows >= 36      ? -4
                            : rows >= 16      ? -2
                                              : -1);
  view_draw_readout(view, status, &head);
  draw_page(view, status, &box);
  view_draw_messages(view, &messages);
  draw_bottom(view,
              status,
              &bottom,
              !messages.rows,
              view->keys.page == VIEW_PARAMETERS ||
                (view->keys.page == VIEW_PLAY && has_panels(&box)));
  pen_show();
}
