// ALSA connections: the system announces each new port, and those that match
// are connected once, so that a user can take a connection away for good.
#include "backend/alsa_ports.h"

#include <stdio.h>

// New ports between two polls. More: all ports are looked at again.
#define NEW_PORTS_MAX 256u

// "client:port"; the kernel's own caps are 64 each.
#define NAME_BYTES_MAX 160

#define INPUT_CAPS (SND_SEQ_PORT_CAP_WRITE | SND_SEQ_PORT_CAP_SUBS_WRITE)
#define OUTPUT_CAPS (SND_SEQ_PORT_CAP_READ | SND_SEQ_PORT_CAP_SUBS_READ)

static bool
has_caps(const snd_seq_port_info_t* port, unsigned caps)
{
  return (snd_seq_port_info_get_capability(port) & caps) == caps;
}

// Fills the name of another client's port; false when it is not for users, or
// gone again.
static bool
name_port(snd_seq_t*                 seq,
          const snd_seq_port_info_t* port,
          char                       name[NAME_BYTES_MAX])
{
  const int client_id = snd_seq_port_info_get_client(port);
  if (has_caps(port, SND_SEQ_PORT_CAP_NO_EXPORT) ||
      client_id == SND_SEQ_CLIENT_SYSTEM ||
      client_id == snd_seq_client_id(seq)) {
    return false;
  }
  snd_seq_client_info_t* client;
  snd_seq_client_info_alloca(&client);
  if (snd_seq_get_any_client_info(seq, client_id, client) < 0) {
    return false;
  }
  snprintf(name,
           NAME_BYTES_MAX,
           "%s:%s",
           snd_seq_client_info_get_name(client),
           snd_seq_port_info_get_name(port));
  return true;
}

// A failure is not ours to cure: it is connected already, or gone again.
static void
connect_port(AlsaPorts* ports, const snd_seq_port_info_t* port)
{
  char name[NAME_BYTES_MAX];
  if (!name_port(ports->seq, port, name)) {
    return;
  }
  const int  client   = snd_seq_port_info_get_client(port);
  const int  number   = snd_seq_port_info_get_port(port);
  const bool controls = port_pattern_matches(&ports->controls, name);
  if (has_caps(port, INPUT_CAPS) &&
      port_pattern_matches(&ports->connect, name)) {
    snd_seq_connect_to(ports->seq, ports->out[MIDI_OUT_NOTES], client, number);
  }
  if (has_caps(port, INPUT_CAPS) && controls) {
    snd_seq_connect_to(
      ports->seq, ports->out[MIDI_OUT_FEEDBACK], client, number);
  }
  if (has_caps(port, OUTPUT_CAPS) && controls) {
    snd_seq_connect_from(ports->seq, ports->control, client, number);
  }
}

static void
for_each_port(snd_seq_t* seq,
              void (*look)(void* context, const snd_seq_port_info_t* port),
              void* context)
{
  snd_seq_client_info_t* client;
  snd_seq_port_info_t*   port;
  snd_seq_client_info_alloca(&client);
  snd_seq_port_info_alloca(&port);
  snd_seq_client_info_set_client(client, -1);
  while (snd_seq_query_next_client(seq, client) >= 0) {
    snd_seq_port_info_set_client(port, snd_seq_client_info_get_client(client));
    snd_seq_port_info_set_port(port, -1);
    while (snd_seq_query_next_port(seq, port) >= 0) {
      look(context, port);
    }
  }
}

static void
look_to_connect(void* context, const snd_seq_port_info_t* port)
{
  connect_port(context, port);
}

typedef struct {
  snd_seq_t*       seq;
  BackendPortVisit visit;
  void*            context;
} Visit;

static void
look_to_visit(void* context, const snd_seq_port_info_t* port)
{
  const Visit* const visit = context;
  char               name[NAME_BYTES_MAX];
  if (!name_port(visit->seq, port, name)) {
    return;
  }
  if (has_caps(port, INPUT_CAPS)) {
    visit->visit(visit->context, name, true);
  }
  if (has_caps(port, OUTPUT_CAPS)) {
    visit->visit(visit->context, name, false);
  }
}

void
alsa_ports_visit(snd_seq_t* seq, BackendPortVisit visit, void* context)
{
  for_each_port(seq,
                look_to_visit,
                &(Visit){ .seq = seq, .visit = visit, .context = context });
}

void
alsa_ports_hear(AlsaPorts* ports, const snd_seq_event_t* event)
{
  if (event->type != SND_SEQ_EVENT_PORT_START) {
    return;
  }
  if (ring_push(&ports->new_ports, &event->data.addr)) {
    ring_commit(&ports->new_ports);
  } else {
    alsa_ports_miss(ports);
  }
}

void
alsa_ports_miss(AlsaPorts* ports)
{
  atomic_store(&ports->rescan, true);
}

void
alsa_ports_hear_connection(AlsaPorts* ports, const snd_seq_event_t* event)
{
  if (event->type == SND_SEQ_EVENT_PORT_UNSUBSCRIBED) {
    atomic_fetch_add(&ports->control_gone_count, 1);
  }
}

