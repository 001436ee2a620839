// The New Session Manager's side of things.
#include "control/nsm.h"

#include "clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPABILITIES ":dirty:"
#define API_MAJOR 1
#define API_MINOR 1

// How soon a wait sees that it is given up.
#define WAIT_MS 20

// The protocol's error codes.
#define ERR_GENERAL (-1)
#define ERR_NO_SUCH_FILE (-5)
#define ERR_NOT_NOW (-8)
#define ERR_BAD_PROJECT (-9)
#define ERR_CREATE_FAILED (-10)

#define UDP "osc.udp://"

static Status
find_server(const char* url, OscPeer* server, Error* error)
{
  char* const host =
    strncmp(url, UDP, strlen(UDP)) ? NULL : lo_url_get_hostname(url);
  char* const  port   = host ? lo_url_get_port(url) : NULL;
  const long   number = port ? strtol(port, NULL, 10) : 0;
  const Status status =
    number < 1 || number > 65535
      ? error_set(error,
                  STATUS_BAD_ARGUMENT,
                  "NSM_URL is '%.100s', not like " UDP "localhost:12345/",
                  url)
      : osc_peer_find(host, (unsigned)number, server, error);
  free(port);
  free(host);
  return status;
}

static void
announce(Nsm* nsm)
{
  lo_message message = lo_message_new();
  if (message) {
    lo_message_add_string(message, "meander");
    lo_message_add_string(message, CAPABILITIES);
    lo_message_add_string(message, nsm->config.executable);
    lo_message_add_int32(message, API_MAJOR);
    lo_message_add_int32(message, API_MINOR);
    lo_message_add_int32(message, (int32_t)getpid());
  }
  osc_socket_send(&nsm->socket, &nsm->server, "/nsm/server/announce", message);
}

Status
nsm_init(Nsm* nsm, const NsmConfig* config, Error* error)
{
  memset(nsm, 0, sizeof *nsm);
  nsm->config    = *config;
  nsm->socket.fd = -1;
  nsm->packet    = aligned_alloc(8, OSC_PACKET_BYTES_MAX);
  if (!nsm->packet) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for NSM");
  }
  Status status = find_server(config->url, &nsm->server, error);
  if (!status) {
    // A server on this host is answered through loopback alone.
    const bool is_v6 = nsm->server.address.ss_family == AF_INET6;
    const bool here  = osc_peer_is_loopback(&nsm->server);
    status           = osc_socket_open(&nsm->socket,
                             is_v6 ? (here ? "::1" : "::")
                                             : (here ? "127.0.0.1" : "0.0.0.0"),
                             0,
                             error);
  }
  if (status) {
    nsm_free(nsm);
    return status;
  }
  announce(nsm);
  nsm->state = NSM_ANNOUNCED;
  return STATUS_OK;
}

void
nsm_free(Nsm* nsm)
{
  osc_socket_close(&nsm->socket);
  free(nsm->packet);
  nsm->packet = NULL;
  nsm->state  = NSM_NONE;
}

static int
code_of(Status status)
{
  switch (status) {
    case STATUS_BAD_FILE:
      return ERR_BAD_PROJECT;
    case STATUS_NOT_FOUND:
      return ERR_NO_SUCH_FILE;
    case STATUS_IO:
      return ERR_CREATE_FAILED;
    case STATUS_UNAVAILABLE:
      return ERR_NOT_NOW;
    default:
      return ERR_GENERAL;
  }
}

static void
reply(Nsm* nsm, const char* path, Status status, const Error* error)
{
  lo_message message = lo_message_new();
  if (message) {
    lo_message_add_string(message, path);
    if (status) {
      lo_message_add_int32(message, code_of(status));
    }
    lo_message_add_string(message, status ? error->text : "OK");
  }
  osc_socket_send(
    &nsm->socket, &nsm->server, status ? "/error" : "/reply", message);
}

// A string; liblo does not align arguments to what a lo_arg wants.
static const char*
text_of(lo_arg** arguments, int i)
{
  return (const char*)arguments[i];
}

static void
open_session(Nsm* nsm, lo_arg** arguments)
{
  Error  error = { .status = STATUS_OK };
  Status status;
  if (nsm->state == NSM_OPEN) {
    status = error_set(&error,
                       STATUS_UNAVAILABLE,
                       "meander does not switch sessions: start it anew");
  } else {
    status     = nsm->config.open(nsm->config.context,
                              text_of(arguments, 0),
                              text_of(arguments, 1),
                              text_of(arguments, 2),
                              &error);
    nsm->state = status ? nsm->state : NSM_OPEN;
  }
  reply(nsm, "/nsm/client/open", status, &error);
}

