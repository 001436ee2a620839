// What each action does.
#include "session/session.h"

#include "data_path.h"
#include "provenance.h"
#include "record/line_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// --- Parameters --------------------------------------------------------------

static Status
set_param(Session* session, const Action* action, Error* error)
{
  Knobs* const knobs = &session->knobs;
  switch (action->kind) {
    case ACTION_SET:
      return knobs_set(knobs, action->param, action->number, error);
    case ACTION_SET_SHARE:
      return knobs_set_share(knobs, action->param, action->number, error);
    case ACTION_SET_TEXT:
      return knobs_set_text(knobs, action->param, action->text, error);
    default:
      return knobs_nudge(knobs, action->param, action->number, error);
  }
}

// What the model cannot do is refused, unless it was asked for before another
// model came.
static Status
change_param(Session* session, const Action* action, Error* error)
{
  const Params before = session->knobs.params;
  Error        was;
  if (action->param >= PARAM_COUNT) {
    return error_set(error, STATUS_BAD_ARGUMENT, "no such parameter");
  }
  Status status = set_param(session, action, error);
  if (!status && !generator_check(session->model, &before, &was)) {
    status = generator_check(session->model, &session->knobs.params, error);
  }
  if (status) {
    session->knobs.params = before;
  } else {
    midi_map_touch(&session->map, action->param);
  }
  return status;
}

// --- Points ------------------------------------------------------------------

static Status
store(Session* session, uint32_t slot, Error* error)
{
  const SessionWindow* const window = &session->sounding;
  if (!window->size) {
    return error_set(
      error, STATUS_NOT_FOUND, "nothing sounds yet that could be stored");
  }
  if (strcmp(window->digest, model_digest(session->model)) != 0) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "what sounds is of another model: store when this one "
                     "plays");
  }
  const Status status = points_store(&session->points, slot, window->z, error);
  if (points_get(&session->points, slot)) {
    session_tell_points(session);
    view_log(session->view, "stored point %u", slot);
  }
  return status;
}

static Status
recall(Session* session, uint32_t slot, Error* error)
{
  const float* const z       = points_get(&session->points, slot);
  WorkerCommand      command = { .kind = COMMAND_GO };
  if (!z) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     "point %u is empty for this model: store one first",
                     slot);
  }
  command.point.size = model_latent_size(session->model);
  memcpy(command.point.z, z, command.point.size * sizeof *z);
  return session_tell(session, &command, error);
}

// --- Presets -----------------------------------------------------------------

static Status
load_model(Session* session, const char* name, Error* error)
{
  Action action = { .kind = ACTION_LOAD };
  if (options_find_model(name, action.text, sizeof action.text)) {
    return audition_do(session->audition, &action, error);
  }
  snprintf(action.text, sizeof action.text, "%s", name);
  return audition_do(session->audition, &action, error);
}

Status
session_take_preset(Session* session, const char* name, Error* error)
{
  static Preset preset; // large; the control thread's
  Status        status = preset_load(name, &preset, error);
  if (status) {
    return status;
  }
  session->preset = preset;
  // Not of the music, but of the controllers that are there.
  preset.params.value[PARAM_PICKUP] = session->knobs.params.value[PARAM_PICKUP];
  knobs_set_all(&session->knobs, &preset.params);
  session_bind(session, &session->preset);
  view_log(session->view, "preset %s: %s", name, preset.description);
  return *preset.model ? load_model(session, preset.model, error) : STATUS_OK;
}

void
session_fill_preset(const Session* session, Preset* preset)
{
  *preset               = session->preset;
  preset->params        = session->knobs.params;
  preset->binding_count = 0;
  for (size_t i = 0; i < session->map.bound_count &&
                     preset->binding_count < PRESET_BINDINGS_MAX;
       ++i) {
    char text[MIDI_BINDING_BYTES];
    midi_map_format_binding(
      midi_map_binding(&session->map, i), text, sizeof text);
    if (strlen(text) < PRESET_BINDING_BYTES) {
      snprintf(preset->bindings[preset->binding_count++],
               PRESET_BINDING_BYTES,
               "%s",
               text);
    }
  }
}

static Status
save(Session* session, const char* name, Error* error)
{
  static Preset preset;
  char          path[1024];
  session_fill_preset(session, &preset);
  const Status status = preset_save(name, &preset, path, error);
  if (!status) {
    view_log(session->view, "saved %s", path);
  }
  return status;
}

static Status
program(Session* session, uint32_t number, Error* error)
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

// -----------------------------------------------------------------------------

static Status
learn(Session* session, const Action* action, Error* error)
{
  if (action->kind == ACTION_LEARN_ACTION) {
    return midi_map_learn_text(&session->map, action->text, error);
  }
  if (action->param >= PARAM_COUNT) {
    return error_set(error, STATUS_BAD_ARGUMENT, "no such parameter");
  }
  if (action->kind == ACTION_UNLEARN) {
    view_log(session->view,
             "%zu bindings of %s forgotten",
             midi_map_forget(&session->map, action->param),
             param_table[action->param].name);
  } else {
    midi_map_learn_param(&session->map, action->param);
  }
  return STATUS_OK;
}

static Status
check_number(const Action* action, Error* error)
{
  const ActionInfo* const info = &action_table[action->kind];
  if (info->takes == ACTION_TAKES_NUMBER &&
      !(action->number >= info->low && action->number <= info->high)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s is %g, out of its range %g to %g",
                     info->name,
                     action->number,
                     info->low,
                     info->high);
  }
  return STATUS_OK;
}

static Status
do_action(Session* session, const Action* action, Error* error)
{
  switch (action->kind) {
    case ACTION_PANIC:
      atomic_fetch_add(&session->process->panic_requests, 1);
      return STATUS_OK;
    case ACTION_STORE:
      return store(session, (uint32_t)action->number, error);
    case ACTION_RECALL:
      return recall(session, (uint32_t)action->number, error);
    case ACTION_PRESET:
      return session_take_preset(session, action->text, error);
    case ACTION_SAVE:
      return save(session, action->text, error);
    case ACTION_PROGRAM:
      return program(session, (uint32_t)action->number, error);
    case ACTION_KEEP:
      return session_keep(session, action->number, false, error);
    case ACTION_KEEP_BARS:
      return session_keep(session, action->number, true, error);
    case ACTION_RECORD:
      return session_switch_recording(session, action->number >= 0.5, error);
    case ACTION_LEARN:
    case ACTION_LEARN_ACTION:
    case ACTION_UNLEARN:
      return learn(session, action, error);
    case ACTION_QUIT:
      session->quit = true;
      return STATUS_OK;
    default:
      return error_set(error, STATUS_BAD_ARGUMENT, "no such action");
  }
}

Status
session_do(void* context, const Action* action, Error* error)
{
  Session* const session = context;
  if ((unsigned)action->kind >= ACTION_COUNT) {
    return error_set(error, STATUS_BAD_ARGUMENT, "no such action");
  }
  const Status status = check_number(action, error);
  if (status) {
    return status;
  }
  if (action->kind <= ACTION_NUDGE) {
    return change_param(session, action, error);
  }
  if (action->kind == ACTION_LOAD) {
    return load_model(session, action->text, error);
  }
  if (audition_takes(action->kind)) {
    return audition_do(session->audition, action, error);
  }
  return do_action(session, action, error);
}
