// The parameters as the player sets them, and as the worker is told: what is
// smoothed glides from one value to the next. Control thread.
#pragma once

#include "live/params.h"
#include "live/worker.h"

#include <stdbool.h>

typedef struct {
  Params params; // as set
  Params told;   // to the worker
  double next_s; // when gliding goes on
} Knobs;

void knobs_init(Knobs* knobs, const Params* params);

// Sets one as the player asks for it; errors as params_set_number() and
// params_check() have them: then nothing changed.
Status knobs_set(Knobs* knobs, ParamId id, double value, Error* error);
Status knobs_set_text(Knobs* knobs, ParamId id, const char* text, Error* error);
Status knobs_set_share(Knobs* knobs, ParamId id, double share, Error* error);
// By steps: of 1 for whole numbers and names, of a hundredth of the range.
Status knobs_nudge(Knobs* knobs, ParamId id, double steps, Error* error);
// All at once; they were checked.
void knobs_set_all(Knobs* knobs, const Params* params);

// Every turn: tells the worker what is new. `now_s`: any steady clock.
void knobs_turn(Knobs* knobs, double now_s, Worker* worker);
