// MIDI as it comes over a wire, byte by byte, made into whole messages: running
// status is filled in, real-time messages may stand anywhere, SysEx is skipped
// however long it is. Owns nothing; a struct belongs to one thread at a time.
#pragma once

#include "rt.h"

#include <stdbool.h>
#include <stdint.h>

#define MIDI_MESSAGE_BYTES_MAX 3u

// All zero: at the start of a stream, or somewhere in the middle of one.
typedef struct {
  uint8_t running; // status that data bytes without one go on with; 0: none
  uint8_t held[MIDI_MESSAGE_BYTES_MAX]; // the message that is not whole yet
  uint8_t held_bytes;
  bool    in_sysex;
  // What made no message, one for each: a data byte that follows no status, an
  // undefined byte, an end of no SysEx, a message that another status cut
  // short.
  uint32_t stray_count;
} MidiParser;

// How long a message of this status is, in bytes: 1 to 3. 0: SysEx or its end,
// undefined, or no status at all.
uint32_t midi_message_bytes(uint8_t status) REALTIME;

// Takes the next byte. Returns the size of the message that it makes whole, in
// bytes, 0 when it makes none; `message` is written only then, and what is
// beyond its size is 0.
uint32_t midi_parser_take(MidiParser* parser,
                          uint8_t     byte,
                          uint8_t     message[MIDI_MESSAGE_BYTES_MAX]) REALTIME;

// Bytes were lost: what comes next belongs to nothing that came before.
void midi_parser_break(MidiParser* parser) REALTIME;
