// How many sampling steps there is time for, from how long they took: the
// first of the fallbacks when the plan runs short. Pure; the worker's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  double step_s;        // of late; 0: not measured yet
  bool   short_of_time; // until the plan is long again
} Deadline;

// A window of `steps` took `seconds`.
void deadline_measured(Deadline* deadline, double seconds, uint32_t steps);

// Steps for the next window: `steps_full`, or as many as fit well into
// `spare_s`, what is planned beyond the reserve; but no fewer than make sense.
// `look_ahead_s` is what is planned when all is well.
uint32_t deadline_steps(Deadline* deadline,
                        uint32_t  steps_full,
                        double    spare_s,
                        double    look_ahead_s);
