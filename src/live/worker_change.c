// What control asks for, worked into the plan. The worker's thread.
//
// Three kinds of change: the same notes with other stamps, at once; other
// notes, as soon as a window was sampled (meanwhile the plan is played); and
// pauses, in which nothing is planned.
#include "live/worker_internal.h"

#include <math.h>
#include <string.h>

// --- Commands ----------------------------------------------------------------

static void
retire(Worker* worker, Model* model)
{
  ring_push(&worker->retired, &model); // as many fit as there are commands
  ring_commit(&worker->retired);
}

static void
set_fallback(Worker* worker)
{
  if (worker->fallback) {
    const Params params = generator_fit(worker->fallback, &worker->params);
    generator_set(&worker->fallback_generator, worker->fallback, &params);
  }
}

static void
set_generators(Worker* worker)
{
  const Params params = generator_fit(worker->model, &worker->params);
  generator_set(&worker->generator, worker->model, &params);
  set_fallback(worker);
}

static void
take_param(Worker* worker, ParamId id, double value)
{
  WorkerDue* const due = &worker->due;
  if (worker->params.value[id] == value) {
    return;
  }
  worker->params.value[id] = value;
  // What is frozen keeps its beats at any pace.
  due->loop = due->loop || id == PARAM_LOOP_BEATS || id == PARAM_TEMPO ||
              id == PARAM_DENSITY;
  if (id == PARAM_FREEZE) {
    due->freeze = true;
  } else if (id == PARAM_LOOP_BEATS) {
    due->loop = true;
  } else if (param_table[id].flags & PARAM_SAMPLES) {
    due->window = true;
    due->stamps = due->stamps || id == PARAM_TRANSPOSE;
    set_fallback(worker); // it may play for as long as a call does not end
  } else if (id != PARAM_LISTEN && id != PARAM_ECHO && id != PARAM_SYNC &&
             id != PARAM_PHRASE_PAUSE) {
    due->stamps = true;
  }
}

static void
take_point(Worker* worker, uint32_t slot, const LatentPoint* point)
{
  const Generator* const   generator = &worker->generator;
  const LatentPoint* const was       = &generator->points[slot - 1];
  if (was->size == point->size &&
      !memcmp(was->z, point->z, point->size * sizeof *point->z)) {
    return; // all are told, whichever changed
  }
  worker->generator.points[slot - 1]          = *point;
  worker->fallback_generator.points[slot - 1] = *point;
  worker->due.window =
    worker->due.window ||
    (generator->mode == GENERATOR_INTERPOLATE &&
     (generator->from_point == slot || generator->to_point == slot));
}

static void
take_model(Worker* worker, Model* model, bool again)
{
  if (worker->due.model) {
    retire(worker, worker->due.model); // never heard
  }
  worker->due.model  = model;
  worker->due.again  = again;
  worker->due.window = true;
}

static void
take_fallback(Worker* worker, Model* model)
{
  worker->fallback = model;
  set_fallback(worker);
}

static void
take_phrase(Worker* worker, const WorkerCommand* command)
{
  WorkerDue* const due = &worker->due;
  due->listen          = false;
  due->answer          = true;
  due->phrase          = command->count > 0;
  due->note_count      = command->count;
  due->window          = true;
  memcpy(due->notes, command->notes, sizeof due->notes);
}

// The first break that was not worked in counts.
static void
take_time(Worker* worker, const BeatTime* time)
{
  const bool waits =
    worker->due.time && worker->time.breaks != worker->planner.breaks;
  const uint64_t first = worker->time.break_frame;
  worker->time         = *time;
  worker->due.time     = true;
  if (waits) {
    worker->time.break_frame = first;
  }
}

static void
take_command(Worker* worker, const WorkerCommand* command)
{
  switch (command->kind) {
    case COMMAND_PARAM:
      take_param(worker, command->param, command->value);
      break;
    case COMMAND_POINT:
      take_point(worker, command->slot, &command->point);
      break;
    case COMMAND_GO:
      worker->due.go     = true;
      worker->due.point  = command->point;
      worker->due.window = true;
      break;
    case COMMAND_PHRASE_BEGINS:
      worker->due.listen = true;
      break;
    case COMMAND_PHRASE:
      take_phrase(worker, command);
      break;
    case COMMAND_MODEL:
      take_model(worker, command->model, command->again);
      break;
    case COMMAND_FALLBACK:
      take_fallback(worker, command->model);
      break;
    case COMMAND_TIME:
      take_time(worker, &command->time);
      break;
  }
}

static void
take_commands(Worker* worker)
{
  const WorkerCommand* command;
  while ((command = ring_peek(&worker->commands))) {
    take_command(worker, command);
    ring_pop(&worker->commands);
  }
}

// --- The beat ----------------------------------------------------------------

