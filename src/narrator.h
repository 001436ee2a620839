// What a recording is told of how its notes were made: the planner's steps as
// lines, each just before the first note that it concerns is played. What is
// planned anew before it was played is never told. Control thread.
#pragma once

#include "live/plan_step.h"
#include "plan_text.h"
#include "record/lines.h"

#include <stdbool.h>
#include <stdint.h>

// Steps that wait for their note; more than can be planned ahead in windows.
#define NARRATOR_WAITING_MAX 2048u

typedef struct {
  uint64_t     number;
  PlanStepKind kind;
  bool         starts;
  bool         ends;  // of a break
  uint64_t     frame; // of a break
  char*        text;
} NarratorLine;

typedef struct {
  PlanTextWriter writer;
  bool           begun;
  NarratorLine   waiting[NARRATOR_WAITING_MAX]; // by number
  uint32_t       count;
  RecordLine     rest[NARRATOR_WAITING_MAX];
  uint64_t       played;     // the last note
  uint64_t       lost;       // no memory, or too many
  uint64_t       lost_until; // lines of earlier notes are missing
} Narrator;

// `tell` gets a line where it is to stand: `now` is set.
typedef void (*NarratorTell)(void* context, const RecordLine* line);

// The music's place is known.
void narrator_begin(Narrator* narrator,
                    uint32_t  sample_rate_hz,
                    uint64_t  origin_frame);
void narrator_free(Narrator* narrator);

// A step of the planner, in its order.
void narrator_hear(Narrator* narrator, const PlanStep* step);
// Steps of notes before `until` did not get here: the next line starts anew.
void narrator_lose(Narrator* narrator, uint64_t until);
// A message of `frame` (session clock) is about to be recorded: breaks before
// stand before it; one at that frame after what it ended, before a note-on.
void narrator_reach(Narrator*    narrator,
                    uint64_t     frame,
                    bool         is_on,
                    NarratorTell tell,
                    void*        context);
// All notes were ended at `frame`, which was recorded.
void narrator_panic(Narrator*    narrator,
                    uint64_t     frame,
                    NarratorTell tell,
                    void*        context);
// Lines of notes that were not played yet: what is cut now needs them to be
// made again. Good until the next call.
const RecordLine* narrator_rest(Narrator* narrator, uint32_t* count);
// The note-on of note `number` is.
void narrator_note(Narrator*    narrator,
                   uint64_t     number,
                   NarratorTell tell,
                   void*        context);
