// The plan and its changes.
#include "live/planner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A map that is further from the one before counts its beats anew: a master
// came or went, or its bars are others. Notes keep their time then; where a
// beat was only measured better, they follow it.
#define ANEW_BEATS 0.5

Status
planner_init(Planner* planner, Process* process, Error* error)
{
  *planner =
    (Planner){ .process = process,
               .notes   = calloc(PLAN_NOTES, sizeof(PlannedNote)),
               .windows = calloc(PLAN_WINDOWS, sizeof(PlannedWindow)) };
  if (!planner->notes || !planner->windows) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a plan");
  }
  const Status status =
    ring_init(&planner->told, sizeof(PlanStep), PLAN_STEPS_MAX, error);
  return status
           ? status
           : ring_init(
               &planner->shown, sizeof(StampedNote), PLAN_SHOWN_MAX, error);
}

void
planner_free(Planner* planner)
{
  free(planner->notes);
  free(planner->windows);
  planner->notes   = NULL;
  planner->windows = NULL;
  ring_free(&planner->told);
  ring_free(&planner->shown);
}

bool
planner_read_step(Planner* planner, PlanStep* step)
{
  const PlanStep* const next = ring_peek(&planner->told);
  if (!next) {
    return false;
  }
  *step = *next;
  ring_pop(&planner->told);
  return true;
}

bool
planner_read_note(Planner* planner, StampedNote* note)
{
  const StampedNote* const next = ring_peek(&planner->shown);
  if (!next) {
    return false;
  }
  *note = *next;
  ring_pop(&planner->shown);
  return true;
}

static void
tell(Planner* planner, const PlanStep* step)
{
  if (ring_push(&planner->told, step)) {
    ring_commit(&planner->told);
  } else {
    if (step->number >= atomic_load(&planner->told_lost_until)) {
      atomic_store(&planner->told_lost_until, step->number + 1);
    }
    atomic_fetch_add(&planner->told_lost, 1);
  }
}

static void
tell_stamps(Planner* planner, uint64_t number)
{
  const PlanStep step = { .kind   = PLAN_STAMPS,
                          .number = number,
                          .params = planner->scheduler.params,
                          .stamps = planner->scheduler.state };
  tell(planner, &step);
}

// The beat from `frame` on, for MIDI clock; a full ring leaves it as it was,
// and that is counted.
static void
tell_beat(Planner* planner, uint64_t frame, bool rolling)
{
  const BeatMark mark = { .frame          = frame,
                          .map            = planner->scheduler.state.map,
                          .sample_rate_hz = planner->scheduler.sample_rate_hz,
                          .rolling        = rolling };
  if (ring_push(&planner->process->beats, &mark)) {
    ring_commit(&planner->process->beats);
  } else {
    atomic_fetch_add(&planner->process->counters.beats_lost, 1);
  }
}

static PlannedNote*
note_at(const Planner* planner, uint64_t number)
{
  return &planner->notes[number % PLAN_NOTES];
}

static PlannedWindow*
window_at(const Planner* planner, uint64_t index)
{
  return &planner->windows[index % PLAN_WINDOWS];
}

void
planner_place(Planner*      planner,
              const Params* params,
              uint32_t      sample_rate_hz,
              uint64_t      origin_frame,
              double        seconds)
{
  planner->scheduler =
    scheduler_make(params, sample_rate_hz, origin_frame, seconds);
  tell_stamps(planner, planner->next);
  tell_beat(planner, origin_frame, true);
}

void
planner_tell_place(Planner* planner)
{
  tell_stamps(planner, planner->next);
  tell_beat(planner, planner->scheduler.planned_until, true);
}

const PlannedNote*
planner_note(const Planner* planner, uint64_t number)
{
  return note_at(planner, number);
}

bool
planner_has_room(const Planner* planner)
{
  return ring_write_space(&planner->process->notes) >= WINDOW_NOTES;
}

// Everything that begins before is in the ring.
static void
publish(Planner* planner)
{
  ring_commit(&planner->process->notes);
  ring_commit(&planner->shown);
  atomic_store_explicit(&planner->process->planned_until,
                        planner->scheduler.planned_until,
                        memory_order_release);
}

// Stamps note `number` of the plan and hands it out; false: the music has
// ended.
static bool
hand_out(Planner* planner, uint64_t number)
{
  PlannedNote* const note = note_at(planner, number);
  note->before            = planner->scheduler.state;
  if (!scheduler_stamp(
        &planner->scheduler, &note->event, number, &note->stamp)) {
    return false;
  }
  note->at           = planner->scheduler.state.at;
  note->stamp.epoch  = (uint16_t)planner->epoch;
  note->stamp.breaks = planner->breaks;
  if (note->stamp.velocity) {
    if (!ring_push(&planner->process->notes, &note->stamp)) {
      atomic_fetch_add(&planner->unsent, 1);
    }
    ring_push(&planner->shown, &note->stamp);
  }
  return true;
}

