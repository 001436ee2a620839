// What comes back from the worker and process: to recordings, to the view and
// to those who ask.
#include "session/session.h"

#include "clock.h"
#include "live/process_setup.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CC_ALL_NOTES_OFF 123

// --- What was planned and played ---------------------------------------------

// Since the kernel started this process, libraries loaded and all.
static double
process_age_s(void)
{
  char        text[1024] = "";
  FILE* const file       = fopen("/proc/self/stat", "re");
  if (!file) {
    return 0;
  }
  const size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = '\0';
  // The name in brackets may hold anything; starttime is field 22.
  const char* field = strrchr(text, ')');
  for (int i = 2; field && i < 22; ++i) {
    field = strchr(field + 1, ' ');
  }
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return field ? (double)now.tv_sec + 1e-9 * (double)now.tv_nsec -
                   strtod(field, NULL) / (double)sysconf(_SC_CLK_TCK)
               : 0;
}

static void
tell_line(void* context, const RecordLine* line)
{
  Session* const session = context;
  Error          error; // a line that is lost is counted there
  if (session->recording) {
    recorder_line(&session->recorder, line, &error);
  }
  take_ring_line(&session->ring, line, &error);
}

static SessionWindow*
window_at(const Session* session, uint64_t index)
{
  return &session->windows[index % SESSION_WINDOWS];
}

// Remembers the point of a window until it sounds.
static void
remember_window(Session* session, const PlanStep* step)
{
  while (session->window_next > session->window_first &&
         window_at(session, session->window_next - 1)->number >= step->number) {
    --session->window_next;
  }
  if (session->window_next - session->window_first == SESSION_WINDOWS) {
    ++session->window_first;
  }
  SessionWindow* const window = window_at(session, session->window_next++);
  window->number              = step->number;
  window->size                = 0;
  window->digest[0]           = '\0';
  if (step->kind == PLAN_WINDOW && !step->is_fallback) {
    window->size = step->latent_size;
    memcpy(window->digest, step->digest, sizeof window->digest);
    memcpy(window->z, step->job.z, step->latent_size * sizeof *window->z);
  }
}

static void
sound_window(Session* session, uint64_t number)
{
  bool moved = false;
  while (session->window_first < session->window_next &&
         window_at(session, session->window_first)->number <= number) {
    const SessionWindow* const window =
      window_at(session, session->window_first++);
    if (window->size) {
      session->sounding = *window;
      moved             = true;
    }
  }
  if (moved) {
    view_walk_add(session->view, session->sounding.z, session->sounding.size);
  }
}

// Whatever is kept of now lacks a line and cannot be made again.
static void
tell_lost_lines(Session* session)
{
  const uint64_t lost =
    atomic_load(&session->worker->planner.told_lost) + session->narrator.lost;
  if (lost == session->lines_lost) {
    return;
  }
  TakeRing* const ring  = &session->ring;
  const uint64_t  count = lost - session->lines_lost;
  session->lines_lost   = lost;
  session->recorder.lines_lost += count;
  ring->lines_lost += count;
  narrator_lose(&session->narrator,
                atomic_load(&session->worker->planner.told_lost_until));
  if (session->narrator.lost_until > ring->lost_before) {
    ring->lost_before = session->narrator.lost_until;
  }
}

static void
read_steps(Session* session)
{
  static PlanStep step; // large; the control thread's
  while (planner_read_step(&session->worker->planner, &step)) {
    if (!session->narrates) {
      session->narrates = true;
      narrator_begin(&session->narrator,
                     session->rate_hz,
                     atomic_load(&session->worker->origin_frame));
    }
    narrator_hear(&session->narrator, &step);
    if (step.kind == PLAN_WINDOW || step.kind == PLAN_STAMPS) {
      session->beats = step.stamps.map;
    }
    if (step.kind == PLAN_WINDOW || step.kind == PLAN_EVENTS) {
      remember_window(session, &step);
    }
  }
  tell_lost_lines(session);
}

