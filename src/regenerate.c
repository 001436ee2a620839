// Making a recording again.
#include "regenerate.h"

#include "live/generator.h"
#include "live/process_setup.h"
#include "live/scheduler.h"
#include "plan_text.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define SPAN_FRAMES 256u
#define PANICS_MAX 1024u // more are refused

// From note `number` on this holds.
typedef struct {
  uint64_t       number;
  bool           silent; // after a break
  uint64_t       ends;   // of a break: notes before it end there at the latest
  Params         params;
  SchedulerState state;
} Segment;

struct Regeneration {
  RegenerateModel model;
  void*           context;
  Process         process;
  uint32_t        rate_hz;

  uint64_t   first; // number of events[0]
  size_t     event_count;
  size_t     event_room;
  NoteEvent* events;
  size_t     segment_count;
  size_t     segment_room;
  Segment*   segments;
  size_t     panic_count;
  uint64_t   panics[PANICS_MAX]; // frames
  bool       begun;
  uint64_t   sounds; // the first note that does
  bool       has_z;
  uint32_t   latent_size;
  float      z[MODEL_LATENT_MAX]; // of the last window that no fallback made
};

Status
regeneration_open(RegenerateModel model,
                  void*           context,
                  Regeneration**  out,
                  Error*          error)
{
  Regeneration* const r = aligned_alloc(alignof(Regeneration), sizeof *r);
  *out                  = r;
  if (!r) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to regenerate");
  }
  memset(r, 0, sizeof *r);
  r->model            = model;
  r->context          = context;
  const Status status = process_init(&r->process, error);
  if (status) {
    regeneration_free(r);
    *out = NULL;
  }
  return status;
}

void
regeneration_free(Regeneration* r)
{
  if (r) {
    process_free(&r->process);
    free(r->events);
    free(r->segments);
    free(r);
  }
}

uint32_t
regeneration_rate_hz(const Regeneration* r)
{
  return r->rate_hz;
}

static uint64_t
next_number(const Regeneration* r)
{
  return r->first + r->event_count;
}

static Status
append(Regeneration* r, const NoteEvent* events, uint32_t count, Error* error)
{
  if (!count) {
    return STATUS_OK;
  }
  if (r->event_count + count > r->event_room) {
    const size_t     room = r->event_room ? 2 * r->event_room : 1024;
    NoteEvent* const more = realloc(r->events, room * sizeof *more);
    if (!more) {
      return error_set(error, STATUS_NO_MEMORY, "no memory for its notes");
    }
    r->events     = more;
    r->event_room = room;
  }
  memcpy(r->events + r->event_count, events, count * sizeof *events);
  r->event_count += count;
  return STATUS_OK;
}

// The first window goes on from notes that were before; later lines may name
// them, too.
static Status
begin(Regeneration* r, uint64_t number, const PlanTextLine* line, Error* error)
{
  const uint32_t before = line->given_is_past && !line->given_is_tail &&
                              line->step.job.request.before <= number
                            ? line->step.job.request.before
                            : 0;
  r->begun              = true;
  r->sounds             = number;
  r->first              = number - before;
  return append(r, line->step.job.given, before, error);
}

// Forgets what was planned from `number` on.
static Status
go_back_to(Regeneration*       r,
           uint64_t            number,
           const PlanTextLine* line,
           Error*              error)
{
  if (!r->begun) {
    const Status status = begin(r, number, line, error);
    if (status) {
      return status;
    }
  }
  if (number < r->first || number > next_number(r)) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "lines are missing before note %llu",
                     (unsigned long long)number);
  }
  r->event_count = (size_t)(number - r->first);
  while (r->segment_count &&
         r->segments[r->segment_count - 1].number > number) {
    --r->segment_count;
  }
  return STATUS_OK;
}

static Status
add_segment(Regeneration* r, const Segment* segment, Error* error)
{
  while (r->segment_count &&
         r->segments[r->segment_count - 1].number >= segment->number &&
         r->segments[r->segment_count - 1].ends == UINT64_MAX) {
    --r->segment_count;
  }
  if (r->segment_count == r->segment_room) {
    const size_t   room = r->segment_room ? 2 * r->segment_room : 64;
    Segment* const more = realloc(r->segments, room * sizeof *more);
    if (!more) {
      return error_set(error, STATUS_NO_MEMORY, "no memory for its times");
    }
    r->segments     = more;
    r->segment_room = room;
  }
  r->segments[r->segment_count++] = *segment;
  return STATUS_OK;
}

