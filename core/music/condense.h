// Played notes <-> condensed note events. Pure; any thread except process
// (condense allocates nothing, but sorts).
#pragma once

#include "music/note.h"

#include <stddef.h>

// Turns `count` notes (sorted by onset, then pitch) into as many condensed note
// events, in place of the caller's `out[count]`. S and D are clamped to
// [0.001, 2] s; notes within a chord have S = 1 ms; pitch 0 is dropped, so the
// return value (events written) may be less than `count`. The first event's
// step is clamped from its onset in the file.
size_t condense_notes(const PlayedNote* notes, size_t count, NoteEvent* out);

// The way back: onsets are cumulative steps after `start_s`. Where a pitch is
// pressed again while it sounds, the earlier note is cut at the later onset.
// Writes `count` notes.
void expand_events(const NoteEvent* events,
                   size_t           count,
                   double           start_s,
                   PlayedNote*      out);
