// Bound controllers at work.
#include "control/midi_map.h"

#include "control/midi_learn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// The modulation wheel, the volume fader and so on, where controllers of the
// General MIDI kind have them; pedals freeze, hold and mute.
const char* const midi_map_standard[] = {
  "cc 1 = temperature", "cc 7 = dynamics", "cc 10 = position",
  "cc 11 = walk_step",  "cc 64 = freeze",  "cc 66 = hold",
  "cc 67 = mute",       "cc 71 = pull",    "cc 72 = swing",
  "cc 73 = quantise",   "cc 74 = density", "cc 76 = tempo",
};
const size_t midi_map_standard_count =
  sizeof midi_map_standard / sizeof *midi_map_standard;

void
midi_map_init(MidiMap* map, ActionDo do_action, void* context)
{
  memset(map, 0, sizeof *map);
  midi_in_init(&map->in);
  map->touched   = PARAM_COUNT;
  map->do_action = do_action;
  map->context   = context;
}

void
midi_map_clear(MidiMap* map)
{
  map->bound_count = 0;
  map->is_learning = false;
  ++map->edition;
}

size_t
midi_map_forget(MidiMap* map, ParamId id)
{
  const size_t before = map->bound_count;
  size_t       kept   = 0;
  for (size_t i = 0; i < before; ++i) {
    if (!map->bound[i].binding.follows ||
        map->bound[i].binding.action.param != id) {
      map->bound[kept++] = map->bound[i];
    }
  }
  midi_map_keep_first(map, kept);
  map->changed = map->changed || before != kept;
  return before - kept;
}

void
midi_map_drop(MidiMap* map, MidiOrigin origin)
{
  size_t kept = 0;
  for (size_t i = 0; i < map->bound_count; ++i) {
    if (map->bound[i].origin != origin) {
      map->bound[kept++] = map->bound[i];
    }
  }
  midi_map_keep_first(map, kept);
}

const MidiBinding*
midi_map_binding(const MidiMap* map, size_t i)
{
  return &map->bound[i].binding;
}

bool
midi_map_is_active(const MidiMap* map, size_t i)
{
  return !map->bound[i].shadowed;
}

bool
midi_map_changed(const MidiMap* map)
{
  return map->changed;
}

void
midi_map_saved(MidiMap* map)
{
  map->changed = false;
}

void
midi_map_touch(MidiMap* map, ParamId id)
{
  map->touched = id;
}

bool
midi_source_covers(const MidiSource* bound, const MidiSource* moved)
{
  return bound->kind == moved->kind && bound->number == moved->number &&
         (bound->channel == MIDI_CHANNEL_ANY ||
          bound->channel == moved->channel);
}

static void
do_action(MidiMap* map, const Action* action, Error* error)
{
  Error refusal = { .status = STATUS_OK };
  if (map->do_action(map->context, action, &refusal)) {
    *error = refusal;
  }
}

// Whether a knob that has just come from `before` (below 0: not known) to where
// it stands now moves the value that stands.
static bool
picks_up(MidiBound* bound, double before, double share, const Params* params)
{
  const ParamId id = bound->binding.action.param;
  if (params->value[PARAM_PICKUP] == 0 ||
      param_table[id].type == PARAM_CHOICE) {
    return true;
  }
  if (params->value[id] != bound->shown) {
    bound->caught = false; // somebody else moved it
  }
  if (!bound->caught) {
    const double stands = midi_binding_position(&bound->binding, params);
    const double now    = bound->position;
    Params       would  = *params;
    params_set_share(&would, id, share);
    const bool passed = before >= 0 && (before - stands) * (now - stands) < 0;
    bound->caught     = passed || fabs(now - stands) <= bound->reach ||
                    would.value[id] == params->value[id];
    bound->reach = MIDI_REACH;
  }
  return bound->caught;
}

// After this the controller and the parameter agree, unless it was refused.
static void
set_share(MidiMap* map, MidiBound* bound, double share, Error* error)
{
  const ParamId id = bound->binding.action.param;
  Action action    = { .kind = ACTION_SET_SHARE, .param = id, .number = share };
  Error  refusal   = { .status = STATUS_OK };
  if (map->do_action(map->context, &action, &refusal)) {
    bound->shown = NAN;
    *error       = refusal;
    return;
  }
  Params expected;
  params_set_share(&expected, id, share);
  bound->shown  = expected.value[id];
  bound->caught = true;
}

static double
share_at(const MidiBinding* binding, double position)
{
  return binding->low + (binding->high - binding->low) * position;
}

