// Presets and bindings: what a preset brings, what of it the player's own hand
// overrules, and what is kept of the settings.
#include "session/session.h"

#include "data_path.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".safetensors"

// --- Bindings ----------------------------------------------------------------

static void
add_binding(Session* session, const char* text, MidiOrigin origin)
{
  MidiBinding binding;
  Error       error;
  if (midi_map_parse_binding(text, &binding, &error) ||
      midi_map_add(&session->map, &binding, origin, &error)) {
    view_log(session->view, "%s", error.text);
  }
}

static void
bind_preset(Session* session)
{
  const Preset* const preset = &session->preset;
  midi_map_drop(&session->map, MIDI_OF_PRESET);
  for (uint32_t i = 0; i < preset->binding_count; ++i) {
    add_binding(session, preset->bindings[i], MIDI_OF_PRESET);
  }
}

// What was learnt is kept in a file of its own (DATA_LEARNT), in the form of a
// preset, with those standard bindings that were not forgotten. It is there
// every evening. Nobody learns one in these words: what is learnt has a
// channel.
static bool
is_standard(const char* text)
{
  size_t i = 0;
  while (i < midi_map_standard_count && strcmp(midi_map_standard[i], text)) {
    ++i;
  }
  return i < midi_map_standard_count;
}

static bool
bind_learnt(Session* session)
{
  static Preset learnt; // large; the control thread's
  char          path[1024];
  Error         error;
  if (!data_user_path(DATA_CONFIG, DATA_LEARNT, path) || access(path, F_OK)) {
    return false; // nothing was learnt yet
  }
  if (preset_load(path, &learnt, &error)) {
    view_log(session->view, "%s", error.text);
    session->learnt_unread = true;
    return false;
  }
  for (uint32_t i = 0; i < learnt.binding_count; ++i) {
    const char* const text = learnt.bindings[i];
    add_binding(session, text, is_standard(text) ? MIDI_STANDARD : MIDI_LEARNT);
  }
  return true;
}

static void
put_binding(const Session* session, size_t i, Preset* preset)
{
  char text[MIDI_BINDING_BYTES];
  midi_map_format_binding(
    midi_map_binding(&session->map, i), text, sizeof text);
  if (preset->binding_count < PRESET_BINDINGS_MAX &&
      strlen(text) < PRESET_BINDING_BYTES) {
    snprintf(preset->bindings[preset->binding_count++],
             PRESET_BINDING_BYTES,
             "%s",
             text);
  }
}

void
session_save_learnt(Session* session)
{
  static Preset learnt;
  Error         error;
  learnt = (Preset){ .program = -1, .params = params_standard() };
  for (size_t i = 0; i < session->map.bound_count; ++i) {
    if (session->map.bound[i].origin != MIDI_OF_PRESET) {
      put_binding(session, i, &learnt);
    }
  }
  snprintf(learnt.description,
           sizeof learnt.description,
           "what your controllers do, as you taught it");
  midi_map_saved(&session->map);
  char path[1024];
  if (!data_user_path(DATA_CONFIG, DATA_LEARNT, path)) {
    view_log(session->view, "what was learnt is not kept: HOME is not set");
  } else if (session->learnt_unread) {
    view_log(session->view,
             "what was learnt is not kept: it would replace %s, which could "
             "not be read: mend or remove that",
             path);
  } else if (preset_write(path, &learnt, &error)) {
    view_log(session->view, "what was learnt is not kept: %s", error.text);
  }
}

void
session_bind_all(Session* session)
{
  midi_map_clear(&session->map);
  const bool learnt = bind_learnt(session);
  for (size_t i = 0; i < midi_map_standard_count && !learnt; ++i) {
    add_binding(session, midi_map_standard[i], MIDI_STANDARD);
  }
  bind_preset(session);
  midi_map_saved(&session->map);
}

// --- Models ------------------------------------------------------------------

Status
session_load_model(Session* session, const char* name, Error* error)
{
  Action action = { .kind = ACTION_LOAD };
  if (options_find_model(name, action.text, sizeof action.text)) {
    return audition_do(session->audition, &action, error);
  }
  snprintf(action.text, sizeof action.text, "%s", name);
  return audition_do(session->audition, &action, error);
}

// Whoever named the checkpoints wants to hear those.
static bool
keeps_model(const Session* session)
{
  const Options* const options = session->options;
  return options->model_typed || options->watch ||
         options->command == COMMAND_AUDITION;
}

static Status
take_model(Session* session, const char* name, const char* model, Error* error)
{
  Error misses;
  if (!*model) {
    return STATUS_OK;
  }
  if (!keeps_model(session)) {
    return session_load_model(session, model, error);
  }
  const bool can =
    !generator_check(session->model, &session->knobs.params, &misses);
  view_log(session->view,
           "preset %s: its model %s is not taken, since you named others%s%s",
           name,
           model,
           can ? "" : "; what plays leaves some of it out: ",
           can ? "" : misses.text);
  return STATUS_OK;
}

