// The ALSA process thread: spans in time, messages to sequencer events, the
// queue's clock, and the last note-offs. Runs in that thread alone.
#include "backend/alsa_thread.h"

#include "backend/alsa_time.h"
#include "clock.h"

#include <errno.h>
#include <string.h>

// A full output pool empties as the queue plays; a note-on waits this often
// for it, 1 ms each.
#define SEND_TRIES_MAX 200
#define SEND_RETRY_NS 1000000ull

// How late the queue may play its last event before it counts as stuck.
#define QUEUE_FINISH_NS_MAX 1000000000ull

// A reading of the queue's clock is trusted when it took no longer than this.
#define QUEUE_READ_NS_MAX 500000ull
#define QUEUE_READ_TRIES 8

static bool
sink_write(void*          handle,
           MidiOut        port,
           uint32_t       offset_frames,
           const uint8_t* message,
           uint32_t       size_bytes)
{
  AlsaOutput* const out = &((AlsaThread*)handle)->out[port];
  if (out->count == PERIOD_EVENTS_MAX) {
    return false;
  }
  AlsaMessage* const slot = &out->messages[out->count++];
  slot->offset_frames     = offset_frames;
  slot->size_bytes        = (uint8_t)size_bytes;
  memcpy(slot->message, message, size_bytes);
  return true;
}

// Reads the queue's clock against ours; false when that took too long to be
// trusted, or there is no queue. Done for each span: the queue counts its
// timer's ticks and drifts (by 0.1 ms in 10 s where ticks come late), and play
// may last all day.
static bool
queue_read_zero(AlsaThread* thread, uint64_t took_ns_max)
{
  snd_seq_queue_status_t* status;
  snd_seq_queue_status_alloca(&status);
  const uint64_t before_ns = (uint64_t)clock_now_ns();
  if (thread->queue < 0 ||
      snd_seq_get_queue_status(thread->seq, thread->queue, status) < 0) {
    return false;
  }
  const uint64_t took_ns = (uint64_t)clock_now_ns() - before_ns;
  if (took_ns > took_ns_max) {
    return false;
  }
  const snd_seq_real_time_t* const time =
    snd_seq_queue_status_get_real_time(status);
  thread->queue_zero_ns =
    before_ns + took_ns / 2 - (time->tv_sec * NS_PER_S + time->tv_nsec);
  return true;
}

static void
queue_read_first_zero(AlsaThread* thread)
{
  for (int i = 0; i < QUEUE_READ_TRIES; ++i) {
    if (queue_read_zero(thread, QUEUE_READ_NS_MAX)) {
      return;
    }
  }
  queue_read_zero(thread, UINT64_MAX);
}

// Stamps the event with its absolute queue time, never before the one handed
// out last: events of equal time keep their order.
static void
queue_stamp(AlsaThread* thread, uint64_t due_ns, snd_seq_event_t* event)
{
  uint64_t queue_ns =
    due_ns > thread->queue_zero_ns ? due_ns - thread->queue_zero_ns : 0;
  if (queue_ns < thread->queue_last_ns) {
    queue_ns = thread->queue_last_ns;
  }
  thread->queue_last_ns          = queue_ns;
  const snd_seq_real_time_t time = {
    .tv_sec  = (unsigned)(queue_ns / NS_PER_S),
    .tv_nsec = (unsigned)(queue_ns % NS_PER_S),
  };
  snd_seq_ev_schedule_real(event, thread->queue, 0, &time);
}

// Remembers what sounds, by what was really sent to the port "notes".
static void
track(AlsaThread* thread, const uint8_t* message)
{
  const uint8_t kind = message[0] & 0xF0;
  if (kind != 0x80 && kind != 0x90) {
    return;
  }
  AlsaNote* const note = &thread->notes[message[0] & 0x0F][message[1] & 0x7F];
  *note = kind == 0x90 && message[2] > 0 ? ALSA_NOTE_ON : ALSA_NOTE_ENDED;
}

static bool
encode(AlsaThread* thread, const AlsaMessage* message, snd_seq_event_t* event)
{
  snd_seq_ev_clear(event);
  snd_midi_event_reset_encode(thread->encoder);
  return snd_midi_event_encode(
           thread->encoder, message->message, message->size_bytes, event) ==
           message->size_bytes &&
         event->type != SND_SEQ_EVENT_NONE;
}

// Sends one message, due at `due_ns` by CLOCK_MONOTONIC: through the queue, or
// at once. Only a queued event is tried again after -EAGAIN (our pool is full,
// and the event was not taken). Sent directly, -EAGAIN says that one receiver's
// pool is full, and the others have the event already.
static void
send_message(AlsaThread*        thread,
             MidiOut            port,
             const AlsaMessage* message,
             uint64_t           due_ns,
             bool               queued)
{
  snd_seq_event_t event;
  if (!encode(thread, message, &event)) {
    atomic_fetch_add(&thread->dropped_count, 1);
    return;
  }
  snd_seq_ev_set_source(&event, thread->ports[port]);
  snd_seq_ev_set_subs(&event);
  if (queued) {
    queue_stamp(thread, due_ns, &event);
  } else {
    snd_seq_ev_set_direct(&event);
  }
  int result = snd_seq_event_output_direct(thread->seq, &event);
  for (int i = 0; queued && result == -EAGAIN && i < SEND_TRIES_MAX; ++i) {
    clock_sleep_until_ns((int64_t)(uint64_t)clock_now_ns() + SEND_RETRY_NS);
    result = snd_seq_event_output_direct(thread->seq, &event);
  }
  if (result < 0) {
    atomic_fetch_add(&thread->dropped_count, 1);
  }
  if (port == MIDI_OUT_NOTES && (result >= 0 || !queued)) {
    track(thread, message->message);
  }
}

