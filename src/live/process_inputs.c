// What comes in at meander:control, the server's transport, and what control
// asks of process. Process thread.
#include "live/process_span.h"

#include <string.h>

// What was lost may have told of a break: the next span says how things stand.
static void
report_heard(Process* process, const HeardEvent* event) REALTIME
{
  if (!ring_push(&process->heard, event)) {
    process_count(&process->counters.heard_lost);
    process->untold = true;
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

// After an xrun the server's clock skips what was missed, its transport does
// not: the same song, at other frames.
static bool
clock_skipped(const Process* process, uint64_t start) REALTIME
{
  return start != process->transport_span + process->transport_frames;
}

// What control would not know otherwise.
static bool
transport_changed(const Process*   process,
                  const Transport* now,
                  uint64_t         start) REALTIME
{
  const Transport* const before = &process->transport;
  return now->exists != before->exists || transport_jumped(process, now) ||
         (now->rolling && clock_skipped(process, start)) ||
         (!now->rolling && now->frame != before->frame) ||
         now->has_tempo != before->has_tempo ||
         (now->has_tempo && now->bpm != before->bpm);
}

// At the span's start: breaks time where the server's transport does what it
// would not have done by itself, if it is followed.
void
process_watch_transport(Span* span, const BackendSpan* given) REALTIME
{
  Process* const         process = span->process;
  const Transport* const now     = &given->transport;
  const int              follow =
    atomic_load_explicit(&process->follow, memory_order_relaxed);
  const bool turned  = follow != process->followed;
  const bool changed = turned || transport_changed(process, now, span->start) ||
                       (process->untold && ring_write_space(&process->heard));
  if (turned || (follow == SYNC_JACK && transport_jumped(process, now))) {
    break_time(process, span->cursor);
  }
  process->followed         = follow;
  process->transport        = *now;
  process->transport_frames = given->frame_count;
  process->transport_span   = span->start;
  if (changed) {
    process->untold        = false;
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

static bool
is_silent(const Process* process, uint8_t channel, uint8_t key) REALTIME
{
  return atomic_load_explicit(&process->silent_keys[channel][key >> 6],
                              memory_order_relaxed) >>
           (key & 63) &
         1;
}

static void
echo(Span* span, const MidiInput* input, uint64_t frame) REALTIME
{
  const uint8_t* const message = input->message;
  const uint8_t        kind    = message[0] & 0xf0;
  const uint8_t        channel = message[0] & 0x0f;
  if (kind == 0x90 && message[2]) {
    if (is_silent(span->process, channel, message[1])) {
      return;
    }
    const StampedNote note = { .on_frame  = frame,
                               .off_frame = UINT64_MAX,
                               .number    = PLAYED_NO_NOTE,
                               .pitch     = message[1],
                               .velocity  = message[2],
                               .channel   = channel };
    span_end_same_key(span, &note);
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

void
process_take_input(Span*            span,
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
  if (!span->quiet &&
      atomic_load_explicit(&process->echo, memory_order_relaxed)) {
    echo(span, input, frame);
  }
}

// --- What control asks for ---------------------------------------------------

void
process_write_feedback(Span* span) REALTIME
{
  const FeedbackMessage* feedback;
  for (uint32_t i = 0; i < FEEDBACK_RING_EVENTS &&
                       (feedback = ring_peek(&span->process->feedback));
       ++i) {
    if (!span->sink->write(
          span->sink->handle, MIDI_OUT_FEEDBACK, 0, feedback->message, 3)) {
      process_count(&span->process->counters.feedback_lost);
    }
    ring_pop(&span->process->feedback);
  }
}

// Ends what echoes: its player is gone, or no longer wants to be heard.
void
process_release_echoes(Span* span) REALTIME
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
void
process_panic(Span* span) REALTIME
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
