// Bindings in words, and the table of them.
#include "control/action_text.h"
#include "control/midi_learn.h"
#include "control/midi_map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char*    name;
  MidiSourceKind kind;
  unsigned       low;
  unsigned       high;
} source_kinds[] = { { "cc", MIDI_SOURCE_CC, 0, 127 },
                     { "cc14", MIDI_SOURCE_CC14, 0, 31 },
                     { "nrpn", MIDI_SOURCE_NRPN, 0, 16382 },
                     { "note", MIDI_SOURCE_NOTE, 0, 127 } };
#define SOURCE_KINDS (sizeof source_kinds / sizeof *source_kinds)

static Status
parse_whole(const char* word,
            const char* what,
            unsigned    low,
            unsigned    high,
            unsigned*   out,
            Error*      error)
{
  const size_t length = word ? strlen(word) : 0;
  if (!length || length > 5 || strspn(word, "0123456789") != length ||
      (*out = (unsigned)strtoul(word, NULL, 10)) < low || *out > high) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s is '%.20s', use %u to %u",
                     what,
                     word ? word : "",
                     low,
                     high);
  }
  return STATUS_OK;
}

static Status
check_reserved(const MidiSource* source, Error* error)
{
  const bool is_cc =
    source->kind == MIDI_SOURCE_CC || source->kind == MIDI_SOURCE_CC14;
  const char* const use = is_cc ? midi_cc_reserved_for(source->number) : NULL;
  return use ? error_set(error,
                         STATUS_BAD_ARGUMENT,
                         "CC %u is reserved for %s, use another",
                         source->number,
                         use)
             : STATUS_OK;
}

// "cc 74 ch 2"; `text` is cut into words.
static Status
parse_source(char* text, MidiSource* source, Error* error)
{
  char*             rest;
  const char* const kind = strtok_r(text, " \t", &rest);
  size_t            i    = 0;
  while (kind && i < SOURCE_KINDS && strcmp(kind, source_kinds[i].name)) {
    ++i;
  }
  if (!kind || i == SOURCE_KINDS) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "'%.20s' is no controller, use cc, cc14, nrpn or note",
                     kind ? kind : "");
  }
  unsigned          number  = 0;
  unsigned          channel = MIDI_CHANNEL_ANY + 1;
  const Status      status  = parse_whole(strtok_r(NULL, " \t", &rest),
                                    kind,
                                    source_kinds[i].low,
                                    source_kinds[i].high,
                                    &number,
                                    error);
  const char* const word    = status ? NULL : strtok_r(NULL, " \t", &rest);
  if (status || (word && strcmp(word, "ch"))) {
    return status ? status
                  : error_set(error,
                              STATUS_BAD_ARGUMENT,
                              "'%.20s' after %s %u, use '=' or 'ch' and a "
                              "channel",
                              word,
                              kind,
                              number);
  }
  if (word) {
    const Status bad = parse_whole(
      strtok_r(NULL, " \t", &rest), "channel", 1, 16, &channel, error);
    const char* const more = bad ? NULL : strtok_r(NULL, " \t", &rest);
    if (bad || more) {
      return bad ? bad
                 : error_set(error,
                             STATUS_BAD_ARGUMENT,
                             "'%.20s' after the channel, use '='",
                             more);
    }
  }
  *source = (MidiSource){ source_kinds[i].kind,
                          (uint16_t)number,
                          (uint8_t)(channel - 1) };
  return check_reserved(source, error);
}

// "0.25..1"
static Status
parse_range(const char* text, double* low, double* high, Error* error)
{
  const char* const dots = strstr(text, "..");
  char*             end  = NULL;
  char*             last = NULL;
  char              first[16];
  snprintf(first, sizeof first, "%.*s", dots ? (int)(dots - text) : 0, text);
  *low = strtod(first, &end);
  if (dots && end != first && !*end) {
    *high = strtod(dots + 2, &last);
    last  = last == dots + 2 ? NULL : last;
  }
  if (!last || last[strspn(last, " \t")] ||
      !(*low >= 0 && *low <= 1 && *high >= 0 && *high <= 1) || *low == *high) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "'%.40s' is no part of a range, use two shares of it as "
                     "in 0.25..1",
                     text);
  }
  return STATUS_OK;
}

// What stands right of '='.
static Status
parse_target(const char* text, MidiBinding* binding, Error* error)
{
  text += strspn(text, " \t");
  const size_t length = strcspn(text, " \t");
  char         name[PARAM_NAME_BYTES];
  snprintf(name, sizeof name, "%.*s", (int)length, text);
  const ParamId param = length < sizeof name ? params_find(name) : PARAM_COUNT;
  binding->follows    = param != PARAM_COUNT;
  if (!binding->follows) {
    const Status status = action_parse(text, &binding->action, error);
    if (status && length < sizeof name && action_find(name) == ACTION_COUNT) {
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "there is no parameter and no action '%s'",
                       name);
    }
    return status;
  }
  binding->low    = 0;
  binding->high   = 1;
  binding->action = (Action){ .kind = ACTION_SET_SHARE, .param = param };
  text += length;
  text += strspn(text, " \t");
  return *text ? parse_range(text, &binding->low, &binding->high, error)
               : STATUS_OK;
}