// Both ports' messages in one order, so that none waits for a later one.
static void
send_span(AlsaThread* thread, uint64_t frame)
{
  const AlsaOutput* const notes    = &thread->out[MIDI_OUT_NOTES];
  const AlsaOutput* const feedback = &thread->out[MIDI_OUT_FEEDBACK];
  for (uint32_t n = 0, f = 0; n < notes->count || f < feedback->count;) {
    const bool is_note =
      f == feedback->count ||
      (n < notes->count &&
       notes->messages[n].offset_frames <= feedback->messages[f].offset_frames);
    const AlsaMessage* const message =
      is_note ? &notes->messages[n++] : &feedback->messages[f++];
    const uint64_t due_ns =
      frame_to_ns(frame + message->offset_frames, thread->sample_rate_hz);
    if (!thread->queued) {
      clock_sleep_until_ns((int64_t)due_ns);
    }
    send_message(thread,
                 is_note ? MIDI_OUT_NOTES : MIDI_OUT_FEEDBACK,
                 message,
                 due_ns,
                 thread->queued);
  }
}

static bool
queue_is_empty(const AlsaThread* thread)
{
  snd_seq_queue_status_t* status;
  snd_seq_queue_status_alloca(&status);
  return snd_seq_get_queue_status(thread->seq, thread->queue, status) < 0 ||
         snd_seq_queue_status_get_events(status) == 0;
}

// Waits until the queue has played everything. False when it did not in time:
// then its events are taken out of it.
static bool
queue_finish(AlsaThread* thread)
{
  const uint64_t deadline_ns =
    (uint64_t)clock_now_ns() + thread->lead_ns + QUEUE_FINISH_NS_MAX;
  while (!queue_is_empty(thread)) {
    if ((uint64_t)clock_now_ns() > deadline_ns) {
      snd_seq_drop_output(thread->seq);
      return false;
    }
    clock_sleep_until_ns((int64_t)(uint64_t)clock_now_ns() + SEND_RETRY_NS);
  }
  return true;
}

// Ends directly each note whose off was not handed out, or only with what a
// stuck queue did not play (`heard` false: ends whatever may sound).
static void
release_notes(AlsaThread* thread, bool heard)
{
  for (uint8_t channel = 0; channel < ALSA_CHANNELS; ++channel) {
    for (uint8_t pitch = 0; pitch < ALSA_PITCHES; ++pitch) {
      const AlsaNote note = thread->notes[channel][pitch];
      if (note == ALSA_NOTE_ON || (note == ALSA_NOTE_ENDED && !heard)) {
        const AlsaMessage off = { .message    = { 0x80 | channel, pitch, 64 },
                                  .size_bytes = 3 };
        send_message(thread, MIDI_OUT_NOTES, &off, 0, false);
      }
    }
  }
}

// A span that is wholly in the past is not played: that is an xrun.
static uint64_t
skip_missed(AlsaThread* thread, uint64_t frame)
{
  const uint64_t now_frame =
    ns_to_frame((uint64_t)clock_now_ns(), thread->sample_rate_hz);
  if (now_frame < frame + thread->period_frames) {
    return frame;
  }
  atomic_fetch_add(&thread->xrun_count, 1);
  return now_frame;
}

static void
run_span(AlsaThread* thread, uint64_t frame)
{
  AlsaInput* const input = &thread->input;
  const MidiSink   sink  = { sink_write, thread };
  BackendSpan      span  = { .frame              = frame,
                             .frame_count        = thread->period_frames,
                             .input_delay_frames = input->delay_frames,
                             .sink               = &sink };
  alsa_input_read(input, frame, thread->period_frames, thread->queue_zero_ns);
  span_inputs_give(&input->inputs, &span);
  thread->out[MIDI_OUT_NOTES].count    = 0;
  thread->out[MIDI_OUT_FEEDBACK].count = 0;
  rt_enter();
  thread->process(thread->process_context, &span);
  rt_leave();
  send_span(thread, frame);
}

void*
alsa_thread_run(void* context)
{
  AlsaThread* const thread  = context;
  const uint32_t    rate_hz = thread->sample_rate_hz;
  queue_read_first_zero(thread);
  uint64_t frame =
    ns_to_frame((uint64_t)clock_now_ns() + thread->lead_ns, rate_hz) + 1;
  while (!atomic_load(&thread->stopping)) {
    clock_sleep_until_ns((int64_t)frame_to_ns(frame, rate_hz) -
                         (int64_t)thread->lead_ns);
    frame = skip_missed(thread, frame);
    queue_read_zero(thread, QUEUE_READ_NS_MAX);
    run_span(thread, frame);
    frame += thread->period_frames;
  }
  release_notes(thread, !thread->queued || queue_finish(thread));
  return NULL;
}
