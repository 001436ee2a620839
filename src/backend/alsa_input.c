// What comes to our ALSA ports. An event falls on the frame at which it came,
// plus a constant: a span is processed ahead of its time, and takes what came
// in the period before that.
#include "backend/alsa_input.h"

#include "backend/alsa_time.h"
#include "clock.h"

#include <errno.h>

// Events looked at for one span; the rest waits for the next. More than the
// kernel keeps, with what is already in our buffer.
#define EVENTS_PER_SPAN_MAX (2 * ALSA_INPUT_POOL_EVENTS)

// The longest that one event becomes: a 14-bit parameter, four messages.
#define DECODED_BYTES_MAX 16

// By the queue's stamp, where there is one; never later than now.
static uint64_t
arrival_frame(const AlsaInput*       input,
              const snd_seq_event_t* event,
              uint64_t               queue_zero_ns)
{
  const uint64_t now_ns = (uint64_t)clock_now_ns();
  uint64_t       ns     = now_ns;
  if (input->queue >= 0 && event->queue == input->queue &&
      snd_seq_ev_is_real(event)) {
    ns = queue_zero_ns + event->time.time.tv_sec * NS_PER_S +
         event->time.time.tv_nsec;
  }
  return ns_to_frame(ns < now_ns ? ns : now_ns, input->sample_rate_hz);
}

static void
take(AlsaInput* input, uint32_t offset_frames, const snd_seq_event_t* event)
{
  uint8_t bytes[DECODED_BYTES_MAX];
  if (snd_seq_ev_is_variable(event)) {
    return; // SysEx
  }
  const long size =
    snd_midi_event_decode(input->decoder, bytes, sizeof bytes, event);
  if (size > 0) { // not for what is no MIDI, as word of a connection
    span_inputs_take(&input->inputs, offset_frames, bytes, (size_t)size);
  }
}

// Reads one more event into input->next, unless it is none for control. False:
// there is no more.
static bool
read_event(AlsaInput* input, uint64_t queue_zero_ns)
{
  snd_seq_event_t* event  = NULL;
  const int        result = snd_seq_event_input(input->seq, &event);
  if (result == -ENOSPC) {
    // The kernel had no room and threw away all it had for us.
    span_inputs_lose(&input->inputs, 1);
    alsa_ports_miss(input->ports);
    return true;
  }
  if (result < 0 || !event) {
    return false;
  }
  if (event->dest.port == input->ports->control) {
    alsa_ports_hear_connection(input->ports, event);
    input->next       = event; // stays valid until the next is read
    input->next_frame = arrival_frame(input, event, queue_zero_ns);
  } else if (event->dest.port == input->ports->announcements) {
    alsa_ports_hear(input->ports, event);
  }
  return true;
}

void
alsa_input_read(AlsaInput* input,
                uint64_t   frame,
                uint32_t   frame_count,
                uint64_t   queue_zero_ns)
{
  span_inputs_begin(&input->inputs, frame_count);
  for (uint32_t i = 0; i < EVENTS_PER_SPAN_MAX; ++i) {
    if (!input->next && !read_event(input, queue_zero_ns)) {
      return;
    }
    if (!input->next) {
      continue;
    }
    const uint64_t due = input->next_frame + input->delay_frames;
    if (due >= frame + frame_count ||
        input->inputs.count + DECODED_BYTES_MAX / 3 > SPAN_INPUTS_MAX) {
      return; // it is for a later span, or has no room in this one
    }
    take(input, due > frame ? (uint32_t)(due - frame) : 0, input->next);
    input->next = NULL;
  }
}
