// Keeping the recording, and writing it whole.
#include "record.h"

#include "caps.h"
#include "record/encode.h"
#include "record/growth.h"
#include "record/line_text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
recorder_init(Recorder* recorder)
{
  memset(recorder, 0, sizeof *recorder);
}

void
recorder_free(Recorder* recorder)
{
  growth_free(recorder->growth);
  for (size_t i = 0; i < recorder->line_count; ++i) {
    free(recorder->lines[i].text);
  }
  free(recorder->lines);
  free(recorder->messages);
  lines_free(&recorder->pending);
  recorder_init(recorder);
}

// Room for one more element in a doubling array.
static bool
make_room(void** array, size_t* capacity, size_t count, size_t size)
{
  if (count < *capacity) {
    return true;
  }
  const size_t wanted = *capacity ? 2 * *capacity : 4096;
  void* const  bigger = realloc(*array, wanted * size);
  if (!bigger) {
    return false;
  }
  *array    = bigger;
  *capacity = wanted;
  return true;
}

static void
append(void* context, const uint8_t message[3])
{
  Recorder* const recorder = context;
  if (!make_room((void**)&recorder->messages,
                 &recorder->capacity,
                 recorder->count,
                 sizeof *recorder->messages)) {
    ++recorder->lost_count;
    return;
  }
  RecordedMessage* const last = &recorder->messages[recorder->count++];
  last->frame                 = recorder->last_frame;
  memcpy(last->message, message, sizeof last->message);
}

// `text` as in the file, before the next message.
static void
append_line(Recorder* recorder, const char* text)
{
  char* const copy = strdup(text);
  if (!copy || !make_room((void**)&recorder->lines,
                          &recorder->line_capacity,
                          recorder->line_count,
                          sizeof *recorder->lines)) {
    free(copy);
    ++recorder->lines_lost;
    return;
  }
  recorder->lines[recorder->line_count++] =
    (RecordedLine){ .before = recorder->count, .text = copy };
}

// Note `number` is about to be written.
static void
place_lines(Recorder* recorder, uint64_t number)
{
  Lines* const pending = &recorder->pending;
  if (!recorder->has_number) {
    recorder->has_number   = true;
    recorder->first_number = number;
  }
  for (lines_place(pending, number, recorder->count);
       pending->first < pending->waiting;
       lines_drop_first(pending)) {
    const QueuedLine* const queued = lines_at(pending, pending->first);
    const RecordLine        line   = { .number = queued->number,
                                       .starts = queued->starts,
                                       .text = lines_text(pending, pending->first) };
    char                    text[LINE_TEXT_BYTES_MAX];
    line_text_format(&line, text);
    append_line(recorder, text);
  }
}

void
recorder_add(Recorder*     recorder,
             uint64_t      frame,
             uint64_t      number,
             const uint8_t message[3])
{
  const KeyboardAnswer answer = keyboard_hear(&recorder->keyboard, message);
  if (answer == KEYBOARD_LEAVE_OUT) {
    return;
  }
  if (frame > recorder->last_frame) {
    recorder->last_frame = frame;
  }
  if (answer == KEYBOARD_END_FIRST) {
    uint8_t off[3];
    keyboard_off(message[0] & 15, message[1], off);
    append(recorder, off);
  }
  if (is_note_on(message) && number != PLAYED_NO_NOTE) {
    place_lines(recorder, number);
  }
  append(recorder, message);
}

Status
recorder_line(Recorder* recorder, const RecordLine* line, Error* error)
{
  recorder->has_lines = true;
  Status status       = line_check(line, error);
  if (!status && line->now) {
    char text[LINE_TEXT_BYTES_MAX];
    line_text_format(line, text);
    append_line(recorder, text);
    return STATUS_OK;
  }
  if (!status && !recorder->pending.line_max) {
    status = lines_init(
      &recorder->pending, RECORD_PENDING_LINES, RECORD_PENDING_BYTES, error);
  }
  if (!status && !lines_add(&recorder->pending, line)) {
    status =
      error_set(error,
                STATUS_LIMIT,
                "the line of note %llu: more than %u lines or %u bytes wait",
                (unsigned long long)line->number,
                RECORD_PENDING_LINES,
                RECORD_PENDING_BYTES);
  }
  recorder->lines_lost += status ? 1 : 0;
  return status;
}

void
recorder_finish(Recorder* recorder, uint64_t frame)
{
  if (frame > recorder->last_frame &&
      (recorder->keyboard.count || recorder->has_lines)) {
    recorder->last_frame = frame;
  }
  keyboard_end_all(&recorder->keyboard, append, recorder);
  recorder->is_cut = true;
}

Status
record_check_target(const char* path, Error* error)
{
  struct stat info;
  if (!stat(path, &info) && !S_ISREG(info.st_mode)) {
    return error_set(
      error, STATUS_IO, "%s: cannot record there: not a regular file", path);
  }
  FileWriter   writer;
  const Status status = file_writer_open(&writer, path, error);
  if (!status) {
    file_writer_abort(&writer);
  }
  return status;
}

// `grew`: the beginning is at the path that was asked for.
static Status
rescue(const Error*    cause,
       const SmfTrack* track,
       uint32_t        tempo_us,
       bool            grew,
       Error*          error)
{
  const char* const named = getenv("TMPDIR");
  char              path[512];
  snprintf(path,
           sizeof path,
           "%s/meander-rescue-%d.mid",
           named && *named ? named : "/tmp",
           (int)getpid());
  Error        second;
  const Status status = record_write_track(path, track, tempo_us, &second);
  if (status) {
    return error_set(error,
                     cause->status,
                     "%.200s; the recording is lost%s, for %.200s",
                     cause->text,
                     grew ? " but for what is there already" : "",
                     second.text);
  }
  return error_set(error,
                   cause->status,
                   "%.240s; the recording was saved as %.200s instead",
                   cause->text,
                   path);
}

static Status
encode(const Recorder* recorder,
       const char*     path,
       uint32_t        sample_rate_hz,
       const char*     text,
       SmfTrack*       track,
       Error*          error)
{
  RecorderPlace place = { 0 };
  Status status       = record_begin_track(track, &recorder->beat, text, error);
  if (!status) {
    status = recorder_encode(recorder, sample_rate_hz, &place, track, error);
  }
  if (!status && recorder->is_cut) {
    status = recorder_encode_cut(
      recorder, sample_rate_hz, recorder->last_frame, track, error);
  }
  if (status) {
    error_prefix(error, "%s: cannot write the recording: ", path);
  }
  return status;
}

Status
recorder_write(Recorder*   recorder,
               const char* path,
               uint32_t    sample_rate_hz,
               const char* text,
               Error*      error)
{
  const bool grew = growth_has_file(recorder->growth);
  growth_free(recorder->growth);
  recorder->growth = NULL;
  SmfTrack track   = { 0 };
  Status   status = encode(recorder, path, sample_rate_hz, text, &track, error);
  Error    cause;
  const uint32_t tempo_us = recorder_tempo_us(recorder);
  if (!status && record_write_track(path, &track, tempo_us, &cause)) {
    status = rescue(&cause, &track, tempo_us, grew, error);
  } else if (!status && recorder->lost_count) {
    status = error_set(error,
                       STATUS_NO_MEMORY,
                       "%s: %u messages are missing, for want of memory",
                       path,
                       recorder->lost_count);
  }
  smf_track_free(&track);
  return status;
}
