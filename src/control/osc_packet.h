// OSC packets that anybody may have sent: taken apart only where all of them is
// sound. liblo, which reads the arguments, never sees another byte. Pure.
#pragma once

#include "status.h"

#include <stddef.h>
#include <stdint.h>

// A UDP packet is never larger.
#define OSC_PACKET_BYTES_MAX 65536u
// Beyond these a packet is refused whole.
#define OSC_MESSAGES_MAX 256u // of a packet
#define OSC_BUNDLE_DEPTH_MAX 8u
#define OSC_PATH_BYTES_MAX 128u // without the 0 at its end
#define OSC_ARGUMENTS_MAX 64u

// Points into the packet.
typedef struct {
  const char*    path;
  const uint8_t* bytes; // all of the message
  size_t         size_bytes;
} OscMessage;

// STATUS_BAD_FILE: malformed, and `count` is 0. The times of bundles count for
// nothing: all is meant at once, in the order in which it stands there.
// `bytes` is aligned to 4.
Status osc_packet_split(const uint8_t* bytes,
                        size_t         size_bytes,
                        OscMessage     messages[OSC_MESSAGES_MAX],
                        size_t*        count,
                        Error*         error);
