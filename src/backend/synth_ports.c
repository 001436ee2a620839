// The synth's MIDI ports, and the thread that reads and writes them.
#include "backend/synth_ports.h"

#include "backend/alsa_client.h"
#include "backend/alsa_input.h"
#include "backend/alsa_time.h"
#include "clock.h"
#include "ring.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

// What waits for the audio thread: full, messages are counted as lost.
#define HEARD_MESSAGES 4096u
// What waits for the ports' thread: full, the sink refuses.
#define SHOWN_MESSAGES 1024u
// What is to be shown waits so long at most.
#define WAIT_MS 10

// How far the line follows one call that comes early or late, and how far off a
// call begins a new line (a machine was suspended).
#define FOLLOWS 0.05
#define OFF_S_MAX 0.25

typedef struct {
  int64_t   ns;
  MidiInput input;
} Heard;

typedef struct {
  uint8_t  message[3];
  uint32_t size_bytes;
} Shown;

struct SynthPorts {
  // Set before the thread starts, then only read.
  snd_seq_t*        seq; // shared with poll: ALSA locks within the kernel
  snd_midi_event_t* encoder;
  AlsaPorts         ports;
  uint32_t          sample_rate_hz;
  pthread_t         thread_id;
  bool              running;

  // The thread's own, but for its counters.
  AlsaInput input;

  // Between the threads.
  Ring        heard;
  Ring        shown;
  atomic_bool stopping;

  // The audio thread's own.
  bool      ticked;
  int64_t   line_ns; // the line goes through here
  double    line_frame;
  uint32_t  delay_frames; // of the longest call so far
  MidiInput inputs[SPAN_INPUTS_MAX];
};

// --- The ports' thread -------------------------------------------------------

// A span of a second that begins now: it takes all that is there.
static void
hear(SynthPorts* ports)
{
  SpanInputs* const inputs = &ports->input.inputs;
  const int64_t     now_ns = clock_now_ns();
  alsa_input_read(&ports->input,
                  ns_to_frame((uint64_t)now_ns, ports->sample_rate_hz),
                  ports->sample_rate_hz,
                  0);
  for (uint32_t i = 0; i < inputs->count; ++i) {
    const Heard heard = { .ns = now_ns, .input = inputs->inputs[i] };
    if (!ring_push(&ports->heard, &heard)) {
      span_inputs_lose(inputs, inputs->count - i);
      break;
    }
  }
  ring_commit(&ports->heard);
}

static void
show(SynthPorts* ports)
{
  const Shown* shown;
  while ((shown = ring_peek(&ports->shown))) {
    snd_seq_event_t event;
    snd_seq_ev_clear(&event);
    snd_midi_event_reset_encode(ports->encoder);
    snd_midi_event_encode(
      ports->encoder, shown->message, (long)shown->size_bytes, &event);
    snd_seq_ev_set_source(&event, ports->ports.out[MIDI_OUT_FEEDBACK]);
    snd_seq_ev_set_subs(&event);
    snd_seq_ev_set_direct(&event);
    snd_seq_event_output_direct(ports->seq, &event); // full: it misses one
    ring_pop(&ports->shown);
  }
}

static void*
run(void* context)
{
  SynthPorts* const ports = context;
  struct pollfd     descriptor;
  snd_seq_poll_descriptors(ports->seq, &descriptor, 1, POLLIN);
  while (!atomic_load(&ports->stopping)) {
    // What had no room in the last span of its own does not wait.
    poll(&descriptor, 1, ports->input.next ? 0 : WAIT_MS);
    hear(ports);
    show(ports);
  }
  return NULL;
}

// --- Audio thread ------------------------------------------------------------

// What came up to now falls into the span that begins now, if it is as long as
// the time since the last.
void
synth_ports_tick(SynthPorts* ports, uint64_t frame, uint32_t frame_count)
{
  const int64_t now_ns = clock_now_ns();
  const double  expected =
    ports->line_frame +
    (double)(now_ns - ports->line_ns) * ports->sample_rate_hz / NS_PER_S;
  const double off = (double)frame - expected;
  ports->line_frame =
    !ports->ticked || fabs(off) > OFF_S_MAX * ports->sample_rate_hz
      ? (double)frame
      : expected + off * FOLLOWS;
  ports->line_ns = now_ns;
  ports->ticked  = true;
  if (frame_count > ports->delay_frames) {
    ports->delay_frames = frame_count;
  }
}

// Where a message falls; it may be before or after the span.
static double
due_frame(const SynthPorts* ports, const Heard* heard) REALTIME
{
  return ports->line_frame + ports->delay_frames +
         (double)(heard->ns - ports->line_ns) * ports->sample_rate_hz /
           NS_PER_S;
}

