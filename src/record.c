// Keeping and writing the recording.
#include "record.h"

#include <math.h>
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
  free(recorder->events);
  free(recorder->frames);
  recorder_init(recorder);
}

static bool
make_room(Recorder* recorder)
{
  if (recorder->count < recorder->capacity) {
    return true;
  }
  const size_t    capacity = recorder->capacity ? 2 * recorder->capacity : 4096;
  SmfEvent* const events = realloc(recorder->events, capacity * sizeof *events);
  recorder->events       = events ? events : recorder->events;
  uint64_t* const frames = realloc(recorder->frames, capacity * sizeof *frames);
  recorder->frames       = frames ? frames : recorder->frames;
  if (!events || !frames) {
    return false;
  }
  recorder->capacity = capacity;
  return true;
}

static void
append(Recorder* recorder, uint64_t frame, const uint8_t message[3])
{
  if (!make_room(recorder)) {
    ++recorder->lost_count;
    return;
  }
  recorder->last_frame =
    frame > recorder->last_frame ? frame : recorder->last_frame;
  SmfEvent* const event               = &recorder->events[recorder->count];
  *event                              = (SmfEvent){ 0 };
  recorder->frames[recorder->count++] = recorder->last_frame;
  memcpy(event->message, message, sizeof event->message);
}

static void
append_off(Recorder* recorder, uint64_t frame, uint8_t channel, uint8_t pitch)
{
  const uint8_t message[3]           = { (uint8_t)(0x80 | channel), pitch, 64 };
  recorder->sounding[channel][pitch] = 0;
  append(recorder, frame, message);
}

void
recorder_add(Recorder* recorder, uint64_t frame, const uint8_t message[3])
{
  const uint8_t channel  = message[0] & 0x0f;
  const uint8_t pitch    = message[1] & 0x7f;
  uint8_t*      sounding = &recorder->sounding[channel][pitch];
  if ((message[0] & 0xf0) == 0x90) {
    if (*sounding) {
      append_off(recorder, frame, channel, pitch); // its report was lost
    }
    *sounding = 1;
    append(recorder, frame, message);
  } else if (*sounding) {
    *sounding = 0;
    append(recorder, frame, message);
  }
}

void
recorder_finish(Recorder* recorder, uint64_t frame)
{
  for (uint8_t channel = 0; channel < 16; ++channel) {
    for (uint8_t pitch = 0; pitch < 128; ++pitch) {
      if (recorder->sounding[channel][pitch]) {
        append_off(recorder, frame, channel, pitch);
      }
    }
  }
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

static Status
write_file(const char* path, const SmfEvent* events, size_t count, Error* error)
{
  FileWriter writer;
  Status     status = file_writer_open(&writer, path, error);
  if (status) {
    return status;
  }
  status = smf_write(writer.stream, events, count, error);
  if (status) {
    file_writer_abort(&writer);
    error_prefix(error, "%s: ", path);
    return status;
  }
  return file_writer_commit(&writer, error);
}

static Status
rescue(const Error* cause, const SmfEvent* events, size_t count, Error* error)
{
  const char* const named = getenv("TMPDIR");
  char              path[512];
  snprintf(path,
           sizeof path,
           "%s/meander-rescue-%d.mid",
           named && *named ? named : "/tmp",
           (int)getpid());
  Error        second;
  const Status status = write_file(path, events, count, &second);
  if (status) {
    return error_set(error,
                     cause->status,
                     "%.200s; the recording is lost, for %.200s",
                     cause->text,
                     second.text);
  }
  return error_set(error,
                   cause->status,
                   "%.240s; the recording was saved as %.200s instead",
                   cause->text,
                   path);
}

Status
recorder_write(Recorder*   recorder,
               const char* path,
               uint32_t    sample_rate_hz,
               const char* text,
               Error*      error)
{
  // The text, then the events, in one array.
  SmfEvent* const events =
    calloc(recorder->count + 1, sizeof *recorder->events);
  if (!events) {
    return error_set(
      error, STATUS_NO_MEMORY, "%s: no memory to write the recording", path);
  }
  events[0] = (SmfEvent){ .text = text };
  for (size_t i = 0; i < recorder->count; ++i) {
    events[i + 1] = recorder->events[i];
    events[i + 1].tick =
      (uint64_t)llround((double)recorder->frames[i] *
                        SMF_WRITE_TICKS_PER_SECOND / sample_rate_hz);
  }
  Error  cause;
  Status status = write_file(path, events, recorder->count + 1, &cause);
  if (status) {
    status = rescue(&cause, events, recorder->count + 1, error);
  } else if (recorder->lost_count) {
    status = error_set(error,
                       STATUS_NO_MEMORY,
                       "%s: %u messages are missing, for want of memory",
                       path,
                       recorder->lost_count);
  }
  free(events);
  return status;
}
