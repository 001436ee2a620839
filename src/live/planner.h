// The plan: notes that are decided but not yet played, and how to change one's
// mind about them. It stamps what is added, hands it to process, can stamp it
// anew or cut it off from some frame on, and knows what the generator's state
// was at each window. The thread that plans.
//
// Each change of what was handed out begins an epoch (process.h); the next may
// begin when process has seen the last. Until then notes of older epochs are
// played up to the frame where the next one begins: that is a few periods away,
// far fewer than PROCESS_CUTS.
#pragma once

#include "live/plan_step.h"
#include "live/process.h"
#include "live/scheduler.h"

#include <stdbool.h>
#include <stdint.h>

// What is remembered: more than the ring can hold.
#define PLAN_NOTES (2 * STAMPED_RING_NOTES)
#define PLAN_WINDOWS (PLAN_NOTES / WINDOW_NOTES)

// Steps between worker and control. When full a step is lost and counted: the
// recording cannot be made again.
#define PLAN_STEPS_MAX 512u
// Notes between worker and control, to be looked at. When full one is not
// shown.
#define PLAN_SHOWN_MAX 4096u

typedef struct {
  NoteEvent      event;
  StampedNote    stamp;
  SchedulerState before; // what its stamp followed from
  double         at;     // its beat, before it was pulled to the grid
} PlannedNote;

typedef struct {
  uint64_t       first; // its first note
  GeneratorState before;
  GeneratorState after;
} PlannedWindow;

typedef struct {
  Process*         process; // not owned
  Scheduler        scheduler;
  Ring             told;  // PlanStep, worker -> control
  Ring             shown; // StampedNote, worker -> control, as handed out
  _Atomic uint64_t told_lost;
  _Atomic uint64_t told_lost_until; // of notes before this one
  _Atomic uint64_t unsent;          // notes for which the ring had no room

  PlannedNote*   notes;   // [PLAN_NOTES], by number
  uint64_t       first;   // the oldest one known
  uint64_t       next;    // the number of the next note
  PlannedWindow* windows; // [PLAN_WINDOWS]
  uint64_t       window_first;
  uint64_t       window_next;

  uint32_t epoch;
  uint32_t breaks;       // that the plan takes into account
  double   not_before;   // beat: of the first note after a cut
  bool     cut;          // the next note is the first after a cut
  bool     ended;        // the music has
  uint64_t resume_at;    // the first note that a break left silent
  uint64_t counted_from; // from this note on beats are counted as now
  double   moved; // beats that notes were moved by as beats were counted anew
  bool     has_last_z;
  float    last_z[MODEL_LATENT_MAX]; // of the last window that was sampled
} Planner;

Status planner_init(Planner* planner, Process* process, Error* error);
void   planner_free(Planner* planner);
// Control thread: the oldest step that was not read yet.
bool planner_read_step(Planner* planner, PlanStep* step);
// Control thread: the oldest note that was handed out and not read yet. One of
// number N takes the place of what was planned from N on; and one of an older
// epoch is played before the frame of process's `cut` only.
bool planner_read_note(Planner* planner, StampedNote* note);

// The music's place. Once.
void planner_place(Planner*      planner,
                   const Params* params,
                   uint32_t      sample_rate_hz,
                   uint64_t      origin_frame,
                   double        seconds);

// Tells of a scheduler that was set otherwise.
void planner_tell_place(Planner* planner);

// Whether a window fits.
bool planner_has_room(const Planner* planner);

// Adds a window that comes next: `step` tells how it was made (kind, job,
// digest); before and after it the generator was so.
void planner_add(Planner*              planner,
                 PlanStep*             step,
                 const NoteEvent       events[WINDOW_NOTES],
                 const GeneratorState* before,
                 const GeneratorState* after);

// The first note that begins at `frame` or later; planner->next: none does.
uint64_t           planner_find(const Planner* planner, uint64_t frame);
const PlannedNote* planner_note(const Planner* planner, uint64_t number);
// The window of note `number`, or NULL.
const PlannedWindow* planner_window_of(const Planner* planner, uint64_t number);
// The last notes before `number`, oldest first; returns how many.
uint32_t planner_tail(const Planner* planner,
                      uint64_t       number,
                      NoteEvent      out[CONTEXT_NOTES_MAX]);

// Whether process has seen the last change, so that there may be another.
bool planner_may_change(const Planner* planner);

// From `frame` on, which process has not committed to: the notes of the plan
// anew, with these parameters and this map.
void planner_restamp(Planner*       planner,
                     uint64_t       frame,
                     const Params*  params,
                     const BeatMap* map);
// From note `number` on, which begins at `frame` or later, nothing is planned
// any more: what is added follows the note before.
void planner_cut(Planner* planner, uint64_t number, uint64_t frame);
// Nothing begins from `frame` on; resume_at tells which notes that are. What
// sounds ends there (`ends`), or by itself.
void planner_break(Planner* planner, uint64_t frame, bool ends);
// After a break: the notes that did not sound come from beat `at` of `map` on.
void planner_resume(Planner*       planner,
                    uint64_t       frame,
                    const Params*  params,
                    const BeatMap* map,
                    double         at);
// Where time went on without us (scheduler_skip()).
void planner_skip(Planner* planner, uint64_t frame);