static void
follow(MidiMap*        map,
       MidiBound*      bound,
       const MidiMove* move,
       const Params*   params,
       Error*          error)
{
  const MidiBinding* const binding = &bound->binding;
  if (move->step) {
    const int    turned = binding->high > binding->low ? 1 : -1;
    const Action action = { .kind   = ACTION_NUDGE,
                            .param  = binding->action.param,
                            .number = move->step * turned };
    do_action(map, &action, error);
    return;
  }
  const double before = bound->position;
  const double share  = share_at(binding, move->position);
  bound->position     = move->position;
  if (picks_up(bound, before, share, params)) {
    set_share(map, bound, share, error);
  }
}

// "learn" without a name is the parameter last touched, and learning once more
// ends it. A copy: a preset takes the binding away that asked for it.
static void
do_bound_action(MidiMap* map, Action action, Error* error)
{
  const bool is_learn =
    action.kind == ACTION_LEARN || action.kind == ACTION_LEARN_ACTION;
  if (is_learn && map->is_learning) {
    midi_map_learn_stop(map);
    return;
  }
  if (action_table[action.kind].takes == ACTION_TAKES_PARAM_ALONE &&
      action.param == PARAM_COUNT) {
    if (map->touched == PARAM_COUNT) {
      error_set(error,
                STATUS_BAD_ARGUMENT,
                "%s: no parameter was touched yet, change one first",
                action_table[action.kind].name);
      return;
    }
    action.param = map->touched;
  }
  do_action(map, &action, error);
}

// Done as the controller gets to its upper half, and each time it says 127:
// there are buttons that never say 0.
static void
trigger(MidiMap* map, MidiBound* bound, const MidiMove* move, Error* error)
{
  const bool was_up = bound->position >= 0.5;
  bound->position   = move->step ? bound->position : move->position;
  if (move->step > 0 || (!move->step && move->position >= 0.5 &&
                         (!was_up || move->position >= 1))) {
    do_bound_action(map, bound->binding.action, error);
  }
}

// A key steps through names and sets numbers by its velocity.
static void
press(MidiMap*      map,
      MidiBound*    bound,
      uint8_t       velocity,
      const Params* params,
      Error*        error)
{
  const ParamId          id   = bound->binding.action.param;
  const ParamInfo* const info = &param_table[id];
  if (!bound->binding.follows) {
    do_bound_action(map, bound->binding.action, error);
  } else if (info->type == PARAM_CHOICE) {
    const double next   = params->value[id] + 1;
    Action       action = { .kind = ACTION_SET_TEXT, .param = id };
    snprintf(action.text,
             sizeof action.text,
             "%s",
             info->choices[(int)(next > info->high ? info->low : next)]);
    do_action(map, &action, error);
  } else {
    set_share(map, bound, share_at(&bound->binding, velocity / 127.0), error);
  }
}

// While something is learnt, only what must never be shut out.
static bool
is_shut_out(const MidiMap* map, const MidiBinding* binding)
{
  return map->is_learning &&
         (binding->follows || (binding->action.kind != ACTION_PANIC &&
                               binding->action.kind != ACTION_LEARN &&
                               binding->action.kind != ACTION_LEARN_ACTION));
}

// Whether what moved is this one's to obey.
static bool
is_meant(const MidiBound* bound, const MidiSource* moved)
{
  return !bound->shadowed && midi_source_covers(&bound->binding.source, moved);
}

static bool
is_bound(const MidiMap* map, const MidiSource* moved)
{
  for (size_t i = 0; i < map->bound_count; ++i) {
    if (is_meant(&map->bound[i], moved)) {
      return true;
    }
  }
  return false;
}

// Whether what moved means something that learning leaves alone.
static bool
is_kept(const MidiMap* map, const MidiSource* moved)
{
  for (size_t i = 0; i < map->bound_count; ++i) {
    if (is_meant(&map->bound[i], moved) &&
        !is_shut_out(map, &map->bound[i].binding)) {
      return true;
    }
  }
  return false;
}

// What is bound is done, up to an action that changes the bindings: a preset,
// unlearn.
static MidiHeard
do_move(MidiMap*        map,
        const MidiMove* move,
        uint8_t         velocity,
        const Params*   params,
        Error*          error)
{
  MidiHeard      heard   = MIDI_HEARD_NOTHING;
  const uint32_t edition = map->edition;
  for (size_t i = 0; i < map->bound_count && edition == map->edition; ++i) {
    MidiBound* const bound = &map->bound[i];
    if (!is_meant(bound, &move->source)) {
      continue;
    }
    heard = MIDI_HEARD_DONE;
    // Another controller, perhaps: where that stood is not known.
    bound->position =
      bound->channel == move->source.channel ? bound->position : -1;
    bound->channel = move->source.channel;
    if (is_shut_out(map, &bound->binding)) {
      continue;
    }
    if (move->source.kind == MIDI_SOURCE_NOTE) {
      press(map, bound, velocity, params, error);
    } else if (bound->binding.follows) {
      follow(map, bound, move, params, error);
    } else {
      trigger(map, bound, move, error);
    }
  }
  return heard;
}

