// OSC over UDP: every parameter and every action under /meander. Polled in the
// control thread; owns a socket and no thread.
//
//   /meander/param/NAME VALUE   sets it: a number in its unit (of a name: its
//                               place from 0), T or F, or text as typed
//   /meander/param/NAME         is answered with the same path and the value: a
//                               float, or a name or "auto" as a string
//   /meander/share/NAME [0..1]  the same, as a share of its range
//   /meander/ACTION ...         each row of action_table with what it takes: a
//                               parameter's name, a number, text. One that
//                               takes nothing ignores 0: a button that was let
//                               go
//   /meander/status             is answered with names and values in turn
//   /meander/subscribe [PORT]   for 60 s: the parameters that change, as param
//                               and share, and the status, four times a second,
//                               to the sender (at PORT); all of them at first
//                               and each time it is sent again
//   /meander/unsubscribe [PORT]
//   /meander/ping               is answered with /meander/pong
//
// What cannot be done is answered with /meander/error TEXT, at most 20 times a
// second, and counted. Bundles are done at once, whatever their time.
#pragma once

#include "control/action.h"
#include "control/osc_packet.h"
#include "control/osc_socket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OSC_ADDRESS_STANDARD "127.0.0.1"
#define OSC_PORT_STANDARD 9000u

// More are refused.
#define OSC_SUBSCRIBERS_MAX 8u
#define OSC_SUBSCRIPTION_S 60.0
#define OSC_PUSH_S 0.25
// Rest for the next turn: packets, and messages beyond which no packet is
// begun.
#define OSC_TURN_PACKETS_MAX 64u
#define OSC_TURN_MESSAGES_MAX 256u
// Answers that say what was wrong. Beyond, it is only counted.
#define OSC_ERRORS_A_SECOND_MAX 20u
#define OSC_STATUS_MAX 32u

// One line of the status: a number (as a float), or text where `text` is set.
typedef struct {
  const char* name;
  double      number;
  char        text[64];
} OscStatus;

// Fills in the status, returns how many lines it has.
typedef size_t (*OscStatusFill)(void* context, OscStatus lines[OSC_STATUS_MAX]);

typedef struct {
  const char*   address; // NULL: OSC_ADDRESS_STANDARD
  unsigned      port;    // 0: any that is free
  ActionDo      do_action;
  OscStatusFill fill_status; // NULL: there is none
  void*         context;     // of both
} OscConfig;

typedef struct {
  uint64_t packets;
  uint64_t messages;   // of sound packets
  uint64_t malformed;  // packets
  uint64_t unknown;    // messages to paths that are not there
  uint64_t refused;    // messages with wrong arguments or values
  uint64_t unanswered; // errors that were not told
} OscCounters;

typedef struct {
  OscPeer peer;
  double  until_s;
  double  known[PARAM_COUNT]; // what it was told or said itself; NAN: nothing
} OscSubscriber;

typedef struct {
  OscSocket     socket;
  OscConfig     config;
  OscCounters   counters;
  OscSubscriber subscribers[OSC_SUBSCRIBERS_MAX];
  size_t        subscriber_count;
  double        now_s;
  double        push_s;       // when to tell subscribers again
  double        errors_s;     // since when errors are counted
  unsigned      errors_count; // told since then
  uint8_t*      packet;       // [OSC_PACKET_BYTES_MAX]
} Osc;

// STATUS_UNAVAILABLE: the port is in use. After an error there is nothing to
// free, and osc_poll() does nothing.
Status osc_init(Osc* osc, const OscConfig* config, Error* error);
void   osc_free(Osc* osc);

unsigned osc_port(const Osc* osc); // 0: not open

// Does what came in, and tells subscribers. `params` are the values that stand:
// config.do_action() changes them before it returns. `now_s` never decreases.
void osc_poll(Osc* osc, const Params* params, double now_s);
