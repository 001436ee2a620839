// Note events to network numbers and back: pitch is a category (its index is
// the MIDI key; 0, which no event has, is the start token), velocity, step and
// duration are standardised by the statistics of encoding_stats.h. Pure.
#pragma once

#include "data.h"
#include "encoding_stats.h"
#include "music/note.h"

#define ENCODING_PITCHES 128u
#define ENCODING_START_PITCH 0u
// Order of the continuous channels.
enum { CHANNEL_VELOCITY, CHANNEL_STEP, CHANNEL_DURATION, CHANNEL_COUNT };

// The same for ops that encode (data.h).
NoteScale encoding_scale(const EncodingStats* stats);

void encode_event(const EncodingStats* stats,
                  NoteEvent            event,
                  float*               pitch,
                  float                channels[CHANNEL_COUNT]);

// Clamped to the ranges of a note event whatever the input (NaN included).
NoteEvent decode_event(const EncodingStats* stats,
                       float                pitch,
                       const float          channels[CHANNEL_COUNT]);
