// Learning a binding: inside of midi_map. Control thread.
#pragma once

#include "control/midi_map.h"

// MidiBound.reach: two steps of 127; where the controller was told to stand,
// and may have gone on by hand for a moment; just learnt: anywhere.
#define MIDI_REACH (2.0 / 127)
#define MIDI_REACH_TOLD (16.0 / 127)
#define MIDI_REACH_LEARNT 1.0

// Whether a binding to `bound` is meant when `moved` moves.
bool midi_source_covers(const MidiSource* bound, const MidiSource* moved);

// The table ends here: what is left is as it is after bindings were taken out.
void midi_map_keep_first(MidiMap* map, size_t kept);

// Binds the target to `source`, which loses what it had learnt before; learning
// ends. False: the table is full, and `error` says so.
bool midi_learn_source(MidiMap* map, const MidiSource* source, Error* error);

// Takes note of a control change and of the moves that it means. True: it is
// bound now. A reserved controller is refused in `error`.
bool midi_learn_controller(MidiMap*        map,
                           const uint8_t   message[3],
                           const MidiMove* moves,
                           size_t          move_count,
                           Error*          error);
