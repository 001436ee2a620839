// What a person looks at and plays on: on a terminal a screen with the piano
// roll, the walk, the parameters, an honest readout and a key for everything;
// elsewhere plain log lines. All of it in the control thread.
//
// A call never waits for the terminal (but view_close() and view_stop() give
// it back, for at most a second), and view_poll() draws at most 25 times a
// second. Until the first view_poll() there are log lines only, so that what
// goes wrong at the start stays on the user's screen.
#pragma once

#include "control/action.h"
#include "live/params.h"
#include "view/key_decoder.h"
#include "view/messages.h"
#include "view/outlet.h"
#include "view/pen.h"
#include "view/roll.h"
#include "view/terminal.h"
#include "view/walk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// All may be 0 or NULL where there is nothing to say; what is pointed to has to
// last until the call ends.
typedef struct {
  uint64_t    seed;
  const char* backend; // name; NULL: the server is gone
  bool        on_gpu;
  uint32_t    connection_count;
  double      buffered_s;
  double      look_ahead_s; // what it should be
  double      generation_p50_ms;
  double      generation_p99_ms;
  uint64_t    notes;
  uint64_t    late;
  uint64_t    dropped;
  uint64_t    starved;
  uint64_t    xruns;
  uint64_t    fewer_steps; // windows of the three fallbacks
  uint64_t    fallback_model;
  uint64_t    repeated;

  const char*        model;  // name and digest
  const char*        coming; // the model that was chosen, and what it waits for
  const char*        preset; // name
  const char*        sync;   // whose beat, and whether it runs: "jack, rolling"
  double             bpm;    // of the beat that is kept
  char               side;   // 'A' or 'B'; 0: there is no other
  bool               following; // the newest checkpoint plays by itself
  bool               recording;
  double             recorded_s;
  uint16_t           points;   // bit i: slot i + 1 holds one
  const char*        learning; // what waits for a controller
  const Params*      params;   // NULL: there are none to show or change
  const char* const* bound;    // [PARAM_COUNT] "CC 74"; each may be NULL
  const RollPlanned* planned;  // notes to come
  size_t             planned_count;
} ViewStatus;

typedef enum {
  VIEW_PLAY, // all at once
  VIEW_PARAMETERS,
  VIEW_ROLL,
  VIEW_WALK,
  VIEW_LOG,
  VIEW_PAGES
} ViewPage;

// What the next key may answer, or what is being typed.
typedef enum {
  ASK_NOTHING,
  ASK_STORE, // one key
  ASK_RECALL,
  ASK_QUIT,
  ASK_VALUE, // text, from here on
  ASK_BARS,
  ASK_PRESET,
  ASK_SAVE,
  ASK_LOAD,
  ASK_BIND
} Ask;

typedef struct {
  KeyDecoder decoder;
  ParamId    chosen;
  ViewPage   page;
  bool       help;
  int        help_row; // the first that is shown
  Ask        ask;
  double     ask_until_s; // of those that one key answers
  char       typed[ACTION_TEXT_BYTES];
  bool       pasting;
  double     paste_s;  // when that began
  double     escape_s; // when Esc was pressed last
} ViewKeys;

// The counts that should stay 0, to see them grow.
#define VIEW_FAULTS 7

typedef struct {
  bool     log_only; // no terminal
  bool     opened;   // the screen was shown once
  bool     unicode;
  double   now_s;
  double   next_s; // when the next frame or line is due
  uint64_t lines_lost;
  uint64_t told;   // messages that went out as lines
  double   ours_s; // when to ask the shell again whose terminal it is
  bool     dirty;  // a key was pressed: draw at once
  uint64_t faults[VIEW_FAULTS];
  double   fault_s[VIEW_FAULTS]; // when it grew last
  uint64_t frames;
  double   frame_s_max; // what drawing took
  double   frame_s_sum;
  ViewKeys keys;
  Pen      pen;
  Terminal terminal;
  Outlet   outlet;
  Messages messages;
  Roll     roll;
  RollGrid grid;
  Walk     walk;
} View;

void view_open(View* view);
// Gives the terminal back; the lines that were logged stay on it.
void view_close(View* view);

// Ctrl-Z was pressed. Once no note sounds (a stopped process can end none)
// view_stop() obeys, and returns when the shell lets us go on.
bool view_stop_asked(void);
void view_stop(View* view);
// Gives the terminal back at once. For a signal handler that ends the program.
void view_rescue(void);

// A line that stays.
void view_log(View* view, const char* format, ...)
  __attribute__((format(printf, 2, 3)));

// A message that went out.
void view_played(View* view, const uint8_t message[3]);

// A point of the walk that now sounds. view_walk_clear(): another model plays.
void view_walk_add(View* view, const float* z, uint32_t size);
void view_walk_clear(View* view);
// The point stored in `slot` 1 .. POINTS_MAX; z NULL: none is.
void view_walk_mark(View* view, uint32_t slot, const float* z, uint32_t size);

// Whether the next view_poll() may draw, so that all of `status` should be up
// to date. In other turns keys need `params` and `recording`.
bool view_is_due(const View* view, double now_s);

// Each turn of the control loop: takes keys (what they ask for goes to `act`,
// whose refusals are shown) and draws what is due at `now_s` (any steady
// clock).
void view_poll(View*             view,
               double            now_s,
               const ViewStatus* status,
               ActionDo          act,
               void*             context);
