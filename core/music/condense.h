// Played notes <-> condensed note events. Pure; any thread except process
// (condense allocates nothing, but sorts).
#pragma once

#include "music/note.h"

#include <stddef.h>

// Turns `count` notes (sorted by onset, then pitch) into condensed note events.
// S and D are clamped to [0.001, 2] s; notes within a chord have S = 1 ms. All
// channels share one keyboard: a note is cut where its key is pressed again,
// and a key pressed twice within 0.5 ms (a melody doubled on another channel)
// is one event, as long and as loud as the longer and the louder. Pitch 0 is
// dropped. Returns the events written to out[count], which may thus be fewer
// than `count`. The first event's step is its onset, clamped.
size_t condense_notes(const PlayedNote* notes, size_t count, NoteEvent* out);

// The way back: onsets are cumulative steps after `start_s`. Where a pitch is
// pressed again while it sounds, the earlier note is cut at the later onset.
// Writes `count` notes.
void expand_events(const NoteEvent* events,
                   size_t           count,
                   double           start_s,
                   PlayedNote*      out);