// The NRPN of a parameter's own, where it is not bound otherwise.
static MidiHeard
do_own_nrpn(MidiMap* map, const MidiMove* move, Error* error)
{
  if (move->source.number >= PARAM_COUNT || map->is_learning) {
    return MIDI_HEARD_NOTHING;
  }
  const Action action = {
    .kind   = move->step ? ACTION_NUDGE : ACTION_SET_SHARE,
    .param  = (ParamId)move->source.number,
    .number = move->step ? move->step : move->position,
  };
  do_action(map, &action, error);
  return MIDI_HEARD_DONE;
}

static MidiHeard
hear_controller(MidiMap*      map,
                const uint8_t message[3],
                const Params* params,
                Error*        error)
{
  MidiMove     moves[MIDI_MOVES_MAX];
  const size_t count = midi_in_hear(&map->in, message, moves);
  if (map->is_learning && !(count && is_kept(map, &moves[0].source)) &&
      midi_learn_controller(map, message, moves, count, error)) {
    return MIDI_HEARD_LEARNT;
  }
  MidiHeard heard = MIDI_HEARD_NOTHING;
  for (size_t i = 0; i < count; ++i) {
    const MidiHeard one = do_move(map, &moves[i], 0, params, error);
    heard               = one ? one : heard;
  }
  if (!heard && count && moves[0].source.kind == MIDI_SOURCE_NRPN) {
    heard = do_own_nrpn(map, &moves[0], error);
  }
  const uint8_t controller = message[1];
  if (controller == 120 || controller >= 123) {
    memset(map->played[message[0] & 15], 0, sizeof *map->played);
    heard = MIDI_HEARD_END;
  }
  return heard;
}

static MidiHeard
hear_note(MidiMap*      map,
          const uint8_t message[3],
          const Params* params,
          Error*        error)
{
  const uint8_t  channel = message[0] & 15;
  const uint8_t  key     = message[1];
  const bool     is_on   = (message[0] & 0xf0) == 0x90 && message[2];
  const uint64_t bit     = UINT64_C(1) << (key & 63);
  uint64_t*      played  = &map->played[channel][key >> 6];
  if (!is_on) {
    const bool was_played = *played & bit;
    *played &= ~bit;
    return was_played ? MIDI_HEARD_PLAYED : MIDI_HEARD_NOTHING;
  }
  const MidiMove move = { .source = { MIDI_SOURCE_NOTE, key, channel } };
  if (map->is_learning && !is_kept(map, &move.source)) {
    return midi_learn_source(map, &move.source, error) ? MIDI_HEARD_LEARNT
                                                       : MIDI_HEARD_NOTHING;
  }
  if (is_bound(map, &move.source)) {
    return do_move(map, &move, message[2], params, error);
  }
  *played |= bit;
  return MIDI_HEARD_PLAYED;
}

static MidiHeard
hear_program(MidiMap* map, uint8_t program, Error* error)
{
  const Action action = { .kind   = ACTION_PROGRAM,
                          .param  = PARAM_COUNT,
                          .number = program };
  do_action(map, &action, error);
  return MIDI_HEARD_DONE;
}

// Whether its size fits its status byte and its data bytes are such.
static bool
is_whole(const MidiMessage* message)
{
  const uint8_t status = message->message[0];
  const uint8_t kind   = status & 0xf0;
  const uint8_t size   = kind == 0xf0                   ? (status == 0xf2   ? 3
                                                           : status == 0xf3 ? 2
                                                                            : 1)
                         : kind == 0xc0 || kind == 0xd0 ? 2
                                                        : 3;
  return status >= 0x80 && message->size_bytes == size &&
         (size < 2 || message->message[1] < 0x80) &&
         (size < 3 || message->message[2] < 0x80);
}

MidiHeard
midi_map_hear(MidiMap*           map,
              const MidiMessage* message,
              const Params*      params,
              Error*             error)
{
  *error = (Error){ .status = STATUS_OK };
  if (!is_whole(message)) {
    ++map->malformed_count;
    return MIDI_HEARD_NOTHING;
  }
  const uint8_t* const bytes = message->message;
  switch (bytes[0] & 0xf0) {
    case 0x80:
    case 0x90:
      return hear_note(map, bytes, params, error);
    case 0xb0:
      return hear_controller(map, bytes, params, error);
    case 0xc0:
      return hear_program(map, bytes[1], error);
    case 0xf0:
      return bytes[0] == 0xf2 || bytes[0] == 0xf8 || bytes[0] == 0xfa ||
                 bytes[0] == 0xfb || bytes[0] == 0xfc
               ? MIDI_HEARD_CLOCK
               : MIDI_HEARD_NOTHING;
    default:
      return MIDI_HEARD_NOTHING;
  }
}
