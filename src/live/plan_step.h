// How what is planned was made: enough to make it again, note for note. The
// planner tells steps in the order of its decisions; one about note N replaces
// all that was said about N and later notes.
#pragma once

#include "live/generator.h"
#include "live/scheduler.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
  PLAN_WINDOW, // from note `number` on these: sampled for `job` by a model
  PLAN_EVENTS, // from note `number` on `events`: notes that had been before
  PLAN_STAMPS, // from note `number` on stamped so
  PLAN_BREAK,  // from note `number` on silent, from `frame` on
  PLAN_PANIC // what sounds ends at `frame`; not the planner's: process does it
} PlanStepKind;

#define PLAN_DIGEST_BYTES 24

typedef struct {
  PlanStepKind kind;
  uint64_t     number;
  // PLAN_WINDOW. `follows`: the state of the generator was that which the
  // window before left, and its context are the notes before `number`.
  bool         follows;
  bool         is_fallback;
  char         digest[PLAN_DIGEST_BYTES]; // of the model
  uint32_t     latent_size;
  GeneratorJob job;
  NoteEvent    events[WINDOW_NOTES]; // PLAN_WINDOW as well
  // PLAN_STAMPS.
  Params         params;
  SchedulerState stamps;
  // PLAN_BREAK, PLAN_PANIC. `ends`: what sounds ends there, too.
  uint64_t frame;
  bool     ends;
} PlanStep;
