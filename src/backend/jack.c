// The JACK backend: one client with one MIDI output. Notes are written in the
// cycle and at the offset that their frame falls on, so they are exact to the
// sample.
//
// Threads: on_process runs in JACK's real-time thread. The other callbacks run
// in JACK's notification thread and only set atomics. The rest is the control
// thread's, save that a dead server's client is closed in a thread of its own,
// which is left behind when libjack does not return.
#include "backend/backend.h"
#include "backend/frame_clock.h"
#include "clock.h"
#include "ring.h"

#include <errno.h>
#include <jack/jack.h>
#include <jack/midiport.h>
#include <pthread.h>
#include <regex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOSE_S_MAX 2
// New ports between two polls. More: all ports are looked at again.
#define NEW_PORTS_MAX 256u

typedef struct {
  Backend        base; // first: a Backend* is a JackBackend*
  jack_client_t* client;
  jack_port_t*   port;
  BackendProcess process;
  void*          process_context;
  bool           has_pattern;
  regex_t        pattern;
  char           server[64];
  uint32_t       sample_rate_hz;
  bool           active;

  FrameClock clock; // on_process's own

  // From callbacks.
  Ring             new_ports; // jack_port_id_t
  atomic_bool      rescan;
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
  (void)port;
  jack_midi_data_t* const room =
    jack_midi_event_reserve(handle, offset_frames, size_bytes);
  if (!room) {
    return false;
  }
  memcpy(room, message, size_bytes);
  return true;
}

static int
on_process(jack_nframes_t frame_count, void* context) REALTIME
{
  JackBackend* const jack = context;
  atomic_store(&jack->in_process, true);
  rt_enter();
  void* const buffer = jack_port_get_buffer(jack->port, frame_count);
  jack_midi_clear_buffer(buffer);
  atomic_store_explicit(
    &jack->period_frames, frame_count, memory_order_relaxed);
  if (frame_clock_next(
        &jack->clock, jack_last_frame_time(jack->client), frame_count) &&
      atomic_load(&jack->running)) {
    const MidiSink    sink = { .write = write_message, .handle = buffer };
    const BackendSpan span = { .frame        = jack->clock.frame,
                               .frame_count  = frame_count,
                               .freewheeling = atomic_load(&jack->freewheeling),
                               .sink         = &sink };
    jack->process(jack->process_context, &span);
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
  JackBackend* const jack = context;
  if (!registered) {
    return;
  }
  if (ring_push(&jack->new_ports, &id)) {
    ring_commit(&jack->new_ports);
  } else {
    atomic_store(&jack->rescan, true);
  }
}

static void
stay_silent(const char* message)
{
  (void)message; // our error lines say what libjack's would say
}

static void
connect_if_wanted(JackBackend* jack, const jack_port_t* port)
{
  const char* const name = jack_port_name(port);
  if (!jack->has_pattern || !name || jack_port_is_mine(jack->client, port) ||
      !(jack_port_flags(port) & JackPortIsInput) ||
      strcmp(jack_port_type(port), JACK_DEFAULT_MIDI_TYPE) ||
      jack_port_connected_to(jack->port, name) ||
      regexec(&jack->pattern, name, 0, NULL, 0)) {
    return;
  }
  jack_connect(jack->client, jack_port_name(jack->port), name);
}

static const char**
get_inputs(const JackBackend* jack)
{
  return jack_get_ports(
    jack->client, NULL, JACK_DEFAULT_MIDI_TYPE, JackPortIsInput);
}

static void
connect_existing(JackBackend* jack)
{
  const char** const names = get_inputs(jack);
  for (size_t i = 0; names && names[i]; ++i) {
    const jack_port_t* const port = jack_port_by_name(jack->client, names[i]);
    if (port) {
      connect_if_wanted(jack, port);
    }
  }
  jack_free(names);
}

// Long enough for a change of the graph or a written cycle to get through.
static void
sleep_periods(const JackBackend* jack)
{
  const double period_s =
    (double)atomic_load(&jack->period_frames) / jack->sample_rate_hz;
  clock_sleep_ns((int64_t)(2e9 * period_s));
}

static Status
jack_start(Backend* backend, Error* error)
{
  JackBackend* const jack = (JackBackend*)backend;
  if (jack_activate(jack->client)) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "JACK '%s': the server refused to start the client",
                     jack->server);
  }
  jack->active = true;
  // Process begins when those who listen are connected, so that they hear its
  // first messages: after a reconnection, the end of what sounded.
  connect_existing(jack);
  if (jack_port_connected(jack->port) > 0) {
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
  if (jack->active && !atomic_load(&jack->lost)) {
    sleep_periods(jack);
  }
  for (int i = 0; i < 1000 && atomic_load(&jack->in_process); ++i) {
    clock_sleep_ns(1000000);
  }
}

static void
free_backend(JackBackend* jack)
{
  if (jack->has_pattern) {
    regfree(&jack->pattern);
  }
  ring_free(&jack->new_ports);
  free(jack);
}

static void*
close_client(void* context)
{
  // Deactivates first. Blocks for ever on some dead servers.
  jack_client_close(((JackBackend*)context)->client);
  return NULL;
}

