// Fewer steps in time.
#include "live/deadline.h"

#include <math.h>

// A window may take this share of the time there is; while short of time a
// smaller one, so that the plan grows again.
#define TIME_SHARE 0.5
#define TIME_SHARE_SHORT 0.25
// The plan is long again at this share of the look-ahead.
#define RECOVERED_SHARE 0.75
// With fewer steps a model sounds worse than what stands in for it; one made
// for few steps does not.
#define STEPS_LEAST 4u

void
deadline_measured(Deadline* deadline, double seconds, uint32_t steps)
{
  const double step_s = seconds / steps;
  // Slower counts at once, faster bit by bit.
  deadline->step_s =
    step_s > deadline->step_s ? step_s : (step_s + deadline->step_s) / 2;
}

uint32_t
deadline_steps(Deadline* deadline,
               uint32_t  steps_full,
               double    spare_s,
               double    look_ahead_s)
{
  if (spare_s >= RECOVERED_SHARE * look_ahead_s) {
    deadline->short_of_time = false;
  }
  const double share  = deadline->short_of_time ? TIME_SHARE_SHORT : TIME_SHARE;
  const double time_s = fmax(share * spare_s, 0);
  if (steps_full * deadline->step_s <= time_s) {
    return steps_full;
  }
  deadline->short_of_time = true;
  const uint32_t least    = steps_full > STEPS_LEAST ? STEPS_LEAST : 1;
  const double   fits     = floor(time_s / deadline->step_s);
  return fits > least ? (uint32_t)fits : least;
}
