// The JACK backend: one client with its MIDI ports. Messages are written in the
// cycle and at the offset that their frame falls on, and read with theirs, so
// they are exact to the sample.
//
// Threads: on_process runs in JACK's real-time thread. The other callbacks run
// in JACK's notification thread and only set atomics. The rest is the control
// thread's, save that what waits for the server's answer has a thread of its
// own, which is left behind when the server hangs (jack_client.h). Whoever
// leaves last frees what callbacks got.
#include "backend/frame_clock.h"
#include "backend/jack_client.h"
#include "backend/jack_ports.h"
#include "backend/jack_transport.h"
#include "backend/span_inputs.h"
#include "clock.h"

#include <errno.h>
#include <jack/midiport.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_S_MAX 2.0
// How long a busy server may take to answer.
#define ANSWER_S_MAX 5.0

typedef struct {
  Backend        base; // first: a Backend* is a JackBackend*
  jack_client_t* client;
  JackPorts      ports;
  BackendProcess process;
  void*          process_context;
  char           server[64];
  uint32_t       sample_rate_hz;
  bool           activated;
  Status         status; // of what was asked
  Error          error;
  _Atomic int    users; // control, and each call that is left behind

  // on_process's own.
  FrameClock clock;
  SpanInputs inputs;
  void*      out[2]; // the cycle's port buffers, by MidiOut; NULL: none

  // From callbacks.
  atomic_bool      lost;
  atomic_bool      freewheeling;
  _Atomic uint32_t xrun_count;
  _Atomic uint32_t period_frames;

  // From control: process is called. Once taken back, it is not running any
  // more when `in_process` is seen false.
  atomic_bool running;
  atomic_bool in_process;
} JackBackend;

static bool
write_message(void*          handle,
              MidiOut        port,
              uint32_t       offset_frames,
              const uint8_t* message,
              uint32_t       size_bytes) REALTIME
{
  void* const             buffer = ((JackBackend*)handle)->out[port];
  jack_midi_data_t* const room =
    buffer ? jack_midi_event_reserve(buffer, offset_frames, size_bytes) : NULL;
  if (!room) {
    return false;
  }
  memcpy(room, message, size_bytes);
  return true;
}

// A port buffer is never NULL with JACK; with other makes of it, it may be.
static void
open_outputs(JackBackend* jack, jack_nframes_t frame_count) REALTIME
{
  for (int i = 0; i < 2; ++i) {
    jack->out[i] = jack_port_get_buffer(jack->ports.out[i], frame_count);
    if (jack->out[i]) {
      jack_midi_clear_buffer(jack->out[i]);
    }
  }
}

static void
read_inputs(JackBackend* jack, jack_nframes_t frame_count) REALTIME
{
  SpanInputs* const inputs = &jack->inputs;
  void* const buffer = jack_port_get_buffer(jack->ports.control, frame_count);
  span_inputs_begin(inputs, frame_count);
  if (!buffer) {
    return;
  }
  const uint32_t count = jack_midi_get_event_count(buffer);
  for (uint32_t i = 0; i < count; ++i) {
    jack_midi_event_t event;
    if (!jack_midi_event_get(&event, buffer, i) && event.buffer) {
      span_inputs_take(inputs, event.time, event.buffer, event.size);
    }
  }
  span_inputs_lose(inputs, jack_midi_get_lost_event_count(buffer));
}

static void
process_span_of(JackBackend* jack, jack_nframes_t frame_count) REALTIME
{
  jack_position_t              position;
  const jack_transport_state_t state =
    jack_transport_query(jack->client, &position);
  const MidiSink sink = { .write = write_message, .handle = jack };
  BackendSpan    span = { .frame        = jack->clock.frame,
                          .frame_count  = frame_count,
                          .freewheeling = atomic_load(&jack->freewheeling),
                          .transport    = jack_transport_read(state, &position),
                          .sink         = &sink };
  read_inputs(jack, frame_count);
  span_inputs_give(&jack->inputs, &span);
  jack->process(jack->process_context, &span);
}

static int
on_process(jack_nframes_t frame_count, void* context) REALTIME
{
  JackBackend* const jack = context;
  atomic_store(&jack->in_process, true);
  rt_enter();
  open_outputs(jack, frame_count);
  atomic_store_explicit(
    &jack->period_frames, frame_count, memory_order_relaxed);
  if (frame_clock_next(
        &jack->clock, jack_last_frame_time(jack->client), frame_count) &&
      atomic_load(&jack->running)) {
    process_span_of(jack, frame_count);
  }
  rt_leave();
  atomic_store(&jack->in_process, false);
  return 0;
}

