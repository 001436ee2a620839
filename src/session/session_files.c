// What is kept and recorded: where a file begins and ends, and on its way to
// the disk.
#include "session/session.h"

#include "provenance.h"
#include "record/line_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Now. All messages before that frame were read, perhaps some after it.
static uint64_t
drained_frame(Session* session)
{
  const uint64_t frame = session_since_origin(session, session_frame(session));
  session_drain(session);
  return frame;
}

// The beat that the notes keep: its tempo, and its bars on the music's clock.
typedef struct {
  double bpm;
  double quarters_per_bar;
  double bar_frame; // a bar line
  double bar_frames;
} Bars;

static Bars
bars_of(const Session* session)
{
  const BeatMap* const map    = &session->beats;
  const double         bpm    = map->bpm > 0 ? map->bpm : session_bpm(session);
  const double         beat   = 60.0 / bpm * session->rate_hz;
  const uint64_t       origin = atomic_load(&session->worker->origin_frame);
  const double         here   = (double)(int64_t)(map->frame - origin);
  Bars                 bars   = {
                      .bpm              = bpm,
                      .quarters_per_bar = beat_follower_quarters_per_bar(&session->beat),
  };
  bars.bar_frames = bars.quarters_per_bar * beat;
  bars.bar_frame  = map->bpm > 0 ? here - map->beat * beat : 0;
  return bars;
}

Status
session_keep(Session* session, double amount, bool is_bars, Error* error)
{
  const uint64_t now  = drained_frame(session);
  const Bars     bars = bars_of(session);
  char           text[PROVENANCE_BYTES_MAX];
  provenance_format(session->options, session->sources, session->worker, text);
  session_tell_breaks(session);
  uint32_t                rest_count;
  const RecordLine* const rest = narrator_rest(&session->narrator, &rest_count);
  const TakeRequest       request = {
          .rest       = rest,
          .rest_count = rest_count,
          .seconds = is_bars ? amount * bars.bar_frames / session->rate_hz : amount,
          .now_frame        = now,
          .bpm              = bars.bpm,
          .quarters_per_bar = bars.quarters_per_bar,
          .bar_frame        = bars.bar_frame,
          .bar_frames       = is_bars ? bars.bar_frames : 0,
          .text             = text,
  };
  return keeper_keep(&session->keeper,
                     &session->ring,
                     &request,
                     session->options->keep_path,
                     error);
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
  session->recording     = status == STATUS_OK;
  session->record_placed = false;
  take_ring_tell_phrase(&session->ring, record_line, session);
  snprintf(session->record_path, sizeof session->record_path, "%s", path);
  return status;
}

uint64_t
session_recorded_frame(const Session* session, uint64_t frame)
{
  return cut_place(
    session->record_origin_frame, session->recorder.lead_frames, frame);
}

// The beat is known by now: the file's time zero is the last bar line before
// the recording began.
static void
place_recording(Session* session)
{
  const Bars      bars     = bars_of(session);
  Recorder* const recorder = &session->recorder;
  recorder->beat           = smf_beat(bars.bpm, bars.quarters_per_bar);
  const double since    = (double)session->record_origin_frame - bars.bar_frame;
  const double count    = floor(since / bars.bar_frames + 1e-6);
  const double lead     = since - count * bars.bar_frames;
  recorder->lead_frames = lead > 0 ? llround(lead) : 0;
}

void
session_record(Session* session, const PlayedEvent* event)
{
  if (!session->recorder.count) {
    place_recording(session);
  }
  recorder_add(&session->recorder,
               session_recorded_frame(session, event->frame),
               event->number,
               event->message);
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
    const uint64_t last = session->record_origin_frame +
                          session->recorder.last_frame + 1 -
                          (uint64_t)session->recorder.lead_frames;
    now = read > last ? read : last; // what was read is in it
  }
  const uint64_t end =
    seconds < 0 ? UINT64_MAX : (uint64_t)llround(seconds * session->rate_hz);
  return session_recorded_frame(session, now < end ? now : end);
}

// The file is written while it plays on. After an error the recording goes on.
static Status
give_recording(Session* session, uint64_t end, Error* error)
{
  char text[PROVENANCE_BYTES_MAX];
  provenance_format(session->options, session->sources, session->worker, text);
  if (!keeper_has_room(&session->keeper, session->record_path, error)) {
    return STATUS_UNAVAILABLE;
  }
  session_tell_breaks(session);
  session_tell_rest(session);
  recorder_finish(&session->recorder, end);
  return keeper_end_recording(&session->keeper,
                              &session->recorder,
                              session->record_path,
                              session->rate_hz,
                              text,
                              error);
}

// A name of our own was held by an empty file.
static void
take_away_placed(Session* session)
{
  struct stat info;
  if (session->record_placed && !stat(session->record_path, &info) &&
      !info.st_size) {
    unlink(session->record_path);
  }
}

Status
session_stop_recording(Session* session, Error* error)
{
  const uint64_t end = end_frame(session);
  if (!session->recorder.count) {
    view_log(session->view,
             "no notes to record: %s is %s",
             session->record_path,
             session->record_placed ? "taken away" : "left as it was");
    take_away_placed(session);
    recorder_free(&session->recorder);
  } else {
    const Status status = give_recording(session, end, error);
    if (status) {
      return status;
    }
  }
  session->recording = false;
  return STATUS_OK;
}

Status
session_switch_recording(Session* session, bool on, Error* error)
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
  const Status started   = session_start_recording(session, path, error);
  session->record_placed = true;
  if (started) {
    take_away_placed(session);
  }
  return started;
}

// --- On its way to the disk --------------------------------------------------

static void
tell_answer(Session* session, const KeeperAnswer* answer)
{
  const Take* const take = &answer->take;
  if (answer->error.status) {
    view_log(session->view, "%s", answer->error.text);
  } else if (answer->is_recording) {
    view_log(session->view, "recorded in %s", answer->path);
  } else {
    view_log(session->view,
             "kept %.1f s, %" PRIu32 " notes in %s%s",
             take->seconds,
             take->notes,
             answer->path,
             take->can_be_made_again ? "" : " (it cannot be made again)");
  }
}

void
session_turn_files(Session* session)
{
  Error        error;
  KeeperAnswer answer;
  if (session->recording &&
      recorder_turn(
        &session->recorder,
        session->now_s,
        session_recorded_frame(
          session, session_since_origin(session, session_frame(session))),
        &error)) {
    view_log(session->view, "%s", error.text);
  }
  if (keeper_turn(&session->keeper, &answer)) {
    tell_answer(session, &answer);
  }
}

Status
session_finish_files(Session* session, Status status, Error* error)
{
  KeeperAnswer answer;
  while (keeper_finish(&session->keeper, &answer)) {
    if (answer.is_recording && answer.error.status && !status) {
      *error = answer.error;
      status = answer.error.status;
    } else {
      tell_answer(session, &answer);
    }
  }
  return status;
}