// --- Windows -----------------------------------------------------------------

static Status
find_z(Regeneration* r, const Model* model, PlanTextLine* line, Error* error)
{
  GeneratorJob* const job  = &line->step.job;
  const uint32_t      size = model_latent_size(model);
  if (job->z_rule == Z_PRIOR) {
    model_sample_prior(model, job->request.seed, job->z_draw, 1, job->z);
  } else if (job->z_rule == Z_WALK) {
    if (!r->has_z || r->latent_size != size) {
      return error_set(
        error, STATUS_BAD_FILE, "a walk goes on from a point that is missing");
    }
    memcpy(job->z, r->z, size * sizeof *job->z);
    generator_walk(model, &job->walk, job->z);
  } else if (line->latent_size != size) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "a point of %u numbers for a model of %u",
                     line->latent_size,
                     size);
  }
  if (!line->step.is_fallback) {
    r->has_z       = true;
    r->latent_size = size;
    memcpy(r->z, job->z, size * sizeof *job->z);
  }
  return STATUS_OK;
}

static Status
find_notes(const Regeneration* r, PlanTextLine* line, Error* error)
{
  GeneratorJob* const job    = &line->step.job;
  const uint32_t      before = line->given_is_tail ? job->request.before : 0;
  const uint32_t      last   = line->phrase_is_last ? WINDOW_NOTES : 0;
  const size_t        count  = r->event_count;
  if (before > count || last > count) {
    return error_set(
      error, STATUS_BAD_FILE, "it goes on from notes that are missing");
  }
  if (before) {
    memcpy(job->given, r->events + count - before, before * sizeof *job->given);
  }
  if (last) {
    memcpy(job->phrase, r->events + count - last, last * sizeof *job->phrase);
  }
  return STATUS_OK;
}

static Status
sample(Regeneration* r, PlanTextLine* line, Error* error)
{
  NoteEvent    events[WINDOW_NOTES];
  Model* const model  = r->model(r->context, line->step.digest, error);
  Status       status = model ? find_z(r, model, line, error) : error->status;
  if (status || (status = find_notes(r, line, error)) ||
      (status = generator_run(model, &line->step.job, events, error))) {
    return status;
  }
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    events[i] = note_event_clamp(events[i]);
  }
  return append(r, events, WINDOW_NOTES, error);
}

static Status
take_line(Regeneration* r, uint64_t number, PlanTextLine* line, Error* error)
{
  PlanStep* const step    = &line->step;
  Status          status  = STATUS_OK;
  Segment         segment = { .number = number,
                              .ends   = UINT64_MAX,
                              .params = step->params,
                              .state  = step->stamps };
  if (step->kind == PLAN_WINDOW || step->kind == PLAN_EVENTS) {
    status = go_back_to(r, number, line, error);
    if (!status && line->has_stamps) {
      status = add_segment(r, &segment, error);
    }
    return status ? status
           : step->kind == PLAN_WINDOW
             ? sample(r, line, error)
             : append(r, step->events, WINDOW_NOTES, error);
  }
  if (step->kind == PLAN_PANIC) {
    if (r->panic_count == PANICS_MAX) {
      return error_set(error, STATUS_LIMIT, "more than %u panics", PANICS_MAX);
    }
    r->panics[r->panic_count++] = step->frame;
    return STATUS_OK;
  }
  if (step->kind == PLAN_BREAK) {
    segment.number = step->number;
    segment.silent = true;
    segment.ends   = step->ends ? step->frame : UINT64_MAX;
  }
  return add_segment(r, &segment, error);
}

Status
regeneration_line(Regeneration* r,
                  uint64_t      number,
                  const char*   text,
                  Error*        error)
{
  PlanTextLine line;
  Status       status = plan_text_read(text, &line, error);
  if (!status && line.sample_rate_hz) {
    if (r->rate_hz && r->rate_hz != line.sample_rate_hz) {
      status = error_set(error, STATUS_BAD_FILE, "two sample rates");
    }
    r->rate_hz = line.sample_rate_hz;
  }
  if (!status) {
    status = take_line(r, number, &line, error);
  }
  if (status) {
    error_prefix(error, "the line of note %llu: ", (unsigned long long)number);
  }
  return status;
}

// --- Playing -----------------------------------------------------------------

