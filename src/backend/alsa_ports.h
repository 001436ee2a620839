// Our ALSA ports and who is connected to them: connects what matches a pattern
// as it appears, and counts the connections. Control thread, but for what is
// marked.
#pragma once

#include "backend/backend.h"
#include "backend/port_pattern.h"
#include "ring.h"

#include <alsa/asoundlib.h>
#include <stdatomic.h>

typedef struct {
  snd_seq_t*  seq;
  int         out[2];        // notes, feedback: by MidiOut
  bool        without_notes; // set before open: there is no such port
  int         control;       // what others play into
  int         announcements; // hears of new ports; -1: no pattern
  PortPattern connect;       // inputs for notes
  PortPattern controls;      // outputs for control, inputs for feedback
  // From the process thread, which reads all that comes to us.
  Ring             new_ports; // snd_seq_addr_t
  atomic_bool      rescan;    // look at all ports again
  _Atomic uint32_t control_gone_count;
} AlsaPorts;

// Makes our ports; `ports` is all zero but for without_notes, `seq` outlives
// it. Events to control are stamped with the real time of `queue` (-1: they are
// not). STATUS_BAD_ARGUMENT: a pattern is no regular expression.
// alsa_ports_close() is for failed ones, too.
Status alsa_ports_open(AlsaPorts*           ports,
                       snd_seq_t*           seq,
                       int                  queue,
                       const BackendConfig* config,
                       Error*               error);
void   alsa_ports_close(AlsaPorts* ports);

// Process thread: an event came to the announcements port, or some were lost.
void alsa_ports_hear(AlsaPorts* ports, const snd_seq_event_t* event) REALTIME;
void alsa_ports_miss(AlsaPorts* ports) REALTIME;
// Process thread: word of a connection came to the control port.
void alsa_ports_hear_connection(AlsaPorts*             ports,
                                const snd_seq_event_t* event) REALTIME;

// Connects what is new and matches; counts connections into `status`.
void alsa_ports_poll(AlsaPorts* ports, BackendStatus* status);

// All ports of others, as backend_visit_alsa_ports().
void alsa_ports_visit(snd_seq_t* seq, BackendPortVisit visit, void* context);
