// Which model plays: the list that there is to choose from, a model's way to
// the worker and back, and what the player is told of it.
#include "session/session.h"

#include "data_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Beside what was named, the shipped ones are at hand.
Status
session_open_list(Session* session, const Options* options, Error* error)
{
  char         folders[DATA_DIRECTORIES_MAX][1024];
  char         shipped[1024 + 32] = "";
  const size_t count              = data_directories(folders);
  const char*  paths[2];
  size_t       path_count = 0;
  const bool   named      = options->command == COMMAND_AUDITION;
  for (size_t i = 0; i < count && !*shipped; ++i) {
    snprintf(shipped, sizeof shipped, "%s/models/weights", folders[i]);
    *shipped = access(shipped, R_OK) ? '\0' : *shipped;
  }
  if (!named) {
    paths[path_count++] = options->model_path;
  }
  if (!named && *shipped) {
    paths[path_count++] = shipped;
  }
  const AuditionSetup setup = { .paths = named ? options->paths : paths,
                                .path_count =
                                  named ? options->path_count : path_count,
                                .watch  = options->watch,
                                .follow = true,
                                .device = options->device,
                                .seed   = options->seed };
  return audition_open(&setup, &session->audition, error);
}

void
session_adopt_model(Session* session)
{
  session->model                           = session->sources->model;
  session->handed[session->handed_count++] = session->model;
  audition_adopt(
    session->audition, session->model, session->options->model_path);
  if (session->options->command != COMMAND_AUDITION) {
    // The player knows what was asked for.
    snprintf(session->announced,
             sizeof session->announced,
             "%s",
             model_digest(session->model));
  }
}

void
session_give_back(Session* session, Model* model)
{
  for (uint32_t i = 0; i < session->handed_count; ++i) {
    if (session->handed[i] == model) {
      session->handed[i] = session->handed[--session->handed_count];
      audition_retired(session->audition, model);
      return;
    }
  }
}

// Who began with a VAE needed nothing to stand in for it until now.
static void
bring_fallback(Session* session, const Model* model)
{
  Sources* const sources = session->sources;
  WorkerCommand  command = { .kind = COMMAND_FALLBACK };
  Error          error;
  if (!sources_lack_fallback(sources, session->options, model)) {
    return;
  }
  Status status = sources_load_fallback(sources, session->options, &error);
  command.model = sources->fallback;
  if (!status) {
    status = session_tell(session, &command, &error);
  }
  if (status) {
    view_log(
      session->view, "no VAE stands in where it is too slow: %s", error.text);
    return;
  }
  view_log(session->view,
           "where it is too slow: %s %s",
           model_kind_name(sources->fallback),
           model_digest(sources->fallback));
}

static void
swap_to(Session* session, const AuditionEvent* event)
{
  bring_fallback(session, event->model);
  const WorkerCommand command = { .kind  = COMMAND_MODEL,
                                  .model = event->model,
                                  .again = event->compares };
  Error               error;
  if (session->handed_count == SESSION_MODELS ||
      session_tell(session, &command, &error)) {
    view_log(session->view, "too many swaps at once: one was left out");
    audition_retired(session->audition, event->model);
    return;
  }
  session->handed[session->handed_count++] = event->model;
  session->sent                            = event->model;
  session->told_wait                       = false;
}

static void
take_retired(Session* session, Model* retired)
{
  if (retired == session->model && session->sent) {
    session->model          = session->sent;
    session->sent           = NULL;
    session->sources->model = session->model;
    audition_plays(session->audition, session->model);
    session_remember_file(session);
    view_walk_clear(session->view);
    session_tell_points(session);
  }
  session_give_back(session, retired);
}

// --- What the player is told -------------------------------------------------

void
session_name_model(const AuditionNamed* named, char text[SESSION_NAME_BYTES])
{
  char step[32] = "";
  if (named->has_step) {
    snprintf(step, sizeof step, ", step %" PRIu32, named->step);
  }
  snprintf(text,
           SESSION_NAME_BYTES,
           "%s%s%s%s",
           named->name,
           step,
           named->rating ? ", rated " : "",
           rating_names[named->rating]);
}

const char*
session_waits_for(const Session* session)
{
  const unsigned stands =
    session->sent ? atomic_load(&session->worker->stands) : 0;
  return stands & WORKER_FROZEN    ? "the music is frozen"
         : stands & WORKER_STOPPED ? "the beat stands still"
         : stands & WORKER_LISTENS ? "you play"
                                   : NULL;
}

void
session_name_coming(const Session*        session,
                    const AuditionStatus* status,
                    char                  text[SESSION_NAME_BYTES])
{
  const char* const why = session_waits_for(session);
  *text                 = '\0';
  if (!*status->pending) {
    return;
  }
  snprintf(text,
           SESSION_NAME_BYTES,
           "%s%s%s%s",
           status->loading ? "loading " : "",
           status->pending,
           status->loading ? ""
           : why           ? " waits: "
                           : " comes",
           status->loading || !why ? "" : why);
}

// What was asked for while nothing new is planned is heard when it goes on.
static void
tell_wait(Session* session)
{
  AuditionStatus status;
  char           text[SESSION_NAME_BYTES];
  if (session->told_wait || !session_waits_for(session)) {
    return;
  }
  audition_status(session->audition, &status);
  session_name_coming(session, &status, text);
  session->told_wait = true;
  if (*text && !status.loading) {
    view_log(session->view, "%s", text);
  }
}

// Once the first note of another model is heard.
static void
announce(Session* session)
{
  const char* const heard = session->sounding.digest;
  AuditionStatus    status;
  char              text[SESSION_NAME_BYTES];
  if (!*heard || !strcmp(heard, session->announced)) {
    return;
  }
  audition_status(session->audition, &status);
  if (strcmp(status.playing.digest, heard) != 0) {
    return; // it is told in the next turn, or was overtaken
  }
  session_name_model(&status.playing, text);
  view_log(session->view,
           "plays %s%s",
           text,
           !*status.other.name  ? ""
           : status.side == 'A' ? " (A)"
                                : " (B)");
  memcpy(session->announced, heard, sizeof session->announced);
}

void
session_turn_models(Session* session)
{
  AuditionEvent event;
  while (audition_poll(session->audition, &session->knobs.params, &event)) {
    if (event.model) {
      swap_to(session, &event);
    }
    if (*event.text) {
      view_log(session->view, "%s", event.text);
    }
  }
  Model* retired;
  while ((retired = worker_take_retired(session->worker))) {
    take_retired(session, retired);
  }
  tell_wait(session);
  announce(session);
}