// The stamps of all notes in their order, one call a note.
typedef struct {
  const Regeneration* r;
  Scheduler           scheduler;
  size_t              segment; // the next one
  bool                silent;
  size_t              panic; // the next one
  uint64_t            ends;  // a break that was passed: what sounds ends there
  size_t              event; // the next one
} Stamping;

static void
take_segments(Stamping* stamping, uint64_t number)
{
  const Regeneration* const r = stamping->r;
  for (; stamping->segment < r->segment_count &&
         r->segments[stamping->segment].number <= number;
       ++stamping->segment) {
    const Segment* const segment = &r->segments[stamping->segment];
    stamping->silent             = segment->silent;
    if (segment->ends < stamping->ends) {
      stamping->ends = segment->ends;
    }
    if (!segment->silent) {
      stamping->scheduler.params = segment->params;
      stamping->scheduler.state  = segment->state;
    }
  }
}

// The next note that sounds; false: there is none.
static bool
next_stamped(Stamping* stamping, StampedNote* note)
{
  const Regeneration* const r = stamping->r;
  while (stamping->event < r->event_count) {
    const uint64_t number = r->first + stamping->event;
    take_segments(stamping, number);
    if (!scheduler_stamp(
          &stamping->scheduler, &r->events[stamping->event++], number, note)) {
      return false;
    }
    if (!stamping->silent && note->velocity) {
      return true;
    }
  }
  take_segments(stamping, UINT64_MAX);
  return false;
}

static void
play_until(Regeneration* r,
           uint64_t*     frame,
           uint64_t      until,
           void (*heard)(void* context, const PlayedEvent* event),
           void* context)
{
  while (*frame < until) {
    const uint64_t    rest = until - *frame;
    const BackendSpan span = { .frame       = *frame,
                               .frame_count = rest < SPAN_FRAMES
                                                ? (uint32_t)rest
                                                : SPAN_FRAMES,
                               .sink        = &midi_sink_nowhere };
    PlayedEvent       event;
    process_span(&r->process, &span);
    *frame += span.frame_count;
    while (process_read_played(&r->process, &event)) {
      heard(context, &event);
    }
  }
}

// Those until `until`: what sounds ends at each.
static void
play_panics(Regeneration* r,
            Stamping*     stamping,
            uint64_t*     frame,
            uint64_t      until,
            void (*heard)(void* context, const PlayedEvent* event),
            void* context)
{
  for (;
       stamping->panic < r->panic_count && r->panics[stamping->panic] <= until;
       ++stamping->panic) {
    const uint64_t at = r->panics[stamping->panic];
    if (at >= *frame) {
      play_until(r, frame, at, heard, context);
      process_end_notes(&r->process, at, true);
    }
  }
}

Status
regeneration_play(Regeneration* r,
                  uint64_t      end_frame,
                  void (*heard)(void* context, const PlayedEvent* event),
                  void*  context,
                  Error* error)
{
  if (!r->rate_hz || !r->segment_count) {
    return error_set(error, STATUS_BAD_FILE, "no line tells when notes sound");
  }
  const Params params   = params_standard();
  Stamping     stamping = { .r     = r,
                            .ends  = UINT64_MAX,
                            .event = (size_t)(r->sounds - r->first) };
  stamping.scheduler    = scheduler_make(&params, r->rate_hz, 0, -1);
  uint64_t    frame     = 0;
  bool        begun     = false;
  bool        more      = true;
  StampedNote note;
  while (more) {
    more = next_stamped(&stamping, &note) && note.on_frame < end_frame;
    if (begun && stamping.ends < end_frame) {
      play_until(r, &frame, stamping.ends, heard, context);
      process_end_notes(&r->process, stamping.ends, true);
    }
    stamping.ends = UINT64_MAX;
    if (!more) {
      break;
    }
    frame = begun ? frame : note.on_frame;
    begun = true;
    play_panics(r, &stamping, &frame, note.on_frame, heard, context);
    // Whole spans that are over before this note begins.
    if (note.on_frame > frame + SPAN_FRAMES) {
      play_until(r, &frame, note.on_frame - SPAN_FRAMES, heard, context);
    }
    if (!ring_push(&r->process.notes, &note)) {
      return error_set(error, STATUS_LIMIT, "too many notes at one time");
    }
    ring_commit(&r->process.notes);
  }
  play_panics(r, &stamping, &frame, end_frame - 1, heard, context);
  play_until(r, &frame, end_frame, heard, context);
  return STATUS_OK;
}
