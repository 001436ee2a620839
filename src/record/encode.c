// From memory to bytes of a track.
#include "record/encode.h"

#include "file.h"
#include "record/line_text.h"

#include <string.h>

uint32_t
recorder_tempo_us(const Recorder* recorder)
{
  const uint32_t tempo_us = recorder->beat.tempo_us;
  return tempo_us ? tempo_us : SMF_WRITE_TEMPO_US;
}

static Status
add_text(SmfTrack* track, uint64_t tick, const char* text, Error* error)
{
  const SmfEvent event = { .tick = tick, .text = text };
  return smf_track_add(track, &event, error);
}

Status
record_begin_track(SmfTrack*      track,
                   const SmfBeat* beat,
                   const char*    text,
                   Error*         error)
{
  const Status status =
    beat->meter_count ? smf_track_add_meter(track, beat, error) : STATUS_OK;
  return status || !text ? status : add_text(track, 0, text, error);
}

// Each line before its message; those that stand before none come last.
Status
recorder_encode(const Recorder* recorder,
                uint32_t        sample_rate_hz,
                RecorderPlace*  place,
                SmfTrack*       track,
                Error*          error)
{
  Status status = STATUS_OK;
  while (!status && (place->message < recorder->count ||
                     place->line < recorder->line_count)) {
    const RecordedMessage* const message =
      place->message < recorder->count ? &recorder->messages[place->message]
                                       : NULL;
    const uint64_t tick =
      smf_tick(message ? message->frame : recorder->last_frame,
               sample_rate_hz,
               recorder_tempo_us(recorder));
    if (place->line < recorder->line_count &&
        recorder->lines[place->line].before <= place->message) {
      status =
        add_text(track, tick, recorder->lines[place->line++].text, error);
    } else {
      SmfEvent event = { .tick = tick };
      memcpy(event.message, message->message, sizeof event.message);
      status = smf_track_add(track, &event, error);
      ++place->message;
    }
  }
  return status;
}

Status
recorder_encode_cut(const Recorder* recorder,
                    uint32_t        sample_rate_hz,
                    uint64_t        frame,
                    SmfTrack*       track,
                    Error*          error)
{
  if (!recorder->has_lines) {
    return STATUS_OK;
  }
  const uint64_t first =
    recorder->has_number ? recorder->first_number : CUT_NO_NOTE;
  const CutLine cut = { .frame          = frame,
                        .begin          = recorder->origin_frame,
                        .first          = first,
                        .sample_rate_hz = sample_rate_hz,
                        .lost           = recorder->lines_lost,
                        .lead           = recorder->lead_frames };
  char          text[LINE_TEXT_BYTES_MAX];
  line_text_format_cut(&cut, text);
  return add_text(track,
                  smf_tick(frame, sample_rate_hz, recorder_tempo_us(recorder)),
                  text,
                  error);
}

typedef struct {
  SmfTrack* track;
  uint64_t  tick;
  Status    status;
  Error*    error;
} Closing;

static void
add_off(void* context, const uint8_t message[3])
{
  Closing* const closing = context;
  SmfEvent       event   = { .tick = closing->tick };
  memcpy(event.message, message, sizeof event.message);
  if (!closing->status) {
    closing->status = smf_track_add(closing->track, &event, closing->error);
  }
}

Status
recorder_encode_closing(const Recorder* recorder,
                        uint32_t        sample_rate_hz,
                        uint64_t        frame,
                        SmfTrack*       track,
                        Error*          error)
{
  if (frame < recorder->last_frame) {
    frame = recorder->last_frame;
  }
  Keyboard keyboard = recorder->keyboard;
  Closing  closing  = { .track = track,
                        .tick  = smf_tick(
                        frame, sample_rate_hz, recorder_tempo_us(recorder)),
                        .error = error };
  keyboard_end_all(&keyboard, add_off, &closing);
  if (!closing.status) {
    closing.status =
      recorder_encode_cut(recorder, sample_rate_hz, frame, track, error);
  }
  return closing.status ? closing.status : smf_track_end(track, error);
}

Status
record_write_track(const char*     path,
                   const SmfTrack* track,
                   uint32_t        tempo_us,
                   Error*          error)
{
  FileWriter writer;
  Status     status = file_writer_open(&writer, path, error);
  if (status) {
    return status;
  }
  status = smf_write_track(writer.stream, track, tempo_us, error);
  if (status) {
    file_writer_abort(&writer);
    error_prefix(error, "%s: ", path);
    return status;
  }
  return file_writer_commit(&writer, error);
}