static void
on_shutdown(jack_status_t code, const char* reason, void* context)
{
  (void)code;
  (void)reason;
  atomic_store(&((JackBackend*)context)->lost, true);
}

static int
on_xrun(void* context)
{
  atomic_fetch_add(&((JackBackend*)context)->xrun_count, 1);
  return 0;
}

static void
on_freewheel(int starting, void* context)
{
  atomic_store(&((JackBackend*)context)->freewheeling, starting != 0);
}

static void
on_port(jack_port_id_t id, int registered, void* context)
{
  if (registered) {
    jack_ports_note(&((JackBackend*)context)->ports, id);
  }
}

static void
on_connect(jack_port_id_t from, jack_port_id_t to, int connected, void* context)
{
  (void)from;
  if (!connected) {
    jack_ports_note_gone(&((JackBackend*)context)->ports, to);
  }
}

// Long enough for a change of the graph or a written cycle to get through.
static double
periods_s(const JackBackend* jack)
{
  return 2.0 * atomic_load(&jack->period_frames) / jack->sample_rate_hz;
}

static void
sleep_periods(const JackBackend* jack)
{
  clock_sleep_ns((int64_t)(1e9 * periods_s(jack)));
}

// In a thread that may wait (jack_client.h), unless another user is left.
static void
leave(void* context)
{
  JackBackend* const jack = context;
  if (atomic_fetch_sub(&jack->users, 1) > 1) {
    return;
  }
  if (jack->client) {
    jack_client_close(jack->client);
  }
  jack_ports_free(&jack->ports);
  free(jack);
}

// False: the server hangs, and whoever waits for it keeps all this alive.
static bool
ask(JackBackend* jack, void (*run)(void* context))
{
  const JackCall call = { .run = run, .late = leave };
  atomic_fetch_add(&jack->users, 1);
  if (!jack_call(&call, jack, ANSWER_S_MAX)) {
    atomic_store(&jack->lost, true);
    return false;
  }
  atomic_fetch_sub(&jack->users, 1);
  return true;
}

static Status
does_not_answer(const JackBackend* jack, Error* error)
{
  return error_set(error,
                   STATUS_UNAVAILABLE,
                   "JACK '%s': the server hangs, it does not answer: restart "
                   "it, or choose another --backend",
                   jack->server);
}

static void
activate(void* context)
{
  JackBackend* const jack = context;
  jack->activated         = !jack_activate(jack->client);
  if (jack->activated) {
    jack_ports_connect_all(&jack->ports);
  }
}

static Status
jack_start(Backend* backend, Error* error)
{
  JackBackend* const jack = (JackBackend*)backend;
  if (!ask(jack, activate)) {
    return does_not_answer(jack, error);
  }
  if (!jack->activated) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "JACK '%s': the server refused to start the client",
                     jack->server);
  }
  // Process begins when those who listen are connected, so that they hear its
  // first messages: after a reconnection, the end of what sounded.
  if (jack_ports_are_connected(&jack->ports)) {
    sleep_periods(jack);
  }
  atomic_store(&jack->running, true);
  return STATUS_OK;
}

static void
jack_stop(Backend* backend)
{
  JackBackend* const jack = (JackBackend*)backend;
  if (!atomic_exchange(&jack->running, false)) {
    return; // already stopped
  }
  // What was written is read within its cycle: one more cycle lets it be heard.
  if (jack->activated && !atomic_load(&jack->lost)) {
    sleep_periods(jack);
  }
  for (int i = 0; i < 1000 && atomic_load(&jack->in_process); ++i) {
    clock_sleep_ns(1000000);
  }
}

static void
jack_close(Backend* backend)
{
  static const JackCall call = { .run = leave };
  JackBackend* const    jack = (JackBackend*)backend;
  jack_stop(backend);
  if (jack->client) {
    jack_call(&call, jack, CLOSE_S_MAX);
  } else {
    leave(jack);
  }
}

static void
connect_new(void* context)
{
  jack_ports_connect_new(&((JackBackend*)context)->ports);
}

// Connects what is new and counts.
static void
poll_ports(JackBackend* jack, BackendStatus* status)
{
  if (jack_ports_have_new(&jack->ports) && !ask(jack, connect_new)) {
    status->lost = true;
    return;
  }
  jack_ports_count(&jack->ports, status);
}

