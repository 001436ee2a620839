// All real-time code of the instrument. Process thread.
#include "live/process.h"

#include "clock.h"

#include <string.h>

// While freewheeling the longest wait for the worker in one span. JACK itself
// gives a client 10 s. When that was in vain the worker is told to fall back,
// which takes it a few ms.
#define FREEWHEEL_WAIT_NS_MAX 5000000000ll
#define FREEWHEEL_WAIT_AGAIN_NS_MAX 100000000ll

// One span under way.
typedef struct {
  Process*        process;
  const MidiSink* sink;
  uint64_t        start;
  uint64_t        end;
  uint64_t        cursor;  // nothing may be written before this frame
  uint32_t        written; // messages so far
  bool            blocked; // an off was refused: nothing more in this span
} Span;

static void
count(_Atomic uint64_t* counter) REALTIME
{
  // One writer: no read-modify-write needed.
  const uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
  atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

static bool
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
    count(&process->counters.reports_lost);
  }
  return true;
}

// Writes the off of active note `index` and forgets the note. When the sink
// refuses, the note stays to be ended in the next span.
static bool
span_write_off(Span* span, uint32_t index) REALTIME
{
  Process* const   process = span->process;
  const ActiveNote note    = process->active[index];
  const uint8_t message[3] = { (uint8_t)(0x80 | note.channel), note.pitch, 64 };
  const uint64_t frame =
    note.off_frame > span->cursor ? note.off_frame : span->cursor;
  if (span->written >= PERIOD_EVENTS_MAX ||
      !span_write(span, frame, note.number, message)) {
    count(&process->counters.offs_retried);
    span->blocked = true;
    return false;
  }
  --process->active_count;
  memmove(&process->active[index],
          &process->active[index + 1],
          (process->active_count - index) * sizeof(ActiveNote));
  return true;
}

static void
add_active(Process* process, const StampedNote* note) REALTIME
{
  uint32_t index = process->active_count++;
  while (index && process->active[index - 1].off_frame < note->off_frame) {
    process->active[index] = process->active[index - 1];
    --index;
  }
  process->active[index] = (ActiveNote){ .off_frame = note->off_frame,
                                         .number    = note->number,
                                         .pitch     = note->pitch,
                                         .channel   = note->channel };
}

// Ends the same key where it is pressed again, unless the sink refuses.
static void
end_same_key(Span* span, const StampedNote* note) REALTIME
{
  Process* const process = span->process;
  for (uint32_t i = 0; i < process->active_count; ++i) {
    ActiveNote* const active = &process->active[i];
    if (active->pitch == note->pitch && active->channel == note->channel) {
      const uint64_t off_frame = active->off_frame;
      active->off_frame        = note->on_frame;
      if (span_write_off(span, i)) {
        count(&process->counters.retriggered);
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

static void
span_write_on(Span* span, const StampedNote* note) REALTIME
{
  Process* const process    = span->process;
  const uint8_t  message[3] = { (uint8_t)(0x90 | note->channel),
                                note->pitch,
                                note->velocity };
  if (!span_has_room_for_on(span) ||
      !span_write(span, note->on_frame, note->number, message)) {
    count(&process->counters.dropped);
    return;
  }
  count(&process->counters.notes);
  add_active(process, note);
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
  while ((note = ring_peek(&process->notes)) && note->on_frame == frame) {
    if (size < ACTIVE_NOTES_MAX && !chord_has_key(process, size, note)) {
      process->chord[size++] = *note;
    } else {
      count(&process->counters.dropped);
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
    end_same_key(span, &process->chord[i]);
  }
  for (uint32_t i = 0; i < size; ++i) {
    span_write_on(span, &process->chord[i]);
  }
}

// More turns than one span can need: each ends an active note or takes from the
// ring, to which the worker may add meanwhile.
#define MERGE_TURNS_MAX (STAMPED_RING_NOTES + 2 * PERIOD_EVENTS_MAX)

// Merges due offs and ons by frame, offs first.
static void
span_merge(Span* span, bool quiet) REALTIME
{
  Process* const process = span->process;
  for (uint32_t turn = 0; turn < MERGE_TURNS_MAX; ++turn) {
    const ActiveNote* const off =
      process->active_count && !span->blocked
        ? &process->active[process->active_count - 1]
        : NULL;
    const StampedNote* const on = quiet ? NULL : ring_peek(&process->notes);

    const uint64_t off_frame = off ? off->off_frame : UINT64_MAX;
    const uint64_t on_frame  = on ? on->on_frame : UINT64_MAX;
    if (off && off_frame < span->end && off_frame <= on_frame) {
      span_write_off(span, process->active_count - 1);
    } else if (on && on_frame < span->cursor) {
      count(&process->counters.late);
      ring_pop(&process->notes);
    } else if (on && on_frame < span->end) {
      span_play_chord(span, on_frame);
    } else {
      break;
    }
  }
  ring_commit(&process->played);
}

static void
end_all_notes(Process* process, uint64_t frame) REALTIME
{
  for (uint32_t i = 0; i < process->active_count; ++i) {
    process->active[i].off_frame = frame;
  }
}

static bool
plan_reaches(const Process* process, uint64_t frame) REALTIME
{
  return atomic_load_explicit(&process->planned_until, memory_order_acquire) >=
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
         clock_now_ns() < deadline_ns) {
    clock_sleep_ns(100000);
  }
  process->waited_in_vain = process->waited_in_vain || !reached;
  rt_enter();
}

void
process_span(void* context, const BackendSpan* given)
{
  Process* const process      = context;
  const uint64_t frame        = given->frame;
  const uint32_t frame_count  = given->frame_count;
  const bool     freewheeling = given->freewheeling;
  const uint64_t until =
    atomic_load_explicit(&process->processed_until, memory_order_relaxed);
  if (process->reconnected) {
    process->reconnected  = false;
    process->clock_offset = until ? until - frame : 0;
    end_all_notes(process, 0); // who heard them start may be gone
  }
  const uint64_t start = frame + process->clock_offset;
  const uint64_t end   = start + frame_count;
  if (end <= until) {
    return; // a clock that was set back: these frames have been
  }
  atomic_store_explicit(
    &process->span_frames, frame_count, memory_order_relaxed);
  process->waited_in_vain = process->waited_in_vain && freewheeling;
  atomic_store_explicit(&process->freewheeling,
                        freewheeling && !process->waited_in_vain,
                        memory_order_relaxed);
  atomic_store_explicit(&process->committed_until, end, memory_order_release);

  const bool quiet =
    atomic_load_explicit(&process->end_requested, memory_order_acquire);
  if (quiet) {
    end_all_notes(process, 0);
  } else if (freewheeling) {
    wait_for_plan(process, end);
  }
  if (!quiet && !plan_reaches(process, end) && plan_reaches(process, 1)) {
    count(&process->counters.spans_starved);
  }
  Span span = { .process = process,
                .sink    = given->sink,
                .start   = start,
                .end     = end,
                .cursor  = start > until ? start : until };
  span_merge(&span, quiet);
  atomic_store_explicit(&process->processed_until, end, memory_order_release);
  if (quiet && !process->active_count) {
    atomic_store_explicit(&process->ended, true, memory_order_release);
  }
}
