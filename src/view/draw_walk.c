// The walk in two principal components: the way in dots, the newest points, and
// the stored ones by number.
#include "view/view_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DOTS_X 2 // a Braille cell
#define DOTS_Y 4
#define CELLS_MAX 16384 // of a panel; a larger one is used in part
#define WAY_POINTS 64u  // the way through the last ones is drawn as lines

typedef struct {
  const View* view;
  const Box*  box;
  int         dots_x; // in a cell
  int         dots_y;
  int         width; // in dots
  int         height;
  double      scale;   // dots for 1 across; up and down the same length
  double      stretch; // of a dot: height over width
  uint8_t     cells[CELLS_MAX];
} Plot;

typedef struct {
  int x;
  int y;
} Dot;

static Dot
dot_of(const Plot* plot, WalkPlace place)
{
  return (Dot){
    (int)lround(0.5 * (plot->width - 1) + place.x * plot->scale),
    (int)lround(0.5 * (plot->height - 1) -
                place.y * plot->scale / plot->stretch),
  };
}

static bool
is_inside(const Plot* plot, Dot dot)
{
  return dot.x >= 0 && dot.x < plot->width && dot.y >= 0 &&
         dot.y < plot->height;
}

// Braille's dots are numbered in an order of their own.
static void
set_dot(Plot* plot, Dot dot)
{
  static const uint8_t bits[DOTS_Y][DOTS_X] = {
    { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 }
  };
  if (is_inside(plot, dot)) {
    plot->cells[dot.y / plot->dots_y * plot->box->columns +
                dot.x / plot->dots_x] |=
      bits[dot.y % plot->dots_y][dot.x % plot->dots_x];
  }
}

// Both ends lie within the reach, so that a line is never longer than the plot.
static void
set_line(Plot* plot, Dot from, Dot to)
{
  const int across = to.x - from.x;
  const int down   = to.y - from.y;
  const int steps  = abs(across) > abs(down) ? abs(across) : abs(down);
  for (int i = 0; i <= steps; ++i) {
    const double share = steps ? (double)i / steps : 0;
    set_dot(plot,
            (Dot){ (int)lround(from.x + share * across),
                   (int)lround(from.y + share * down) });
  }
}

static double
scale_of(const Plot* plot, WalkPlace reach)
{
  const double across =
    reach.x > 0 ? 0.5 * (plot->width - 1) / reach.x : INFINITY;
  const double up =
    reach.y > 0 ? 0.5 * (plot->height - 1) * plot->stretch / reach.y : INFINITY;
  const double scale = fmin(across, up);
  return isfinite(scale) ? scale : 0;
}

static void
draw_way(Plot* plot)
{
  const Walk* const walk = &plot->view->walk;
  for (uint32_t age = 0; age < walk->count; ++age) {
    const Dot dot = dot_of(plot, walk_place(walk, age));
    set_dot(plot, dot);
    if (plot->dots_x == DOTS_X && age + 1 < walk->count && age < WAY_POINTS) {
      set_line(plot, dot, dot_of(plot, walk_place(walk, age + 1)));
    }
  }
  const Pen* const pen = &plot->view->pen;
  for (int i = 0; i < plot->box->rows * plot->box->columns; ++i) {
    const int row = i / plot->box->columns, column = i % plot->box->columns;
    if (plot->cells[i] && pen->braille) {
      pen_dots(pen, plot->box, row, column, INK_QUIET, plot->cells[i]);
    } else if (plot->cells[i]) {
      pen_put(pen, plot->box, row, column, INK_QUIET, pen->unicode ? "·" : ".");
    }
  }
}

static void
draw_sign(const Plot* plot, WalkPlace place, Ink ink, const char* sign)
{
  const Dot dot = dot_of(plot, place);
  if (is_inside(plot, dot)) {
    pen_put(&plot->view->pen,
            plot->box,
            dot.y / plot->dots_y,
            dot.x / plot->dots_x,
            ink,
            sign);
  }
}

void
view_draw_walk(View* view, const Box* box)
{
  const Walk* const walk    = &view->walk;
  const bool        braille = view->pen.braille;
  if (box->rows < 1 || box->columns < 1 ||
      box->rows * box->columns > CELLS_MAX) {
    return;
  }
  Plot plot    = { .view = view, .box = box };
  plot.dots_x  = braille ? DOTS_X : 1;
  plot.dots_y  = braille ? DOTS_Y : 1;
  plot.width   = box->columns * plot.dots_x;
  plot.height  = box->rows * plot.dots_y;
  plot.stretch = braille ? 1 : 2;
  plot.scale   = scale_of(&plot, walk->reach);
  if (!walk->count) {
    pen_put(&view->pen, box, 0, 0, INK_QUIET, "no walk yet");
    return;
  }
  draw_way(&plot);
  for (uint32_t slot = 0; slot < WALK_MARKS; ++slot) {
    if (walk->marked[slot]) {
      const char name[2] = { "1234567890abcdef"[slot], '\0' };
      draw_sign(&plot, walk_mark_place(walk, slot), INK_ACCENT, name);
    }
  }
  draw_sign(
    &plot, walk_place(walk, 0), INK_WARNING, view->pen.unicode ? "●" : "@");
}
