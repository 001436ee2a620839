// ALSA connections: the system announces each new port, and those that match
// are connected once, so that a user can take a connection away for good.
// Control thread.
#include "backend/alsa_ports.h"

#include <errno.h>
#include <stdio.h>

// Announcements read in one poll; the rest wait for the next.
#define ANNOUNCEMENTS_MAX 256

// "client:port"; the kernel's own caps are 64 each.
#define NAME_BYTES_MAX 160

#define INPUT_CAPS (SND_SEQ_PORT_CAP_WRITE | SND_SEQ_PORT_CAP_SUBS_WRITE)

// Fills the name of another client's input, as --connect names it; false when
// the port is none, or gone again.
static bool
name_input(const AlsaPorts*           ports,
           const snd_seq_port_info_t* port,
           char                       name[NAME_BYTES_MAX])
{
  const int      client_id = snd_seq_port_info_get_client(port);
  const unsigned caps      = snd_seq_port_info_get_capability(port);
  if ((caps & INPUT_CAPS) != INPUT_CAPS ||
      (caps & SND_SEQ_PORT_CAP_NO_EXPORT) ||
      client_id == SND_SEQ_CLIENT_SYSTEM ||
      client_id == snd_seq_client_id(ports->seq)) {
    return false;
  }
  snd_seq_client_info_t* client;
  snd_seq_client_info_alloca(&client);
  if (snd_seq_get_any_client_info(ports->seq, client_id, client) < 0) {
    return false;
  }
  snprintf(name,
           NAME_BYTES_MAX,
           "%s:%s",
           snd_seq_client_info_get_name(client),
           snd_seq_port_info_get_name(port));
  return true;
}

static void
connect_if_matching(AlsaPorts*                 ports,
                    const snd_seq_port_info_t* port,
                    const char*                name)
{
  if (regexec(&ports->pattern, name, 0, NULL, 0) == 0) {
    // A failure is not ours to cure: it is connected already, or gone again.
    snd_seq_connect_to(ports->seq,
                       ports->port,
                       snd_seq_port_info_get_client(port),
                       snd_seq_port_info_get_port(port));
  }
}

typedef struct {
  AlsaPorts* ports;
  char*      text; // names are added here, or, when NULL, connected
  size_t     size_bytes;
  size_t     length;
} Visit;

static void
visit_input(Visit* visit, const snd_seq_port_info_t* port)
{
  char name[NAME_BYTES_MAX];
  if (!name_input(visit->ports, port, name)) {
    return;
  }
  if (!visit->text) {
    connect_if_matching(visit->ports, port, name);
  } else if (visit->length < visit->size_bytes) {
    const int added = snprintf(visit->text + visit->length,
                               visit->size_bytes - visit->length,
                               "%s%s",
                               visit->length ? ", " : "",
                               name);
    visit->length += added > 0 ? (size_t)added : 0;
  }
}

static void
visit_all(Visit* visit)
{
  snd_seq_t* const       seq = visit->ports->seq;
  snd_seq_client_info_t* client;
  snd_seq_port_info_t*   port;
  snd_seq_client_info_alloca(&client);
  snd_seq_port_info_alloca(&port);
  snd_seq_client_info_set_client(client, -1);
  while (snd_seq_query_next_client(seq, client) >= 0) {
    snd_seq_port_info_set_client(port, snd_seq_client_info_get_client(client));
    snd_seq_port_info_set_port(port, -1);
    while (snd_seq_query_next_port(seq, port) >= 0) {
      visit_input(visit, port);
    }
  }
}

// -ENOSPC: announcements came faster than we polled and the kernel threw all of
// them away, so look at every port again.
static void
read_announcements(AlsaPorts* ports)
{
  snd_seq_port_info_t* port;
  snd_seq_port_info_alloca(&port);
  for (int i = 0; i < ANNOUNCEMENTS_MAX; ++i) {
    snd_seq_event_t* event  = NULL;
    const int        result = snd_seq_event_input(ports->seq, &event);
    if (result == -ENOSPC) {
      ports->rescan = true;
    } else if (result < 0) {
      return; // -EAGAIN: nothing more
    } else if (event && event->type == SND_SEQ_EVENT_PORT_START &&
               snd_seq_get_any_port_info(ports->seq,
                                         event->data.addr.client,
                                         event->data.addr.port,
                                         port) >= 0) {
      visit_input(&(Visit){ .ports = ports }, port);
    }
  }
}

static uint32_t
count_connections(const AlsaPorts* ports)
{
  snd_seq_addr_t own = { .client = (unsigned char)snd_seq_client_id(ports->seq),
                         .port   = (unsigned char)ports->port };
  snd_seq_query_subscribe_t* query;
  snd_seq_query_subscribe_alloca(&query);
  snd_seq_query_subscribe_set_root(query, &own);
  snd_seq_query_subscribe_set_type(query, SND_SEQ_QUERY_SUBS_READ);
  snd_seq_query_subscribe_set_index(query, 0);
  if (snd_seq_query_port_subscribers(ports->seq, query) < 0) {
    return 0; // there is no subscriber 0
  }
  return (uint32_t)snd_seq_query_subscribe_get_num_subs(query);
}

// The announcement port is not exported: no user sees it.
static Status
hear_announcements(AlsaPorts* ports, Error* error)
{
  ports->announce_port = snd_seq_create_simple_port(
    ports->seq,
    "announcements",
    SND_SEQ_PORT_CAP_WRITE | SND_SEQ_PORT_CAP_NO_EXPORT,
    SND_SEQ_PORT_TYPE_APPLICATION);
  int result = ports->announce_port;
  if (result >= 0) {
    result = snd_seq_connect_from(ports->seq,
                                  ports->announce_port,
                                  SND_SEQ_CLIENT_SYSTEM,
                                  SND_SEQ_PORT_SYSTEM_ANNOUNCE);
  }
  if (result < 0) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "ALSA: cannot listen to System:Announce: %s",
                     snd_strerror(result));
  }
  ports->rescan = true;
  return STATUS_OK;
}

Status
alsa_ports_open(AlsaPorts*  ports,
                snd_seq_t*  seq,
                int         port,
                const char* connect_pattern,
                Error*      error)
{
  *ports = (AlsaPorts){ .seq = seq, .port = port, .announce_port = -1 };
  if (!connect_pattern) {
    return STATUS_OK;
  }
  const int result =
    regcomp(&ports->pattern, connect_pattern, REG_EXTENDED | REG_NOSUB);
  if (result != 0) {
    char reason[128];
    regerror(result, &ports->pattern, reason, sizeof reason);
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--connect '%s' is not a regular expression: %s",
                     connect_pattern,
                     reason);
  }
  const Status status = hear_announcements(ports, error);
  if (status != STATUS_OK) {
    regfree(&ports->pattern);
    ports->announce_port = -1;
  }
  return status;
}

void
alsa_ports_close(AlsaPorts* ports)
{
  if (ports->announce_port >= 0) {
    regfree(&ports->pattern);
    ports->announce_port = -1;
  }
}

uint32_t
alsa_ports_poll(AlsaPorts* ports)
{
  if (ports->announce_port >= 0) {
    read_announcements(ports);
    if (ports->rescan) {
      ports->rescan = false;
      visit_all(&(Visit){ .ports = ports });
    }
  }
  return count_connections(ports);
}

void
alsa_ports_list(AlsaPorts* ports, char* text, size_t size_bytes)
{
  *text = '\0';
  visit_all(&(Visit){ .ports = ports, .text = text, .size_bytes = size_bytes });
}
