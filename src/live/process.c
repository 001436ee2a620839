// All real-time code of the instrument. Process thread.
#include "live/process_span.h"

#include "clock.h"

#include <string.h>

// While freewheeling the longest wait for the worker in one span. JACK itself
// gives a client 10 s. When that was in vain the worker is told to fall back,
// which takes it a few ms.
#define FREEWHEEL_WAIT_NS_MAX 5000000000ll
#define FREEWHEEL_WAIT_AGAIN_NS_MAX 100000000ll

void
process_count(_Atomic uint64_t* counter) REALTIME
{
  // One writer: no read-modify-write needed.
  const uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
  atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

bool
span_write(Span*         span,
           uint64_t      frame,
           uint64_t      number,
           const uint8_t message[3]) REALTIME
{
  Process* const process = span->process;
  const uint32_t offset  = (uint32_t)(frame - span->start);
  if (!span->sink->write(
        span->sink->handle, MIDI_OUT_NOTES, offset, message, 3)) {
    return false;
  }
  ++span->written;
  span->cursor      = frame;
  PlayedEvent event = { .frame = frame, .number = number };
  memcpy(event.message, message, sizeof event.message);
  if (!ring_push(&process->played, &event)) {
    process_count(&process->counters.reports_lost);
  }
  return true;
}

// Writes the off of active note `index` and forgets the note. When the sink
// refuses, the note stays to be ended in the next span.
bool
span_write_off(Span* span, uint32_t index) REALTIME
{
  Process* const   process = span->process;
  const ActiveNote note    = process->active[index];
  const uint8_t message[3] = { (uint8_t)(0x80 | note.channel), note.pitch, 64 };
  const uint64_t frame =
    note.off_frame > span->cursor ? note.off_frame : span->cursor;
  if (span->written >= PERIOD_EVENTS_MAX ||
      !span_write(span, frame, note.number, message)) {
    process_count(&process->counters.offs_retried);
    span->blocked = true;
    return false;
  }
  --process->active_count;
  memmove(&process->active[index],
          &process->active[index + 1],
          (process->active_count - index) * sizeof(ActiveNote));
  return true;
}

// Notes that end at one frame end in the order of their channels and keys,
// whatever came before: so that what is played again is the same.
static bool
ends_before(const ActiveNote* a, const ActiveNote* b) REALTIME
{
  const uint32_t key_a = a->channel * 128u + a->pitch;
  const uint32_t key_b = b->channel * 128u + b->pitch;
  return a->off_frame < b->off_frame ||
         (a->off_frame == b->off_frame && key_a < key_b);
}

// Puts a note among the first `count` of the table.
static void
insert_active(Process* process, uint32_t count, ActiveNote note) REALTIME
{
  uint32_t index = count;
  while (index && ends_before(&process->active[index - 1], &note)) {
    process->active[index] = process->active[index - 1];
    --index;
  }
  process->active[index] = note;
}

static void
add_active(Process* process, const StampedNote* note) REALTIME
{
  insert_active(process,
                process->active_count++,
                (ActiveNote){ .off_frame = note->off_frame,
                              .number    = note->number,
                              .pitch     = note->pitch,
                              .channel   = note->channel });
}

// Ends the same key where it is pressed again, unless the sink refuses.
void
span_end_same_key(Span* span, const StampedNote* note) REALTIME
{
  Process* const process = span->process;
  for (uint32_t i = 0; i < process->active_count; ++i) {
    ActiveNote* const active = &process->active[i];
    if (active->pitch == note->pitch && active->channel == note->channel) {
      const uint64_t off_frame = active->off_frame;
      active->off_frame        = note->on_frame;
      if (span_write_off(span, i)) {
        process_count(&process->counters.retriggered);
      } else {
        active->off_frame = off_frame; // it sounds on
      }
      return; // there is never a second one
    }
  }
}

static bool
span_has_room_for_on(const Span* span) REALTIME
{
  return !span->blocked &&
         span->written < PERIOD_EVENTS_MAX - PERIOD_EVENTS_OFF_RESERVE &&
         span->process->active_count < ACTIVE_NOTES_MAX;
}

void
span_write_on(Span* span, const StampedNote* note) REALTIME
{
  Process* const process    = span->process;
  const uint8_t  message[3] = { (uint8_t)(0x90 | note->channel),
                                note->pitch,
                                note->velocity };
  if (!span_has_room_for_on(span) ||
      !span_write(span, note->on_frame, note->number, message)) {
    process_count(&process->counters.dropped);
    return;
  }
  process_count(&process->counters.notes);
  add_active(process, note);
}

// Whether what was planned is not to be played any more.
static bool
is_replaced(const Process* process, const StampedNote* note) REALTIME
{
  if (note->breaks != process->breaks) {
    return true;
  }
  const uint16_t age = (uint16_t)(process->epoch - note->epoch);
  return age != 0 && age < UINT16_MAX / 2 &&
         note->on_frame >= process->cuts[(note->epoch + 1u) % PROCESS_CUTS];
}

// The next note that is to be played, or NULL.
static const StampedNote*
next_note(Process* process) REALTIME
{
  for (uint32_t i = 0; i < STAMPED_RING_NOTES; ++i) {
    const StampedNote* const note = ring_peek(&process->notes);
    if (!note || !is_replaced(process, note)) {
      return note;
    }
    process_count(&process->counters.replaced);
    ring_pop(&process->notes);
  }
  return NULL;
}

static bool
chord_has_key(const Process*     process,
              uint32_t           size,
              const StampedNote* note) REALTIME
{
  for (uint32_t i = 0; i < size; ++i) {
    if (process->chord[i].pitch == note->pitch &&
        process->chord[i].channel == note->channel) {
      return true;
    }
  }
  return false;
}

// Takes all notes that begin at `frame` from the ring, so that the keys that
// are pressed again end before any of them begins. A key can begin only once.
static uint32_t
take_chord(Process* process, uint64_t frame) REALTIME
{
  uint32_t           size = 0;
  const StampedNote* note;
  while ((note = next_note(process)) && note->on_frame == frame) {
    if (chord_has_key(process, size, note)) {
      process_count(&process->counters.doubled);
    } else if (size < ACTIVE_NOTES_MAX) {
      process->chord[size++] = *note;
    } else {
      process_count(&process->counters.dropped);
    }
    ring_pop(&process->notes);
  }
  return size;
}

static void
span_play_chord(Span* span, uint64_t frame) REALTIME
{
  Process* const process = span->process;
  const uint32_t size    = take_chord(process, frame);
  for (uint32_t i = 0; i < size && !span->blocked; ++i) {
    span_end_same_key(span, &process->chord[i]);
  }
  for (uint32_t i = 0; i < size; ++i) {
    span_write_on(span, &process->chord[i]);
  }
}

// More turns than one span can need: each ends an active note or takes from the
// ring, to which the worker may add meanwhile.
#define MERGE_TURNS_MAX (STAMPED_RING_NOTES + 2 * PERIOD_EVENTS_MAX)

// Merges offs and ons that are due before `end` by frame, offs first.
static void
span_merge(Span* span, uint64_t end) REALTIME
{
  Process* const process = span->process;
  for (uint32_t turn = 0; turn < MERGE_TURNS_MAX; ++turn) {
    const ActiveNote* const off =
      process->active_count && !span->blocked
        ? &process->active[process->active_count - 1]
        : NULL;
    const StampedNote* const on = span->quiet ? NULL : next_note(process);

    const uint64_t off_frame = off ? off->off_frame : UINT64_MAX;
    const uint64_t on_frame  = on ? on->on_frame : UINT64_MAX;
    if (off && off_frame < end && off_frame <= on_frame) {
      span_write_off(span, process->active_count - 1);
    } else if (on && on_frame < span->cursor) {
      process_count(&process->counters.late);
      ring_pop(&process->notes);
    } else if (on && on_frame < end) {
      span_play_chord(span, on_frame);
    } else {
      break;
    }
  }
  ring_commit(&process->played);
}

void
process_end_notes(Process* process, uint64_t frame, bool echoes)
{
  const uint32_t count = process->active_count;
  for (uint32_t i = 0; i < count; ++i) {
    ActiveNote note = process->active[i];
    if (echoes || note.number != PLAYED_NO_NOTE) {
      note.off_frame = frame;
    }
    insert_active(process, i, note);
  }
}

// --- The span ----------------------------------------------------------------

// Where the worker planned anew: notes of all epochs before end there, or where
// an epoch between said.
static void
take_epoch(Process* process) REALTIME
{
  const uint64_t cut =
    atomic_load_explicit(&process->cut, memory_order_acquire);
  const uint16_t epoch = (uint16_t)cut;
  const uint64_t frame = cut >> 16;
  if ((uint16_t)process->epoch == epoch) {
    return;
  }
  for (uint32_t i = 0; i < PROCESS_CUTS; ++i) {
    process->cuts[i] = process->cuts[i] < frame ? process->cuts[i] : frame;
  }
  for (uint32_t i = 0; i < PROCESS_CUTS && (uint16_t)process->epoch != epoch;
       ++i) {
    ++process->epoch;
    process->cuts[process->epoch % PROCESS_CUTS] = frame;
  }
  atomic_store_explicit(
    &process->epoch_seen, process->epoch, memory_order_release);
}

static bool
plan_reaches(const Process* process, uint64_t frame) REALTIME
{
  return atomic_load_explicit(&process->breaks_known, memory_order_acquire) ==
           process->breaks &&
         atomic_load_explicit(&process->planned_until, memory_order_acquire) >=
           frame;
}

// Freewheeling has no deadline, so process waits for the worker: the exception
// from the real-time rule that DESIGN.md names, taken outside the guard.
static void
wait_for_plan(Process* process, uint64_t frame)
{
  rt_leave();
  const int64_t deadline_ns =
    clock_now_ns() + (process->waited_in_vain ? FREEWHEEL_WAIT_AGAIN_NS_MAX
                                              : FREEWHEEL_WAIT_NS_MAX);
  bool reached;
  while (!(reached = plan_reaches(process, frame)) &&
         !atomic_load(&process->end_requested) &&
         !atomic_load(&process->hold_requested) &&
         clock_now_ns() < deadline_ns) {
    clock_sleep_ns(100000);
    take_epoch(process); // the worker waits for that before its next change
  }
  process->waited_in_vain = process->waited_in_vain || !reached;
  rt_enter();
}

// Sets the span's place on the session clock; false: it has been.
static bool
begin_span(Process* process, const BackendSpan* given, Span* span) REALTIME
{
  const uint64_t until =
    atomic_load_explicit(&process->processed_until, memory_order_relaxed);
  if (process->reconnected) {
    process->reconnected  = false;
    process->clock_offset = until ? until - given->frame : 0;
    process_end_notes(process, 0, true); // who heard them start may be gone
  }
  const uint64_t start = given->frame + process->clock_offset;
  *span                = (Span){ .process = process,
                                 .sink    = given->sink,
                                 .start   = start,
                                 .end     = start + given->frame_count,
                                 .cursor  = start > until ? start : until };
  if (span->end <= until) {
    return false; // a clock that was set back: these frames have been
  }
  process->waited_in_vain = process->waited_in_vain && given->freewheeling;
  atomic_store_explicit(
    &process->span_frames, given->frame_count, memory_order_relaxed);
  atomic_store_explicit(&process->freewheeling,
                        given->freewheeling && !process->waited_in_vain,
                        memory_order_relaxed);
  atomic_store_explicit(
    &process->committed_until, span->end, memory_order_release);
  return true;
}

static void
wind_clock(Span* span) REALTIME
{
  Process* const process = span->process;
  clock_out_switch(&process->clock,
                   span->cursor,
                   !span->quiet && atomic_load_explicit(&process->clock_out,
                                                        memory_order_relaxed));
}

// Marks of the beat before `end` and before the clock's next message.
static uint64_t
next_clock(Process* process, uint64_t end) REALTIME
{
  uint64_t        due = clock_out_next(&process->clock);
  const BeatMark* mark;
  for (uint32_t i = 0;
       i < BEAT_RING_MARKS && (mark = ring_peek(&process->beats)) &&
       mark->frame < end && mark->frame <= due;
       ++i) {
    clock_out_mark(&process->clock, mark);
    ring_pop(&process->beats);
    due = clock_out_next(&process->clock);
  }
  return due;
}

// MIDI clock until `end`, between what is played.
static void
span_tick(Span* span, uint64_t end) REALTIME
{
  for (uint32_t i = 0; i < PERIOD_EVENTS_OFF_RESERVE; ++i) {
    const uint64_t due = next_clock(span->process, end);
    if (due >= end) {
      break;
    }
    const uint64_t frame = due > span->cursor ? due : span->cursor;
    span_merge(span, frame);
    const uint64_t at      = frame > span->cursor ? frame : span->cursor;
    const uint8_t  message = clock_out_take(&span->process->clock);
    span->cursor           = at;
    if (!span->sink->write(span->sink->handle,
                           MIDI_OUT_NOTES,
                           (uint32_t)(at - span->start),
                           &message,
                           1)) {
      process_count(&span->process->counters.dropped);
    }
  }
  span_merge(span, end);
}

// What comes in, and what is played, in the order of time.
static void
play_span(Span* span, const BackendSpan* given) REALTIME
{
  wind_clock(span);
  for (uint32_t i = 0; i < given->input_count; ++i) {
    const uint64_t frame = span->start + given->inputs[i].offset_frames;
    span_tick(span, frame);
    span->cursor = frame > span->cursor ? frame : span->cursor;
    process_take_input(
      span, &given->inputs[i], span->cursor, given->input_delay_frames);
  }
  span_tick(span, span->end);
  ring_commit(&span->process->heard);
  ring_commit(&span->process->played);
}

// Whether control wants quiet, for now or for good: then what sounds ends. Read
// before the panics that are asked for, so that one asked for first comes
// first.
static void
keep_quiet(Span* span) REALTIME
{
  Process* const process = span->process;
  span->ends =
    atomic_load_explicit(&process->end_requested, memory_order_acquire);
  span->quiet = span->ends || atomic_load_explicit(&process->hold_requested,
                                                   memory_order_acquire);
  if (span->quiet) {
    process_end_notes(process, 0, true);
  }
  if (span->ends &&
      !atomic_load_explicit(&process->ended_at, memory_order_relaxed)) {
    atomic_store_explicit(
      &process->ended_at, span->cursor, memory_order_release);
  }
}

static void
answer_quiet(const Span* span) REALTIME
{
  Process* const process = span->process;
  const bool     silent  = span->quiet && !process->active_count;
  atomic_store_explicit(&process->held, silent, memory_order_release);
  if (silent && span->ends) {
    atomic_store_explicit(&process->ended, true, memory_order_release);
  }
}

void
process_span(void* context, const BackendSpan* given)
{
  Process* const process = context;
  Span           span;
  if (!begin_span(process, given, &span)) {
    return;
  }
  take_epoch(process);
  process_watch_transport(&span, given);
  keep_quiet(&span);
  if (!span.quiet && given->freewheeling) {
    ring_commit(&process->heard);
    wait_for_plan(process, span.end);
    take_epoch(process);
  }
  if (!span.quiet && !plan_reaches(process, span.end) &&
      plan_reaches(process, 1)) {
    process_count(&process->counters.spans_starved);
  }
  process_write_feedback(&span);
  process_panic(&span);
  process_release_echoes(&span);
  play_span(&span, given);
  atomic_store_explicit(
    &process->processed_until, span.end, memory_order_release);
  answer_quiet(&span);
}
