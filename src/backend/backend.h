// Where notes go and whose clock counts: one small interface, with jack, alsa,
// synth and null behind it. Only files in this folder include JACK or ALSA
// headers.
//
// Clock. A backend counts frames of its own sample rate in 64 bits from some
// point in its past. It calls `process` for consecutive, non-overlapping spans
// [frame, frame + frame_count); a span may be skipped (an xrun) but time never
// goes back. A backend may call ahead of real time (the ALSA queue mode does),
// by at most its `ahead_frames`.
#pragma once

#include "rt.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Our ports, as "meander:notes" and so on.
typedef enum {
  MIDI_OUT_NOTES,    // what is played, and MIDI clock
  MIDI_OUT_FEEDBACK, // what a controller should show
} MidiOut;

// Takes one whole MIDI message of 1 to 3 bytes at `offset_frames` from the
// span's start. Offsets never decrease within a span and port. False: no room,
// nothing was taken.
typedef struct {
  bool (*write)(void*          handle,
                MidiOut        port,
                uint32_t       offset_frames,
                const uint8_t* message,
                uint32_t       size_bytes);
  void* handle;
} MidiSink;

// Takes everything and sends it nowhere.
extern const MidiSink midi_sink_nowhere;

// One whole message that came in at meander:control: no running status, no
// SysEx, velocity-0 note-ons as they are.
typedef struct {
  uint32_t offset_frames; // from the span's start; never decreasing
  uint8_t  message[3];
  uint8_t  size_bytes; // 1 to 3
} MidiInput;

// The server's transport at the span's start. All zero where there is none.
typedef struct {
  bool     exists;
  bool     rolling;
  uint32_t frame; // of the transport, not of the clock
  // A timebase master tells the next three. A relocation may leave a span
  // without them.
  bool   has_tempo;
  double bpm;           // quarter notes a minute
  double beat;          // quarter notes since bar 1 beat 1, as if all bars were
                        // as long as this one; below 0: a count-in
  double beats_per_bar; // in quarter notes
} Transport;

typedef struct {
  uint64_t         frame;
  uint32_t         frame_count;
  bool             freewheeling; // only then may the callee wait
  const MidiInput* inputs;       // [input_count <= SPAN_INPUTS_MAX]
  uint32_t         input_count;
  // How long before its offset an input really came: the same for all, so that
  // their distances are true. 0 with JACK.
  uint32_t        input_delay_frames;
  Transport       transport;
  const MidiSink* sink;
} BackendSpan;

// Called in the process thread for each span.
typedef void (*BackendProcess)(void* context, const BackendSpan* span);

typedef enum {
  ALSA_TIMING_AUTO,
  ALSA_TIMING_QUEUE,
  ALSA_TIMING_DIRECT
} AlsaTiming;

typedef struct {
  const char* client_name; // "meander"
  const char* server_name; // JACK server, or NULL for the default one
  // POSIX extended regular expressions on "client:port"; NULL: none.
  const char* connect_pattern; // inputs for meander:notes
  const char* control_pattern; // outputs for meander:control, and inputs for
                               // meander:feedback
  uint32_t
    sample_rate_hz; // null, alsa, synth: their frame rate. jack: not used
  uint32_t       period_frames; // null and alsa: the span. synth: a wish
  AlsaTiming     alsa_timing;
  BackendProcess process;
  void*          process_context;
} BackendConfig;

// What the control thread may read at any time.
typedef struct {
  bool     lost;           // the server died, hangs or threw us out
  uint32_t sample_rate_hz; // a server may change it while it runs
  uint32_t period_frames;  // of the last span
  uint32_t xrun_count;
  uint32_t dropped_count;      // taken by the sink, refused by the system
  uint32_t connection_count;   // inputs that listen to meander:notes
  uint32_t control_count;      // outputs that play into meander:control
  uint32_t control_gone_count; // that did, and were disconnected: it only grows
  uint32_t feedback_count;     // inputs that listen to meander:feedback
  // Messages to meander:control that found no room. Where the system does not
  // say how many it threw away, one for each time. Once it grows, a note-off
  // may be among them.
  uint32_t input_lost_count;
  uint32_t input_stray_count; // bytes there that are no MIDI (midi_parser.h)
  double   settle_s;  // what process wrote is heard so much later at most
  char     text[160]; // e.g. "JACK 'default', 48000 Hz, period 256"
} BackendStatus;

typedef struct Backend Backend;

struct Backend {
  const char* name; // "jack", "alsa", "synth", "null"
  // All in the control thread.
  // Process is called from start() on, until stop() returns.
  Status (*start)(Backend* backend, Error* error);
  // Lets everything already written be heard, then stops calling process.
  void (*stop)(Backend* backend);
  // Ends within 2 s even when the server is dead.
  void (*close)(Backend* backend);
  // Connects newly seen ports that match, reads the state. Every 20 to 100 ms.
  void (*poll)(Backend* backend, BackendStatus* status);
  // Names the inputs that could be connected, with ", " between; empty when
  // there is none. May be NULL.
  void (*list_inputs)(Backend* backend, char* text, size_t size_bytes);
};

// Open: makes the client and its ports notes, control and feedback; process is
// not yet called. STATUS_NOT_FOUND: no server runs / no /dev/snd/seq / no audio
// device or no soundfont. The synth has no port for notes, and the others where
// there is an ALSA sequencer. It reads MEANDER_SOUNDFONT,
// MEANDER_AUDIO_DRIVER (pulseaudio, alsa, jack; or file, which writes
// MEANDER_AUDIO_FILE).
Status backend_open_null(const BackendConfig* config,
                         Backend**            out,
                         Error*               error);
Status backend_open_jack(const BackendConfig* config,
                         Backend**            out,
                         Error*               error);
Status backend_open_alsa(const BackendConfig* config,
                         Backend**            out,
                         Error*               error);
Status backend_open_synth(const BackendConfig* config,
                          Backend**            out,
                          Error*               error);

// The MIDI ports of other programs: `visit` gets each one's "client:port" and
// whether it is an input (connect_pattern may name it) or an output
// (control_pattern may). Control thread; needs no open backend. The same errors
// as open.
typedef void (*BackendPortVisit)(void*       context,
                                 const char* name,
                                 bool        is_input);
Status backend_visit_jack_ports(const char*      server_name, // or NULL
                                BackendPortVisit visit,
                                void*            context,
                                Error*           error);
Status backend_visit_alsa_ports(BackendPortVisit visit,
                                void*            context,
                                Error*           error);

// Whether a thread still waits within a library for a server that hangs: the
// program must then end without exit handlers.
bool backend_is_stuck(void);
