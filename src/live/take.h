// How what is planned was made: enough to make it again, note for note. The
// planner writes takes in the order of its decisions; one about note N replaces
// all that was said about N and later notes.
#pragma once

#include "live/generator.h"
#include "live/scheduler.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
  TAKE_WINDOW, // from note `number` on these: sampled for `job` by a model
  TAKE_EVENTS, // from note `number` on `events`: notes that had been before
  TAKE_STAMPS, // from note `number` on stamped so
  TAKE_BREAK   // from note `number` on silent; those before end at `frame`
} TakeKind;

#define TAKE_DIGEST_BYTES 24

typedef struct {
  TakeKind kind;
  uint64_t number;
  // TAKE_WINDOW. `follows`: the state of the generator was that which the
  // window before left, and its context are the notes before `number`.
  bool         follows;
  bool         is_fallback;
  char         digest[TAKE_DIGEST_BYTES]; // of the model
  GeneratorJob job;
  NoteEvent    events[WINDOW_NOTES]; // TAKE_WINDOW as well
  // TAKE_STAMPS.
  Params         params;
  SchedulerState stamps;
  uint64_t       frame; // TAKE_BREAK; UINT64_MAX: they end by themselves
} Take;
