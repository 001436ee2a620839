// The view's life: log lines, then the screen, then log lines again.
#include "view/view_internal.h"

#include "clock.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FRAME_S 0.04
// A key is answered at once, but a key that repeats is no reason to draw more.
#define FRAME_KEY_S 0.02
#define LINE_S 5.0
#define CLOSE_S 0.5
#define OURS_S 0.2

void
view_open(View* view)
{
  memset(view, 0, sizeof *view);
  view->now_s = clock_now_s();
  setlocale(LC_CTYPE, "");
  view->unicode       = !strcmp(nl_langinfo(CODESET), "UTF-8");
  view->keys.escape_s = -1;
  outlet_open(&view->outlet, STDOUT_FILENO);
  view->log_only = !terminal_find(&view->terminal, &view->outlet);
  terminal_watch_stop();
}

// A line on its way; what does not fit is counted.
static void
put_line(View* view, const char* text)
{
  char      line[MESSAGE_BYTES + 80];
  const int size = snprintf(line, sizeof line, "meander: %s\n", text);
  if (view->lines_lost) {
    char      lost[80];
    const int lost_size =
      snprintf(lost,
               sizeof lost,
               "meander: %" PRIu64 " lines are lost: nobody read them\n",
               view->lines_lost);
    if (!outlet_put(&view->outlet, lost, (size_t)lost_size)) {
      ++view->lines_lost;
      return;
    }
    view->lines_lost = 0;
  }
  if (!outlet_put(&view->outlet, line, (size_t)size)) {
    ++view->lines_lost;
  }
  outlet_flush(&view->outlet);
}

// What was logged while the screen was ours.
static void
put_messages(View* view)
{
  const uint64_t count = view->messages.count;
  if (count - view->told > MESSAGES_HELD) {
    view->told = count - MESSAGES_HELD;
  }
  for (; view->told < count; ++view->told) {
    const Message* const message =
      messages_get(&view->messages, count - 1 - view->told);
    if (!message->refusal) {
      put_line(view, message->text);
      outlet_flush_within(&view->outlet, CLOSE_S / MESSAGES_HELD);
    }
  }
}

void
view_close(View* view)
{
  terminal_close(&view->terminal);
  put_messages(view);
  outlet_close(&view->outlet, CLOSE_S);
}

void
view_log(View* view, const char* format, ...)
{
  char    text[MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const Message* const message =
    messages_add(&view->messages, view->now_s, false, text);
  if (!view->opened) {
    put_line(view, message->text);
    view->told = view->messages.count;
  }
}

void
view_refuse(View* view, const char* format, ...)
{
  char    text[MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  messages_add(&view->messages, view->now_s, true, text);
}

void
view_played(View* view, const uint8_t message[3])
{
  roll_play(&view->roll, view->now_s, message);
}

void
view_walk_add(View* view, const float* z, uint32_t size)
{
  walk_add(&view->walk, z, size);
}

void
view_walk_clear(View* view)
{
  walk_clear(&view->walk);
}

void
view_walk_mark(View* view, uint32_t slot, const float* z, uint32_t size)
{
  walk_mark(&view->walk, slot - 1, z, size);
}

static void
put_status_line(View* view, const ViewStatus* status)
{
  char backend[64]    = "server gone, waiting";
  char fallbacks[160] = "";
  char starved[40]    = "";
  char sync[64]       = "";
  char text[MESSAGE_BYTES];
  if (status->backend) {
    snprintf(backend,
             sizeof backend,
             "%s>%u",
             status->backend,
             status->connection_count);
  }
  if (status->fewer_steps || status->fallback_model || status->repeated) {
    snprintf(fallbacks,
             sizeof fallbacks,
             " fewer %" PRIu64 " fallback %" PRIu64 " repeat %" PRIu64,
             status->fewer_steps,
             status->fallback_model,
             status->repeated);
  }
  if (status->starved) {
    snprintf(starved, sizeof starved, " starved %" PRIu64, status->starved);
  }
  if (status->sync && strcmp(status->sync, "free")) {
    snprintf(sync, sizeof sync, " sync %s", status->sync);
  }
  snprintf(text,
           sizeof text,
           "seed %" PRIu64 " %s buffer %.1f/%.1f s %s %.1f/%.1f ms notes "
           "%" PRIu64 " late %" PRIu64 " drop %" PRIu64 " xrun %" PRIu64
           "%s%s%s",
           status->seed,
           backend,
           status->buffered_s,
           status->look_ahead_s,
           status->on_gpu ? "gpu" : "cpu",
           status->generation_p50_ms,
           status->generation_p99_ms,
           status->notes,
           status->late,
           status->dropped,
           status->xruns,
           fallbacks,
           starved,
           sync);
  put_line(view, text);
}

bool
view_is_due(const View* view, double now_s)
{
  return now_s >= view->next_s || view->dirty;
}

static void
poll_lines(View* view, const ViewStatus* status)
{
  outlet_flush(&view->outlet);
  if (view->next_s == 0) {
    view->next_s = view->now_s + LINE_S;
  } else if (view->now_s >= view->next_s) {
    view->next_s = view->now_s + LINE_S;
    put_status_line(view, status);
  }
}

bool
view_stop_asked(void)
{
  return terminal_stop_asked();
}

void
view_stop(View* view)
{
  outlet_flush_within(&view->outlet, CLOSE_S);
  terminal_stop(&view->terminal);
}

void
view_rescue(void)
{
  terminal_rescue();
}

// Whether the screen is ours to use in this turn. In the background the music
// goes on and the terminal is the shell's.
static bool
have_screen(View* view)
{
  Terminal* const terminal  = &view->terminal;
  const bool      continued = terminal_was_continued();
  if (continued || view->now_s >= view->ours_s) {
    view->ours_s = view->now_s + OURS_S;
    if (!terminal_is_ours(terminal)) {
      terminal->shown = false; // what the shell set is not to be undone
      return false;
    }
    if (!terminal->shown || continued) {
      const bool first = !view->opened;
      if (!terminal_show(terminal)) {
        view->log_only = true;
        view->opened   = false;
        return false;
      }
      view->opened = true;
      if (first) {
        pen_begin(&view->pen, view->unicode);
      }
    }
  }
  return terminal->shown;
}

static void
draw(View* view, const ViewStatus* status)
{
  const double began_s = clock_now_s();
  view->next_s         = view->now_s + FRAME_S;
  view->dirty          = false;
  terminal_resize(&view->terminal);
  view_draw(view, status);
  terminal_drawn(&view->terminal);
  terminal_pump(&view->terminal);
  const double took_s = clock_now_s() - began_s;
  view->frame_s_sum += took_s;
  view->frame_s_max = took_s > view->frame_s_max ? took_s : view->frame_s_max;
  ++view->frames;
}

void
view_poll(View*             view,
          double            now_s,
          const ViewStatus* status,
          ActionDo          act,
          void*             context)
{
  const KeyTurn turn = { view, now_s, status, act, context };
  view->now_s        = now_s;
  if (view->log_only) {
    poll_lines(view, status);
    return;
  }
  if (!have_screen(view)) {
    return;
  }
  const bool told = view_is_due(view, now_s); // `status` is up to date
  view_take_keys(&turn);
  const double due_s = view->dirty ? view->next_s - FRAME_KEY_S : view->next_s;
  if (terminal_pump(&view->terminal) && told && now_s >= due_s) {
    draw(view, status);
  }
}