static const BeatMap*
own_map(const Worker* worker)
{
  return &worker->planner.scheduler.state.map;
}

// The beat that is kept from `frame` on.
static BeatMap
map_from(const Worker* worker, uint64_t frame)
{
  return worker->time.is_free ? beat_turn(own_map(worker),
                                          worker->sample_rate_hz,
                                          frame,
                                          worker->params.value[PARAM_BPM])
                              : worker->time.map;
}

static double
next_place(double beat, double every)
{
  return ceil(beat / every - BEAT_EPSILON) * every;
}

// Where music begins that could begin at `frame`: after the bars that are
// counted in where the transport starts, or at the next place of the grid.
static double
first_beat(const Worker*  worker,
           const BeatMap* map,
           uint64_t       frame,
           bool           starts)
{
  const Params* const params = &worker->params;
  const double        bars   = params->value[PARAM_COUNT_IN];
  const double bar = worker->time.is_free ? params->value[PARAM_BEATS_PER_BAR]
                                          : worker->time.beats_per_bar;
  const double now = beat_at(map, worker->sample_rate_hz, frame);
  const double started =
    beat_at(map, worker->sample_rate_hz, worker->time.start_frame);
  if (bars > 0 && starts) {
    const double counted = next_place(started, bar) + bars * bar;
    return counted > now ? counted : next_place(now, bar);
  }
  return next_place(now, grid_quarters[(int)params->value[PARAM_GRID]]);
}

void
worker_begin_at(Worker* worker, uint64_t frame)
{
  Scheduler* const scheduler = &worker->planner.scheduler;
  if (worker->time.is_free) {
    const double bars   = worker->params.value[PARAM_COUNT_IN];
    const double beats  = bars * worker->params.value[PARAM_BEATS_PER_BAR];
    const double rest_s = beats * 60.0 / worker->params.value[PARAM_BPM];
    frame += (uint64_t)llround(rest_s * worker->sample_rate_hz);
    worker_place(worker, worker->sample_rate_hz, frame);
    return;
  }
  const BeatMap  map = worker->time.map;
  const uint64_t early =
    scheduler_early_frames(&worker->params, worker->sample_rate_hz);
  const double at = first_beat(worker, &map, frame + early, true);
  worker_place(worker,
               worker->sample_rate_hz,
               beat_frame(&map, worker->sample_rate_hz, at) - early);
  // Told from the origin on, where a recording begins, too.
  scheduler->state.map = beat_turn(
    &map, worker->sample_rate_hz, atomic_load(&worker->origin_frame), map.bpm);
  scheduler->state.at = at;
  planner_tell_place(&worker->planner);
}

// Nothing more is played of the plan. A window that was to take its place is
// asked for again when it goes on.
static void
break_plan(Worker* worker, uint64_t frame, bool ends)
{
  worker->splice.is_void = worker->splice.asked;
  planner_break(&worker->planner, frame, ends);
}

// A transport that only moved is not counted in: a DAW's loop would rest in
// each pass.
static void
go_on(Worker* worker, uint64_t frame, bool starts)
{
  const BeatMap  map = map_from(worker, frame);
  const uint64_t early =
    scheduler_early_frames(&worker->params, worker->sample_rate_hz);
  const double at = worker->time.is_free
                      ? beat_at(&map, worker->sample_rate_hz, frame + early)
                      : first_beat(worker, &map, frame + early, starts);
  planner_resume(&worker->planner, frame, &worker->params, &map, at);
}

// The transport stopped, started or moved, or its tempo is another.
static void
change_time(Worker* worker, uint64_t frame)
{
  Planner* const planner = &worker->planner;
  const bool     breaks  = planner->breaks != worker->time.breaks;
  const bool     stopped = worker->pauses & WORKER_STOPPED;
  // Where nothing broke (a MIDI clock went away) process plays on until it sees
  // the change.
  const uint64_t silent_from = breaks ? worker->time.break_frame : frame;
  worker->due.time           = false;
  planner->breaks            = worker->time.breaks;
  if (!worker->time.rolling) {
    if (!stopped) {
      worker->pauses |= WORKER_STOPPED;
      break_plan(worker, silent_from, breaks);
    }
  } else if (worker->pauses & WORKER_LISTENS) {
    worker->pauses     = WORKER_LISTENS; // the answer begins it again,
    worker->due.stamps = true;           // and then keeps this beat
  } else if (stopped || breaks) {
    if (!stopped) {
      break_plan(worker, silent_from, true);
    }
    worker->pauses = 0;
    go_on(worker, frame, stopped);
  } else {
    const BeatMap map = map_from(worker, frame);
    planner_restamp(planner, frame, &worker->params, &map);
  }
  atomic_store_explicit(
    &worker->process->breaks_known, planner->breaks, memory_order_release);
}

// --- Other notes -------------------------------------------------------------