static bool
is_note(const uint8_t message[3])
{
  return (message[0] & 0xe0) == 0x80;
}

static void
play(Session* session, const PlayedEvent* event)
{
  const bool  on   = (event->message[0] & 0xf0) == 0x90;
  PlayedEvent here = *event;
  here.frame       = session_since_origin(session, event->frame);
  if (on && !session->heard_first) {
    session->heard_first = true;
    view_log(session->view,
             "first note %.0f ms after the program's start",
             1e3 * process_age_s());
  }
  const uint64_t ended = atomic_load(&session->process->ended_at);
  narrator_reach(&session->narrator, event->frame, on, tell_line, session);
  if (ended && event->frame >= ended) {
    session_tell_rest(session); // before what ends there
  }
  if (on && event->number != PLAYED_NO_NOTE) {
    narrator_note(&session->narrator, event->number, tell_line, session);
    sound_window(session, event->number);
  }
  // The first of what panic sends.
  if (event->message[0] == 0xb0 && event->message[1] == CC_ALL_NOTES_OFF) {
    narrator_panic(&session->narrator, event->frame, tell_line, session);
  }
  if (session->recording) {
    session_record(session, &here);
  }
  take_ring_add(&session->ring, &here);
  if (is_note(event->message)) {
    view_played(session->view, event->message);
  }
  if (session->trace) {
    fprintf(session->trace,
            "%" PRIu64 " %u %u %u\n",
            event->frame,
            event->message[0],
            event->message[1],
            event->message[2]);
  }
}

void
session_drain(Session* session)
{
  PlayedEvent event;
  while (process_read_played(session->process, &event)) {
    read_steps(session); // what is played was told before
    play(session, &event);
  }
  read_steps(session);
}

void
session_tell_breaks(Session* session)
{
  narrator_reach(
    &session->narrator, session_frame(session), true, tell_line, session);
}

// --- The readout -------------------------------------------------------------

static double
seconds_between(const Session* session, uint64_t from, uint64_t to)
{
  return to > from && to != UINT64_MAX && session->rate_hz
           ? (double)(to - from) / session->rate_hz
           : 0;
}

static double
buffered_s(const Session* session)
{
  return seconds_between(session,
                         session_frame(session),
                         atomic_load(&session->process->planned_until));
}

static double
look_ahead_s(const Session* session)
{
  return session->rate_hz
           ? (double)atomic_load(&session->worker->look_ahead_frames) /
               session->rate_hz
           : 0;
}

static uint16_t
points_used(const Session* session)
{
  unsigned used = 0;
  for (uint32_t slot = 1; slot <= POINTS_MAX; ++slot) {
    used |= points_get(&session->points, slot) ? 1u << (slot - 1) : 0;
  }
  return (uint16_t)used;
}

// Whose beat, and whether it runs.
static const char*
sync_text(const Session* session)
{
  const BeatFollower* const beat = &session->beat;
  switch ((Sync)(int)session->knobs.params.value[PARAM_SYNC]) {
    case SYNC_JACK:
      return !beat->transport.exists   ? "jack, no transport"
             : beat->transport.rolling ? "jack, rolling"
                                       : "jack, waits for its start";
    case SYNC_MIDI:
      return beat->running ? "midi, running" : "midi, waits for clock";
    default:
      return "free";
  }
}

static void
fill_bound(const Session* session,
           char           texts[PARAM_COUNT][24],
           const char*    bound[PARAM_COUNT])
{
  static const char* const kinds[] = { [MIDI_SOURCE_CC]   = "CC",
                                       [MIDI_SOURCE_CC14] = "CC14",
                                       [MIDI_SOURCE_NRPN] = "NRPN",
                                       [MIDI_SOURCE_NOTE] = "key" };
  for (size_t i = 0; i < session->map.bound_count; ++i) {
    const MidiBinding* const binding = midi_map_binding(&session->map, i);
    const ParamId            id      = binding->action.param;
    if (binding->follows && id < PARAM_COUNT &&
        midi_map_is_active(&session->map, i)) {
      snprintf(texts[id],
               sizeof texts[id],
               "%s %u",
               kinds[binding->source.kind],
               binding->source.number);
      bound[id] = texts[id];
    }
  }
}

