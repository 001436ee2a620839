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
    session->saved_params = session->knobs.params;
  }
  return status;
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
