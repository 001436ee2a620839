// Lines: short texts that say how the notes from a number on were made. They
// wait here until the first note they concern is played, and stand before it
// from then on. Their order is kept: with a line all that were given before it
// stand there. A queue of fixed memory. Control thread.
//
// A later line of a smaller number supersedes what a line says of notes that
// were not played yet; which of them who makes the notes again knows, so all
// stay. But such a line that waits is no place to begin from any more.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  uint64_t    number;   // of the first note it concerns
  bool        starts;   // the notes can be made again from this line on
  const char* text;     // one line: no control characters
  bool        replaces; // lines that wait, of its number or later, can go
  bool        now;      // it does not wait: it stands where it was given
} RecordLine;

#define LINE_WAITS UINT64_MAX

typedef struct {
  uint64_t number;
  uint64_t at;      // the event that it stands before, or LINE_WAITS
  uint32_t text_at; // in bytes
  uint32_t text_bytes;
  bool     starts;
} QueuedLine;

// Counted from the first line ever: those of `first` until `end` are here,
// those from `waiting` on wait. lines_at() finds one.
typedef struct {
  QueuedLine* lines; // of line_max
  char*       bytes; // of byte_max
  uint32_t    line_max;
  uint32_t    byte_max;
  uint64_t    first;
  uint64_t    waiting;
  uint64_t    end;
} Lines;

Status lines_init(Lines*   lines,
                  uint32_t line_max,
                  uint32_t byte_max,
                  Error*   error);
void   lines_free(Lines* lines);

// Can it be taken at all? STATUS_LIMIT: longer than RECORD_LINE_BYTES_MAX;
// STATUS_BAD_ARGUMENT: a control character.
Status line_check(const RecordLine* line, Error* error);

// Takes a checked line; false when there is no room: nothing but what it
// supersedes has changed, and it can be tried again when others have gone.
bool lines_add(Lines* lines, const RecordLine* line);

// Note `number` was played, as event `at`: what waits for it stands there now,
// and what was given before that.
void lines_place(Lines* lines, uint64_t number, uint64_t at);

// The oldest goes. There must be one.
void lines_drop_first(Lines* lines);

QueuedLine* lines_at(const Lines* lines, uint64_t index);
const char* lines_text(const Lines* lines, uint64_t index);