static void
jack_close(Backend* backend)
{
  JackBackend* const jack = (JackBackend*)backend;
  jack_stop(backend);
  pthread_t       thread;
  struct timespec deadline;
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += CLOSE_S_MAX;
  if (jack->client) {
    if (pthread_create(&thread, NULL, close_client, jack)) {
      return; // leaves the client behind: libjack may still use it
    }
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &deadline)) {
      pthread_detach(thread);
      return; // likewise
    }
  }
  free_backend(jack);
}

static void
jack_poll(Backend* backend, BackendStatus* status)
{
  JackBackend* const jack = (JackBackend*)backend;
  const bool         lost = atomic_load(&jack->lost);
  *status                 = (BackendStatus){
                    .lost           = lost,
                    .sample_rate_hz = jack->sample_rate_hz,
                    .period_frames  = atomic_load(&jack->period_frames),
                    .xrun_count     = atomic_load(&jack->xrun_count),
  };
  snprintf(status->text,
           sizeof status->text,
           "JACK '%s', %u Hz, period %u",
           jack->server,
           status->sample_rate_hz,
           status->period_frames);
  if (lost || !jack->active) {
    return;
  }
  const jack_port_id_t* id;
  while ((id = ring_peek(&jack->new_ports))) {
    const jack_port_t* const port = jack_port_by_id(jack->client, *id);
    ring_pop(&jack->new_ports);
    if (port) {
      connect_if_wanted(jack, port);
    }
  }
  if (atomic_exchange(&jack->rescan, false)) {
    connect_existing(jack);
  }
  const int connections    = jack_port_connected(jack->port);
  status->connection_count = connections > 0 ? (uint32_t)connections : 0;
}

static void
jack_list_inputs(Backend* backend, char* text, size_t size_bytes)
{
  const char** const names  = get_inputs((JackBackend*)backend);
  size_t             length = 0;
  *text                     = '\0';
  for (size_t i = 0; names && names[i] && length < size_bytes; ++i) {
    const int added = snprintf(
      text + length, size_bytes - length, "%s%s", length ? ", " : "", names[i]);
    length += added > 0 ? (size_t)added : 0;
  }
  jack_free(names);
}

static Status
compile_pattern(JackBackend* jack, const char* pattern, Error* error)
{
  if (!pattern) {
    return STATUS_OK;
  }
  const int result = regcomp(&jack->pattern, pattern, REG_EXTENDED | REG_NOSUB);
  if (result) {
    char reason[80];
    regerror(result, &jack->pattern, reason, sizeof reason);
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--connect '%.80s' is no regular expression: %s",
                     pattern,
                     reason);
  }
  jack->has_pattern = true;
  return STATUS_OK;
}

static Status
open_client(JackBackend* jack, const BackendConfig* config, Error* error)
{
  jack_status_t  status  = 0;
  jack_options_t options = JackNoStartServer;
  jack_set_error_function(stay_silent);
  jack_set_info_function(stay_silent);
  if (config->server_name) {
    options |= JackServerName;
    jack->client = jack_client_open(
      config->client_name, options, &status, config->server_name);
  } else {
    jack->client = jack_client_open(config->client_name, options, &status);
  }
  if (!jack->client && status & JackServerFailed) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "no JACK server '%s' answers: start one, or choose "
                     "another --backend",
                     jack->server);
  }
  if (!jack->client) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "JACK '%s': the server refused us (status 0x%x): restart "
                     "it, or choose another --backend",
                     jack->server,
                     (unsigned)status);
  }
  jack->port = jack_port_register(jack->client,
                                  "notes",
                                  JACK_DEFAULT_MIDI_TYPE,
                                  JackPortIsOutput | JackPortIsTerminal,
                                  0);
  if (!jack->port) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "JACK '%s': the server has no room for the port 'notes'",
                     jack->server);
  }
  jack->sample_rate_hz = jack_get_sample_rate(jack->client);
  atomic_store(&jack->period_frames, jack_get_buffer_size(jack->client));
  return STATUS_OK;
}

static Status
set_callbacks(JackBackend* jack, Error* error)
{
  jack_on_info_shutdown(jack->client, on_shutdown, jack);
  if (jack_set_process_callback(jack->client, on_process, jack) ||
      jack_set_xrun_callback(jack->client, on_xrun, jack) ||
      jack_set_freewheel_callback(jack->client, on_freewheel, jack) ||
      jack_set_port_registration_callback(jack->client, on_port, jack)) {
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
  *out                    = NULL;
  JackBackend* const jack = calloc(1, sizeof *jack);
  if (!jack) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for JACK");
  }
  const char* const named = getenv("JACK_DEFAULT_SERVER");
  snprintf(jack->server,
           sizeof jack->server,
           "%s",
           config->server_name ? config->server_name
           : named && *named   ? named
                               : "default");
  jack->base            = (Backend){ .name        = "jack",
                                     .start       = jack_start,
                                     .stop        = jack_stop,
                                     .close       = jack_close,
                                     .poll        = jack_poll,
                                     .list_inputs = jack_list_inputs };
  jack->process         = config->process;
  jack->process_context = config->process_context;
  Status status         = compile_pattern(jack, config->connect_pattern, error);
  if (status ||
      (status = ring_init(
         &jack->new_ports, sizeof(jack_port_id_t), NEW_PORTS_MAX, error)) ||
      (status = open_client(jack, config, error)) ||
      (status = set_callbacks(jack, error))) {
    jack_close(&jack->base);
    return status;
  }
  *out = &jack->base;
  return STATUS_OK;
}
