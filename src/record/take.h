// The ring: what was played in the last ten minutes, and the lines that say how
// it was made, always; from it a take can be kept as a standard MIDI file.
// Fixed memory (caps.h). Control thread.
//
// A phrase is what a line that starts concerns, until the next that does. Old
// phrases go whole, when the next is ten minutes old or there is no room. A
// phrase that alone leaves no room loses its oldest notes (the take says which
// note is its first) or its lines (the take cannot be made again then, and says
// so); notes without lines are kept all the same.
#pragma once

#include "live/process.h"
#include "music/smf.h"
#include "record/lines.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  PlayedEvent* events; // those of `first` until `end`, counted from the start
  uint64_t     first;
  uint64_t     end;
  Lines        lines; // each stands before one of the events, or waits
  uint64_t     kept_frames;
  uint64_t     lines_lost;  // in all
  uint64_t     lost_before; // phrases that start at an earlier note lack lines
  uint32_t     sample_rate_hz;
} TakeRing;

Status take_ring_init(TakeRing* ring, uint32_t sample_rate_hz, Error* error);
void   take_ring_free(TakeRing* ring);

// As process reported it. Frames never decrease.
void take_ring_add(TakeRing* ring, const PlayedEvent* event);

// To be given before the first note it concerns (record/lines.h). An error: it
// is of no use (line_check()); it is lost and counted.
Status take_ring_line(TakeRing* ring, const RecordLine* line, Error* error);

// The lines that a recording which begins now has to begin with: of the last
// phrase that can be made again.
void take_ring_tell_phrase(const TakeRing* ring,
                           void (*tell)(void* context, const RecordLine* line),
                           void* context);

typedef struct {
  double   seconds;          // how much is wanted; > 0
  uint64_t now_frame;        // session clock: onsets before it are kept
  double   bpm;              // of the file, TAKE_BPM_MIN to TAKE_BPM_MAX
  double   quarters_per_bar; // of the file; 0: it does not say
  // Where it is to begin at a bar line: where one is, on the session clock, and
  // how far they are apart. 0: at any frame.
  double      bar_frame;
  double      bar_frames;
  const char* text; // where it came from, at the file's start; or NULL
  // Lines of notes that were not played yet, which stand at the end.
  const RecordLine* rest;
  uint32_t          rest_count;
} TakeRequest;
#define TAKE_BPM_MIN 4.0
#define TAKE_BPM_MAX 1000.0
// A note that begins so much before the bar line is meant to be on it.
#define TAKE_EARLY_S 0.03

// What a take holds.
typedef struct {
  uint64_t begin_frame; // session clock: onsets before it are left out
  int64_t  zero_frame;  // the file's time zero on it
  double   seconds;     // from there until now
  uint32_t notes;
  uint32_t lines;
  bool     can_be_made_again; // no line is missing
} Take;

// The take as a track. Its time zero is `seconds` ago, or the bar line at or
// before that; where the music began later (or is remembered only from later
// on), its first note, or the bar line before it. Notes that began before time
// zero are left out; the lines from which those that are here can be made again
// are all there: at the start those of the phrase that sounded at time zero,
// then each before its first note. The last line says where the take was cut
// (record/line_text.h). Notes that sound end there.
// STATUS_NOT_FOUND: no note was played; STATUS_BAD_ARGUMENT: a bpm or a number
// of seconds that makes no sense. A few milliseconds at most.
Status take_encode(const TakeRing*    ring,
                   const TakeRequest* request,
                   SmfTrack*          track,
                   Take*              take,
                   Error*             error);

// The same, and writes it to `path` in one step. It waits for the disk:
// keeper.h does not.
Status take_keep(const TakeRing*    ring,
                 const char*        path,
                 const TakeRequest* request,
                 Take*              take,
                 Error*             error);
