// The planner's steps as lines of text, for recordings that can be made again
// (regenerate.h). A line holds what does not follow from those before it; now
// and then one starts: it holds everything. Any thread but process.
//
//   window model=DIGEST seed=5 w=17 ... z=walk:0.35:0:5:17 past=tail
//   events notes=...
//   stamps at=12.5 started=1 ... p.tempo=1.2
//   break first=33 frame=480000 ends=1
//   panic frame=480000
#pragma once

#include "caps.h"
#include "live/plan_step.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Windows from one line that starts to the next.
#define PLAN_TEXT_START_WINDOWS 4u

// What was written, as far as lines refer to it.
typedef struct {
  NoteEvent events[4 * CONTEXT_NOTES_MAX]; // by number
  uint64_t  first;                         // of those known
  uint64_t  next;
  uint64_t  reach;       // the last line that started goes back to this note
  uint32_t  until_start; // windows
  uint32_t  sample_rate_hz;
  uint64_t  origin_frame;
} PlanTextWriter;

// Frames in the text count from `origin_frame`.
void plan_text_init(PlanTextWriter* writer,
                    uint32_t        sample_rate_hz,
                    uint64_t        origin_frame);

// `latent_size` is that of the model of a PLAN_WINDOW. `starts`: this line
// needs none before it.
void plan_text_write(PlanTextWriter* writer,
                     const PlanStep* step,
                     char            text[RECORD_LINE_BYTES_MAX],
                     bool*           starts);

// Takes the stamps out of a window's line, which then starts no more.
void plan_text_drop_stamps(char* text);

// A line that was read. What refers to lines before it is left to who knows
// them: the reader's flags.
typedef struct {
  PlanStep step; // without events, but for PLAN_EVENTS; number is not set
  bool     has_stamps;
  uint32_t sample_rate_hz;
  uint32_t latent_size;   // 0: z is not in the line
  bool     given_is_past; // the notes before it, which
  bool     given_is_tail; // ... are not in the line
  bool     phrase_is_last;
} PlanTextLine;

// STATUS_BAD_FILE says what is wrong with the line.
Status plan_text_read(const char* text, PlanTextLine* line, Error* error);
