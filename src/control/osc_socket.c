// UDP, and messages to and from liblo.
#include "control/osc_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Enough for every parameter and the status at once.
#define SEND_BYTES_MAX 8192u

Status
osc_peer_find(const char* host, unsigned port, OscPeer* peer, Error* error)
{
  char service[16];
  snprintf(service, sizeof service, "%u", port);
  const struct addrinfo hints = { .ai_family   = AF_UNSPEC,
                                  .ai_socktype = SOCK_DGRAM };
  struct addrinfo*      found = NULL;
  const int             code  = getaddrinfo(host, service, &hints, &found);
  if (code) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "OSC address '%.60s': %s",
                     host,
                     gai_strerror(code));
  }
  *peer = (OscPeer){ .size_bytes = found->ai_addrlen };
  memcpy(&peer->address, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return STATUS_OK;
}

Status
osc_socket_open(OscSocket*  osc,
                const char* address,
                unsigned    port,
                Error*      error)
{
  *osc = (OscSocket){ .fd = -1 };
  if (port > 65535) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "OSC port %u, use 0 to 65535", port);
  }
  const Status status = osc_peer_find(address, port, &osc->own, error);
  if (status) {
    return status;
  }
  struct sockaddr* const own = (struct sockaddr*)&osc->own.address;
  osc->fd =
    socket(own->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (osc->fd < 0 || bind(osc->fd, own, osc->own.size_bytes) ||
      getsockname(osc->fd, own, &osc->own.size_bytes)) {
    const int reason = errno;
    osc_socket_close(osc);
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "OSC at %.60s port %u: %s%s",
                     address,
                     port,
                     strerror(reason),
                     reason == EADDRINUSE ? "; --osc-port 0 takes a free one"
                                          : "");
  }
  return STATUS_OK;
}

void
osc_socket_close(OscSocket* osc)
{
  if (osc->fd >= 0) {
    close(osc->fd);
  }
  osc->fd = -1;
}

static const struct sockaddr_in*
ipv4(const OscPeer* peer)
{
  return peer->address.ss_family == AF_INET
           ? (const struct sockaddr_in*)&peer->address
           : NULL;
}

static const struct sockaddr_in6*
ipv6(const OscPeer* peer)
{
  return peer->address.ss_family == AF_INET6
           ? (const struct sockaddr_in6*)&peer->address
           : NULL;
}

unsigned
osc_peer_port(const OscPeer* peer)
{
  return ipv4(peer)   ? ntohs(ipv4(peer)->sin_port)
         : ipv6(peer) ? ntohs(ipv6(peer)->sin6_port)
                      : 0;
}

void
osc_peer_set_port(OscPeer* peer, unsigned port)
{
  if (ipv4(peer)) {
    ((struct sockaddr_in*)&peer->address)->sin_port = htons((uint16_t)port);
  } else if (ipv6(peer)) {
    ((struct sockaddr_in6*)&peer->address)->sin6_port = htons((uint16_t)port);
  }
}

bool
osc_peer_is_loopback(const OscPeer* peer)
{
  return ipv4(peer)   ? ntohl(ipv4(peer)->sin_addr.s_addr) >> 24 == 127
         : ipv6(peer) ? IN6_IS_ADDR_LOOPBACK(&ipv6(peer)->sin6_addr)
                      : false;
}

bool
osc_peer_same_host(const OscPeer* a, const OscPeer* b)
{
  if (ipv4(a) && ipv4(b)) {
    return ipv4(a)->sin_addr.s_addr == ipv4(b)->sin_addr.s_addr;
  }
  return ipv6(a) && ipv6(b) &&
         !memcmp(&ipv6(a)->sin6_addr, &ipv6(b)->sin6_addr, 16);
}

bool
osc_peer_equal(const OscPeer* a, const OscPeer* b)
{
  return osc_peer_same_host(a, b) && osc_peer_port(a) == osc_peer_port(b);
}

bool
osc_socket_receive(OscSocket* osc,
                   uint8_t    bytes[OSC_PACKET_BYTES_MAX],
                   size_t*    size_bytes,
                   OscPeer*   from)
{
  *from              = (OscPeer){ .size_bytes = sizeof from->address };
  const ssize_t size = recvfrom(osc->fd,
                                bytes,
                                OSC_PACKET_BYTES_MAX,
                                MSG_DONTWAIT | MSG_TRUNC,
                                (struct sockaddr*)&from->address,
                                &from->size_bytes);
  // An earlier packet of ours that found nobody is no reason to stop.
  if (size < 0 && errno != ECONNREFUSED) {
    return false;
  }
  *size_bytes =
    size < 0 || size > (ssize_t)OSC_PACKET_BYTES_MAX ? 0 : (size_t)size;
  return true;
}

void
osc_socket_send(OscSocket*     osc,
                const OscPeer* to,
                const char*    path,
                lo_message     message)
{
  _Alignas(8) uint8_t bytes[SEND_BYTES_MAX];
  size_t              size = 0;
  if (!message || lo_message_length(message, path) > sizeof bytes ||
      !lo_message_serialise(message, path, bytes, &size) ||
      sendto(osc->fd,
             bytes,
             size,
             MSG_DONTWAIT | MSG_NOSIGNAL,
             (const struct sockaddr*)&to->address,
             to->size_bytes) != (ssize_t)size) {
    ++osc->unsent_count;
  }
  if (message) {
    lo_message_free(message);
  }
}

lo_message
osc_message_read(const OscMessage* message)
{
  // liblo takes what it reads from as writable.
  void* const copy = malloc(message->size_bytes);
  if (!copy) {
    return NULL;
  }
  memcpy(copy, message->bytes, message->size_bytes);
  lo_message read = lo_message_deserialise(copy, message->size_bytes, NULL);
  free(copy);
  return read;
}
