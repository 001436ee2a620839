// What the tests of the MIDI map share: a map, and a parameter table that does
// what it is told.
#pragma once

#include "control/midi_map.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
  MidiMap map;
  Params  params;
  Action  last;  // what was asked for
  size_t  count; // how often
  bool    refuses;
  Error   error; // of the last message
} World;

static World world;

static inline Status
do_action(void* context, const Action* action, Error* error)
{
  World* const w = context;
  w->last        = *action;
  ++w->count;
  if (w->refuses) {
    return error_set(error, STATUS_BAD_ARGUMENT, "not now");
  }
  switch (action->kind) {
    case ACTION_SET_SHARE:
      params_set_share(&w->params, action->param, action->number);
      return STATUS_OK;
    case ACTION_SET_TEXT:
      return params_set_text(&w->params, action->param, action->text, error);
    case ACTION_LEARN:
      midi_map_learn_param(&w->map, action->param);
      break;
    case ACTION_PRESET:
      midi_map_clear(&w->map);
      break;
    default:
      break;
  }
  return STATUS_OK;
}

static inline void
bind_as(MidiOrigin origin, const char* text)
{
  MidiBinding binding;
  Error       error;
  assert_int_equal(midi_map_parse_binding(text, &binding, &error), STATUS_OK);
  assert_int_equal(midi_map_add(&world.map, &binding, origin, &error),
                   STATUS_OK);
}

static inline void
bind(const char* text)
{
  bind_as(MIDI_LEARNT, text);
}

// Without pickup: what knobs do at once is seen best.
static inline int
set_up(void** state)
{
  (void)state;
  memset(&world, 0, sizeof world);
  world.params                     = params_standard();
  world.params.value[PARAM_PICKUP] = 0;
  midi_map_init(&world.map, do_action, &world);
  return 0;
}

static inline MidiHeard
hear(unsigned status, unsigned data1, unsigned data2)
{
  const unsigned    kind    = status & 0xf0;
  const MidiMessage message = {
    .message    = { (uint8_t)status, (uint8_t)data1, (uint8_t)data2 },
    .size_bytes = kind == 0xc0 || kind == 0xd0     ? 2
                  : kind == 0xf0 && status != 0xf2 ? 1
                                                   : 3,
  };
  return midi_map_hear(&world.map, &message, &world.params, &world.error);
}

static inline MidiHeard
cc(unsigned channel, unsigned controller, unsigned value)
{
  return hear(0xb0 | channel, controller, value);
}

// Chooses an NRPN on channel 1 and sends the coarse half of its data.
static inline void
nrpn(unsigned number, unsigned coarse)
{
  cc(0, 99, number >> 7);
  cc(0, 98, number & 127);
  cc(0, 6, coarse);
}

// The binding number i in words.
static inline const char*
binding_text(size_t i)
{
  static char text[MIDI_BINDING_BYTES];
  midi_map_format_binding(midi_map_binding(&world.map, i), text, sizeof text);
  return text;
}

static inline size_t
feedback(MidiMessage messages[64])
{
  return midi_map_feedback(&world.map, &world.params, messages, 64);
}