static void
jack_poll(Backend* backend, BackendStatus* status)
{
  JackBackend* const jack = (JackBackend*)backend;
  const bool         lost = atomic_load(&jack->lost);
  *status                 = (BackendStatus){
                    .lost = lost,
                    .sample_rate_hz =
      lost ? jack->sample_rate_hz : jack_get_sample_rate(jack->client),
                    .period_frames     = atomic_load(&jack->period_frames),
                    .xrun_count        = atomic_load(&jack->xrun_count),
                    .input_lost_count  = atomic_load(&jack->inputs.lost_count),
                    .input_stray_count = atomic_load(&jack->inputs.stray_count),
                    .settle_s          = periods_s(jack),
  };
  snprintf(status->text,
           sizeof status->text,
           "JACK '%s', %u Hz, period %u",
           jack->server,
           status->sample_rate_hz,
           status->period_frames);
  if (!lost && jack->activated) {
    poll_ports(jack, status);
  }
}

static void
jack_list_inputs(Backend* backend, char* text, size_t size_bytes)
{
  const char** const names  = jack_get_ports(((JackBackend*)backend)->client,
                                            NULL,
                                            JACK_DEFAULT_MIDI_TYPE,
                                            JackPortIsInput);
  size_t             length = 0;
  *text                     = '\0';
  for (size_t i = 0; names && names[i] && length < size_bytes; ++i) {
    const int added = snprintf(
      text + length, size_bytes - length, "%s%s", length ? ", " : "", names[i]);
    length += added > 0 ? (size_t)added : 0;
  }
  jack_free(names);
}

static void
register_ports(void* context)
{
  JackBackend* const jack = context;
  jack->status =
    jack_ports_register(&jack->ports, jack->client, jack->server, &jack->error);
}

static Status
set_up(JackBackend* jack, const BackendConfig* config, Error* error)
{
  Status status = jack_ports_init(&jack->ports, config, error);
  if (!status) {
    status = jack_client_begin(
      config->client_name, config->server_name, &jack->client, error);
  }
  if (status) {
    return status;
  }
  jack->sample_rate_hz = jack_get_sample_rate(jack->client);
  atomic_store(&jack->period_frames, jack_get_buffer_size(jack->client));
  if (!ask(jack, register_ports)) {
    return does_not_answer(jack, error);
  }
  *error = jack->error;
  return jack->status;
}

static Status
set_callbacks(JackBackend* jack, Error* error)
{
  jack_on_info_shutdown(jack->client, on_shutdown, jack);
  if (jack_set_process_callback(jack->client, on_process, jack) ||
      jack_set_xrun_callback(jack->client, on_xrun, jack) ||
      jack_set_freewheel_callback(jack->client, on_freewheel, jack) ||
      jack_set_port_registration_callback(jack->client, on_port, jack) ||
      jack_set_port_connect_callback(jack->client, on_connect, jack)) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "JACK '%s': the server refused our callbacks",
                     jack->server);
  }
  return STATUS_OK;
}

Status
backend_open_jack(const BackendConfig* config, Backend** out, Error* error)
{
  *out = NULL;
  // Rings in it stand on cache lines.
  JackBackend* const jack = aligned_alloc(alignof(JackBackend), sizeof *jack);
  if (!jack) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for JACK");
  }
  memset(jack, 0, sizeof *jack);
  atomic_init(&jack->users, 1);
  snprintf(jack->server,
           sizeof jack->server,
           "%s",
           jack_server_shown(config->server_name));
  jack->base            = (Backend){ .name        = "jack",
                                     .start       = jack_start,
                                     .stop        = jack_stop,
                                     .close       = jack_close,
                                     .poll        = jack_poll,
                                     .list_inputs = jack_list_inputs };
  jack->process         = config->process;
  jack->process_context = config->process_context;
  Status status         = set_up(jack, config, error);
  if (!status) {
    status = set_callbacks(jack, error);
  }
  if (status) {
    jack_close(&jack->base);
    return status;
  }
  *out = &jack->base;
  return STATUS_OK;
}

Status
backend_visit_jack_ports(const char*      server_name,
                         BackendPortVisit visit,
                         void*            context,
                         Error*           error)
{
  jack_client_t* client;
  const Status   status =
    jack_client_begin("meander-ports", server_name, &client, error);
  if (status) {
    return status;
  }
  const char** const names =
    jack_get_ports(client, NULL, JACK_DEFAULT_MIDI_TYPE, 0);
  for (size_t i = 0; names && names[i]; ++i) {
    const jack_port_t* const port = jack_port_by_name(client, names[i]);
    if (port) {
      visit(context, names[i], jack_port_flags(port) & JackPortIsInput);
    }
  }
  jack_free(names);
  jack_client_end(client);
  return STATUS_OK;
}

bool
backend_is_stuck(void)
{
  return jack_call_is_stuck();
}
