// What a player can ask for, whoever asks: the terminal, MIDI, OSC. All front
// ends turn what they hear into Actions and give them to one place, in the
// control thread. Parameters are the table of live/params.h, the rest the table
// here: a new action is known to every front end.
#pragma once

#include "live/params.h"
#include "status.h"

#include <stdbool.h>

typedef enum {
  ACTION_SET,       // param = number, in its own unit
  ACTION_SET_SHARE, // param = number, 0..1 of its range
  ACTION_SET_TEXT,  // param = text, as typed
  ACTION_NUDGE,     // param moves by `number` steps of its own
  ACTION_PANIC,
  ACTION_STORE,   // the point that sounds, to slot `number`
  ACTION_RECALL,  // of slot `number`
  ACTION_LOAD,    // a checkpoint: file or name
  ACTION_PRESET,  // file or name
  ACTION_SAVE,    // the state, as a preset of this name
  ACTION_PROGRAM, // what Program Change `number` chooses
  ACTION_AB,      // the other of two checkpoints, at the same point
  ACTION_NEXT,    // checkpoint
  ACTION_PREVIOUS,
  ACTION_ACCEPT, // rates the checkpoint that plays: keep
  ACTION_REJECT,
  ACTION_KEEP,         // writes the last `number` seconds
  ACTION_KEEP_BARS,    // writes the last `number` bars
  ACTION_RECORD,       // continuously, to a file of its own; 0 ends it
  ACTION_LEARN,        // the next CC or note is bound to `param`
  ACTION_LEARN_ACTION, // ... or to the action named `text`
  ACTION_UNLEARN,      // forgets what is bound to `param`
  ACTION_QUIT,
  ACTION_COUNT
} ActionKind;

// What an action takes beside its name.
typedef enum {
  ACTION_TAKES_NOTHING,
  ACTION_TAKES_PARAM,      // and a number
  ACTION_TAKES_PARAM_TEXT, // and text
  ACTION_TAKES_PARAM_ALONE,
  ACTION_TAKES_NUMBER,
  ACTION_TAKES_TEXT
} ActionTakes;

typedef struct {
  const char* name; // as in OSC ("/meander/panic") and in presets' bindings
  ActionTakes takes;
  double      low; // of the number, where it takes one alone
  double      high;
  const char* help;
} ActionInfo;

extern const ActionInfo action_table[ACTION_COUNT];

#define ACTION_TEXT_BYTES 512u

typedef struct {
  ActionKind kind;
  ParamId    param;
  double     number;
  char       text[ACTION_TEXT_BYTES];
} Action;

// ACTION_COUNT when there is none of this name.
ActionKind action_find(const char* name);

// Who does what was asked for. An error is one line for the player; nothing
// changed then.
typedef Status (*ActionDo)(void* context, const Action* action, Error* error);
