// Opening, turning and closing a session.
#include "session/session.h"

#include "clock.h"
#include "data_path.h"
#include "live/process_setup.h"
#include "provenance.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

Status
session_tell(Session* session, const WorkerCommand* command, Error* error)
{
  return worker_command(session->worker, command)
           ? STATUS_OK
           : error_set(error,
                       STATUS_UNAVAILABLE,
                       "too much is asked for at once: try again");
}

uint64_t
session_frame(const Session* session)
{
  return atomic_load(&session->process->processed_until);
}

uint64_t
session_since_origin(const Session* session, uint64_t frame)
{
  const uint64_t origin = atomic_load(&session->worker->origin_frame);
  return frame > origin ? frame - origin : 0;
}

double
session_bpm(const Session* session)
{
  return beat_follower_bpm(&session->beat);
}

// --- Opening -----------------------------------------------------------------

static Status
open_osc(Session* session, Error* error)
{
  const Options* const options = session->options;
  const OscConfig      config  = { .address     = options->osc_address,
                                   .port        = options->osc_port,
                                   .do_action   = session_do,
                                   .fill_status = session_fill_status,
                                   .context     = session };
  if (options->no_osc) {
    return STATUS_OK;
  }
  const Status status = osc_init(&session->osc, &config, error);
  session->has_osc    = status == STATUS_OK;
  if (session->has_osc) {
    view_log(session->view,
             "OSC at %s:%u",
             config.address ? config.address : OSC_ADDRESS_STANDARD,
             osc_port(&session->osc));
  } else if (!options->osc_named) {
    // Another instrument has the standard port: play without.
    view_log(session->view, "no OSC: %s", error->text);
    return STATUS_OK;
  }
  return status;
}

Status
session_find_first(Session* session, Options* options, Error* error)
{
  Status status = session_open_nsm(session, options, error);
  if (!status) {
    status = session_open_list(session, options, error);
  }
  if (!status && options->command == COMMAND_AUDITION &&
      audition_first(session->audition, session->first_path)) {
    options->model_path = session->first_path;
  }
  return status;
}

const char*
session_client_name(const Session* session)
{
  return *session->client_name ? session->client_name : "meander";
}

Status
session_open(Session* session, Error* error)
{
  const Options* const options = session->options;
  Error                told;
  session->windows = calloc(SESSION_WINDOWS, sizeof *session->windows);
  if (!session->windows) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a session");
  }
  knobs_init(&session->knobs, &options->params);
  session->rig = options->params;
  midi_map_init(&session->map, session_do, session);
  session->preset = (Preset){ .program = -1, .params = options->params };
  if (options->preset &&
      preset_load(options->preset, &session->preset, &told)) {
    view_log(session->view, "%s", told.text); // it was there a moment ago
  }
  session_bind_all(session);
  if (points_load(&session->points, &told)) {
    view_log(session->view, "%s", told.text);
  }
  session_adopt_model(session);
  session_mark_saved(session);
  return open_osc(session, error);
}

void
session_tell_points(Session* session)
{
  const uint32_t size = model_latent_size(session->model);
  points_choose(&session->points, model_digest(session->model), size);
  session->points_due = false;
  for (uint32_t slot = 1; slot <= POINTS_MAX; ++slot) {
    const float* const z       = points_get(&session->points, slot);
    WorkerCommand      command = { .kind = COMMAND_POINT, .slot = slot };
    Error              error;
    if (z) {
      command.point.size = size;
      memcpy(command.point.z, z, size * sizeof *z);
    }
    view_walk_mark(session->view, slot, z, size);
    if (session_tell(session, &command, &error)) {
      session->points_due = true; // in the next turn
    }
  }
}

// What process has to know of the parameters.
static void
tell_process(Session* session)
{
  const Params* const params  = &session->knobs.params;
  Process* const      process = session->process;
  const bool          echoed  = atomic_load(&process->echo);
  const bool          echo    = params->value[PARAM_ECHO] > 0;
  atomic_store(&process->follow, (int)params->value[PARAM_SYNC]);
  atomic_store(&process->echo, echo);
  atomic_store(&process->clock_out, params->value[PARAM_CLOCK_OUT] > 0);
  if (echoed && !echo) {
    atomic_fetch_add(&process->release_requests, 1);
  }
  beat_follower_set(&session->beat, params);
}

Status
session_start(Session* session, uint32_t rate_hz, Error* error)
{
  const Sync sync   = (Sync)(int)session->knobs.params.value[PARAM_SYNC];
  Status     status = STATUS_OK;
  session->rate_hz  = rate_hz;
  session->started  = true;
  beat_follower_init(&session->beat, rate_hz, sync);
  tell_process(session);
  phrase_in_init(&session->phrase, rate_hz);
  if (sync != SYNC_FREE) {
    const WorkerCommand waits = { .kind = COMMAND_TIME };
    status                    = session_tell(session, &waits, error);
  }
  session_tell_points(session);
  if (!status) {
    status = take_ring_init(&session->ring, rate_hz, error);
  }
  session->has_ring = !status;
  if (!status) {
    status = keeper_init(&session->keeper, error);
  }
  return status || !session->options->record_path
           ? status
           : session_start_recording(
               session, session->options->record_path, error);
}

// --- Turning -----------------------------------------------------------------

