// The recording: what process wrote, kept until the end and then written as a
// standard MIDI file. Control thread.
//
// Every note in the file has its off, even where the server died before one
// could be written or a report was lost.
#pragma once

#include "file.h"
#include "live/process.h"
#include "music/smf.h"
#include "status.h"

#include <stddef.h>

typedef struct {
  SmfEvent* events; // ticks are set at the end
  uint64_t* frames; // of each event, since the origin
  size_t    count;
  size_t    capacity;
  uint8_t   sounding[16][128]; // 1: its off is still to come
  uint64_t  last_frame;
  uint32_t  lost_count; // no memory to keep them
} Recorder;

void recorder_init(Recorder* recorder);
void recorder_free(Recorder* recorder);

// `frame` counts from the origin and never decreases.
void recorder_add(Recorder* recorder, uint64_t frame, const uint8_t message[3]);

// Ends what still sounds at `frame`.
void recorder_finish(Recorder* recorder, uint64_t frame);

// Can `path` be written? To be asked before playing.
Status record_check_target(const char* path, Error* error);

// Writes the file; `text` goes to its start (where it came from). When that
// fails the recording goes to a rescue file, which the error names.
Status recorder_write(Recorder*   recorder,
                      const char* path,
                      uint32_t    sample_rate_hz,
                      const char* text,
                      Error*      error);
