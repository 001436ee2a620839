// What this machine has to hear us with: looks, and leaves nothing behind.
// Control thread, while no backend is open.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

#define PROBE_TEXT_BYTES 256

// Inputs that take notes and may sound: ALSA's "Midi Through" is none, nor is
// meander's own.
typedef struct {
  uint32_t count;
  char     first[160];              // "client:port"
  char     first_address[16];       // ALSA's: "128:0"
  char     names[PROBE_TEXT_BYTES]; // ", " between, cut
} ProbedInputs;

// A meander that plays now: its port meander:notes.
typedef struct {
  bool runs;
  bool silent;    // nothing is connected to it
  char name[160]; // "meander:notes"; ALSA's tools take `address`
  char address[16];
} ProbedPlayer;

typedef struct {
  bool         runs;
  char         trouble[PROBE_TEXT_BYTES]; // it does, but does not serve us
  uint32_t     rate_hz;
  uint32_t     period_frames;
  ProbedInputs inputs;
  ProbedPlayer player;
} JackProbe;

// `server` NULL: $JACK_DEFAULT_SERVER, or the default one. Starts none.
void probe_jack(const char* server, JackProbe* jack);

typedef enum {
  SEQUENCER_ANSWERS,
  SEQUENCER_MISSING,
  SEQUENCER_DENIED
} SequencerState;

typedef struct {
  SequencerState state;
  uint32_t       client_count; // but for the kernel's own
  ProbedInputs   inputs;
  ProbedPlayer   player;
} SequencerProbe;

void probe_sequencer(SequencerProbe* sequencer);

// Opens an audio output for a moment, in silence. `driver` as in AudioConfig;
// `used[32]` is the driver that answered.
Status probe_audio(const char* driver, char used[32], Error* error);