uint64_t
session_dropped(const Session* session, const SessionLink* link)
{
  return atomic_load(&session->process->counters.dropped) +
         atomic_load(&session->worker->planner.unsent) + link->dropped_count;
}

uint64_t
session_missed(const Session* session, const SessionLink* link)
{
  return link->input_lost_count +
         atomic_load(&session->process->counters.heard_lost);
}

uint64_t
session_feedback_lost(const Session* session)
{
  return session->feedback_refused +
         atomic_load(&session->process->counters.feedback_lost);
}

static void
fill_counters(const Session* session, ViewStatus* status)
{
  const ProcessCounters* const counters = &session->process->counters;
  const WorkerCounters* const  worker   = &session->worker->counters;
  status->notes                         = atomic_load(&counters->notes);
  status->late                          = atomic_load(&counters->late);
  status->dropped        = session_dropped(session, &session->link);
  status->starved        = atomic_load(&counters->spans_starved);
  status->xruns          = session->link.xrun_count;
  status->fewer_steps    = atomic_load(&worker->fewer_steps);
  status->fallback_model = atomic_load(&worker->fallback_model);
  status->repeated       = atomic_load(&worker->repeated);
}

void
session_draw(Session* session)
{
  const LatencyHistogram* const latency = &session->worker->generation;
  AuditionStatus                audition;
  char                          name[SESSION_NAME_BYTES];
  char                          model[SESSION_NAME_BYTES + 32];
  char                          coming[SESSION_NAME_BYTES];
  char                          texts[PARAM_COUNT][24];
  const char*                   bound[PARAM_COUNT] = { NULL };
  // What keys ask about, in any turn; the rest is only drawn.
  ViewStatus status = { .seed      = session->options->seed,
                        .recording = session->recording,
                        .params    = &session->knobs.params };
  if (!view_is_due(&session->view[0], session->now_s)) {
    view_poll(session->view, session->now_s, &status, session_do, session);
    return;
  }
  audition_status(session->audition, &audition);
  session_name_model(&audition.playing, name);
  session_name_coming(session, &audition, coming);
  snprintf(model,
           sizeof model,
           "%s %s",
           *name ? name : model_kind_name(session->model),
           model_digest(session->model));
  fill_bound(session, texts, bound);
  fill_counters(session, &status);
  status.backend           = session->link.backend;
  status.on_gpu            = model_is_on_gpu(session->model);
  status.connection_count  = session->link.connection_count;
  status.buffered_s        = buffered_s(session);
  status.look_ahead_s      = look_ahead_s(session);
  status.generation_p50_ms = 1e3 * latency_percentile_s(latency, 0.50);
  status.generation_p99_ms = 1e3 * latency_percentile_s(latency, 0.99);
  status.model             = model;
  status.coming            = *coming ? coming : NULL;
  status.following         = audition.following;
  status.preset            = session->preset.name;
  status.sync              = sync_text(session);
  status.bpm               = session_bpm(session);
  status.side              = *audition.other.name ? audition.side : 0;
  status.recorded_s =
    seconds_between(session,
                    session->record_origin_frame,
                    session_since_origin(session, session_frame(session)));
  status.points        = points_used(session);
  status.learning      = midi_map_is_learning(&session->map)
                           ? "waits for a controller or a key"
                           : NULL;
  status.bound         = bound;
  status.planned       = session->shown;
  status.planned_count = session_show_planned(session);
  view_poll(session->view, session->now_s, &status, session_do, session);
}

