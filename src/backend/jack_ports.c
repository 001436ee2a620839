// JACK connections: what matches is connected as it appears, once, so that a
// user can take a connection away for good.
#include "backend/jack_ports.h"

#include <string.h>

// New ports between two polls. More: all ports are looked at again.
#define NEW_PORTS_MAX 256u

Status
jack_ports_init(JackPorts* ports, const BackendConfig* config, Error* error)
{
  Status status = port_pattern_compile(
    &ports->connect, config->connect_pattern, "--connect", error);
  if (!status) {
    status = port_pattern_compile(
      &ports->controls, config->control_pattern, "--control", error);
  }
  if (!status) {
    status = ring_init(
      &ports->new_ports, sizeof(jack_port_id_t), NEW_PORTS_MAX, error);
  }
  return status;
}

void
jack_ports_free(JackPorts* ports)
{
  port_pattern_free(&ports->connect);
  port_pattern_free(&ports->controls);
  ring_free(&ports->new_ports);
}

Status
jack_ports_register(JackPorts*     ports,
                    jack_client_t* client,
                    const char*    server,
                    Error*         error)
{
  const struct {
    const char*   name;
    unsigned long flags;
    jack_port_t** port;
  } wanted[] = {
    { "notes", JackPortIsOutput, &ports->out[MIDI_OUT_NOTES] },
    { "feedback", JackPortIsOutput, &ports->out[MIDI_OUT_FEEDBACK] },
    { "control", JackPortIsInput, &ports->control },
  };
  ports->client = client;
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; ++i) {
    *wanted[i].port = jack_port_register(client,
                                         wanted[i].name,
                                         JACK_DEFAULT_MIDI_TYPE,
                                         wanted[i].flags | JackPortIsTerminal,
                                         0);
    if (!*wanted[i].port) {
      return error_set(error,
                       STATUS_UNAVAILABLE,
                       "JACK '%s': the server has no room for the port '%s'",
                       server,
                       wanted[i].name);
    }
  }
  return STATUS_OK;
}

void
jack_ports_note(JackPorts* ports, jack_port_id_t id)
{
  if (ring_push(&ports->new_ports, &id)) {
    ring_commit(&ports->new_ports);
  } else {
    atomic_store(&ports->rescan, true);
  }
}

void
jack_ports_note_gone(JackPorts* ports, jack_port_id_t id)
{
  if (jack_port_by_id(ports->client, id) == ports->control) {
    atomic_fetch_add(&ports->control_gone_count, 1);
  }
}

// A failure is not ours to cure: it is connected already, or gone again.
static void
connect_port(JackPorts* ports, const jack_port_t* port)
{
  const char* const name = port ? jack_port_name(port) : NULL;
  const char* const type = name ? jack_port_type(port) : NULL;
  if (!type || strcmp(type, JACK_DEFAULT_MIDI_TYPE) ||
      jack_port_is_mine(ports->client, port)) {
    return;
  }
  const int  flags    = jack_port_flags(port);
  const bool controls = port_pattern_matches(&ports->controls, name);
  if (flags & JackPortIsInput && port_pattern_matches(&ports->connect, name)) {
    jack_connect(
      ports->client, jack_port_name(ports->out[MIDI_OUT_NOTES]), name);
  }
  if (flags & JackPortIsInput && controls) {
    jack_connect(
      ports->client, jack_port_name(ports->out[MIDI_OUT_FEEDBACK]), name);
  }
  if (flags & JackPortIsOutput && controls) {
    jack_connect(ports->client, name, jack_port_name(ports->control));
  }
}

void
jack_ports_connect_all(JackPorts* ports)
{
  if (!ports->connect.given && !ports->controls.given) {
    return;
  }
  const char** const names =
    jack_get_ports(ports->client, NULL, JACK_DEFAULT_MIDI_TYPE, 0);
  for (size_t i = 0; names && names[i]; ++i) {
    connect_port(ports, jack_port_by_name(ports->client, names[i]));
  }
  jack_free(names);
}

static uint32_t
count_connections(const jack_port_t* port)
{
  const int count = jack_port_connected(port);
  return count > 0 ? (uint32_t)count : 0;
}

bool
jack_ports_have_new(JackPorts* ports)
{
  if (ports->connect.given || ports->controls.given) {
    return ring_peek(&ports->new_ports) || atomic_load(&ports->rescan);
  }
  while (ring_peek(&ports->new_ports)) {
    ring_pop(&ports->new_ports); // nobody asked for them
  }
  return false;
}

void
jack_ports_connect_new(JackPorts* ports)
{
  const jack_port_id_t* id;
  while ((id = ring_peek(&ports->new_ports))) {
    const jack_port_t* const port = jack_port_by_id(ports->client, *id);
    ring_pop(&ports->new_ports);
    connect_port(ports, port);
  }
  if (atomic_exchange(&ports->rescan, false)) {
    jack_ports_connect_all(ports);
  }
}

void
jack_ports_count(const JackPorts* ports, BackendStatus* status)
{
  status->connection_count   = count_connections(ports->out[MIDI_OUT_NOTES]);
  status->control_count      = count_connections(ports->control);
  status->control_gone_count = atomic_load(&ports->control_gone_count);
  status->feedback_count     = count_connections(ports->out[MIDI_OUT_FEEDBACK]);
}

bool
jack_ports_are_connected(const JackPorts* ports)
{
  return count_connections(ports->out[MIDI_OUT_NOTES]) ||
         count_connections(ports->out[MIDI_OUT_FEEDBACK]) ||
         count_connections(ports->control);
}
