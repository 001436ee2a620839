// The piano roll. Time runs down the screen: a finished row scrolls up and the
// status line is written again below it.
#include "view/view.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROW_S 0.08
#define LINE_S 5.0
// The leftmost column: C1, so that 80 columns reach G7. Keys beyond either end
// are drawn at the edge.
#define PITCH_LEFT 24

#define CLEAR_LINE "\r\x1b[K"
#define LINE_UP "\x1b[1A"
#define HIDE_CURSOR "\x1b[?25l"
#define SHOW_CURSOR "\x1b[?25h"
#define NO_WRAP "\x1b[?7l"
#define WRAP "\x1b[?7h"
#define DIM "\x1b[2m"
#define PLAIN "\x1b[0m"

void
view_open(View* view)
{
  memset(view, 0, sizeof *view);
  setlocale(LC_CTYPE, "");
  const char* const term = getenv("TERM");
  struct winsize    size;
  view->terminal = isatty(STDOUT_FILENO) && term && *term &&
                   strcmp(term, "dumb") &&
                   !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
  view->unicode = !strcmp(nl_langinfo(CODESET), "UTF-8");
  view->columns = VIEW_COLUMNS;
  if (view->terminal) {
    if (size.ws_col && size.ws_col < VIEW_COLUMNS) {
      view->columns = size.ws_col;
    }
    fputs(HIDE_CURSOR NO_WRAP, stdout);
  }
}

// The two lines below the roll, the cursor at the end of the second.
static void
clear_footer(View* view)
{
  if (view->footer) {
    fputs(CLEAR_LINE LINE_UP, stdout);
    view->footer = false;
  }
  fputs(CLEAR_LINE, stdout);
}

void
view_close(View* view)
{
  if (view->terminal) {
    clear_footer(view);
    fputs(PLAIN WRAP SHOW_CURSOR, stdout);
    view->terminal = false;
  }
  fflush(stdout);
}

void
view_log(View* view, const char* format, ...)
{
  if (view->terminal) {
    clear_footer(view);
    fputs(WRAP, stdout); // a long line is for reading to its end
  }
  fputs("meander: ", stdout);
  va_list args;
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  putchar('\n');
  if (view->terminal) {
    fputs(NO_WRAP, stdout);
  }
  fflush(stdout);
}

static int
column_of(const View* view, uint8_t pitch)
{
  const int column = pitch - PITCH_LEFT;
  return column < 0 ? 0 : column >= view->columns ? view->columns - 1 : column;
}

void
view_played(View* view, const uint8_t message[3])
{
  const int      column   = column_of(view, message[1]);
  uint8_t* const sounding = &view->sounding[column];
  if ((message[0] & 0xf0) == 0x90) {
    view->pressed[column] = message[2];
    ++*sounding;
  } else if (*sounding) {
    --*sounding;
  }
}

// Louder is denser and, where there are colours, warmer.
static void
draw_press(const View* view, uint8_t velocity)
{
  static const char* const blocks[]  = { "░", "▒", "▓", "█" };
  static const char* const signs[]   = { "o", "o", "O", "#" };
  static const int         colours[] = { 67, 72, 179, 203 };
  const unsigned           shade     = velocity / 32u;
  printf("\x1b[38;5;%dm%s" PLAIN,
         colours[shade],
         view->unicode ? blocks[shade] : signs[shade]);
}

static void
draw_row(View* view)
{
  for (int column = 0; column < view->columns; ++column) {
    if (view->pressed[column]) {
      draw_press(view, view->pressed[column]);
    } else if (view->sounding[column]) {
      fputs(view->unicode ? "│" : "|", stdout);
    } else if (column % 12 == 0) {
      fputs(view->unicode ? DIM "·" PLAIN : DIM "." PLAIN, stdout);
    } else {
      putchar(' ');
    }
  }
  putchar('\n');
  memset(view->pressed, 0, sizeof view->pressed);
}

// Names the octave marks of the roll.
static void
draw_labels(const View* view)
{
  fputs(DIM, stdout);
  for (int column = 0; column + 2 < view->columns; column += 12) {
    printf("C%-11d", (column + PITCH_LEFT) / 12 - 1);
  }
  fputs(PLAIN "\n", stdout);
}

static void
draw_status(const ViewStatus* status)
{
  printf("seed %llu ", (unsigned long long)status->seed);
  if (status->backend) {
    printf("%s>%u ", status->backend, status->connection_count);
  } else {
    fputs("server gone, waiting ", stdout);
  }
  printf(
    "buffer %.1f/%.1f s %s %.1f/%.1f ms notes %llu late %llu drop %llu xrun "
    "%llu",
    status->buffered_s,
    status->look_ahead_s,
    status->on_gpu ? "gpu" : "cpu",
    status->generation_p50_ms,
    status->generation_p99_ms,
    (unsigned long long)status->notes,
    (unsigned long long)status->late,
    (unsigned long long)status->dropped,
    (unsigned long long)status->xruns);
  if (status->fewer_steps || status->fallback_model || status->repeated) {
    printf(" fewer %llu fallback %llu repeat %llu",
           (unsigned long long)status->fewer_steps,
           (unsigned long long)status->fallback_model,
           (unsigned long long)status->repeated);
  }
  if (status->starved) {
    printf(" starved %llu", (unsigned long long)status->starved);
  }
}

void
view_draw(View* view, double now_s, const ViewStatus* status)
{
  const double interval_s = view->terminal ? ROW_S : LINE_S;
  if (view->next_s == 0) {
    view->next_s = now_s + interval_s;
  }
  if (now_s < view->next_s) {
    return;
  }
  view->next_s = now_s + interval_s;
  if (view->terminal) {
    clear_footer(view);
    draw_row(view);
    draw_labels(view);
    draw_status(status);
    view->footer = true;
  } else {
    fputs("meander: ", stdout);
    draw_status(status);
    putchar('\n');
  }
  fflush(stdout);
}
