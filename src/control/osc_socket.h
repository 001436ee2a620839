// A UDP socket of our own for OSC, so that it listens where we say (liblo's
// servers listen everywhere) and nothing reaches liblo unchecked. Never blocks
// but where a name is looked up. Control thread.
#pragma once

#include "control/osc_packet.h"
#include "status.h"

#include <lo/lo.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

typedef struct {
  struct sockaddr_storage address;
  socklen_t               size_bytes;
} OscPeer;

typedef struct {
  int      fd; // -1: not open
  OscPeer  own;
  uint64_t unsent_count; // the system took no more
} OscSocket;

// "127.0.0.1", "::1" or a name, and its port.
Status osc_peer_find(const char* host,
                     unsigned    port,
                     OscPeer*    peer,
                     Error*      error);

// `address` as above; "0.0.0.0" is everywhere. Port 0: any that is free.
// STATUS_UNAVAILABLE: the port is in use.
Status osc_socket_open(OscSocket*  socket,
                       const char* address,
                       unsigned    port,
                       Error*      error);
void   osc_socket_close(OscSocket* socket);

unsigned osc_peer_port(const OscPeer* peer);
void     osc_peer_set_port(OscPeer* peer, unsigned port);
bool     osc_peer_is_loopback(const OscPeer* peer);
bool     osc_peer_same_host(const OscPeer* a, const OscPeer* b);
bool     osc_peer_equal(const OscPeer* a, const OscPeer* b);

// False: nothing is waiting. A packet that was cut has size 0. `bytes` is
// aligned to 4.
bool osc_socket_receive(OscSocket* socket,
                        uint8_t    bytes[OSC_PACKET_BYTES_MAX],
                        size_t*    size_bytes,
                        OscPeer*   from);

// Sends `message` (and frees it; NULL: no memory, nothing is sent).
void osc_socket_send(OscSocket*     socket,
                     const OscPeer* to,
                     const char*    path,
                     lo_message     message);

// The arguments of a message that osc_packet_split() found; NULL: no memory.
// To be freed with lo_message_free().
lo_message osc_message_read(const OscMessage* message);
