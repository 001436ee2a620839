// Putting text and cells on the screen: clipped, in the terminal's colours
// (256, 16, 8 or none) and characters (UTF-8 or ASCII). Between terminal_show()
// and terminal_hide(); control thread.
#pragma once

#include "view/roll.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
  INK_PLAIN,
  INK_BRIGHT, // what matters
  INK_QUIET,  // marks and names, still to be read in the dark
  INK_ACCENT,
  INK_WARNING,
  INK_ALARM,
  INK_CHOSEN, // what the next key acts on
  INK_BADGE,  // a state that changes what is heard
  INK_COUNT
} Ink;

#define PEN_TEXT_BYTES 1024u

typedef struct {
  bool  unicode;
  bool  braille; // the font has it
  int   colours;
  short pairs[INK_COUNT];
  short roll_pairs[ROLL_CELLS][ROLL_CELLS]; // of upper and lower half
} Pen;

typedef struct {
  int row;
  int column;
  int rows;
  int columns;
} Box;

// `unicode` whether the locale is UTF-8. After the first terminal_show().
void pen_begin(Pen* pen, bool unicode);

// The screen, emptied; then all of a frame; then what changed goes out.
Box  pen_clear(void);
void pen_show(void);

// Text at a place in a box, cut where the box ends; returns the columns used.
// Bytes that are no text in this locale become '?'.
int pen_put(const Pen*  pen,
            const Box*  box,
            int         row,
            int         column,
            Ink         ink,
            const char* text);

int pen_put_format(const Pen*  pen,
                   const Box*  box,
                   int         row,
                   int         column,
                   Ink         ink,
                   const char* format,
                   ...) __attribute__((format(printf, 6, 7)));

// Long text over rows of a box, between words; returns the rows used. At most
// `rows_max`; nothing is drawn with `pen` NULL.
int pen_wrap(const Pen*  pen,
             const Box*  box,
             int         row,
             int         rows_max,
             Ink         ink,
             const char* text);

// Columns that a text takes.
int pen_width(const char* text);

// The place that `share` 0..1 fills of `columns`.
void pen_bar(const Pen* pen,
             const Box* box,
             int        row,
             int        column,
             int        columns,
             Ink        ink,
             double     share);

// Two slots of the roll's grid in one place (half blocks), or one where there
// are no colours or no such characters; pen_slots() says which. `mark`: an
// empty cell that guides the eye.
int  pen_slots(const Pen* pen);
void pen_cell(const Pen* pen,
              const Box* box,
              int        row,
              int        column,
              uint8_t    upper,
              uint8_t    lower,
              bool       mark);

// Eight dots of a place, bits in Braille's order (U+2800), where `braille`.
void pen_dots(const Pen* pen,
              const Box* box,
              int        row,
              int        column,
              Ink        ink,
              uint8_t    dots);
