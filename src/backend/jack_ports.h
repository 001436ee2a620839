// Our JACK ports and who is connected to them: connects what matches a pattern
// as it appears. Control thread, or one that it waits for, but for what is
// marked.
#pragma once

#include "backend/backend.h"
#include "backend/port_pattern.h"
#include "ring.h"

#include <jack/jack.h>
#include <stdatomic.h>

typedef struct {
  jack_client_t* client;
  jack_port_t*   out[2];   // notes, feedback: by MidiOut
  jack_port_t*   control;  // input
  PortPattern    connect;  // inputs for notes
  PortPattern    controls; // outputs for control, inputs for feedback
  // From JACK's notification thread.
  Ring             new_ports; // jack_port_id_t
  atomic_bool      rescan;    // look at all ports again
  _Atomic uint32_t control_gone_count;
} JackPorts;

// Compiles the patterns of `config`; `ports` is all zero. jack_ports_free() is
// for failed ones, too.
Status jack_ports_init(JackPorts*           ports,
                       const BackendConfig* config,
                       Error*               error);
void   jack_ports_free(JackPorts* ports);

// Makes our ports; `client` outlives `ports`. May wait for the server.
Status jack_ports_register(JackPorts*     ports,
                           jack_client_t* client,
                           const char*    server,
                           Error*         error);

// JACK's notification thread: a port has appeared.
void jack_ports_note(JackPorts* ports, jack_port_id_t id);
// There: a connection to the input `id` is gone.
void jack_ports_note_gone(JackPorts* ports, jack_port_id_t id);

// Connects all that is there and matches. May wait for the server.
void jack_ports_connect_all(JackPorts* ports);
// Whether there is something new that may match.
bool jack_ports_have_new(JackPorts* ports);
// Connects what is new and matches. May wait for the server.
void jack_ports_connect_new(JackPorts* ports);
// Counts connections into `status`.
void jack_ports_count(const JackPorts* ports, BackendStatus* status);
// Whether anybody listens to us or plays to us.
bool jack_ports_are_connected(const JackPorts* ports);
