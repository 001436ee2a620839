// How far ahead the plan should reach, and how many sampling steps there is
// time for, from how long windows took: the first of the fallbacks when the
// plan runs short. Pure; the worker's.
#pragma once

#include "live/latency.h"

#include <stdbool.h>
#include <stdint.h>

// What is planned never gets shorter than this if anything else than the model
// can fill it: time for the worker's thread to be late.
#define DEADLINE_RESERVE_S 0.1

typedef struct {
  double           step_s;        // of late; 0: not measured yet
  LatencyHistogram full;          // what windows would take with all steps
  uint32_t         windows;       // in `full`, since they last faded
  bool             short_of_time; // until the plan is long again
} Deadline;

// A window of `steps` took `seconds`; it should have had `steps_full`.
void deadline_measured(Deadline* deadline,
                       double    seconds,
                       uint32_t  steps,
                       uint32_t  steps_full);

// What should be planned for windows of `steps_full`, the reserve included:
// long enough that all steps are taken, however few there were time for of
// late.
double deadline_look_ahead_s(const Deadline* deadline, uint32_t steps_full);

// The numbers of steps that a window may have: rung 0 is `steps_full`, each
// further one has fewer, until `steps_least`. They are few, because on a GPU
// each number needs a recording.
#define DEADLINE_RUNGS 6u
uint32_t deadline_rung(uint32_t steps_least,
                       uint32_t steps_full,
                       uint32_t rung);

// Steps for the next window: `steps_full`, or the most of a rung that fit well
// into `spare_s`, what is planned beyond the reserve.
uint32_t deadline_steps(Deadline* deadline,
                        uint32_t  steps_least,
                        uint32_t  steps_full,
                        double    spare_s);