void
synth_ports_read(SynthPorts* ports, BackendSpan* span)
{
  const Heard* heard;
  uint32_t     count  = 0;
  uint32_t     offset = 0;
  while (count < SPAN_INPUTS_MAX && (heard = ring_peek(&ports->heard))) {
    const double due = due_frame(ports, heard) - (double)span->frame;
    if (due >= span->frame_count) {
      break; // for a later span
    }
    offset               = due > offset ? (uint32_t)due : offset;
    ports->inputs[count] = heard->input;
    ports->inputs[count++].offset_frames = offset;
    ring_pop(&ports->heard);
  }
  span->inputs             = ports->inputs;
  span->input_count        = count;
  span->input_delay_frames = ports->delay_frames;
}

bool
synth_ports_write(SynthPorts*    ports,
                  const uint8_t* message,
                  uint32_t       size_bytes)
{
  Shown shown = { .size_bytes = size_bytes <= 3 ? size_bytes : 3 };
  memcpy(shown.message, message, shown.size_bytes);
  if (!ring_push(&ports->shown, &shown)) {
    return false;
  }
  ring_commit(&ports->shown);
  return true;
}

// --- Control thread ----------------------------------------------------------

void
synth_ports_poll(SynthPorts* ports, BackendStatus* status)
{
  const SpanInputs* const inputs = &ports->input.inputs;
  alsa_ports_poll(&ports->ports, status);
  status->input_lost_count  = atomic_load(&inputs->lost_count);
  status->input_stray_count = atomic_load(&inputs->stray_count);
}

void
synth_ports_close(SynthPorts* ports)
{
  if (!ports) {
    return;
  }
  if (ports->running) {
    atomic_store(&ports->stopping, true);
    pthread_join(ports->thread_id, NULL);
  }
  alsa_ports_close(&ports->ports);
  if (ports->encoder) {
    snd_midi_event_free(ports->encoder);
  }
  if (ports->input.decoder) {
    snd_midi_event_free(ports->input.decoder);
  }
  if (ports->seq) {
    snd_seq_close(ports->seq);
  }
  ring_free(&ports->heard);
  ring_free(&ports->shown);
  snd_config_update_free_global();
  free(ports);
}

// Signals are the control thread's.
static Status
start_thread(SynthPorts* ports, Error* error)
{
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int result = pthread_create(&ports->thread_id, NULL, run, ports);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  ports->running = result == 0;
  return ports->running ? STATUS_OK
                        : error_set(error,
                                    STATUS_UNAVAILABLE,
                                    "cannot start the thread of the MIDI "
                                    "ports: %s",
                                    strerror(result));
}

static Status
open_memory(SynthPorts* ports, Error* error)
{
  if (snd_midi_event_new(3, &ports->encoder) < 0 ||
      snd_midi_event_new(3, &ports->input.decoder) < 0) {
    return error_set(error, STATUS_NO_MEMORY, "ALSA: no memory");
  }
  snd_midi_event_no_status(ports->input.decoder, 1); // each message whole
  const Status status =
    ring_init(&ports->heard, sizeof(Heard), HEARD_MESSAGES, error);
  return status
           ? status
           : ring_init(&ports->shown, sizeof(Shown), SHOWN_MESSAGES, error);
}

// The notes sound here: there is no port for them.
static Status
set_up(SynthPorts* ports, const BackendConfig* config, Error* error)
{
  BackendConfig own   = *config;
  own.connect_pattern = NULL;
  Status status = alsa_client_open(&ports->seq, config->client_name, error);
  if (status) {
    return status;
  }
  snd_seq_set_client_pool_input(ports->seq, ALSA_INPUT_POOL_EVENTS);
  snd_seq_set_input_buffer_size(ports->seq, ALSA_INPUT_BUFFER_BYTES);
  ports->ports.without_notes = true;
  if ((status = open_memory(ports, error)) ||
      (status = alsa_ports_open(&ports->ports, ports->seq, -1, &own, error))) {
    return status;
  }
  ports->input.seq            = ports->seq;
  ports->input.ports          = &ports->ports;
  ports->input.queue          = -1;
  ports->input.sample_rate_hz = ports->sample_rate_hz;
  return start_thread(ports, error);
}

Status
synth_ports_open(const BackendConfig* config,
                 uint32_t             sample_rate_hz,
                 SynthPorts**         out,
                 Error*               error)
{
  *out = NULL;
  // Aligned: rings keep their indices on cache lines of their own.
  SynthPorts* const ports = aligned_alloc(alignof(SynthPorts), sizeof *ports);
  if (!ports) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for MIDI ports");
  }
  memset(ports, 0, sizeof *ports);
  ports->sample_rate_hz = sample_rate_hz;
  const Status status   = set_up(ports, config, error);
  if (status) {
    synth_ports_close(ports);
    return status;
  }
  *out = ports;
  return STATUS_OK;
}