// What windows that are given up were asked for is still to be done; the latest
// counts.
static void
ask_for_lost(Worker* worker, uint64_t number)
{
  const Planner* const planner = &worker->planner;
  WorkerDue* const     due     = &worker->due;
  const PlannedWindow* window  = planner_window_of(planner, planner->next);
  while (window && window->first >= number) {
    const GeneratorState* const before = &window->before;
    if (before->stays && !due->go) {
      due->go         = true;
      due->point.size = model_latent_size(worker->model);
      memcpy(due->point.z, before->z, sizeof due->point.z);
    }
    if (before->listen != LISTEN_OFF && !due->answer) {
      due->answer = due->phrase = true;
      due->note_count           = before->heard_count;
      memcpy(due->notes, before->heard, sizeof due->notes);
    }
    window =
      window->first ? planner_window_of(planner, window->first - 1) : NULL;
  }
}

// Puts the generator back to where it was at note `number`: as the window of
// the note before left it, or as it found it if that one comes again.
static void
rewind_to(Worker* worker, uint64_t number, bool again)
{
  Planner* const             planner = &worker->planner;
  GeneratorState* const      state   = &worker->generator.state;
  const PlannedWindow* const window =
    number ? planner_window_of(planner, number - 1) : NULL;
  ask_for_lost(worker, number);
  if (window) {
    *state = again ? window->before : window->after;
    // Of its notes some may be given up.
    const uint64_t lost = window->first + WINDOW_NOTES - number;
    if (!again && state->recent != GENERATOR_ALL_RECENT) {
      state->recent -= (uint32_t)(lost < state->recent ? lost : state->recent);
    }
  }
  NoteEvent      tail[CONTEXT_NOTES_MAX];
  const uint32_t count = planner_tail(planner, number, tail);
  if (count) {
    generator_set_history(&worker->generator, tail, count);
  }
}

// Another model begins with a window, so that no phrase is torn; one that is
// to be compared begins at once.
static uint64_t
splice_number(const Worker* worker, uint64_t frame)
{
  const Planner* const planner = &worker->planner;
  if (worker->pauses & WORKER_LISTENS) {
    return planner->resume_at;
  }
  const uint64_t number = planner_find(planner, frame);
  const bool     waits  = worker->due.model && !worker->due.again &&
                     !worker->due.go && !worker->due.phrase;
  const PlannedWindow* const window =
    waits ? planner_window_of(planner, number + WINDOW_NOTES - 1) : NULL;
  if (!window || window->first < number) {
    return number;
  }
  // Notes of a chord stay together.
  return planner_note(planner, window->first)->stamp.on_frame >
             planner_note(planner, window->first - 1)->stamp.on_frame
           ? window->first
           : number;
}

static void
use_model(Worker* worker)
{
  retire(worker, worker->model);
  worker->model     = worker->due.model;
  worker->due.model = NULL;
  sampling_set_model(worker->sampling, worker->model);
  worker->has_anchor = false;
  atomic_store(&worker->model_fault.failed, false);
}

bool
worker_wants_splice(const Worker* worker)
{
  const WorkerDue* const due  = &worker->due;
  const bool             gone = atomic_load(&worker->model_fault.failed);
  if (!due->window || worker->splice.asked || worker->loop.count ||
      !worker_is_placed(worker) || (gone && !due->model)) {
    return false;
  }
  return worker->pauses == 0 ||
         (worker->pauses == WORKER_LISTENS && due->answer);
}

// The generator as the next window needs it.
static void
set_up_generator(Worker* worker)
{
  WorkerDue* const due = &worker->due;
  if (due->model) {
    use_model(worker);
  }
  set_generators(worker);
  if (due->go) {
    generator_go_to(&worker->generator, &due->point);
  }
  if (due->phrase) {
    generator_hear(&worker->generator,
                   (Listen)worker->params.value[PARAM_LISTEN],
                   due->notes,
                   due->note_count);
  }
  due->window = due->go = due->answer = due->phrase = due->again = false;
}

void
worker_ask_splice(Worker* worker)
{
  const double takes_s =
    worker_seconds_of(worker, worker->generator.request.steps);
  const uint64_t frame =
    worker_change_frame(worker) + (uint64_t)(takes_s * worker->sample_rate_hz);
  worker->splice.number = splice_number(worker, frame);
  worker->splice.asked  = true;
  worker->splice.again  = worker->due.again;
  rewind_to(worker, worker->splice.number, worker->due.again);
  worker->splice.go     = worker->due.go;
  worker->splice.answer = worker->due.answer;
  worker->splice.phrase = worker->due.phrase;
  set_up_generator(worker);
  worker_give_job(worker, false); // meanwhile the plan is played
}