static void
put_number(OscStatus* line, const char* name, double number)
{
  *line = (OscStatus){ .name = name, .number = number };
}

static void
put_text(OscStatus* line, const char* name, const char* text)
{
  *line = (OscStatus){ .name = name };
  snprintf(line->text, sizeof line->text, "%.63s", *text ? text : "-");
}

// "digest" is of the model that is sampled from, "heard" of the one whose notes
// are heard: until what was planned by the one before was played they differ.
static size_t
put_checkpoints(const Session* session, OscStatus* lines)
{
  AuditionStatus status;
  char           side[2] = "";
  size_t         n       = 0;
  audition_status(session->audition, &status);
  side[0]               = *status.other.name ? status.side : '\0';
  const char* const why = session_waits_for(session);
  put_text(&lines[n++], "name", status.playing.name);
  put_text(&lines[n++], "heard", session->sounding.digest);
  put_number(
    &lines[n++], "step", status.playing.has_step ? status.playing.step : -1.0);
  put_text(&lines[n++], "rating", rating_names[status.playing.rating]);
  put_text(&lines[n++], "side", side);
  put_text(&lines[n++], "coming", status.pending);
  put_text(&lines[n++],
           "waits_for",
           status.loading ? "it is being loaded"
           : why          ? why
                          : "");
  put_number(&lines[n++], "following", status.following);
  return n;
}

size_t
session_fill_status(void* context, OscStatus lines[OSC_STATUS_MAX])
{
  const Session* const          session = context;
  const LatencyHistogram* const latency = &session->worker->generation;
  ViewStatus                    counts  = { 0 };
  size_t                        n       = 0;
  fill_counters(session, &counts);
  put_number(&lines[n++], "buffered_s", buffered_s(session));
  put_number(&lines[n++], "p50_ms", 1e3 * latency_percentile_s(latency, 0.5));
  put_number(&lines[n++], "p99_ms", 1e3 * latency_percentile_s(latency, 0.99));
  put_number(&lines[n++], "notes", (double)counts.notes);
  put_number(&lines[n++], "late", (double)counts.late);
  put_number(&lines[n++], "dropped", (double)counts.dropped);
  put_number(&lines[n++], "xruns", (double)counts.xruns);
  put_number(&lines[n++], "starved", (double)counts.starved);
  put_number(&lines[n++], "fewer_steps", (double)counts.fewer_steps);
  put_number(&lines[n++], "fallback_model", (double)counts.fallback_model);
  put_number(&lines[n++], "repeated", (double)counts.repeated);
  put_number(&lines[n++],
             "changes",
             (double)atomic_load(&session->worker->counters.changes));
  put_number(&lines[n++], "bpm", session_bpm(session));
  put_number(&lines[n++], "connections", session->link.connection_count);
  put_text(&lines[n++], "sync", sync_text(session));
  put_text(&lines[n++], "model", model_kind_name(session->model));
  put_text(&lines[n++], "digest", model_digest(session->model));
  put_text(&lines[n++], "preset", session->preset.name);
  put_number(&lines[n++], "recording", session->recording);
  put_number(&lines[n++], "seed", (double)session->options->seed);
  return n + put_checkpoints(session, lines + n);
}

void
session_tell_rest(Session* session)
{
  if (!session->recording || session->rest_told) {
    return;
  }
  session_tell_breaks(session);
  uint32_t                count;
  const RecordLine* const rest = narrator_rest(&session->narrator, &count);
  Error                   error; // a line that is lost is counted there
  session->rest_told = true;
  for (uint32_t i = 0; i < count; ++i) {
    recorder_line(&session->recorder, &rest[i], &error);
  }
}

void
session_remember_file(Session* session)
{
  AuditionStatus status;
  audition_status(session->audition, &status);
  if (status.playing.path &&
      !strcmp(status.playing.digest, model_digest(session->model))) {
    sources_remember(session->sources, session->model, status.playing.path);
  }
}
