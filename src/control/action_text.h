// Actions in words, as bindings and learning write them: "panic", "store 3",
// "nudge tempo -1", "text mode walk", "preset calm". Control thread.
#pragma once

#include "control/action.h"

#include <stddef.h>

// STATUS_BAD_ARGUMENT names the action and what it takes. "learn" and "unlearn"
// without a parameter leave `param` at PARAM_COUNT: the one last touched.
Status action_parse(const char* text, Action* action, Error* error);

// What action_parse() reads, cut at `size_bytes`.
void action_format(const Action* action, char* text, size_t size_bytes);

// Whether all that an action takes is there and in range. What a parameter
// takes beyond that (its own range, its names) is left to who sets it.
Status action_check(const Action* action, Error* error);
