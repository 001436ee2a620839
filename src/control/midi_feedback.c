// What goes back to controllers.
#include "control/midi_map.h"

#include "control/midi_learn.h"

#include <math.h>
#include <string.h>

// An NRPN takes four messages: MSB, LSB, coarse, fine.
#define MESSAGES_OF_ONE 4u

void
midi_map_feedback_all(MidiMap* map)
{
  for (size_t i = 0; i < map->bound_count; ++i) {
    map->bound[i].shown    = NAN;
    map->bound[i].position = -1;
  }
}

static MidiMessage
control_change(uint8_t channel, unsigned controller, unsigned value)
{
  return (MidiMessage){
    .message    = { 0xb0 | channel, (uint8_t)controller, (uint8_t)value },
    .size_bytes = 3
  };
}

static size_t
show(const MidiBound* bound, double position, MidiMessage* out)
{
  const MidiSource* const source = &bound->binding.source;
  const uint8_t           on     = bound->channel;
  const unsigned          number = source->number;
  const unsigned          fine   = (unsigned)lround(position * 16383);
  switch (source->kind) {
    case MIDI_SOURCE_CC:
      out[0] = control_change(on, number, (unsigned)lround(position * 127));
      return 1;
    case MIDI_SOURCE_CC14:
      out[0] = control_change(on, number, fine >> 7);
      out[1] = control_change(on, number + 32, fine & 127);
      return 2;
    case MIDI_SOURCE_NRPN:
      out[0] = control_change(on, 99, number >> 7);
      out[1] = control_change(on, 98, number & 127);
      out[2] = control_change(on, 6, fine >> 7);
      out[3] = control_change(on, 38, fine & 127);
      return MESSAGES_OF_ONE;
    default:
      return 0;
  }
}

// One controller shows one thing: the first that it is bound to.
static bool
is_first(const MidiMap* map, size_t i)
{
  const MidiSource* const source = &map->bound[i].binding.source;
  for (size_t k = 0; k < i; ++k) {
    const MidiSource* const other = &map->bound[k].binding.source;
    if (map->bound[k].binding.follows && !map->bound[k].shadowed &&
        other->kind == source->kind && other->number == source->number &&
        map->bound[k].channel == map->bound[i].channel) {
      return false;
    }
  }
  return true;
}

size_t
midi_map_feedback(MidiMap*      map,
                  const Params* params,
                  MidiMessage*  messages,
                  size_t        messages_max)
{
  size_t       count = 0;
  const size_t from  = map->feedback_next;
  map->feedback_next = 0;
  for (size_t n = 0; n < map->bound_count; ++n) {
    const size_t     i     = (from + n) % map->bound_count;
    MidiBound* const bound = &map->bound[i];
    if (count + MESSAGES_OF_ONE > messages_max) {
      map->feedback_next = i; // the next call goes on here
      break;
    }
    if (!bound->binding.follows || bound->shadowed) {
      continue;
    }
    const double value = params->value[bound->binding.action.param];
    if (value != bound->shown && is_first(map, i)) {
      const double position = midi_binding_position(&bound->binding, params);
      count += show(bound, position, messages + count);
      bound->shown    = value;
      bound->position = position;
      bound->caught   = false;
      bound->reach    = fmax(bound->reach, MIDI_REACH_TOLD);
    }
  }
  return count;
}
