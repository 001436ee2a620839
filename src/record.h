// The continuous recording: what process wrote and the lines that say how it
// was made, kept in memory until the end and then written whole as a standard
// MIDI file. With recorder_grow() a file on disk follows, at most about half a
// second behind, that is whole at every moment: what a SIGKILL leaves. Control
// thread.
//
// Every note in the file has its off, even where the server died before one
// could be written or a report was lost. Channel mode messages (controllers
// from 120 on: all sound off) are left out.
//
// Memory: 16 bytes a message, a line its length and 40 bytes; arrays double.
// 10 hours of 20 notes a second are 1.44 million messages: 32 MiB of room; a
// line of 500 bytes every second adds 20 MB.
#pragma once

#include "file.h"
#include "live/process.h"
#include "music/smf.h"
#include "record/keyboard.h"
#include "record/lines.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
  uint64_t frame; // since time zero
  uint8_t  message[3];
} RecordedMessage;

typedef struct {
  size_t before; // the message that it stands before
  char*  text;   // as in the file
} RecordedLine;

typedef struct RecorderGrowth RecorderGrowth;

typedef struct {
  RecordedMessage* messages;
  size_t           count;
  size_t           capacity;
  RecordedLine*    lines;
  size_t           line_count;
  size_t           line_capacity;
  Lines            pending; // until their first note is played
  bool             has_lines;
  Keyboard         keyboard;
  uint64_t         first_number; // of the notes that are here, if any
  bool             has_number;
  SmfBeat          beat;         // of the file; all zeros: 120 bpm
  uint64_t         origin_frame; // on the session clock: where it began
  int64_t          lead_frames;  // from time zero, a bar line, to there
  uint64_t         last_frame;
  bool             is_cut;     // recorder_finish() was called
  uint32_t         lost_count; // no memory to keep them
  uint64_t         lines_lost;
  RecorderGrowth*  growth; // NULL: no file grows
} Recorder;

// All zeros will do. Beat, origin and lead are to be set before the first
// message.
void recorder_init(Recorder* recorder);
// Waits for a write under way; the file that grew stays as it is.
void recorder_free(Recorder* recorder);

// `frame` counts from time zero and never decreases; `number` as in
// PlayedEvent.
void recorder_add(Recorder*     recorder,
                  uint64_t      frame,
                  uint64_t      number,
                  const uint8_t message[3]);

// To be given before the first note it concerns (record/lines.h). An error
// (too long, no room: caps.h) says so; the line is lost, and the file says so.
Status recorder_line(Recorder* recorder, const RecordLine* line, Error* error);

// Ends what still sounds at `frame`. Where there are lines, the file will say
// that it was cut there.
void recorder_finish(Recorder* recorder, uint64_t frame);

// Can `path` be written? To be asked before playing.
Status record_check_target(const char* path, Error* error);

// From the first note on, the file at `path` grows; `text` goes to its start.
// What was there before is replaced then and not earlier. A thread of its own
// does the writing: a slow disk holds up nobody.
Status recorder_grow(Recorder*   recorder,
                     const char* path,
                     uint32_t    sample_rate_hz,
                     const char* text,
                     Error*      error);

// Once a turn of the loop; `now_s` is any steady clock, `frame` where the music
// stands. True: `told` has one line for the player, who hears of each trouble
// once. The recording goes on in memory then, and in the file when it can be
// written again; it does not come back to a file that was moved or deleted.
bool recorder_turn(Recorder* recorder,
                   double    now_s,
                   uint64_t  frame,
                   Error*    told);

// Writes the file whole, in one step; `text` goes to its start (where it came
// from). When that fails the recording goes to a rescue file, which the error
// names, and a file that grew stays. No file grows any more.
Status recorder_write(Recorder*   recorder,
                      const char* path,
                      uint32_t    sample_rate_hz,
                      const char* text,
                      Error*      error);
