// The synth's MIDI ports: meander:control and meander:feedback in the ALSA
// sequencer, for a backend whose clock is not ALSA's. A thread of their own
// reads and writes them: the audio thread only takes from a ring and puts into
// another.
//
// Time. A message has the time at which it was read, within a millisecond of
// when it came. The audio thread is called in bursts: a filtered line through
// the times of its calls says which frame a time was.
#pragma once

#include "backend/backend.h"

#include <stddef.h>

typedef struct SynthPorts SynthPorts;

// STATUS_NOT_FOUND, STATUS_UNAVAILABLE: there is no sequencer, or not for us.
// STATUS_BAD_ARGUMENT: the pattern for control is no regular expression.
Status synth_ports_open(const BackendConfig* config,
                        uint32_t             sample_rate_hz,
                        SynthPorts**         out,
                        Error*               error);
// The audio thread must have ended. NULL: nothing.
void synth_ports_close(SynthPorts* ports);

// Connects what is new, and fills in the counts of control and feedback.
void synth_ports_poll(SynthPorts* ports, BackendStatus* status);

// --- Audio thread ------------------------------------------------------------

// It was called, and goes on at `frame` with `frame_count`.
void synth_ports_tick(SynthPorts* ports,
                      uint64_t    frame,
                      uint32_t    frame_count) REALTIME;
// Gives the span what came in for it.
void synth_ports_read(SynthPorts* ports, BackendSpan* span) REALTIME;
// To meander:feedback, soon. False: no room.
bool synth_ports_write(SynthPorts*    ports,
                       const uint8_t* message,
                       uint32_t       size_bytes) REALTIME;
