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
    count(&process->counters.replaced);
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
  while ((note = next_note(process)) && note->on_frame == frame &&
         !note->pulse) {
    if (chord_has_key(process, size, note)) {
      count(&process->counters.doubled);
    } else if (size < ACTIVE_NOTES_MAX) {
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

static void
span_write_pulse(Span* span, const StampedNote* pulse) REALTIME
{
  const uint32_t offset = (uint32_t)(pulse->on_frame - span->start);
  span->cursor          = pulse->on_frame;
  ++span->written;
  if (!span->sink->write(
        span->sink->handle, MIDI_OUT_NOTES, offset, &pulse->pulse, 1)) {
    count(&span->process->counters.dropped);
  }
}

// Merges offs and ons that are due before `end` by frame, offs first.
static void
span_merge(Span* span, uint64_t end, bool quiet) REALTIME
{
  Process* const process = span->process;
  for (uint32_t turn = 0; turn < MERGE_TURNS_MAX; ++turn) {
    const ActiveNote* const off =
      process->active_count && !span->blocked
        ? &process->active[process->active_count - 1]
        : NULL;
    const StampedNote* const on = quiet ? NULL : next_note(process);

    const uint64_t off_frame = off ? off->off_frame : UINT64_MAX;
    const uint64_t on_frame  = on ? on->on_frame : UINT64_MAX;
    if (off && off_frame < end && off_frame <= on_frame) {
      span_write_off(span, process->active_count - 1);
    } else if (on && on_frame < span->cursor) {
      count(&process->counters.late);
      ring_pop(&process->notes);
    } else if (on && on_frame < end && on->pulse) {
      span_write_pulse(span, on);
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

// --- What comes in -----------------------------------------------------------

static void
report_heard(Process* process, const HeardEvent* event) REALTIME
{
  if (!ring_push(&process->heard, event)) {
    count(&process->counters.heard_lost);
  }
}

// Time does not go on as planned: what sounds ends, and what was planned
// without knowing of this is left out.
static void
break_time(Process* process, uint64_t frame) REALTIME
{
  ++process->breaks;
  process->broke_at = frame;
  process_end_notes(process, frame, false);
}

static bool
transport_jumped(const Process* process, const Transport* now) REALTIME
{
  const Transport* const before = &process->transport;
  return now->rolling != before->rolling ||
         (now->rolling &&
          now->frame != before->frame + process->transport_frames);
}

// What control would not know otherwise.
static bool
transport_changed(const Process* process, const Transport* now) REALTIME
{
  const Transport* const before = &process->transport;
  return now->exists != before->exists || transport_jumped(process, now) ||
         (!now->rolling && now->frame != before->frame) ||
         now->has_tempo != before->has_tempo ||
         (now->has_tempo && now->bpm != before->bpm);
}

// At the span's start: breaks time where the server's transport does what it
// would not have done by itself, if it is followed.
static void
watch_transport(Span* span, const BackendSpan* given) REALTIME
{
  Process* const         process = span->process;
  const Transport* const now     = &given->transport;
  const int              follow =
    atomic_load_explicit(&process->follow, memory_order_relaxed);
  const bool turned  = follow != process->followed;
  const bool changed = turned || transport_changed(process, now);
  if (turned || (follow == SYNC_JACK && transport_jumped(process, now))) {
    break_time(process, span->cursor);
  }
  process->followed         = follow;
  process->transport        = *now;
  process->transport_frames = given->frame_count;
  if (changed) {
    const HeardEvent event = { .kind      = HEARD_TRANSPORT,
                               .frame     = span->start,
                               .breaks    = process->breaks,
                               .broke_at  = process->broke_at,
                               .transport = *now };
    report_heard(process, &event);
  }
}

static void
echo_off(Span* span, uint8_t channel, uint8_t pitch, uint64_t frame) REALTIME
{
  Process* const process = span->process;
  for (uint32_t i = 0; i < process->active_count; ++i) {
    const ActiveNote note = process->active[i];
    if (note.off_frame == UINT64_MAX && note.pitch == pitch &&
        note.channel == channel) {
      process->active[i].off_frame = frame;
      if (!span_write_off(span, i)) {
        process->active[i].off_frame = UINT64_MAX; // with the next release
        atomic_fetch_add(&process->release_requests, 1);
      }
      return;
    }
  }
}

static void
echo(Span* span, const MidiInput* input, uint64_t frame) REALTIME
{
  const uint8_t* const message = input->message;
  const uint8_t        kind    = message[0] & 0xf0;
  const uint8_t        channel = message[0] & 0x0f;
  if (kind == 0x90 && message[2]) {
    const StampedNote note = { .on_frame  = frame,
                               .off_frame = UINT64_MAX,
                               .number    = PLAYED_NO_NOTE,
                               .pitch     = message[1],
                               .velocity  = message[2],
                               .channel   = channel };
    end_same_key(span, &note);
    span_write_on(span, &note);
  } else if (kind == 0x80 || kind == 0x90) {
    echo_off(span, channel, message[1], frame);
  }
}

// Start, continue, stop, song position.
static bool
moves_song(uint8_t status) REALTIME
{
  return status == 0xfa || status == 0xfb || status == 0xfc || status == 0xf2;
}

static void
take_input(Span*            span,
           const MidiInput* input,
           uint64_t         frame,
           uint32_t         delay) REALTIME
{
  Process* const process = span->process;
  if (process->followed == SYNC_MIDI && moves_song(input->message[0])) {
    break_time(process, frame);
  }
  const HeardEvent event = { .kind     = HEARD_MIDI,
                             .frame    = frame > delay ? frame - delay : 0,
                             .breaks   = process->breaks,
                             .broke_at = process->broke_at,
                             .midi     = *input };
  report_heard(process, &event);
  if (atomic_load_explicit(&process->echo, memory_order_relaxed)) {
    echo(span, input, frame);
  }
}

// --- What control asks for ---------------------------------------------------

static void
write_feedback(Span* span) REALTIME
{
  const FeedbackMessage* feedback;
  for (uint32_t i = 0; i < FEEDBACK_RING_EVENTS &&
                       (feedback = ring_peek(&span->process->feedback));
       ++i) {
    span->sink->write(
      span->sink->handle, MIDI_OUT_FEEDBACK, 0, feedback->message, 3);
    ring_pop(&span->process->feedback);
  }
}

// Ends what echoes: its player is gone, or no longer wants to be heard.
static void
release_echoes(Span* span) REALTIME
{
  Process* const process = span->process;
  const uint32_t asked   = atomic_load(&process->release_requests);
  if (asked == process->releases_done) {
    return;
  }
  while (process->active_count && !span->blocked &&
         process->active[0].off_frame == UINT64_MAX) {
    process->active[0].off_frame = span->cursor;
    if (!span_write_off(span, 0)) {
      process->active[0].off_frame = UINT64_MAX; // in the next span
      return;
    }
  }
  process->releases_done = asked;
}

#define CC_ALL_SOUND_OFF 120
#define CC_ALL_NOTES_OFF 123

// The off of each note, then what ends notes that a synth lost the off of.
static void
panic(Span* span) REALTIME
{
  static const uint8_t controllers[] = { CC_ALL_NOTES_OFF, CC_ALL_SOUND_OFF };
  Process* const       process       = span->process;
  const uint32_t       asked         = atomic_load(&process->panic_requests);
  if (asked == process->panics_done) {
    return;
  }
  process_end_notes(process, span->cursor, true);
  while (process->active_count && !span->blocked) {
    span_write_off(span, process->active_count - 1);
  }
  for (uint8_t i = 0; i < 32 && !span->blocked; ++i) {
    const uint8_t message[] = { (uint8_t)(0xb0 | i / 2),
                                controllers[i % 2],
                                0 };
    span->blocked = !span_write(span, span->cursor, PLAYED_NO_NOTE, message);
  }
  process->panics_done = span->blocked ? process->panics_done : asked;
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
         clock_now_ns() < deadline_ns) {
    clock_sleep_ns(100000);
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

// What comes in, and what is played, in the order of time.
static void
play_span(Span* span, const BackendSpan* given, bool quiet) REALTIME
{
  for (uint32_t i = 0; i < given->input_count; ++i) {
    const uint64_t frame = span->start + given->inputs[i].offset_frames;
    span_merge(span, frame, quiet);
    span->cursor = frame > span->cursor ? frame : span->cursor;
    take_input(
      span, &given->inputs[i], span->cursor, given->input_delay_frames);
  }
  span_merge(span, span->end, quiet);
  ring_commit(&span->process->heard);
  ring_commit(&span->process->played);
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
  watch_transport(&span, given);
  const bool quiet =
    atomic_load_explicit(&process->end_requested, memory_order_acquire);
  if (quiet) {
    process_end_notes(process, 0, true);
    if (!atomic_load_explicit(&process->ended_at, memory_order_relaxed)) {
      atomic_store_explicit(
        &process->ended_at, span.cursor, memory_order_release);
    }
  } else if (given->freewheeling) {
    ring_commit(&process->heard);
    wait_for_plan(process, span.end);
    take_epoch(process);
  }
  if (!quiet && !plan_reaches(process, span.end) && plan_reaches(process, 1)) {
    count(&process->counters.spans_starved);
  }
  write_feedback(&span);
  panic(&span);
  release_echoes(&span);
  play_span(&span, given, quiet);
  atomic_store_explicit(
    &process->processed_until, span.end, memory_order_release);
  if (quiet && !process->active_count) {
    atomic_store_explicit(&process->ended, true, memory_order_release);
  }
}