// READ: who listens to our port; WRITE: who plays into it.
static uint32_t
count_connections(const AlsaPorts*          ports,
                  int                       port,
                  snd_seq_query_subs_type_t of)
{
  const snd_seq_addr_t own = {
    .client = (unsigned char)snd_seq_client_id(ports->seq),
    .port   = (unsigned char)port,
  };
  snd_seq_query_subscribe_t* query;
  snd_seq_query_subscribe_alloca(&query);
  snd_seq_query_subscribe_set_root(query, &own);
  snd_seq_query_subscribe_set_type(query, of);
  snd_seq_query_subscribe_set_index(query, 0);
  if (snd_seq_query_port_subscribers(ports->seq, query) < 0) {
    return 0; // there is no subscriber 0
  }
  return (uint32_t)snd_seq_query_subscribe_get_num_subs(query);
}

void
alsa_ports_poll(AlsaPorts* ports, BackendStatus* status)
{
  snd_seq_port_info_t* port;
  snd_seq_port_info_alloca(&port);
  const snd_seq_addr_t* address;
  while ((address = ring_peek(&ports->new_ports))) {
    const snd_seq_addr_t at = *address;
    ring_pop(&ports->new_ports);
    if (snd_seq_get_any_port_info(ports->seq, at.client, at.port, port) >= 0) {
      connect_port(ports, port);
    }
  }
  if (ports->announcements >= 0 && atomic_exchange(&ports->rescan, false)) {
    for_each_port(ports->seq, look_to_connect, ports);
  }
  if (!ports->without_notes) {
    status->connection_count = count_connections(
      ports, ports->out[MIDI_OUT_NOTES], SND_SEQ_QUERY_SUBS_READ);
  }
  status->control_count =
    count_connections(ports, ports->control, SND_SEQ_QUERY_SUBS_WRITE);
  status->control_gone_count = atomic_load(&ports->control_gone_count);
  status->feedback_count     = count_connections(
    ports, ports->out[MIDI_OUT_FEEDBACK], SND_SEQ_QUERY_SUBS_READ);
}

static int
make_port(snd_seq_t* seq, const char* name, unsigned caps, int queue)
{
  snd_seq_port_info_t* port;
  snd_seq_port_info_alloca(&port);
  snd_seq_port_info_set_name(port, name);
  snd_seq_port_info_set_capability(port, caps);
  snd_seq_port_info_set_type(
    port, SND_SEQ_PORT_TYPE_MIDI_GENERIC | SND_SEQ_PORT_TYPE_APPLICATION);
  snd_seq_port_info_set_midi_channels(port, 16);
  if (queue >= 0) {
    snd_seq_port_info_set_timestamping(port, 1);
    snd_seq_port_info_set_timestamp_real(port, 1);
    snd_seq_port_info_set_timestamp_queue(port, queue);
  }
  const int result = snd_seq_create_port(seq, port);
  return result < 0 ? result : snd_seq_port_info_get_port(port);
}

static Status
make_ports(AlsaPorts* ports, int queue, Error* error)
{
  const struct {
    const char* name;
    unsigned    caps;
    int         queue;
    int*        port;
  } wanted[] = {
    { "notes", OUTPUT_CAPS, -1, &ports->out[MIDI_OUT_NOTES] },
    { "control", INPUT_CAPS, queue, &ports->control },
    { "feedback", OUTPUT_CAPS, -1, &ports->out[MIDI_OUT_FEEDBACK] },
  };
  for (size_t i = ports->without_notes; i < sizeof wanted / sizeof *wanted;
       ++i) {
    *wanted[i].port =
      make_port(ports->seq, wanted[i].name, wanted[i].caps, wanted[i].queue);
    if (*wanted[i].port < 0) {
      return error_set(error,
                       STATUS_UNAVAILABLE,
                       "ALSA: cannot make the port '%s': %s",
                       wanted[i].name,
                       snd_strerror(*wanted[i].port));
    }
  }
  return STATUS_OK;
}

// The announcements port is not exported: no user sees it.
static Status
hear_announcements(AlsaPorts* ports, Error* error)
{
  int result           = make_port(ports->seq,
                         "announcements",
                         SND_SEQ_PORT_CAP_WRITE | SND_SEQ_PORT_CAP_NO_EXPORT,
                         -1);
  ports->announcements = result;
  if (result >= 0) {
    result = snd_seq_connect_from(ports->seq,
                                  ports->announcements,
                                  SND_SEQ_CLIENT_SYSTEM,
                                  SND_SEQ_PORT_SYSTEM_ANNOUNCE);
  }
  if (result < 0) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: cannot listen to System:Announce: %s",
                     snd_strerror(result));
  }
  alsa_ports_miss(ports); // whatever was there before
  return STATUS_OK;
}

Status
alsa_ports_open(AlsaPorts*           ports,
                snd_seq_t*           seq,
                int                  queue,
                const BackendConfig* config,
                Error*               error)
{
  ports->seq           = seq;
  ports->announcements = -1;
  Status status        = port_pattern_compile(
    &ports->connect, config->connect_pattern, "--connect", error);
  if (!status) {
    status = port_pattern_compile(
      &ports->controls, config->control_pattern, "--control", error);
  }
  if (!status) {
    status = ring_init(
      &ports->new_ports, sizeof(snd_seq_addr_t), NEW_PORTS_MAX, error);
  }
  if (!status) {
    status = make_ports(ports, queue, error);
  }
  if (!status && (ports->connect.given || ports->controls.given)) {
    status = hear_announcements(ports, error);
  }
  return status;
}

void
alsa_ports_close(AlsaPorts* ports)
{
  port_pattern_free(&ports->connect);
  port_pattern_free(&ports->controls);
  ring_free(&ports->new_ports);
}
