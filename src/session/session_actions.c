// What each action does.
#include "session/session.h"

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

// What sounds may still be of the model before: then the point is of that one.
static Status
store_before(Session*             session,
             uint32_t             slot,
             const SessionWindow* window,
             Error*               error)
{
  PointSet* const points = &session->points;
  points_choose(points, window->digest, window->size);
  const Status status = points_store(points, slot, window->z, error);
  if (points_get(points, slot)) {
    view_log(session->view,
             "stored point %u, of the model that sounds and is about to end: "
             "it is there when that plays again",
             slot);
  }
  points_choose(
    points, model_digest(session->model), model_latent_size(session->model));
  return status;
}

static Status
store(Session* session, uint32_t slot, Error* error)
{
  const SessionWindow* const window = &session->sounding;
  if (!window->size) {
    return error_set(
      error, STATUS_NOT_FOUND, "nothing sounds yet that could be stored");
  }
  if (strcmp(window->digest, model_digest(session->model)) != 0) {
    return store_before(session, slot, window, error);
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
      return session_save_preset(session, action->text, error);
    case ACTION_PROGRAM:
      return session_take_program(session, (uint32_t)action->number, error);
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
    return session_load_model(session, action->text, error);
  }
  if (audition_takes(action->kind)) {
    return audition_do(session->audition, action, error);
  }
  return do_action(session, action, error);
}
