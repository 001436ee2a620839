// Fewer steps in time.
#include "live/deadline.h"

#include <math.h>

// What a window costs besides its steps, in steps: the pass over the notes
// given before it (2.3 measured, for 24 notes in a model of 2M parameters).
#define OVERHEAD_STEPS 2.0
// A window may take this share of the time there is; while short of time a
// smaller one, so that the plan grows again.
#define TIME_SHARE 0.5
#define TIME_SHARE_SHORT 0.25
// The plan is long again at this share of the look-ahead.
#define RECOVERED_SHARE 0.75
#define LOOK_AHEAD_S_MIN 2.0
// One window that took minutes is no reason to plan minutes.
#define LOOK_AHEAD_S_MAX 30.0
// A job is given a little after the plan got shorter than the look-ahead.
#define LOOK_AHEAD_MARGIN_S 0.25
// After so many windows all before count half.
#define FADE_WINDOWS 128u

static double
window_s(double step_s, uint32_t steps)
{
  return step_s * (steps + OVERHEAD_STEPS);
}

void
deadline_measured(Deadline* deadline,
                  double    seconds,
                  uint32_t  steps,
                  uint32_t  steps_full)
{
  const double step_s = seconds / (steps + OVERHEAD_STEPS);
  // Slower counts at once, faster bit by bit.
  deadline->step_s =
    step_s > deadline->step_s ? step_s : (step_s + deadline->step_s) / 2;
  latency_add(&deadline->full, window_s(step_s, steps_full));
  if (++deadline->windows == FADE_WINDOWS) {
    deadline->windows = 0;
    latency_fade(&deadline->full);
  }
}

double
deadline_look_ahead_s(const Deadline* deadline, uint32_t steps_full)
{
  const double slow_s = fmax(latency_percentile_s(&deadline->full, 0.95),
                             window_s(deadline->step_s, steps_full));
  const double wanted_s =
    slow_s / TIME_SHARE + DEADLINE_RESERVE_S + LOOK_AHEAD_MARGIN_S;
  return fmin(fmax(wanted_s, LOOK_AHEAD_S_MIN), LOOK_AHEAD_S_MAX);
}

uint32_t
deadline_rung(uint32_t steps_least, uint32_t steps_full, uint32_t rung)
{
  // Steps of about 3/4.
  static const uint32_t eighths[DEADLINE_RUNGS] = { 8, 6, 4, 3, 2, 0 };
  const uint32_t        steps =
    rung < DEADLINE_RUNGS ? (uint32_t)((uint64_t)steps_full * eighths[rung] / 8)
                                 : 0;
  return steps > steps_least ? steps : steps_least;
}

uint32_t
deadline_steps(Deadline* deadline,
               uint32_t  steps_least,
               uint32_t  steps_full,
               double    spare_s)
{
  const double long_s =
    RECOVERED_SHARE * deadline_look_ahead_s(deadline, steps_full);
  deadline->short_of_time = deadline->short_of_time && spare_s < long_s;
  const double share  = deadline->short_of_time ? TIME_SHARE_SHORT : TIME_SHARE;
  const double time_s = fmax(share * spare_s, 0);
  if (window_s(deadline->step_s, steps_full) <= time_s) {
    return steps_full;
  }
  deadline->short_of_time = true;
  const double fits       = time_s / deadline->step_s - OVERHEAD_STEPS;
  uint32_t     rung       = 1;
  while (deadline_rung(steps_least, steps_full, rung) > steps_least &&
         deadline_rung(steps_least, steps_full, rung) > fits) {
    ++rung;
  }
  return deadline_rung(steps_least, steps_full, rung);
}