static void
begin_epoch(Planner* planner, uint64_t frame)
{
  ++planner->epoch;
  planner->scheduler.planned_until = frame;
  atomic_store_explicit(&planner->process->cut,
                        frame << 16 | (uint16_t)planner->epoch,
                        memory_order_release);
}

bool
planner_may_change(const Planner* planner)
{
  return (uint16_t)atomic_load_explicit(&planner->process->epoch_seen,
                                        memory_order_acquire) ==
         (uint16_t)planner->epoch;
}

uint64_t
planner_find(const Planner* planner, uint64_t frame)
{
  uint64_t number = planner->next;
  while (number > planner->first &&
         note_at(planner, number - 1)->stamp.on_frame >= frame) {
    --number;
  }
  return number;
}

const PlannedWindow*
planner_window_of(const Planner* planner, uint64_t number)
{
  for (uint64_t i = planner->window_next; i-- > planner->window_first;) {
    const PlannedWindow* const window = window_at(planner, i);
    if (window->first <= number) {
      return window;
    }
  }
  return NULL;
}

uint32_t
planner_tail(const Planner* planner,
             uint64_t       number,
             NoteEvent      out[CONTEXT_NOTES_MAX])
{
  const uint64_t known = number - planner->first;
  const uint32_t count =
    known < CONTEXT_NOTES_MAX ? (uint32_t)known : CONTEXT_NOTES_MAX;
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = note_at(planner, number - count + i)->event;
  }
  return count;
}

// What follows a cut begins after it, however long ago the note before was.
static void
begin_after_cut(Planner* planner, const NoteEvent* event)
{
  SchedulerState* const state = &planner->scheduler.state;
  const double          step =
    event->step_s * scheduler_step_beats(&planner->scheduler.params);
  if (state->started && state->at + step < planner->not_before) {
    state->at = planner->not_before - step;
  } else if (!state->started && state->at < planner->not_before) {
    state->at = planner->not_before;
  }
}

// What a broken model could hand over is put right; notes that come again may
// have longer steps than any model makes.
static NoteEvent
taken(const PlanStep* step, NoteEvent event)
{
  return step->kind == PLAN_WINDOW ? note_event_clamp(event) : event;
}

static void
forget_oldest(Planner* planner)
{
  const uint64_t kept = PLAN_NOTES - WINDOW_NOTES;
  if (planner->next > planner->first + kept) {
    planner->first = planner->next - kept;
  }
  if (planner->window_next - planner->window_first == PLAN_WINDOWS) {
    ++planner->window_first;
  }
}

void
planner_add(Planner*              planner,
            PlanStep*             step,
            const NoteEvent       events[WINDOW_NOTES],
            const GeneratorState* before,
            const GeneratorState* after)
{
  step->number = planner->next;
  memcpy(step->events, events, sizeof step->events);
  if (step->kind == PLAN_WINDOW && !step->is_fallback) {
    step->follows = planner->has_last_z &&
                    !memcmp(planner->last_z, before->z, sizeof before->z);
    planner->has_last_z = true;
    memcpy(planner->last_z, after->z, sizeof after->z);
  }
  if (planner->cut) {
    const NoteEvent first = taken(step, events[0]);
    begin_after_cut(planner, &first);
  }
  step->params = planner->scheduler.params;
  step->stamps = planner->scheduler.state;
  tell(planner, step);
  if (planner->cut) {
    tell_stamps(planner, planner->next);
    planner->cut = false;
  }
  forget_oldest(planner);
  PlannedWindow* const window = window_at(planner, planner->window_next++);
  window->first               = planner->next;
  window->before              = *before;
  window->after               = *after;
  for (uint32_t i = 0; i < WINDOW_NOTES && !planner->ended; ++i) {
    note_at(planner, planner->next)->event = taken(step, events[i]);
    planner->ended                         = !hand_out(planner, planner->next);
    planner->next += !planner->ended;
  }
  publish(planner);
}

// How a change of tempo and density stretches what is left of a step.
static double
stretch(const Planner* planner, const Params* params)
{
  return scheduler_step_beats(params) /
         scheduler_step_beats(&planner->scheduler.params);
}

// Who makes the music again may never hear of them: the next window does not
// follow from one.
static void
forget_windows(Planner* planner, uint64_t number)
{
  while (planner->window_next > planner->window_first &&
         window_at(planner, planner->window_next - 1)->first >= number) {
    --planner->window_next;
    planner->has_last_z = false;
  }
}

