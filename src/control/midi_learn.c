// Learning a binding.
#include "control/midi_learn.h"

#include "control/action_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// How far a controller must move from where it was first heard, of 127.
#define TRAVEL 8
#define UNHEARD 255

static void
begin(MidiMap* map)
{
  memset(map->moves.first, UNHEARD, sizeof map->moves.first);
  memset(map->moves.last, UNHEARD, sizeof map->moves.last);
  map->moves.nrpn    = -1;
  map->is_learning   = true;
  map->learn_until_s = 0;
}

void
midi_map_learn_param(MidiMap* map, ParamId id)
{
  map->target = (MidiBinding){
    .follows = true,
    .low     = 0,
    .high    = 1,
    .action  = { .kind = ACTION_SET_SHARE, .param = id },
  };
  begin(map);
}

Status
midi_map_learn_action(MidiMap* map, const Action* action, Error* error)
{
  const bool last_touched =
    (unsigned)action->kind < ACTION_COUNT && action->param == PARAM_COUNT &&
    action_table[action->kind].takes == ACTION_TAKES_PARAM_ALONE;
  const Status status = last_touched ? STATUS_OK : action_check(action, error);
  if (!status) {
    map->target = (MidiBinding){ .action = *action };
    begin(map);
  }
  return status;
}

void
midi_map_learn_stop(MidiMap* map)
{
  map->is_learning = false;
}

bool
midi_map_is_learning(const MidiMap* map)
{
  return map->is_learning;
}

bool
midi_map_learn_ends(MidiMap* map, double now_s)
{
  if (!map->is_learning) {
    return false;
  }
  if (map->learn_until_s == 0) {
    map->learn_until_s = now_s + MIDI_LEARN_S_MAX;
  }
  map->is_learning = now_s < map->learn_until_s;
  return !map->is_learning;
}

void
midi_map_keys(const MidiMap* map, uint64_t keys[16][2])
{
  memset(keys, map->is_learning ? 0xff : 0, 16 * sizeof *keys);
  for (size_t i = 0; i < map->bound_count; ++i) {
    const MidiSource* const source = &map->bound[i].binding.source;
    if (source->kind != MIDI_SOURCE_NOTE) {
      continue;
    }
    const bool     any  = source->channel == MIDI_CHANNEL_ANY;
    const unsigned last = any ? 15 : source->channel;
    for (unsigned channel = any ? 0 : last; channel <= last; ++channel) {
      keys[channel][source->number >> 6] |= UINT64_C(1)
                                            << (source->number & 63);
    }
  }
}

bool
midi_learn_source(MidiMap* map, const MidiSource* source, Error* error)
{
  const size_t before = map->bound_count;
  size_t       kept   = 0;
  for (size_t i = 0; i < before; ++i) {
    if (map->bound[i].origin != MIDI_LEARNT ||
        !midi_map_are_rivals(&map->bound[i].binding.source, source)) {
      map->bound[kept++] = map->bound[i];
    }
  }
  midi_map_keep_first(map, kept);
  map->changed       = map->changed || kept != before;
  map->target.source = *source;
  map->is_learning   = false;
  if (midi_map_add(map, &map->target, MIDI_LEARNT, error)) {
    return false;
  }
  map->bound[map->bound_count - 1].reach = MIDI_REACH_LEARNT;
  map->changed                           = true;
  return true;
}

static bool
learn_nrpn(MidiMap* map, const MidiMove* move, Error* error)
{
  const int32_t nrpn = move->source.channel << 14 | move->source.number;
  if (map->moves.nrpn != nrpn) {
    map->moves.nrpn       = nrpn;
    map->moves.nrpn_first = move->step ? 0.5 : move->position;
  }
  const bool moved =
    move->step ||
    fabs(move->position - map->moves.nrpn_first) >= TRAVEL / 127.0;
  return moved && midi_learn_source(map, &move->source, error);
}

static bool
learn_cc(MidiMap* map, const uint8_t message[3], Error* error)
{
  const uint8_t  channel = message[0] & 15;
  const uint8_t  number  = message[1];
  const uint8_t  value   = message[2];
  uint8_t* const first   = map->moves.first[channel];
  uint8_t* const last    = map->moves.last[channel];
  // The fine half of a pair whose coarse half is moving.
  const bool is_fine =
    number >= 32 && number < 64 && first[number - 32] != UNHEARD;
  const bool has_fine = number < 32 && first[number + 32] != UNHEARD;
  const bool pressed  = value == 127 && last[number] == 127;
  first[number]       = first[number] == UNHEARD ? value : first[number];
  last[number]        = value;
  if (is_fine || (abs(value - first[number]) < TRAVEL && !pressed)) {
    return false;
  }
  const MidiSource source = { has_fine ? MIDI_SOURCE_CC14 : MIDI_SOURCE_CC,
                              number,
                              channel };
  return midi_learn_source(map, &source, error);
}

bool
midi_learn_controller(MidiMap*        map,
                      const uint8_t   message[3],
                      const MidiMove* moves,
                      size_t          move_count,
                      Error*          error)
{
  const uint8_t     number = message[1];
  const char* const use    = midi_cc_reserved_for(number);
  if (!use) {
    return learn_cc(map, message, error);
  }
  if (move_count) {
    return learn_nrpn(map, &moves[0], error);
  }
  // These come before an NRPN's data and mean no harm.
  const bool chooses = number >= 98 && number <= 101;
  const bool is_data =
    number == 38 && !map->in.channels[message[0] & 15].is_registered;
  // Said once, however long it is moved.
  uint8_t* const heard = &map->moves.first[message[0] & 15][number];
  if (!chooses && !is_data && *heard == UNHEARD) {
    *heard = message[2];
    error_set(error,
              STATUS_BAD_ARGUMENT,
              "CC %u cannot be learnt, it is reserved for %s: move another",
              number,
              use);
  }
  return false;
}
