// How lines stand in a MIDI file, as text events that a DAW shows as markers:
//   meander: from 123 anew: TEXT    a line of note 123 that starts
//   meander: from 131: TEXT         one that does not
//   meander: cut frame=96000 begin=4800 rate=48000 first=123 lost=0
// and " lead=-96" where time zero is elsewhere than `begin`.
// Any thread except process.
#pragma once

#include "caps.h"
#include "record/lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_TEXT_PREFIX "meander: "
#define LINE_TEXT_BYTES_MAX (RECORD_LINE_BYTES_MAX + 64u)

// Where a file was cut; it is its last line.
typedef struct {
  uint64_t frame;          // onsets before it are here; since time zero
  uint64_t begin;          // onsets before it are not here; on the clock of
                           // those who recorded
  uint64_t first;          // number of the first note that is here, or ...
  uint32_t sample_rate_hz; // of the frames
  uint64_t lost;           // lines that are missing: not to be made again
  int64_t  lead;           // frames from time zero to `begin`, either way
} CutLine;

// A frame of that clock, since time zero; what is before stands there.
uint64_t cut_place(uint64_t begin, int64_t lead, uint64_t frame);

#define CUT_NO_NOTE UINT64_MAX // ... no planned one is

void line_text_format(const RecordLine* line, char text[LINE_TEXT_BYTES_MAX]);
void line_text_format_cut(const CutLine* cut, char text[LINE_TEXT_BYTES_MAX]);

// False: it is none. `line->text` points into `text`.
bool line_text_parse(const char* text, RecordLine* line);
bool line_text_parse_cut(const char* text, CutLine* cut);
