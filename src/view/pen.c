// Drawing by ncurses.
#include "view/pen.h"

#define NCURSES_NOMACROS
#include <curses.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#define STANDARD (-1) // the terminal's own colour

// Foregrounds with 256, 16 and 8 colours; attributes help each.
static const struct {
  short  many;
  short  some;
  short  few;
  attr_t attributes;
  attr_t alone; // without colours
} inks[INK_COUNT] = {
  [INK_PLAIN]   = { STANDARD, STANDARD, STANDARD, A_NORMAL, A_NORMAL },
  [INK_BRIGHT]  = { 231, 15, 7, A_BOLD, A_BOLD },
  [INK_QUIET]   = { 246, 7, 7, A_NORMAL, A_NORMAL },
  [INK_ACCENT]  = { 117, 14, 6, A_BOLD, A_BOLD },
  [INK_WARNING] = { 221, 11, 3, A_BOLD, A_BOLD },
  [INK_ALARM]   = { 210, 9, 1, A_BOLD | A_REVERSE, A_BOLD | A_REVERSE },
  [INK_CHOSEN]  = { 117, 14, 6, A_BOLD | A_REVERSE, A_BOLD | A_REVERSE },
  [INK_BADGE]   = { 221, 11, 3, A_BOLD | A_REVERSE, A_BOLD | A_REVERSE },
};

// The roll's cells: cool is soft, warm is loud.
static const struct {
  short many;
  short some;
  short few;
} cells[ROLL_CELLS] = {
  [ROLL_EMPTY]       = { STANDARD, STANDARD, STANDARD },
  [ROLL_PLANNED]     = { 240, 8, 4 },
  [ROLL_HELD + 0]    = { 31, 4, 4 },
  [ROLL_HELD + 1]    = { 35, 2, 2 },
  [ROLL_HELD + 2]    = { 136, 3, 3 },
  [ROLL_HELD + 3]    = { 131, 1, 1 },
  [ROLL_PRESSED + 0] = { 117, 14, 6 },
  [ROLL_PRESSED + 1] = { 120, 10, 2 },
  [ROLL_PRESSED + 2] = { 221, 11, 3 },
  [ROLL_PRESSED + 3] = { 210, 9, 1 },
};

static short
choose(int colours, short many, short some, short few)
{
  return colours >= 256 ? many : colours >= 16 ? some : few;
}

static short
pair_of(short ink, short ground)
{
  const int pair =
    ink == STANDARD && ground == STANDARD ? 0 : alloc_pair(ink, ground);
  return (short)(pair > 0 ? pair : 0);
}

static short
cell_colour(int colours, unsigned cell)
{
  return choose(colours, cells[cell].many, cells[cell].some, cells[cell].few);
}

void
pen_begin(Pen* pen, bool unicode)
{
  const char* const term = getenv("TERM");
  memset(pen, 0, sizeof *pen);
  pen->unicode = unicode;
  // The console's font has half blocks but no Braille.
  pen->braille = unicode && !(term && !strcmp(term, "linux"));
  if (!has_colors() || start_color() != OK || COLORS < 8 ||
      use_default_colors() != OK) {
    return;
  }
  pen->colours = COLORS;
  for (unsigned ink = 0; ink < INK_COUNT; ++ink) {
    pen->pairs[ink] = pair_of(
      choose(COLORS, inks[ink].many, inks[ink].some, inks[ink].few), STANDARD);
  }
  for (unsigned upper = 0; upper < ROLL_CELLS; ++upper) {
    for (unsigned lower = 0; lower < ROLL_CELLS; ++lower) {
      pen->roll_pairs[upper][lower] =
        pair_of(cell_colour(COLORS, upper), cell_colour(COLORS, lower));
    }
  }
}

Box
pen_clear(void)
{
  werase(stdscr);
  return (Box){ 0, 0, getmaxy(stdscr), getmaxx(stdscr) };
}

void
pen_show(void)
{
  wnoutrefresh(stdscr);
  doupdate();
}

static void
use_ink(const Pen* pen, Ink ink)
{
  wattr_set(stdscr,
            pen->colours ? inks[ink].attributes : inks[ink].alone,
            pen->pairs[ink],
            NULL);
}

// The next character of a text, and its columns; false at the end.
static bool
next_character(const char** text, wchar_t* character, int* columns)
{
  mbstate_t    state = { 0 };
  const size_t bytes = mbrtowc(character, *text, MB_CUR_MAX, &state);
  if (!bytes) {
    return false;
  }
  if (bytes > MB_CUR_MAX || (*columns = wcwidth(*character)) < 0) {
    *character = L'?';
    *columns   = 1;
  }
  *text += bytes > MB_CUR_MAX ? 1 : bytes;
  return true;
}

int
pen_width(const char* text)
{
  int     width = 0, columns;
  wchar_t character;
  while (next_character(&text, &character, &columns)) {
    width += columns;
  }
  return width;
}

