// The terminal itself: finding one, taking it and giving it back, what its
// signals ask for, bytes in and frames out. ncurses draws into a file in memory
// (it would wait, or spin, where a terminal takes nothing); from there a frame
// goes out as the terminal takes it. Control thread; one at a time.
#pragma once

#include "view/outlet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <termios.h>

typedef struct {
  bool           found;
  bool           shown;  // the screen is ours
  Outlet*        outlet; // to the terminal
  int            frame;  // the file in memory
  size_t         frame_sent;
  bool           framed; // there may be something in it
  FILE*          drawn;  // `frame`, as ncurses wants it
  void*          screen;
  struct termios shell;     // the settings as they were found
  char           enter[32]; // beyond what ncurses does: pastes are marked
  char           leave[32];
} Terminal;

// Whether standard output is a terminal on which a screen can be drawn. It is
// left as it is.
bool terminal_find(Terminal* terminal, Outlet* outlet);

// Takes it: keys come at once and unseen, and the screen is ours. False: it
// cannot be done, and terminal_find() should have said so (no memory).
bool terminal_show(Terminal* terminal);

// Gives it back; shown again it is drawn anew. A terminal that takes nothing is
// waited for no longer than half a second.
void terminal_hide(Terminal* terminal);
void terminal_close(Terminal* terminal);

// Whether the shell lets us have it now: false in the background.
bool terminal_is_ours(const Terminal* terminal);

// Tells ncurses of a new size and returns true when there is one.
bool terminal_resize(const Terminal* terminal);

// The next frame writes every cell.
void terminal_redraw(void);

// What was typed; 0: nothing.
size_t terminal_read(const Terminal* terminal, char* bytes, size_t size);

// After drawing: there is a frame to move on.
void terminal_drawn(Terminal* terminal);

// Moves a frame on; true: all of it is out, so that the next may be drawn.
bool terminal_pump(Terminal* terminal);

// From here until terminal_close() Ctrl-Z only asks, unless whoever started us
// wants it ignored. terminal_stop() does what it asks for and returns when the
// shell lets us go on.
void terminal_watch_stop(void);
bool terminal_stop_asked(void);
void terminal_stop(Terminal* terminal);

// Gives the terminal back at once. For a signal handler that ends the program.
void terminal_rescue(void);

// Since the last call, someone let a stopped process go on.
bool terminal_was_continued(void);
