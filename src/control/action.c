// The actions' names and ranges.
#include "control/action.h"

#include <string.h>

// clang-format off
const ActionInfo action_table[ACTION_COUNT] = {
  [ACTION_SET]          = { "set", ACTION_TAKES_PARAM, 0, 0,
    "sets a parameter, in its own unit" },
  [ACTION_SET_SHARE]    = { "share", ACTION_TAKES_PARAM, 0, 1,
    "sets a parameter to 0..1 of its range" },
  [ACTION_SET_TEXT]     = { "text", ACTION_TAKES_PARAM_TEXT, 0, 0,
    "sets a parameter as it would be typed" },
  [ACTION_NUDGE]        = { "nudge", ACTION_TAKES_PARAM, -1000, 1000,
    "moves a parameter by steps" },
  [ACTION_PANIC]        = { "panic", ACTION_TAKES_NOTHING, 0, 0,
    "ends every note, also in synths that lost one" },
  [ACTION_STORE]        = { "store", ACTION_TAKES_NUMBER, 1, POINTS_MAX,
    "stores the point in latent space that sounds" },
  [ACTION_RECALL]       = { "recall", ACTION_TAKES_NUMBER, 1, POINTS_MAX,
    "goes to a stored point" },
  [ACTION_LOAD]         = { "load", ACTION_TAKES_TEXT, 0, 0,
    "plays another checkpoint" },
  [ACTION_PRESET]       = { "preset", ACTION_TAKES_TEXT, 0, 0,
    "takes all settings of a preset" },
  [ACTION_SAVE]         = { "save", ACTION_TAKES_TEXT, 0, 0,
    "saves all settings as a preset of your own" },
  [ACTION_PROGRAM]      = { "program", ACTION_TAKES_NUMBER, 0, 127,
    "what a Program Change does" },
  [ACTION_AB]           = { "ab", ACTION_TAKES_NOTHING, 0, 0,
    "the other of two checkpoints, at the same point" },
  [ACTION_NEXT]         = { "next", ACTION_TAKES_NOTHING, 0, 0,
    "the next checkpoint" },
  [ACTION_PREVIOUS]     = { "previous", ACTION_TAKES_NOTHING, 0, 0,
    "the checkpoint before" },
  [ACTION_ACCEPT]       = { "accept", ACTION_TAKES_NOTHING, 0, 0,
    "rates the checkpoint that plays: good" },
  [ACTION_REJECT]       = { "reject", ACTION_TAKES_NOTHING, 0, 0,
    "rates the checkpoint that plays: bad, and goes on to the next" },
  [ACTION_KEEP]         = { "keep", ACTION_TAKES_NUMBER, 1, 600,
    "writes the last seconds to a file" },
  [ACTION_KEEP_BARS]    = { "keep_bars", ACTION_TAKES_NUMBER, 1, 600,
    "writes the last bars to a file" },
  [ACTION_RECORD]       = { "record", ACTION_TAKES_NUMBER, 0, 1,
    "1: records from now on; 0: ends that" },
  [ACTION_LEARN]        = { "learn", ACTION_TAKES_PARAM_ALONE, 0, 0,
    "the next controller that moves is bound to a parameter" },
  [ACTION_LEARN_ACTION] = { "learn_action", ACTION_TAKES_TEXT, 0, 0,
    "the next controller or key is bound to an action" },
  [ACTION_UNLEARN]      = { "unlearn", ACTION_TAKES_PARAM_ALONE, 0, 0,
    "forgets what is bound to a parameter" },
  [ACTION_QUIT]         = { "quit", ACTION_TAKES_NOTHING, 0, 0,
    "ends the music and the program" },
};
// clang-format on

ActionKind
action_find(const char* name)
{
  int kind = 0;
  while (kind < ACTION_COUNT && strcmp(action_table[kind].name, name)) {
    ++kind;
  }
  return (ActionKind)kind;
}
