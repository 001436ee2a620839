// What a player plays at meander:control, as phrases: notes between rests.
// Control thread.
#pragma once

#include "live/params.h"
#include "music/note.h"

#include <stdbool.h>
#include <stdint.h>

// Notes of a phrase; of a longer one the last count.
#define PHRASE_NOTES_MAX 256u

typedef enum { PHRASE_NOTHING, PHRASE_BEGAN, PHRASE_ENDED } PhraseEvent;

typedef struct {
  uint32_t   sample_rate_hz;
  PlayedNote notes[PHRASE_NOTES_MAX]; // duration 0: still held
  uint32_t   count;
  uint32_t   held;
  uint64_t   last_frame; // of the last key that moved
  bool       began;      // was told
} PhraseIn;

void phrase_in_init(PhraseIn* phrase, uint32_t sample_rate_hz);

// A note-on or note-off at a session frame; other messages are passed over.
void phrase_in_add(PhraseIn* phrase, uint64_t frame, const uint8_t message[3]);
// Keys that can no longer be released: their player is gone.
void phrase_in_release(PhraseIn* phrase, uint64_t frame);

// What has come about by `frame`; a rest of phrase_pause ends a phrase. With
// PHRASE_ENDED its last notes are in out[*count], in the model's terms: played
// with these parameters at `bpm` they come as they were played.
PhraseEvent phrase_in_poll(PhraseIn*     phrase,
                           uint64_t      frame,
                           const Params* params,
                           double        bpm,
                           NoteEvent     out[CONTEXT_NOTES_MAX],
                           uint32_t*     count);
