// Standard MIDI files (formats 0 and 1): reading to a flat list of notes, and
// writing of timed messages. Any thread except process.
//
// Reading merges all tracks and channels except channel 10 (drums). Sustain
// pedal is ignored, as in the reference system: a note lasts from key press to
// key release. A note-on with velocity 0 is a note-off; a note-off ends a note
// of its own track. The same pitch pressed again on the same channel while it
// sounds, in whatever track, ends the earlier note there; pressed twice at one
// tick, it is one note, as long and as loud as the longer and the louder. A
// note without an off ends at the file's end.
#pragma once

#include "file.h"
#include "music/note.h"
#include "status.h"

#include <stddef.h>

typedef struct {
  PlayedNote* notes; // sorted by onset, then pitch
  size_t      count;
  size_t      press_count; // note-ons read: `count` and those found doubled
  unsigned    format;      // 0 or 1
  unsigned    track_count;
  double      length_s;
} SmfNotes;

// Errors: STATUS_BAD_FILE names the byte offset and the broken rule;
// STATUS_LIMIT names the cap (caps.h). On error nothing is left allocated.
Status smf_read_bytes(const uint8_t* data,
                      size_t         size_bytes,
                      SmfNotes*      out,
                      Error*         error);
// The same, with "PATH: " before the error text.
Status smf_read_file(const char* path, SmfNotes* out, Error* error);
void   smf_notes_free(SmfNotes* notes);

// One timed three-byte channel message, or a text meta event.
typedef struct {
  uint64_t    tick;
  uint8_t     message[3];
  const char* text; // when set, a text meta event and `message` is not used
} SmfEvent;

// 960 ticks a quarter at 120 beats a minute: 1920 ticks a second.
#define SMF_WRITE_TICKS_PER_QUARTER 960u
#define SMF_WRITE_TICKS_PER_SECOND 1920u

// Writes a format 0 file to `stream`, byte for byte a function of its
// arguments. Events must not go back in time.
Status smf_write(FILE*           stream,
                 const SmfEvent* events,
                 size_t          count,
                 Error*          error);
