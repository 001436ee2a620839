// What a person looks at: on a terminal a piano roll that moves and a status
// line below it; elsewhere plain log lines. Control thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VIEW_COLUMNS 80

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
} ViewStatus;

typedef struct {
  bool    terminal;
  bool    unicode;
  int     columns;
  bool    footer;                 // the labels and the status line are shown
  double  next_s;                 // when the next row or line is due
  uint8_t pressed[VIEW_COLUMNS];  // velocity of the newest key press, or 0
  uint8_t sounding[VIEW_COLUMNS]; // keys held in that column
} View;

void view_open(View* view);
// Gives the terminal back.
void view_close(View* view);

// A line that stays.
void view_log(View* view, const char* format, ...)
  __attribute__((format(printf, 2, 3)));

void view_played(View* view, const uint8_t message[3]);

// Draws what is due at `now_s` (any steady clock).
void view_draw(View* view, double now_s, const ViewStatus* status);
