// A recording's file on disk: control encodes what is new, the scribe writes
// it. What is in the file counts only when the scribe says that it is, so that
// a part that could not be written is written with the next.
#include "record/growth.h"

#include "record/encode.h"
#include "record/growing_file.h"
#include "record/scribe.h"

#include <stdlib.h>
#include <string.h>

// How often the file follows, and how often it is tried after a failure.
#define GROW_S 0.5
#define GROW_AGAIN_S 5.0

struct RecorderGrowth {
  Scribe   scribe;
  char*    path;
  char*    text;
  uint32_t sample_rate_hz;
  double   due_s;
  bool     is_open;  // the file is there
  bool     is_given; // to the scribe, whose answer was not looked at yet
  bool     is_lost;  // moved or deleted
  bool     is_told;  // of the failure

  RecorderPlace place; // what is in the file
  uint64_t      tick;  // of its last event
  RecorderPlace given; // what will be

  // The scribe's while it is busy.
  GrowingFile file;
  uint32_t    tempo_us;
  SmfTrack    body;
  SmfTrack    closing;
  Error       error;
};

static void
write_part(void* context)
{
  RecorderGrowth* const growth = context;
  const TrackPart       body   = { growth->body.bytes, growth->body.size };
  const TrackPart closing = { growth->closing.bytes, growth->closing.size };
  growth->error.status =
    growth->is_open
      ? growing_file_append(&growth->file, body, closing, &growth->error)
      : growing_file_open(&growth->file,
                          growth->path,
                          growth->tempo_us,
                          body,
                          closing,
                          &growth->error);
}

Status
recorder_grow(Recorder*   recorder,
              const char* path,
              uint32_t    sample_rate_hz,
              const char* text,
              Error*      error)
{
  RecorderGrowth* const growth = calloc(1, sizeof *growth);
  if (growth) {
    growth->file.fd        = -1;
    growth->path           = strdup(path);
    growth->text           = strdup(text);
    growth->sample_rate_hz = sample_rate_hz;
  }
  const Status status =
    growth && growth->path && growth->text
      ? scribe_start(&growth->scribe, error)
      : error_set(error, STATUS_NO_MEMORY, "%s: no memory to record", path);
  if (status) {
    growth_free(growth);
    return status;
  }
  growth_free(recorder->growth);
  recorder->growth = growth;
  return STATUS_OK;
}

// True: there is something to tell.
static bool
fail(RecorderGrowth* growth, const Error* why, Error* told)
{
  growth->due_s += GROW_AGAIN_S - GROW_S;
  growth->is_lost = why->status == STATUS_NOT_FOUND;
  if (growth->is_told) {
    return false;
  }
  growth->is_told = true;
  error_set(
    told, why->status, "%.400s; the recording goes on in memory", why->text);
  return true;
}

// The scribe is done.
static bool
look_at_answer(RecorderGrowth* growth, Error* told)
{
  growth->is_given = false;
  if (growth->error.status) {
    return fail(growth, &growth->error, told);
  }
  growth->is_open = true;
  growth->is_told = false;
  growth->place   = growth->given;
  growth->tick    = growth->body.tick;
  return false;
}

static bool
has_news(const Recorder* recorder)
{
  const RecorderGrowth* const growth = recorder->growth;
  return growth->place.message < recorder->count ||
         (growth->is_open && (growth->place.line < recorder->line_count ||
                              recorder->keyboard.count));
}

static Status
encode_part(const Recorder* recorder, uint64_t frame, Error* error)
{
  RecorderGrowth* const growth = recorder->growth;
  growth->given                = growth->place;
  growth->body.size            = 0;
  growth->body.tick            = growth->tick;
  growth->closing.size         = 0;
  Status status                = STATUS_OK;
  if (!growth->is_open) {
    growth->tempo_us = recorder_tempo_us(recorder);
    status =
      record_begin_track(&growth->body, &recorder->beat, growth->text, error);
  }
  if (!status) {
    status = recorder_encode(
      recorder, growth->sample_rate_hz, &growth->given, &growth->body, error);
  }
  growth->closing.tick = growth->body.tick;
  return status ? status
                : recorder_encode_closing(recorder,
                                          growth->sample_rate_hz,
                                          frame,
                                          &growth->closing,
                                          error);
}

bool
recorder_turn(Recorder* recorder, double now_s, uint64_t frame, Error* told)
{
  RecorderGrowth* const growth = recorder->growth;
  if (!growth || (growth->is_given && scribe_is_busy(&growth->scribe))) {
    return false;
  }
  bool has_told = growth->is_given && look_at_answer(growth, told);
  if (growth->is_lost || now_s < growth->due_s || !has_news(recorder)) {
    return has_told;
  }
  growth->due_s = now_s + GROW_S;
  Error error;
  if (encode_part(recorder, frame, &error)) {
    return fail(growth, &error, told);
  }
  growth->is_given = true;
  scribe_give(&growth->scribe, write_part, growth);
  return has_told;
}

bool
growth_has_file(const RecorderGrowth* growth)
{
  return growth && growth->is_open && !growth->is_lost;
}

void
growth_wait(RecorderGrowth* growth)
{
  if (growth->is_given) {
    scribe_wait(&growth->scribe);
  }
}

void
growth_free(RecorderGrowth* growth)
{
  if (!growth) {
    return;
  }
  scribe_stop(&growth->scribe);
  growing_file_close(&growth->file);
  smf_track_free(&growth->body);
  smf_track_free(&growth->closing);
  free(growth->path);
  free(growth->text);
  free(growth);
}