// A newer phrase takes the place of the one it answered, a newer model that of
// the one that was to be compared.
void
worker_ask_again(Worker* worker)
{
  WorkerSplice* const splice = &worker->splice;
  WorkerDue* const    due    = &worker->due;
  due->phrase                = due->answer ? due->phrase : splice->phrase;
  due->answer                = due->answer || splice->answer;
  due->go                    = due->go || splice->go;
  due->again                 = due->model ? due->again : splice->again;
  due->window                = true;
  splice->asked              = false;
  splice->is_void            = false;
}

// Windows that were made before the music began are of no use any more.
static void
forget_primed(Worker* worker)
{
  worker->primed_used = worker->primed_count;
}

void
worker_finish_splice(Worker* worker, const Sampled* sampled)
{
  Planner* const planner = &worker->planner;
  if (worker->splice.is_void) {
    worker_ask_again(worker);
    return;
  }
  if (!worker_accept(worker, sampled)) {
    worker_give_job(worker, false); // a bridge's anchor: the next is played
    return;
  }
  worker->splice.asked  = false;
  const uint64_t frame  = worker_change_frame(worker);
  const bool     silent = worker->pauses & WORKER_LISTENS;
  const uint64_t number = worker->splice.number;
  const uint64_t now =
    silent ? planner->resume_at : planner_find(planner, frame);
  const bool later = !silent && number > now && number <= planner->next;
  planner_cut(planner, later ? number : now, frame);
  forget_primed(worker);
  worker->pauses &= ~(unsigned)WORKER_LISTENS;
  worker_plan(worker);
  NoteEvent      tail[CONTEXT_NOTES_MAX];
  const uint32_t count = planner_tail(planner, planner->next, tail);
  generator_set_history(&worker->generator, tail, count);
  worker->repeat_count = 0;
  atomic_fetch_add(&worker->counters.changes, 1);
}

// --- All of it ---------------------------------------------------------------

static void
change_stamps(Worker* worker, uint64_t frame)
{
  const BeatMap map  = map_from(worker, frame);
  worker->due.stamps = false;
  planner_restamp(&worker->planner, frame, &worker->params, &map);
  atomic_fetch_add(&worker->counters.changes, 1);
}

// Without a model other notes are those of the fallback, which needs no asking.
static bool
is_for_fallback(const Worker* worker)
{
  return worker->due.window && !worker->due.model && !worker->loop.count &&
         atomic_load(&worker->model_fault.failed);
}

// Nor does it hear what a player played; but it is its turn.
static void
change_fallback(Worker* worker, uint64_t frame)
{
  Planner* const   planner = &worker->planner;
  WorkerDue* const due     = &worker->due;
  const uint64_t   number  = worker->pauses & WORKER_LISTENS
                               ? planner->resume_at
                               : planner_find(planner, frame);
  due->window = due->go = due->answer = due->phrase = due->again = false;
  worker->pauses &= ~(unsigned)WORKER_LISTENS;
  set_generators(worker);
  forget_primed(worker);
  planner_cut(planner, number, frame);
}

static void
fall_silent(Worker* worker, uint64_t frame)
{
  worker->due.listen = false;
  worker->pauses |= WORKER_LISTENS;
  break_plan(worker, frame, false);
}

// Before the music has a place there is nothing to replace.
static void
change_before(Worker* worker)
{
  WorkerDue* const due = &worker->due;
  if (due->window && !sampling_is_busy(worker->sampling)) {
    set_up_generator(worker);
    forget_primed(worker);
  }
  if (due->time) {
    due->time              = false;
    worker->planner.breaks = worker->time.breaks;
    worker->pauses         = worker->time.rolling ? 0 : WORKER_STOPPED;
    atomic_store_explicit(&worker->process->breaks_known,
                          worker->time.breaks,
                          memory_order_release);
  }
  due->whole  = due->whole || due->freeze;
  due->stamps = due->listen = false;
}

void
worker_change(Worker* worker)
{
  take_commands(worker);
  if (!worker_is_placed(worker)) {
    change_before(worker);
    return;
  }
  const WorkerDue* const due   = &worker->due;
  const uint64_t         frame = worker_change_frame(worker);
  if (!planner_may_change(&worker->planner)) {
    return; // each change is seen before the next
  }
  if (due->time) {
    change_time(worker, frame);
  } else if (worker->pauses) {
    if (worker->pauses == WORKER_LISTENS && due->answer &&
        is_for_fallback(worker)) {
      change_fallback(worker, frame);
    }
  } else if (due->listen && !worker->loop.count) { // that plays on
    fall_silent(worker, frame);
  } else if (due->stamps) {
    change_stamps(worker, frame);
  } else if (due->freeze && worker_change_freeze(worker, frame)) {
    return;
  } else if (due->loop && worker->loop.count) {
    worker_change_loop(worker, frame);
  } else if (is_for_fallback(worker)) {
    change_fallback(worker, frame);
  }
}