Status
midi_map_parse_binding(const char* text, MidiBinding* binding, Error* error)
{
  char              source[64];
  const char* const equals = strchr(text, '=');
  const size_t      length = equals ? (size_t)(equals - text) : 0;
  if (!equals || length >= sizeof source) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "binding '%.40s': use a form like 'cc 74 = density'",
                     text);
  }
  snprintf(source, sizeof source, "%.*s", (int)length, text);
  MidiBinding parsed = { .follows = false };
  Status      status = parse_source(source, &parsed.source, error);
  if (!status) {
    status = parse_target(equals + 1, &parsed, error);
  }
  if (status) {
    error_prefix(error, "binding '%.40s': ", text);
  } else {
    *binding = parsed;
  }
  return status;
}

void
midi_map_format_binding(const MidiBinding* binding,
                        char*              text,
                        size_t             size_bytes)
{
  const MidiSource* const source      = &binding->source;
  char                    channel[16] = "";
  if (source->channel < MIDI_CHANNEL_ANY) {
    snprintf(channel, sizeof channel, " ch %u", source->channel + 1u);
  }
  const int used = snprintf(text,
                            size_bytes,
                            "%s %u%s = ",
                            source_kinds[source->kind].name,
                            source->number,
                            channel);
  if (used < 0 || (size_t)used >= size_bytes) {
    return;
  }
  char* const  rest = text + used;
  const size_t room = size_bytes - (size_t)used;
  if (!binding->follows) {
    action_format(&binding->action, rest, room);
  } else if (binding->low == 0 && binding->high == 1) {
    snprintf(rest, room, "%s", param_table[binding->action.param].name);
  } else {
    snprintf(rest,
             room,
             "%s %.6g..%.6g",
             param_table[binding->action.param].name,
             binding->low,
             binding->high);
  }
}

Status
midi_map_learn_text(MidiMap* map, const char* target, Error* error)
{
  MidiBinding  parsed = { .follows = false };
  const Status status = parse_target(target, &parsed, error);
  if (!status && parsed.follows) {
    midi_map_learn_param(map, parsed.action.param);
    map->target = parsed;
  } else if (!status) {
    return midi_map_learn_action(map, &parsed.action, error);
  }
  return status;
}

static bool
same_source(const MidiSource* a, const MidiSource* b)
{
  return a->kind == b->kind && a->number == b->number &&
         a->channel == b->channel;
}

static bool
same_target(const MidiBinding* a, const MidiBinding* b)
{
  return a->follows == b->follows && a->action.kind == b->action.kind &&
         a->action.param == b->action.param &&
         a->action.number == b->action.number &&
         !strcmp(a->action.text, b->action.text);
}

bool
midi_map_are_rivals(const MidiSource* a, const MidiSource* b)
{
  if (a->channel != b->channel && a->channel != MIDI_CHANNEL_ANY &&
      b->channel != MIDI_CHANNEL_ANY) {
    return false;
  }
  const MidiSource* const pair = a->kind == MIDI_SOURCE_CC14 ? a : b;
  const MidiSource* const one  = pair == a ? b : a;
  if (pair->kind == MIDI_SOURCE_CC14 && one->kind == MIDI_SOURCE_CC) {
    return one->number < 64 && (one->number & 31) == pair->number;
  }
  return a->kind == b->kind && a->number == b->number;
}

static bool
shadows(const MidiBound* later, const MidiBound* earlier)
{
  return later->origin > earlier->origin &&
         midi_map_are_rivals(&later->binding.source, &earlier->binding.source);
}

// What comes to light again shows what stands, as if it were new.
static void
settle(MidiMap* map, MidiBound* bound)
{
  bool shadowed = false;
  for (size_t i = 0; i < map->bound_count && !shadowed; ++i) {
    shadowed = shadows(&map->bound[i], bound);
  }
  if (bound->shadowed && !shadowed) {
    bound->shown    = NAN;
    bound->position = -1;
    bound->caught   = false;
  }
  bound->shadowed = shadowed;
}

void
midi_map_keep_first(MidiMap* map, size_t kept)
{
  map->bound_count = kept;
  for (size_t i = 0; i < kept; ++i) {
    settle(map, &map->bound[i]);
  }
  ++map->edition;
}

Status
midi_map_add(MidiMap*           map,
             const MidiBinding* binding,
             MidiOrigin         origin,
             Error*             error)
{
  size_t i = 0;
  while (i < map->bound_count &&
         !(map->bound[i].origin == origin &&
           same_source(&map->bound[i].binding.source, &binding->source) &&
           same_target(&map->bound[i].binding, binding))) {
    ++i;
  }
  if (i == MIDI_BINDINGS_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "%u controllers are bound already, forget one first",
                     MIDI_BINDINGS_MAX);
  }
  map->bound[i]    = (MidiBound){ .binding  = *binding,
                                  .origin   = origin,
                                  .shown    = NAN,
                                  .position = -1,
                                  .reach    = MIDI_REACH,
                                  .channel  = binding->source.channel & 15 };
  map->bound_count = i == map->bound_count ? i + 1 : map->bound_count;
  settle(map, &map->bound[i]);
  for (size_t k = 0; k < map->bound_count; ++k) {
    map->bound[k].shadowed =
      map->bound[k].shadowed || shadows(&map->bound[i], &map->bound[k]);
  }
  ++map->edition;
  return STATUS_OK;
}

double
midi_binding_position(const MidiBinding* binding, const Params* params)
{
  const double share = params_share(params, binding->action.param);
  const double of    = (share - binding->low) / (binding->high - binding->low);
  return fmin(fmax(of, 0), 1);
}
