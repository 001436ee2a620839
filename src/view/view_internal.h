// What the view's own files share: keys, and the parts of the screen.
#pragma once

#include "view/view.h"

// Everything that a key needs.
typedef struct {
  View*             view;
  double            now_s;
  const ViewStatus* status;
  ActionDo          act;
  void*             context;
} KeyTurn;

// Takes what was typed, and what time decides.
void view_take_keys(const KeyTurn* turn);

// One line of the help page: "space", "freeze ...", and a short form for the
// help line ("freeze"; "": only on the page). NULL beyond the last.
typedef struct {
  const char* keys;
  const char* brief;
  const char* text;
} KeyHelp;
const KeyHelp* view_key_help(size_t index);

// What is being asked, for the bottom line; "" when nothing is.
void view_question(const View*       view,
                   const ViewStatus* status,
                   char*             text,
                   size_t            size);

// A line for the person who pressed a key.
void view_refuse(View* view, const char* format, ...)
  __attribute__((format(printf, 2, 3)));

// One frame.
void view_draw(View* view, const ViewStatus* status);

// The parts, each into its box.
void view_draw_readout(View* view, const ViewStatus* status, const Box* box);
void view_draw_roll(View* view, const ViewStatus* status, const Box* box);
void view_draw_walk(View* view, const Box* box);
void view_draw_params(View* view, const ViewStatus* status, const Box* box);
void view_draw_messages(View* view, const Box* box);
void view_draw_help(View* view, const Box* box);
void view_draw_help_line(View* view, const Box* box);

// "temperature 0.5": what the next key acts on, where there is no room for all.
void view_draw_chosen(View* view, const ViewStatus* status, const Box* box);
