// The parts that are text: readout, messages, help.
#include "view/view_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define GROWN_S 3.0
#define HELP_COLUMNS 66 // of one column of the help page
#define HELP_KEYS 12

// Words that flow over the rows of a box.
typedef struct {
  const Pen* pen;
  const Box* box;
  int        row;
  int        column;
} Flow;

// A word that fits nowhere is left out.
static void __attribute__((format(printf, 3, 4)))
say(Flow* flow, Ink ink, const char* format, ...)
{
  char    text[PEN_TEXT_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const int gap = flow->column ? 2 : 0;
  if (flow->column + gap + pen_width(text) > flow->box->columns &&
      flow->column) {
    if (flow->row + 1 >= flow->box->rows) {
      return;
    }
    ++flow->row;
    flow->column = 0;
  } else {
    flow->column += gap;
  }
  flow->column +=
    pen_put(flow->pen, flow->box, flow->row, flow->column, ink, text);
}

static bool
is_on(const ViewStatus* status, ParamId id)
{
  return status->params && status->params->value[id] > 0;
}

// States that change what is heard.
static void
say_states(Flow* flow, const ViewStatus* status)
{
  if (!status->backend) {
    say(flow, INK_ALARM, " SERVER GONE ");
  }
  if (is_on(status, PARAM_MUTE)) {
    say(flow, INK_BADGE, " MUTED ");
  }
  if (is_on(status, PARAM_FREEZE)) {
    say(flow, INK_BADGE, " FROZEN ");
  }
  if (is_on(status, PARAM_HOLD)) {
    say(flow, INK_BADGE, " HELD ");
  }
  if (status->recording) {
    const unsigned seconds = (unsigned)status->recorded_s;
    say(flow, INK_ALARM, " REC %u:%02u ", seconds / 60, seconds % 60);
  }
  if (status->learning) {
    say(flow, INK_BADGE, " LEARN %s ", status->learning);
  }
}

// What plays.
static void
say_music(Flow* flow, const ViewStatus* status)
{
  if (status->bpm > 0) {
    say(flow, INK_BRIGHT, "%.1f bpm", status->bpm);
  }
  if (status->sync) {
    say(flow, INK_PLAIN, "%s", status->sync);
  }
  if (status->side) {
    say(flow, INK_BADGE, " %c ", status->side);
  }
  if (status->coming) {
    say(flow, INK_WARNING, "%s", status->coming);
  }
  if (status->model) {
    say(flow, INK_PLAIN, "%s", status->model);
  }
  if (status->following) {
    say(flow, INK_QUIET, "following");
  }
  if (status->preset && *status->preset) {
    say(flow, INK_PLAIN, "preset %s", status->preset);
  }
}

static void
say_engine(Flow* flow, const ViewStatus* status)
{
  const bool low = status->buffered_s < 0.25 * status->look_ahead_s;
  say(flow,
      low ? INK_ALARM : INK_BRIGHT,
      "buffer %.1f/%.1f s",
      status->buffered_s,
      status->look_ahead_s);
  say(flow,
      INK_PLAIN,
      "%s %.1f/%.1f ms",
      status->on_gpu ? "gpu" : "cpu",
      status->generation_p50_ms,
      status->generation_p99_ms);
  if (status->backend) {
    say(flow,
        status->connection_count ? INK_PLAIN : INK_WARNING,
        "%s>%u",
        status->backend,
        status->connection_count);
  }
  say(flow, INK_PLAIN, "notes %" PRIu64, status->notes);
  say(flow, INK_QUIET, "seed %" PRIu64, status->seed);
}

// One that grew just now stands out.
static void
say_faults(Flow* flow, View* view, const ViewStatus* status)
{
  const struct {
    uint64_t    count;
    const char* name;
  } faults[VIEW_FAULTS] = {
    { status->xruns, "xrun" },        { status->late, "late" },
    { status->dropped, "drop" },      { status->starved, "starved" },
    { status->fewer_steps, "fewer" }, { status->fallback_model, "fallback" },
    { status->repeated, "repeat" },
  };
  for (unsigned i = 0; i < VIEW_FAULTS; ++i) {
    if (faults[i].count != view->faults[i]) {
      view->fault_s[i] = view->now_s;
      view->faults[i]  = faults[i].count;
    }
    const bool grew =
      faults[i].count && view->now_s - view->fault_s[i] < GROWN_S;
    say(flow,
        grew              ? INK_ALARM
        : faults[i].count ? INK_WARNING
                          : INK_QUIET,
        "%s %" PRIu64,
        faults[i].name,
        faults[i].count);
  }
}

static void
say_points(Flow* flow, const ViewStatus* status)
{
  char   text[POINTS_MAX + 1] = "";
  size_t used                 = 0;
  for (unsigned i = 0; i < POINTS_MAX; ++i) {
    if (status->points >> i & 1) {
      text[used++] = "1234567890abcdef"[i];
    }
  }
  say(flow, INK_QUIET, "points %s", used ? text : "none");
}

// The box's last row, taken off it.
static Box
last_row(Box* box)
{
  Box row = *box;
  --box->rows;
  row.row += box->rows;
  row.rows = 1;
  return row;
}

// Where there are rows enough, faults and engine have one each, so that nothing
// that is said before them pushes them out.
void
view_draw_readout(View* view, const ViewStatus* status, const Box* box)
{
  const Pen* const pen    = &view->pen;
  Box              rest   = *box;
  const Box        faults = rest.rows > 1 ? last_row(&rest) : *box;
  const Box        engine = rest.rows > 1 ? last_row(&rest) : rest;
  Flow             flow   = { pen, &rest, 0, 0 };
  Flow             last   = { pen, &faults, 0, 0 };
  Flow             middle = { pen, &engine, 0, 0 };
  say_states(&flow, status);
  if (box->rows > 2) {
    say_music(&flow, status);
    say_engine(&middle, status);
    say_faults(&last, view, status);
    say_points(&last, status);
  } else if (box->rows == 2) {
    say_engine(&flow, status);
    say_music(&flow, status);
    say_faults(&last, view, status);
  } else {
    say_engine(&flow, status);
    say_faults(&flow, view, status);
    say_music(&flow, status);
  }
}

void
view_draw_messages(View* view, const Box* box)
{
  int row = box->rows;
  for (uint64_t age = 0; row > 0; ++age) {
    const Message* const message = messages_get(&view->messages, age);
    if (!message) {
      return;
    }
    const Ink ink = message->refusal ? INK_WARNING
                    : age            ? INK_QUIET
                                     : INK_PLAIN;
    // A line too long for what is left shows its beginning.
    const int rows = pen_wrap(NULL, box, 0, box->rows, ink, message->text);
    const int top  = row - rows > 0 ? row - rows : 0;
    pen_wrap(&view->pen, box, top, row - top, ink, message->text);
    row = top;
  }
}

static size_t
help_count(void)
{
  size_t count = 0;
  while (view_key_help(count)) {
    ++count;
  }
  return count;
}

void
view_draw_help(View* view, const Box* box)
{
  const int columns = box->columns >= 2 * HELP_COLUMNS ? 2 : 1;
  const int count   = (int)help_count();
  const int rows    = (count + columns - 1) / columns;
  int*      top     = &view->keys.help_row;
  const int last    = rows > box->rows ? rows - box->rows : 0;
  *top              = *top < 0 ? 0 : *top > last ? last : *top;
  for (int row = 0; row < box->rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const int at = column * rows + *top + row;
      if (*top + row >= rows || at >= count) {
        continue;
      }
      const KeyHelp* const help = view_key_help((size_t)at);
      const int            left = column * HELP_COLUMNS;
      pen_put(&view->pen, box, row, left, INK_ACCENT, help->keys);
      pen_put(&view->pen, box, row, left + HELP_KEYS, INK_PLAIN, help->text);
    }
  }
  if (*top < last) {
    pen_put(
      &view->pen, box, box->rows - 1, box->columns - 6, INK_CHOSEN, " more ");
  }
}

void
view_draw_help_line(View* view, const Box* box)
{
  int column = 0;
  for (size_t i = 0; view_key_help(i); ++i) {
    const KeyHelp* const help = view_key_help(i);
    if (!*help->brief) {
      continue;
    }
    const int width = pen_width(help->keys) + 1 + pen_width(help->brief);
    if (column + width > box->columns) {
      return;
    }
    pen_put(&view->pen, box, 0, column, INK_ACCENT, help->keys);
    pen_put(&view->pen,
            box,
            0,
            column + pen_width(help->keys) + 1,
            INK_QUIET,
            help->brief);
    column += width + 2;
  }
}
