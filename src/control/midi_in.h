// What controller messages mean: which controller moved, and where it stands
// now. Knows 14-bit pairs and NRPNs; one state for each channel. Control
// thread.
//
// Pairs. The coarse half (MSB) counts at once. As long as no fine half (LSB)
// was ever heard it spans the whole range by itself. After that a coarse half
// alone stands for the near edge of its step, so that a knob that turns down
// does not dip before its fine half comes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A whole message as process heard it. `size_bytes` is 1 to 3.
typedef struct {
  uint64_t frame;
  uint8_t  message[3];
  uint8_t  size_bytes;
} MidiMessage;

typedef enum {
  MIDI_SOURCE_CC,   // controller 0..127, alone
  MIDI_SOURCE_CC14, // controllers n and n + 32; n = 1..31
  MIDI_SOURCE_NRPN, // 0..16382
  MIDI_SOURCE_NOTE  // key 0..127
} MidiSourceKind;

#define MIDI_CHANNEL_ANY 16u

typedef struct {
  MidiSourceKind kind;
  uint16_t       number;
  uint8_t        channel; // 0..15 or MIDI_CHANNEL_ANY
} MidiSource;

// A controller that moved: to `position`, 0..1 of its range, or where `step` is
// not 0 by one step up or down.
typedef struct {
  MidiSource source; // with its own channel, never any
  double     position;
  int        step;
} MidiMove;

// One message moves at most a controller and the pair that it belongs to.
#define MIDI_MOVES_MAX 2u

typedef struct {
  uint8_t coarse;
  uint8_t fine;
  bool    has_coarse;
  bool    has_fine; // a fine half was heard, ever
} MidiPair;

typedef struct {
  MidiPair pairs[32];
  MidiPair data;          // of the NRPN chosen
  uint8_t  number[2];     // MSB, LSB of the NRPN chosen; both 127: none
  bool     is_registered; // an RPN was chosen after it: data is not ours
} MidiInChannel;

typedef struct {
  MidiInChannel channels[16];
} MidiIn;

void midi_in_init(MidiIn* in);

// Bank select, data entry, increment, (N)RPN and channel mode: never bound.
// NULL: free to use.
const char* midi_cc_reserved_for(unsigned controller);

// The moves that a control change (status 0xB0..0xBF, both data bytes below
// 128) means: none for reserved controllers that choose nothing of ours.
size_t midi_in_hear(MidiIn*       in,
                    const uint8_t message[3],
                    MidiMove      moves[MIDI_MOVES_MAX]);