static void
told(Session* session, const Error* error)
{
  if (error->status) {
    view_log(session->view, "%s", error->text);
  }
}

static void
hear_played_note(Session* session, const HeardEvent* event)
{
  if (session->knobs.params.value[PARAM_LISTEN] != LISTEN_OFF) {
    phrase_in_add(&session->phrase, event->frame, event->midi.message);
  }
}

static void
hear_midi(Session* session, const HeardEvent* event)
{
  MidiMessage message = { .frame      = event->frame,
                          .size_bytes = event->midi.size_bytes };
  memcpy(message.message, event->midi.message, sizeof message.message);
  Error           error = { .status = STATUS_OK };
  const MidiHeard heard =
    midi_map_hear(&session->map, &message, &session->knobs.params, &error);
  told(session, &error);
  if (heard == MIDI_HEARD_PLAYED) {
    hear_played_note(session, event);
  } else if (heard == MIDI_HEARD_END) {
    phrase_in_release(&session->phrase, event->frame);
    atomic_fetch_add(&session->process->release_requests, 1);
  } else if (heard == MIDI_HEARD_LEARNT) {
    char text[MIDI_BINDING_BYTES];
    midi_map_format_binding(
      midi_map_binding(&session->map, session->map.bound_count - 1),
      text,
      sizeof text);
    view_log(session->view, "learnt: %s", text);
  }
}

static void
hear(Session* session)
{
  HeardEvent event;
  while (process_read_heard(session->process, &event)) {
    beat_follower_hear(&session->beat, &event);
    if (event.kind == HEARD_MIDI) {
      hear_midi(session, &event);
    }
  }
}

static void
follow_beat(Session* session)
{
  WorkerCommand command = { .kind = COMMAND_TIME };
  BeatFollower  before  = session->beat;
  if (beat_follower_take(&session->beat, &command.time) &&
      !worker_command(session->worker, &command)) {
    session->beat = before; // in the next turn
  }
}

static void
hear_phrase(Session* session)
{
  WorkerCommand  command = { 0 };
  const PhraseIn before  = session->phrase;
  const Listen listen = (Listen)(int)session->knobs.params.value[PARAM_LISTEN];
  if (listen == LISTEN_OFF && session->phrase.held) {
    phrase_in_release(&session->phrase, session_frame(session)); // unheard
  }
  const PhraseEvent event = phrase_in_poll(&session->phrase,
                                           session_frame(session),
                                           &session->knobs.params,
                                           beat_follower_bpm(&session->beat),
                                           command.notes,
                                           &command.count);
  if (event == PHRASE_BEGAN && listen == LISTEN_RESPOND) {
    command.kind = COMMAND_PHRASE_BEGINS;
  } else if (event == PHRASE_ENDED) {
    command.kind = COMMAND_PHRASE;
  } else {
    return;
  }
  if (!worker_command(session->worker, &command)) {
    session->phrase = before; // in the next turn
  }
}

// -----------------------------------------------------------------------------

void
session_turn(Session* session, const SessionLink* link)
{
  session->now_s = clock_now_s();
  if (link->backend && !session->link.backend) {
    midi_map_feedback_all(&session->map); // who was there is there anew
  }
  session->link = *link;
  session_watch_players(session, link);
  const bool runs =
    session_frame(session) > 0; // so that its first word is heard
  hear(session);
  if (runs) {
    session_tell_waiting(session);
  }
  session_drain(session);
  session_turn_models(session);
  if (session->has_osc) {
    osc_poll(&session->osc, &session->knobs.params, session->now_s);
  }
  if (session->has_nsm) {
    nsm_poll(&session->nsm);
    nsm_set_dirty(&session->nsm, session_is_dirty(session));
  }
  session_turn_controllers(session);
  if (midi_map_changed(&session->map)) {
    session_save_learnt(session);
  }
  tell_process(session);
  knobs_turn(&session->knobs, session->now_s, session->worker);
  follow_beat(session);
  hear_phrase(session);
  if (session->points_due) {
    session_tell_points(session);
  }
  session_turn_files(session);
  session_draw(session);
}

// --- Closing -----------------------------------------------------------------

Status
session_end(Session* session, Error* error)
{
  const char* const wanted = session->options->record_path;
  Status            status = STATUS_OK;
  if (!session->has_ring) {
    if (wanted) {
      view_log(
        session->view, "no notes to record: %s is left as it was", wanted);
    }
    return STATUS_OK; // given up before it began
  }
  session_drain(session);
  status =
    session_finish_files(session, status, error); // so that there is room
  if (session->recording) {
    Error        last;
    const Status stopped = session_stop_recording(session, &last);
    if (stopped && !status) {
      *error = last;
      status = stopped;
    }
  }
  return session_finish_files(session, status, error);
}

bool
session_close(Session* session)
{
  if (session->model) {
    session->sources->model = NULL; // it goes with the others
  }
  while (session->handed_count) {
    session_give_back(session, session->handed[0]);
  }
  const bool closed = audition_close(session->audition);
  keeper_free(&session->keeper);
  take_ring_free(&session->ring);
  recorder_free(&session->recorder);
  narrator_free(&session->narrator);
  if (session->has_osc) {
    osc_free(&session->osc);
  }
  if (session->has_nsm) {
    nsm_free(&session->nsm);
  }
  free(session->windows);
  return closed;
}
