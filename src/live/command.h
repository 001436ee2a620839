// What control tells the worker. One thread writes, one reads.
#pragma once

#include "live/beat.h"
#include "live/generator.h"
#include "live/params.h"
#include "model.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
  COMMAND_PARAM,         // param = value
  COMMAND_POINT,         // slot (from 1) holds `point`
  COMMAND_GO,            // the next window is at `point`
  COMMAND_PHRASE_BEGINS, // a player began to play
  COMMAND_PHRASE,        // and played this; count 0: nothing after all
  COMMAND_MODEL,         // plays on with `model`
  COMMAND_FALLBACK,      // `model` stands in from now on; there was none
  COMMAND_TIME           // the beat is another
} CommandKind;

typedef struct {
  bool     is_free;     // it is the worker's own; the rest says nothing
  bool     rolling;     // else it stands still
  uint64_t start_frame; // where it began to roll, or stopped
  BeatMap  map;
  double   beats_per_bar;
  uint32_t breaks; // process's count
  // The first of those that were not told before: what was planned from there
  // on did not sound.
  uint64_t break_frame;
} BeatTime;

typedef struct {
  CommandKind kind;
  ParamId     param;
  double      value;
  uint32_t    slot;
  LatentPoint point;
  NoteEvent   notes[CONTEXT_NOTES_MAX];
  uint32_t    count;
  Model*      model; // the worker's from here on, until it is retired (no
                     // fallback is)
  bool     again;    // the window that sounds comes again, made by `model`
  BeatTime time;
} WorkerCommand;