// Hands out all notes from `number` on again; the first begins at beat `at`.
static void
hand_out_again(Planner* planner, uint64_t number, uint64_t frame, double at)
{
  Scheduler* const scheduler      = &planner->scheduler;
  scheduler->state.started        = true;
  scheduler->state.earliest_frame = frame;
  scheduler->state.at             = number < planner->next
                                      ? at - note_at(planner, number)->event.step_s *
                                   scheduler_step_beats(&scheduler->params)
                                      : at;
  tell_stamps(planner, number);
  const uint64_t end = planner->next;
  planner->ended     = false;
  for (planner->next = number;
       planner->next < end && !planner->ended &&
       ring_write_space(&planner->process->notes) > 0;) {
    planner->ended = !hand_out(planner, planner->next);
    planner->next += !planner->ended;
  }
  forget_windows(planner, planner->next); // where the ring was full
  publish(planner);
}

void
planner_restamp(Planner*       planner,
                uint64_t       frame,
                const Params*  params,
                const BeatMap* map)
{
  Scheduler* const scheduler = &planner->scheduler;
  const uint64_t   number    = planner_find(planner, frame);
  const uint32_t   rate_hz   = scheduler->sample_rate_hz;
  const double     ratio     = stretch(planner, params);
  const double     now       = beat_at(&scheduler->state.map, rate_hz, frame);
  const double     sounds    = scheduler_beat_at(scheduler, frame);
  const double     moved     = beat_at(map, rate_hz, frame) - now;
  const double     anew      = fabs(moved) > ANEW_BEATS ? moved : 0;
  begin_epoch(planner, frame);
  double at = scheduler->state.at;
  if (number < planner->next) {
    const PlannedNote* const note = note_at(planner, number);
    at = ratio == 1 ? note->at : sounds + fmax(note->at - sounds, 0) * ratio;
  }
  if (anew != 0) {
    planner->counted_from = number;
    planner->moved += anew;
  }
  scheduler->params    = *params;
  scheduler->state.map = *map;
  tell_beat(planner, frame, true);
  if (number < planner->next) {
    hand_out_again(planner, number, frame, at + anew);
    return;
  }
  // Nothing is planned beyond: only what is to come changes.
  scheduler->state.at += anew;
  scheduler->state.earliest_frame = frame;
  planner->ended                  = false; // if it has, the next note says so
  tell_stamps(planner, number);
  publish(planner);
}

static void
forget_from(Planner* planner, uint64_t number)
{
  if (number < planner->next) {
    planner->scheduler.state = note_at(planner, number)->before;
  }
  planner->next  = number;
  planner->ended = false;
  forget_windows(planner, number);
}

// A chord is not torn: process tells the notes that stay by their frames.
static uint64_t
after_chord(const Planner* planner, uint64_t number)
{
  while (number > planner->first && number < planner->next &&
         note_at(planner, number)->stamp.on_frame ==
           note_at(planner, number - 1)->stamp.on_frame) {
    ++number;
  }
  return number;
}

void
planner_cut(Planner* planner, uint64_t number, uint64_t frame)
{
  Scheduler* const scheduler = &planner->scheduler;
  const BeatMap    map       = scheduler->state.map;
  const bool       waits     = number > planner->first &&
                     note_at(planner, number - 1)->stamp.on_frame >= frame;
  if (waits) {
    number = after_chord(planner, number);
    frame  = note_at(planner, number - 1)->stamp.on_frame + 1;
  }
  begin_epoch(planner, frame);
  forget_from(planner, number);
  scheduler->state.map            = map;
  scheduler->state.earliest_frame = frame;
  planner->cut                    = true;
  planner->not_before             = scheduler_beat_at(scheduler, frame);
  publish(planner);
}

void
planner_break(Planner* planner, uint64_t frame, bool ends)
{
  const uint64_t number = planner_find(planner, frame);
  const PlanStep step   = {
      .kind = PLAN_BREAK, .number = number, .frame = frame, .ends = ends
  };
  tell(planner, &step);
  planner->resume_at = number;
  begin_epoch(planner, frame);
  if (ends) {
    tell_beat(planner, frame, false);
  }
  atomic_store_explicit(
    &planner->process->planned_until, UINT64_MAX, memory_order_release);
}

void
planner_resume(Planner*       planner,
               uint64_t       frame,
               const Params*  params,
               const BeatMap* map,
               double         at)
{
  Scheduler* const scheduler = &planner->scheduler;
  const double     was       = planner->resume_at < planner->next
                                 ? note_at(planner, planner->resume_at)->at
                                 : scheduler->state.at;
  begin_epoch(planner, frame);
  scheduler->params     = *params;
  scheduler->state.map  = *map;
  planner->counted_from = planner->resume_at;
  planner->moved += at - was;
  tell_beat(planner, frame, true);
  hand_out_again(planner, planner->resume_at, frame, at);
}

void
planner_skip(Planner* planner, uint64_t frame)
{
  scheduler_skip(&planner->scheduler, frame);
  tell_stamps(planner, planner->next);
  publish(planner);
}