static bool
is_same_file(const char* a, const char* b)
{
  struct stat one;
  struct stat other;
  return !stat(a, &one) && !stat(b, &other) && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

// "vae" of the file of that shipped model.
static bool
find_shipped_name(const char* path, char name[PRESET_MODEL_BYTES])
{
  const char* const slash  = strrchr(path, '/');
  const char* const base   = slash ? slash + 1 : path;
  const size_t      length = strlen(base);
  const size_t      suffix = strlen(SUFFIX);
  char              shipped[1024];
  if (length <= suffix || length - suffix >= PRESET_MODEL_BYTES) {
    return false;
  }
  snprintf(name, PRESET_MODEL_BYTES, "%.*s", (int)(length - suffix), base);
  return options_find_model(name, shipped, sizeof shipped) &&
         is_same_file(path, shipped);
}

// As a preset names what plays, or is on its way: empty where none can.
static void
name_model(const Session* session, char model[PRESET_MODEL_BYTES])
{
  AuditionStatus audition;
  char           folder[1024] = "";
  audition_status(session->audition, &audition);
  const char* const path = audition.chosen;
  if (find_shipped_name(path, model)) {
    return;
  }
  if (*path != '/' && !getcwd(folder, sizeof folder)) {
    *model = '\0';
    return;
  }
  const int length = snprintf(
    model, PRESET_MODEL_BYTES, "%s%s%s", folder, *path == '/' ? "" : "/", path);
  if (length < 0 || (size_t)length >= PRESET_MODEL_BYTES ||
      !preset_can_name_model(model)) {
    *model = '\0';
  }
}

// --- Presets -----------------------------------------------------------------

// What belongs to the rig a preset lends where it names it: where the next one
// does not, there is again what the player had, unless they set it meanwhile.
static void
take_params(Session* session, const Preset* preset)
{
  const Params* const now    = &session->knobs.params;
  Params              params = preset->params;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    if (!(param_table[id].flags & PARAM_RIG)) {
      continue;
    }
    if (!session->lent[id] ||
        now->value[id] != session->preset.params.value[id]) {
      session->rig.value[id] = now->value[id];
    }
    session->lent[id] = preset->named[id];
    if (!preset->named[id]) {
      params.value[id] = session->rig.value[id];
    }
  }
  knobs_set_all(&session->knobs, &params);
}

Status
session_take_preset(Session* session, const char* name, Error* error)
{
  static Preset preset; // large; the control thread's
  const Status  status = preset_load(name, &preset, error);
  if (status) {
    return status;
  }
  take_params(session, &preset);
  session->preset = preset;
  bind_preset(session);
  view_log(session->view, "preset %s: %s", name, preset.description);
  return take_model(session, name, preset.model, error);
}

// Of the bindings those that are at work; the standard ones are there anyhow.
// The preset's come first, as it had them.
static void
fill_bindings(const Session* session, Preset* preset)
{
  const MidiMap* const map = &session->map;
  preset->binding_count    = 0;
  for (int origin = MIDI_OF_PRESET; origin <= MIDI_LEARNT; ++origin) {
    for (size_t i = 0; i < map->bound_count; ++i) {
      if ((int)map->bound[i].origin == origin && midi_map_is_active(map, i)) {
        put_binding(session, i, preset);
      }
    }
  }
}

void
session_fill_preset(const Session* session, Preset* preset)
{
  *preset         = session->preset;
  preset->params  = session->knobs.params;
  preset->program = -1; // that one's own
  name_model(session, preset->model);
  fill_bindings(session, preset);
}

Status
session_save_preset(Session* session, const char* name, Error* error)
{
  static Preset preset; // large; the control thread's
  static Preset before;
  char          path[1024];
  session_fill_preset(session, &preset);
  if (!preset_load(name, &before, error)) {
    preset.program = before.program;
  }
  const Status status = preset_save(name, &preset, path, error);
  if (!status) {
    view_log(session->view,
             "saved %s%s",
             path,
             *preset.model ? ""
                           : ", without the model that plays: no preset "
                             "can name its file");
  }
  return status;
}

Status
session_take_program(Session* session, uint32_t number, Error* error)
{
  const int what = (int)session->knobs.params.value[PARAM_PROGRAM_CHANGE];
  char      name[PRESET_NAME_BYTES];
  if (what == PROGRAM_CHECKPOINT) {
    return audition_choose(session->audition, number, error);
  }
  if (what == PROGRAM_OFF) {
    return STATUS_OK;
  }
  const Status status = preset_by_number(number, name, error);
  return status ? status : session_take_preset(session, name, error);
}