int
pen_put(const Pen*  pen,
        const Box*  box,
        int         row,
        int         column,
        Ink         ink,
        const char* text)
{
  wchar_t wide[PEN_TEXT_BYTES];
  size_t  count = 0;
  int     used  = 0, columns;
  wchar_t character;
  if (row < 0 || row >= box->rows || column < 0) {
    return 0;
  }
  while (count < PEN_TEXT_BYTES &&
         next_character(&text, &character, &columns) &&
         column + used + columns <= box->columns) {
    wide[count++] = character;
    used += columns;
  }
  use_ink(pen, ink);
  mvwaddnwstr(stdscr, box->row + row, box->column + column, wide, (int)count);
  return used;
}

int
pen_put_format(const Pen*  pen,
               const Box*  box,
               int         row,
               int         column,
               Ink         ink,
               const char* format,
               ...)
{
  char    text[PEN_TEXT_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return pen_put(pen, box, row, column, ink, text);
}

// Bytes of a line's worth of text: up to a space where there is one.
static size_t
line_bytes(const char* text, int columns_max)
{
  const char* at    = text;
  size_t      bytes = 0;
  int         used  = 0, columns;
  wchar_t     character;
  for (const char* before = at; next_character(&at, &character, &columns);
       before             = at) {
    if (character == L' ') {
      bytes = (size_t)(before - text);
    }
    used += columns;
    if (used > columns_max) {
      return bytes           ? bytes
             : before > text ? (size_t)(before - text)
                             : (size_t)(at - text);
    }
  }
  return strlen(text);
}

int
pen_wrap(const Pen*  pen,
         const Box*  box,
         int         row,
         int         rows_max,
         Ink         ink,
         const char* text)
{
  int rows = 0;
  while (*text && rows < rows_max && box->columns > 0) {
    const size_t bytes = line_bytes(text, box->columns);
    if (pen) {
      pen_put_format(pen, box, row + rows, 0, ink, "%.*s", (int)bytes, text);
    }
    ++rows;
    text += bytes;
    text += strspn(text, " ");
  }
  return rows;
}

void
pen_bar(const Pen* pen,
        const Box* box,
        int        row,
        int        column,
        int        columns,
        Ink        ink,
        double     share)
{
  const double of    = share < 0 ? 0 : share > 1 ? 1 : share;
  const int    whole = (int)(of * columns + 0.5);
  for (int i = 0; i < columns; ++i) {
    const char* const full  = pen->unicode ? "█" : "#";
    const char* const empty = pen->unicode ? "░" : "-";
    pen_put(pen,
            box,
            row,
            column + i,
            i < whole ? ink : INK_QUIET,
            i < whole ? full : empty);
  }
}

int
pen_slots(const Pen* pen)
{
  return pen->unicode && pen->colours ? 2 : 1;
}

static const wchar_t*
cell_sign(const Pen* pen, uint8_t cell)
{
  static const wchar_t* const blocks[] = { L"░", L"▒", L"▓", L"█" };
  static const wchar_t* const signs[]  = { L"o", L"o", L"O", L"#" };
  if (cell >= ROLL_PRESSED) {
    return (pen->unicode ? blocks : signs)[cell - ROLL_PRESSED];
  }
  if (cell >= ROLL_HELD) {
    return pen->unicode ? L"│" : L"|";
  }
  return cell == ROLL_PLANNED ? L":" : L" ";
}

static const wchar_t*
half_blocks(uint8_t upper, uint8_t lower)
{
  return upper == lower ? L"█" : upper == ROLL_EMPTY ? L"▄" : L"▀";
}

void
pen_cell(const Pen* pen,
         const Box* box,
         int        row,
         int        column,
         uint8_t    upper,
         uint8_t    lower,
         bool       mark)
{
  const bool two = pen_slots(pen) == 2;
  if (upper == ROLL_EMPTY && (!two || lower == ROLL_EMPTY)) {
    if (mark) {
      pen_put(pen, box, row, column, INK_QUIET, pen->unicode ? "·" : ".");
    }
    return;
  }
  if (row >= box->rows || column >= box->columns) {
    return;
  }
  const attr_t loud = upper >= ROLL_PRESSED ? A_BOLD : A_NORMAL;
  short        pair = pen->roll_pairs[upper][ROLL_EMPTY];
  if (two) {
    pair = upper == ROLL_EMPTY ? pen->roll_pairs[lower][ROLL_EMPTY]
                               : pen->roll_pairs[upper][lower];
  }
  cchar_t cell;
  setcchar(&cell,
           two ? half_blocks(upper, lower) : cell_sign(pen, upper),
           two ? A_NORMAL : loud,
           pair,
           NULL);
  mvwadd_wch(stdscr, box->row + row, box->column + column, &cell);
}

void
pen_dots(const Pen* pen,
         const Box* box,
         int        row,
         int        column,
         Ink        ink,
         uint8_t    dots)
{
  char text[MB_LEN_MAX + 1] = "";
  if (wctomb(text, (wchar_t)(0x2800 + dots)) > 0) {
    pen_put(pen, box, row, column, ink, text);
  }
}
