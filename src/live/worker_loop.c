// What is frozen: the last beats, again and again. The worker's thread.
#include "live/worker_internal.h"

#include <math.h>

// Which of the known notes come again: those of the last beats, so many as the
// knob says; where none is in them of twice as many, and so on. Soon after the
// music began they are what is there, in as many beats as it has.
static void
choose_loop(Worker* worker)
{
  WorkerLoop* const   loop  = &worker->loop;
  const double* const beat  = loop->beat;
  const double        asked = worker->params.value[PARAM_LOOP_BEATS];
  const double        last  = beat[loop->count - 1];
  const double        there = fmax(ceil(-beat[0]), 1);
  loop->beats = there < asked ? there : asked * fmax(ceil(-last / asked), 1);
  loop->first = loop->count;
  while (loop->first > 0 &&
         beat[loop->first - 1] + loop->beats >= -BEAT_EPSILON &&
         (beat[loop->first - 1] + loop->beats > last + BEAT_EPSILON ||
          loop->first == loop->count)) {
    --loop->first;
  }
}

// The notes before note `number` and beat `end`, as far back as beats are
// counted as now.
static void
make_loop(Worker* worker, uint64_t number, double end)
{
  const Planner* const planner = &worker->planner;
  WorkerLoop* const    loop    = &worker->loop;
  const uint64_t       oldest  = planner->counted_from > planner->first
                                   ? planner->counted_from
                                   : planner->first;
  const uint64_t       known   = number > oldest ? number - oldest : 0;
  loop->count = known < LOOP_NOTES_MAX ? (uint32_t)known : LOOP_NOTES_MAX;
  if (!loop->count) {
    return;
  }
  // Frames are rounded, and a grid draws notes from either side of it.
  if (number < planner->next) {
    end = fmin(end, planner_note(planner, number)->at);
  }
  loop->end   = fmax(end, planner_note(planner, number - 1)->at);
  loop->moved = planner->moved;
  for (uint32_t i = 0; i < loop->count; ++i) {
    const PlannedNote* const note =
      planner_note(planner, number - loop->count + i);
    loop->events[i] = note->event;
    loop->beat[i]   = note->at - loop->end;
  }
  choose_loop(worker);
}

static double
loop_end(const Worker* worker)
{
  return worker->loop.end + worker->planner.moved - worker->loop.moved;
}

// The next one is the first that comes at `beat` or later.
static void
seek_loop(Worker* worker, double beat)
{
  WorkerLoop* const loop = &worker->loop;
  const double      gone = beat - loop_end(worker);
  loop->round = (fmax(floor(gone / loop->beats), 0) + 1) * loop->beats;
  loop->at    = loop->first;
  while (loop->at < loop->count &&
         loop->beat[loop->at] + loop->round < gone - BEAT_EPSILON) {
    ++loop->at;
  }
  if (loop->at == loop->count) {
    loop->at = loop->first;
    loop->round += loop->beats;
  }
}

// Steps are counted from where the notes before came to be: a tempo that
// turned, and what steps are rounded by, is made up for.
void
worker_next_of_loop(Worker* worker)
{
  WorkerLoop* const      loop      = &worker->loop;
  const Scheduler* const scheduler = &worker->planner.scheduler;
  const double           second    = scheduler_step_beats(&scheduler->params);
  double                 before    = scheduler->state.at;
  for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
    NoteEvent* const event = &worker->window.events[i];
    const double     at = loop_end(worker) + loop->beat[loop->at] + loop->round;
    *event              = loop->events[loop->at];
    event->step_s       = (float)(fmax(at - before, 0) / second);
    before += (double)event->step_s * second;
    if (++loop->at == loop->count) {
      loop->at = loop->first;
      loop->round += loop->beats;
    }
  }
}

static void
replace_by_loop(Worker* worker, uint64_t number, uint64_t frame)
{
  Planner* const planner = &worker->planner;
  seek_loop(worker, scheduler_beat_at(&planner->scheduler, frame));
  worker->due.loop       = false;
  worker->splice.is_void = worker->splice.asked; // when it goes on
  planner_cut(planner, number, frame);
}

// Frozen before it began: the first beats, once they are all planned.
static bool
is_whole(const Worker* worker, uint64_t* frame)
{
  const Planner* const planner = &worker->planner;
  const uint64_t       oldest  = planner->counted_from > planner->first
                                   ? planner->counted_from
                                   : planner->first;
  if (oldest == planner->next) {
    return false;
  }
  const double end =
    planner_note(planner, oldest)->at + worker->params.value[PARAM_LOOP_BEATS];
  const uint64_t ends = scheduler_frame_of(&planner->scheduler, end);
  *frame              = ends > *frame ? ends : *frame;
  return planner->scheduler.state.at >= end;
}

// False: nothing is there yet that could come again.
static bool
freeze(Worker* worker, uint64_t frame)
{
  Planner* const planner = &worker->planner;
  if (worker->due.whole && !is_whole(worker, &frame)) {
    return false;
  }
  const uint64_t number = planner_find(planner, frame);
  make_loop(worker, number, scheduler_beat_at(&planner->scheduler, frame));
  if (worker->loop.count) {
    replace_by_loop(worker, number, frame);
  }
  return worker->loop.count;
}

bool
worker_change_freeze(Worker* worker, uint64_t frame)
{
  WorkerDue* const due   = &worker->due;
  WorkerLoop*      loop  = &worker->loop;
  const bool       plays = loop->count;
  if (worker->params.value[PARAM_FREEZE] > 0) {
    if (!plays && !freeze(worker, frame)) {
      return false;
    }
  } else {
    loop->count = 0;
    due->window = due->window || plays;
  }
  due->freeze = due->whole = false;
  return !plays && loop->count;
}

void
worker_change_loop(Worker* worker, uint64_t frame)
{
  choose_loop(worker);
  replace_by_loop(worker, planner_find(&worker->planner, frame), frame);
}
