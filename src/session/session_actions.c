// What each action does.
#include "session/session.h"

#include "provenance.h"

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

// --- Files -------------------------------------------------------------------

// Now. All messages before that frame were read, perhaps some after it.
static uint64_t
drained_frame(Session* session)
{
  const uint64_t frame = session_since_origin(session, session_frame(session));
  session_drain(session);
  return frame;
}

static Status
keep(Session* session, double seconds, Error* error)
{
  const uint64_t now = drained_frame(session);
  char           text[PROVENANCE_BYTES_MAX];
  provenance_format(session->options, session->sources, session->worker, text);
  session_tell_breaks(session);
  uint32_t                rest_count;
  const RecordLine* const rest = narrator_rest(&session->narrator, &rest_count);
  const TakeRequest       request = {
          .rest       = rest,
          .rest_count = rest_count,
          .seconds    = seconds,
          .now_frame  = now,
          .bpm        = session_bpm(session),
          .text       = text,
  };
  return keeper_keep(&session->keeper,
                     &session->ring,
                     &request,
                     session->options->keep_path,
                     error);
}

static Status
keep_bars(Session* session, double bars, Error* error)
{
  const double beats = session->knobs.params.value[PARAM_BEATS_PER_BAR];
  return keep(session, bars * beats * 60.0 / session_bpm(session), error);
}

static void
record_line(void* context, const RecordLine* line)
{
  Session* const session = context;
  Error          error; // a line that is lost is counted there
  recorder_line(&session->recorder, line, &error);
}

Status
session_start_recording(Session* session, const char* path, Error* error)
{
  char text[PROVENANCE_BYTES_MAX];
  provenance_format(session->options, session->sources, session->worker, text);
  recorder_init(&session->recorder);
  session->record_origin_frame   = drained_frame(session);
  session->recorder.origin_frame = session->record_origin_frame;
  session->rest_told             = false;
  const Status status =
    recorder_grow(&session->recorder, path, session->rate_hz, text, error);
  session->recording = status == STATUS_OK;
  take_ring_tell_phrase(&session->ring, record_line, session);
  snprintf(session->record_path, sizeof session->record_path, "%s", path);
  return status;
}

// Where the recording is cut: a note whose off could not be written any more
// ends where time did, or the music.
static uint64_t
end_frame(Session* session)
{
  const double   seconds = session->options->seconds;
  const uint64_t ended   = atomic_load(&session->process->ended_at);
  uint64_t       now     = session_since_origin(session, ended);
  if (!ended) {
    const uint64_t read = drained_frame(session);
    const uint64_t last =
      session->record_origin_frame + session->recorder.last_frame + 1;
    now = read > last ? read : last; // what was read is in it
  }
  const uint64_t end =
    seconds < 0 ? UINT64_MAX : (uint64_t)llround(seconds * session->rate_hz);
  return (now < end ? now : end) - session->record_origin_frame;
}

Status
session_stop_recording(Session* session, Error* error)
{
  Recorder* const recorder = &session->recorder;
  const uint64_t  end      = end_frame(session);
  Status          status   = STATUS_OK;
  if (!recorder->count) {
    view_log(session->view,
             "no notes to record: %s is left as it was",
             session->record_path);
  } else {
    char text[PROVENANCE_BYTES_MAX];
    provenance_format(
      session->options, session->sources, session->worker, text);
    session_tell_breaks(session);
    session_tell_rest(session);
    recorder_finish(recorder, end);
    status = recorder_write(
      recorder, session->record_path, session->rate_hz, text, error);
    if (!status) {
      view_log(session->view, "recorded in %s", session->record_path);
    }
  }
  session->recording = false;
  recorder_free(recorder);
  return status;
}

static Status
record(Session* session, bool on, Error* error)
{
  char path[PLACE_BYTES_MAX];
  if (on == session->recording) {
    return STATUS_OK;
  }
  if (!on) {
    return session_stop_recording(session, error);
  }
  const Status status =
    place_take(session->options->keep_path, time(NULL), path, error);
  if (status) {
    return status;
  }
  view_log(session->view, "recording to %s", path);
  return session_start_recording(session, path, error);
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
      return keep(session, action->number, error);
    case ACTION_KEEP_BARS:
      return keep_bars(session, action->number, error);
    case ACTION_RECORD:
      return record(session, action->number >= 0.5, error);
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
    const Status done = audition_do(session->audition, action, error);
    session->compares = !done && action->kind == ACTION_AB;
    return done;
  }
  return do_action(session, action, error);
}