static void
save_session(Nsm* nsm)
{
  Error  error = { .status = STATUS_OK };
  Status status;
  if (nsm->state != NSM_OPEN) {
    status = error_set(&error, STATUS_UNAVAILABLE, "no session was opened yet");
  } else {
    status = nsm->config.save(nsm->config.context, &error);
  }
  reply(nsm, "/nsm/client/save", status, &error);
  if (!status) {
    nsm_set_dirty(nsm, false);
  }
}

// The answer to our announcement; no other message of ours is answered.
static void
hear_answer(Nsm* nsm, bool is_error, const char* types, lo_arg** arguments)
{
  const char* const expected = is_error ? "sis" : "sss";
  if (strncmp(types, expected, 3) ||
      strcmp(text_of(arguments, 0), "/nsm/server/announce") ||
      nsm->state != NSM_ANNOUNCED) {
    return;
  }
  nsm->state = is_error ? NSM_REFUSED : NSM_MANAGED;
  snprintf(nsm->text, sizeof nsm->text, "%s", text_of(arguments, 2));
}

static void
do_message(Nsm* nsm, const OscMessage* message)
{
  lo_message read = osc_message_read(message);
  if (!read) {
    return;
  }
  const char* const types     = lo_message_get_types(read);
  lo_arg** const    arguments = lo_message_get_argv(read);
  if (!strcmp(message->path, "/nsm/client/open") && !strcmp(types, "sss")) {
    open_session(nsm, arguments);
  } else if (!strcmp(message->path, "/nsm/client/save") && !*types) {
    save_session(nsm);
  } else if (!strcmp(message->path, "/reply")) {
    hear_answer(nsm, false, types, arguments);
  } else if (!strcmp(message->path, "/error")) {
    hear_answer(nsm, true, types, arguments);
  }
  lo_message_free(read);
}

// A server that listens on all addresses of this host answers from whichever
// the system picks: there its port must do.
static bool
is_server(const Nsm* nsm, const OscPeer* from)
{
  return osc_peer_equal(from, &nsm->server) ||
         (osc_peer_is_loopback(from) && osc_peer_is_loopback(&nsm->server) &&
          osc_peer_port(from) == osc_peer_port(&nsm->server));
}

void
nsm_poll(Nsm* nsm)
{
  OscMessage messages[OSC_MESSAGES_MAX];
  OscPeer    from;
  size_t     size;
  if (!nsm->packet) {
    return;
  }
  for (unsigned i = 0;
       i < NSM_TURN_PACKETS_MAX &&
       osc_socket_receive(&nsm->socket, nsm->packet, &size, &from);
       ++i) {
    size_t count;
    if (!is_server(nsm, &from)) {
      ++nsm->stranger_count;
      continue;
    }
    if (osc_packet_split(nsm->packet, size, messages, &count, NULL)) {
      ++nsm->malformed_count;
    }
    for (size_t k = 0; k < count; ++k) {
      do_message(nsm, &messages[k]);
    }
  }
}

Status
nsm_wait_open(Nsm* nsm, double seconds, const atomic_int* stop, Error* error)
{
  const double until_s = clock_now_s() + seconds;
  while (nsm->state != NSM_OPEN && nsm->state != NSM_REFUSED) {
    const bool stopped = stop && atomic_load(stop);
    if (stopped || clock_now_s() >= until_s) {
      return error_set(error,
                       STATUS_UNAVAILABLE,
                       stopped
                         ? "given up before the session manager at "
                           "%.100s had answered"
                         : "the session manager at %.100s does not answer",
                       nsm->config.url);
    }
    struct pollfd wait = { .fd = nsm->socket.fd, .events = POLLIN };
    poll(&wait, 1, WAIT_MS);
    nsm_poll(nsm);
  }
  return nsm->state == NSM_OPEN
           ? STATUS_OK
           : error_set(error,
                       STATUS_UNAVAILABLE,
                       "the session manager refused us: %s",
                       nsm->text);
}

void
nsm_set_dirty(Nsm* nsm, bool is_dirty)
{
  if (nsm->state == NSM_OPEN && nsm->is_dirty != is_dirty) {
    nsm->is_dirty = is_dirty;
    osc_socket_send(&nsm->socket,
                    &nsm->server,
                    is_dirty ? "/nsm/client/is_dirty" : "/nsm/client/is_clean",
                    lo_message_new());
  }
}
