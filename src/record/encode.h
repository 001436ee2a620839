// The recording's messages and lines as bytes of a track. Control thread.
#pragma once

#include "record.h"

// How much of it is encoded already.
typedef struct {
  size_t message;
  size_t line;
} RecorderPlace;

// What a track begins with: the meter, if one is known, and where it came from
// (NULL: nothing).
Status   record_begin_track(SmfTrack*      track,
                            const SmfBeat* beat,
                            const char*    text,
                            Error*         error);
uint32_t recorder_tempo_us(const Recorder* recorder);

// All from `place` on, which moves to the end. The track goes on at its tick.
Status recorder_encode(const Recorder* recorder,
                       uint32_t        sample_rate_hz,
                       RecorderPlace*  place,
                       SmfTrack*       track,
                       Error*          error);

// Where there are lines: the one that says that the file is cut at `frame`.
Status recorder_encode_cut(const Recorder* recorder,
                           uint32_t        sample_rate_hz,
                           uint64_t        frame,
                           SmfTrack*       track,
                           Error*          error);

// How such a file ends: offs of what sounds, that line, the end of the track.
Status recorder_encode_closing(const Recorder* recorder,
                               uint32_t        sample_rate_hz,
                               uint64_t        frame,
                               SmfTrack*       track,
                               Error*          error);

// A file of this track, in one step.
Status record_write_track(const char*     path,
                          const SmfTrack* track,
                          uint32_t        tempo_us,
                          Error*          error);
