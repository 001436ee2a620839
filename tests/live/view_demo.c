// The view alone, in real time: a scripted music, walk and status, and each
// Action that keys make, as a line of a log. For test_view.py.
//   view_demo LOG SECONDS [crash|bare]
// crash: ends itself with SIGABRT after SECONDS; bare: a status that says
// nothing.
#include "clock.h"
#include "view/view.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TURN_NS 2000000
#define NOTE_S 0.125
#define WALK_S 0.25
#define WALK_SIZE 32
#define PLANNED 16

typedef struct {
  View        view;
  ViewStatus  status;
  Params      params;
  FILE*       log;
  bool        quit;
  uint64_t    notes;
  uint64_t    points; // of the walk
  RollPlanned planned[PLANNED];
} Demo;

static atomic_int ended;

static void
on_end(int number)
{
  atomic_store(&ended, number);
}

static Status
set(Demo* demo, const Action* action, Error* error)
{
  if (action->kind == ACTION_SET_TEXT) {
    return params_set_text(&demo->params, action->param, action->text, error);
  }
  if (action->kind == ACTION_NUDGE) {
    params_set_share(&demo->params,
                     action->param,
                     params_share(&demo->params, action->param) +
                       0.01 * action->number);
  }
  if (action->kind == ACTION_STORE) {
    demo->status.points |= (uint16_t)(1u << ((int)action->number - 1));
  }
  if (action->kind == ACTION_RECORD) {
    demo->status.recording = action->number > 0;
  }
  if (action->kind == ACTION_LEARN) {
    demo->status.learning = param_table[action->param].name;
  }
  if (action->kind == ACTION_UNLEARN) {
    demo->status.learning = NULL;
  }
  if (action->kind == ACTION_LOAD) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "%s: no such checkpoint; what plays goes on",
                     action->text);
  }
  demo->quit = demo->quit || action->kind == ACTION_QUIT;
  return STATUS_OK;
}

static Status
act(void* context, const Action* action, Error* error)
{
  Demo* const    demo  = context;
  const unsigned takes = action_table[action->kind].takes;
  fprintf(demo->log, "%s", action_table[action->kind].name);
  if (takes == ACTION_TAKES_PARAM || takes == ACTION_TAKES_PARAM_TEXT ||
      takes == ACTION_TAKES_PARAM_ALONE) {
    fprintf(demo->log, " %s", param_table[action->param].name);
  }
  if (takes == ACTION_TAKES_PARAM || takes == ACTION_TAKES_NUMBER) {
    fprintf(demo->log, " %g", action->number);
  }
  if (takes == ACTION_TAKES_TEXT || takes == ACTION_TAKES_PARAM_TEXT) {
    fprintf(demo->log, " %s", action->text);
  }
  fprintf(demo->log, "\n");
  fflush(demo->log);
  return set(demo, action, error);
}

// A tune that is a function of the note's number.
static uint8_t
pitch_of(uint64_t number)
{
  return (uint8_t)(60 + (int)lround(22 * sin(0.37 * (double)number)));
}

static uint8_t
velocity_of(uint64_t number)
{
  return (uint8_t)(20 + number * 17 % 107);
}

static void
play(Demo* demo, double since_s)
{
  for (; (double)demo->notes * NOTE_S <= since_s; ++demo->notes) {
    const uint8_t on[]  = { 0x90,
                            pitch_of(demo->notes),
                            velocity_of(demo->notes) };
    const uint8_t off[] = { 0x80,
                            pitch_of(demo->notes >= 4 ? demo->notes - 4 : 0),
                            64 };
    view_played(&demo->view, off);
    view_played(&demo->view, on);
    demo->status.notes = demo->notes + 1;
  }
  for (; (double)demo->points * WALK_S <= since_s; ++demo->points) {
    const float angle        = 0.2f * (float)demo->points;
    float       z[WALK_SIZE] = { cosf(angle), 0.6f * sinf(angle) };
    view_walk_add(&demo->view, z, WALK_SIZE);
    if (demo->points == 5) {
      view_walk_mark(&demo->view, 2, z, WALK_SIZE);
    }
  }
}

static void
tell(Demo* demo, double since_s)
{
  static const char* bound[PARAM_COUNT];
  bound[PARAM_TEMPERATURE]       = "CC 74";
  demo->status.seed              = 12345;
  demo->status.backend           = "null";
  demo->status.connection_count  = 2;
  demo->status.buffered_s        = 1.9;
  demo->status.look_ahead_s      = 2;
  demo->status.generation_p50_ms = 3.14;
  demo->status.generation_p99_ms = 7.9;
  demo->status.late              = since_s > 1 ? 3 : 0;
  demo->status.model             = "vae 0123abcd";
  demo->status.preset            = "calm";
  demo->status.sync              = "free";
  demo->status.bpm               = 120;
  demo->status.side              = 'A';
  demo->status.recorded_s        = 75;
  demo->status.params            = &demo->params;
  demo->status.bound             = bound;
  demo->status.planned           = demo->planned;
  demo->status.planned_count     = PLANNED;
  for (unsigned i = 0; i < PLANNED; ++i) {
    const uint64_t number = demo->notes + i;
    const double   in_s   = (double)number * NOTE_S - since_s;
    demo->planned[i] =
      (RollPlanned){ in_s, in_s + 0.4, pitch_of(number), velocity_of(number) };
  }
}

int
main(int argc, char** argv)
{
  static Demo       demo;
  const double      seconds = argc > 2 ? strtod(argv[2], NULL) : 5;
  const char* const how     = argc > 3 ? argv[3] : "";
  demo.log                  = argc > 1 ? fopen(argv[1], "we") : NULL;
  if (!demo.log) {
    return 2;
  }
  const struct sigaction end = { .sa_handler = on_end };
  sigaction(SIGTERM, &end, NULL);
  sigaction(SIGINT, &end, NULL);
  sigaction(SIGHUP, &end, NULL);
  demo.params = params_standard();
  view_open(&demo.view);
  view_log(&demo.view, "seed 12345, before the screen");
  const double began_s = clock_now_s();
  double       last_s = began_s, gap_s = 0, now_s = began_s;
  while (!demo.quit && !atomic_load(&ended) && now_s - began_s < seconds) {
    clock_sleep_ns(TURN_NS);
    now_s  = clock_now_s();
    gap_s  = now_s - last_s > gap_s ? now_s - last_s : gap_s;
    last_s = now_s;
    play(&demo, now_s - began_s);
    if (strcmp(how, "bare")) {
      tell(&demo, now_s - began_s);
    }
    if (demo.points == 3) {
      view_log(&demo.view, "inputs that listen to meander:notes: 2");
      ++demo.points;
    }
    if (view_stop_asked()) {
      fprintf(demo.log, "hush\n"); // as who plays must
      fflush(demo.log);
      view_stop(&demo.view);
    }
    view_poll(&demo.view, now_s, &demo.status, act, &demo);
  }
  if (!strcmp(how, "crash")) {
    abort();
  }
  view_log(&demo.view, "played %" PRIu64 " notes", demo.notes);
  view_close(&demo.view);
  fprintf(demo.log,
          "end: turns %.1f ms apart at most, %" PRIu64
          " frames of %.3f ms, %.3f ms at most\n",
          1e3 * gap_s,
          demo.view.frames,
          1e3 * demo.view.frame_s_sum /
            (double)(demo.view.frames + !demo.view.frames),
          1e3 * demo.view.frame_s_max);
  fclose(demo.log);
  return 0;
}
