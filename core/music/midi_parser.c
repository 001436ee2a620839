// A MIDI byte stream made into messages. Runs in the process thread.
#include "music/midi_parser.h"

#include <string.h>

#define SYSEX 0xf0
#define SYSEX_END 0xf7
#define REAL_TIME 0xf8 // and all above

uint32_t
midi_message_bytes(uint8_t status)
{
  static const uint8_t channel[8] = { 3, 3, 3, 3, 2, 2, 3, 0 };
  static const uint8_t system[16] = { 0, 2, 3, 2, 0, 0, 1, 0,
                                      1, 0, 1, 1, 1, 0, 1, 1 };
  if (status < 0x80) {
    return 0;
  }
  return status < SYSEX ? channel[status >> 4 & 7] : system[status & 15];
}

static uint32_t
give(const uint8_t* bytes, uint32_t size, uint8_t message[3]) REALTIME
{
  memset(message, 0, MIDI_MESSAGE_BYTES_MAX);
  memcpy(message, bytes, size);
  return size;
}

// Any status but a real-time one ends whatever was under way.
static uint32_t
take_status(MidiParser* parser, uint8_t byte, uint8_t message[3]) REALTIME
{
  const uint32_t size = midi_message_bytes(byte);
  const bool     belongs =
    size > 0 || byte == SYSEX || (byte == SYSEX_END && parser->in_sysex);
  parser->stray_count += (parser->held_bytes > 0) + !belongs;
  parser->in_sysex   = byte == SYSEX;
  parser->running    = byte < SYSEX ? byte : 0;
  parser->held[0]    = byte;
  parser->held_bytes = size > 1;
  return size == 1 ? give(&byte, 1, message) : 0;
}

uint32_t
midi_parser_take(MidiParser* parser, uint8_t byte, uint8_t message[3])
{
  if (byte >= REAL_TIME) {
    const uint32_t size = midi_message_bytes(byte);
    parser->stray_count += !size;
    return size ? give(&byte, size, message) : 0;
  }
  if (byte >= 0x80) {
    return take_status(parser, byte, message);
  }
  if (parser->in_sysex) {
    return 0;
  }
  if (!parser->held_bytes) {
    if (!parser->running) {
      ++parser->stray_count;
      return 0;
    }
    parser->held[parser->held_bytes++] = parser->running;
  }
  parser->held[parser->held_bytes++] = byte;
  const uint32_t size                = parser->held_bytes;
  if (size < midi_message_bytes(parser->held[0])) {
    return 0;
  }
  parser->held_bytes = 0;
  return give(parser->held, size, message);
}

void
midi_parser_break(MidiParser* parser)
{
  *parser = (MidiParser){ .stray_count = parser->stray_count };
}
