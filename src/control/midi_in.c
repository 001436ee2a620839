// Controllers, pairs and NRPNs.
#include "control/midi_in.h"

#include <string.h>

#define CC_DATA_COARSE 6u
#define CC_DATA_FINE 38u
#define CC_INCREMENT 96u
#define CC_DECREMENT 97u
#define CC_NRPN_FINE 98u
#define CC_NRPN_COARSE 99u
#define CC_RPN_FINE 100u
#define CC_RPN_COARSE 101u

void
midi_in_init(MidiIn* in)
{
  memset(in, 0, sizeof *in);
  for (int c = 0; c < 16; ++c) {
    in->channels[c].number[0] = in->channels[c].number[1] = 127;
  }
}

const char*
midi_cc_reserved_for(unsigned controller)
{
  switch (controller) {
    case 0:
    case 32:
      return "bank select";
    case CC_DATA_COARSE:
    case CC_DATA_FINE:
      return "data entry";
    case CC_INCREMENT:
    case CC_DECREMENT:
      return "data increment";
    case CC_NRPN_FINE:
    case CC_NRPN_COARSE:
      return "NRPN";
    case CC_RPN_FINE:
    case CC_RPN_COARSE:
      return "RPN";
    default:
      return controller >= 120 ? "channel mode" : NULL;
  }
}

static double
pair_position(const MidiPair* pair)
{
  return pair->has_fine ? (pair->coarse * 128 + pair->fine) / 16383.0
                        : pair->coarse / 127.0;
}

static double
pair_coarse(MidiPair* pair, uint8_t value)
{
  if (!pair->has_coarse || value > pair->coarse) {
    pair->fine = 0;
  } else if (value < pair->coarse) {
    pair->fine = 127;
  }
  pair->coarse     = value;
  pair->has_coarse = true;
  return pair_position(pair);
}

static double
pair_fine(MidiPair* pair, uint8_t value)
{
  pair->fine     = value;
  pair->has_fine = true;
  return pair_position(pair);
}

static void
choose(MidiInChannel* channel, int half, uint8_t value)
{
  channel->is_registered = false;
  if (channel->number[half] != value) {
    channel->number[half] = value;
    channel->data         = (MidiPair){ .has_coarse = false };
  }
}

// Data for the NRPN that is chosen, if one is.
static size_t
hear_data(MidiInChannel* channel,
          uint8_t        channel_number,
          uint8_t        controller,
          uint8_t        value,
          MidiMove*      move)
{
  const unsigned number = channel->number[0] * 128u + channel->number[1];
  if (channel->is_registered || number == 16383 ||
      (controller == CC_DATA_FINE && !channel->data.has_coarse)) {
    return 0;
  }
  *move = (MidiMove){
    .source = { MIDI_SOURCE_NRPN, (uint16_t)number, channel_number },
  };
  switch (controller) {
    case CC_DATA_COARSE:
      move->position = pair_coarse(&channel->data, value);
      break;
    case CC_DATA_FINE:
      move->position = pair_fine(&channel->data, value);
      break;
    case CC_INCREMENT:
      move->step = 1;
      break;
    default:
      move->step = -1;
      break;
  }
  return 1;
}

static size_t
hear_reserved(MidiInChannel* channel,
              uint8_t        channel_number,
              uint8_t        controller,
              uint8_t        value,
              MidiMove*      move)
{
  switch (controller) {
    case CC_NRPN_COARSE:
      choose(channel, 0, value);
      return 0;
    case CC_NRPN_FINE:
      choose(channel, 1, value);
      return 0;
    case CC_RPN_COARSE:
    case CC_RPN_FINE:
      channel->is_registered = true;
      return 0;
    case CC_DATA_COARSE:
    case CC_DATA_FINE:
    case CC_INCREMENT:
    case CC_DECREMENT:
      return hear_data(channel, channel_number, controller, value, move);
    default:
      return 0;
  }
}

size_t
midi_in_hear(MidiIn*       in,
             const uint8_t message[3],
             MidiMove      moves[MIDI_MOVES_MAX])
{
  const uint8_t        number     = message[0] & 15;
  const uint8_t        controller = message[1];
  const uint8_t        value      = message[2];
  MidiInChannel* const channel    = &in->channels[number];
  if (midi_cc_reserved_for(controller)) {
    return hear_reserved(channel, number, controller, value, moves);
  }
  moves[0] = (MidiMove){ .source   = { MIDI_SOURCE_CC, controller, number },
                         .position = value / 127.0 };
  if (controller >= 64) {
    return 1;
  }
  MidiPair* const pair = &channel->pairs[controller & 31];
  if (controller >= 32 && !pair->has_coarse) {
    return 1; // the fine half of nothing
  }
  moves[1] = (MidiMove){
    .source = { MIDI_SOURCE_CC14, controller & 31, number },
    .position =
      controller < 32 ? pair_coarse(pair, value) : pair_fine(pair, value),
  };
  return 2;
}
