// Under a session manager: the state is a preset file of its own.
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// How long the manager may take to say what to open.
#define OPEN_S 5.0

static void
state_path(const Session* session, char path[1100])
{
  snprintf(path, 1100, "%s.cfg", session->nsm_path);
}

static Status
open_state(void*       context,
           const char* path,
           const char* display_name,
           const char* client_id,
           Error*      error)
{
  Session* const session = context;
  (void)display_name;
  (void)error;
  snprintf(session->nsm_path, sizeof session->nsm_path, "%s", path);
  snprintf(session->client_name, sizeof session->client_name, "%s", client_id);
  return STATUS_OK;
}

static Status
save_state(void* context, Error* error)
{
  static Preset  preset; // large; the control thread's
  Session* const session = context;
  char           path[1100];
  state_path(session, path);
  session_fill_preset(session, &preset);
  const Status status = preset_write(path, &preset, error);
  if (!status) {
    session_mark_saved(session);
  }
  if (!status && !*preset.model) {
    view_log(session->view,
             "the session is saved without the model that plays: no preset can "
             "name its file");
  }
  return status;
}

static SessionSaved
what_stands(const Session* session)
{
  SessionSaved   now = { .params  = session->knobs.params,
                         .edition = session->map.edition };
  AuditionStatus audition;
  audition_status(session->audition, &audition);
  snprintf(now.model, sizeof now.model, "%s", audition.chosen);
  return now;
}

void
session_mark_saved(Session* session)
{
  session->saved = what_stands(session);
}

bool
session_is_dirty(const Session* session)
{
  const SessionSaved now = what_stands(session);
  return memcmp(&now.params, &session->saved.params, sizeof now.params) ||
         now.edition != session->saved.edition ||
         strcmp(now.model, session->saved.model);
}

// What was saved comes before what the command line did not say.
static Status
take_state(Session* session, Options* options, Error* error)
{
  char path[1100];
  state_path(session, path);
  if (access(path, F_OK)) {
    return STATUS_OK; // a new one
  }
  const Status status = preset_load(path, &session->preset, error);
  if (status) {
    return status;
  }
  snprintf(session->nsm_preset, sizeof session->nsm_preset, "%s", path);
  options->preset = session->nsm_preset;
  if (*session->preset.model && !options->model_typed) {
    options->model_path = options->shipped_model;
    if (options_find_meant(
          session->preset.model, path, options->shipped_model, error)) {
      return error->status;
    }
  }
  for (int id = 0; id < PARAM_COUNT; ++id) {
    if (!options->typed[id]) {
      options->params.value[id] = session->preset.params.value[id];
    }
  }
  return STATUS_OK;
}

Status
session_open_nsm(Session* session, Options* options, Error* error)
{
  const char* const url    = getenv("NSM_URL");
  const NsmConfig   config = { .url        = url,
                               .executable = "meander",
                               .open       = open_state,
                               .save       = save_state,
                               .context    = session };
  if (!url || !*url) {
    return STATUS_OK;
  }
  Status status    = nsm_init(&session->nsm, &config, error);
  session->has_nsm = status == STATUS_OK;
  if (!status) {
    status = nsm_wait_open(&session->nsm, OPEN_S, session->give_up, error);
  }
  return status ? status : take_state(session, options, error);
}
