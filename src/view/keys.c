// From keys to actions. Nothing here stays in the way: a question that one key
// answers goes by itself, typing ends with Enter or Esc, and Esc twice ends
// every note from anywhere.
#include "view/view_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_S 4.0
#define ESCAPE_TWICE_S 0.6
#define PASTE_S 1.0
#define FAR 10
#define KEEP_S 60
#define KEEP_BARS "8"
#define PARAMS_PAGE 8

static void
act(const KeyTurn* turn, const Action* action)
{
  Error error = { 0 };
  if (turn->act(turn->context, action, &error)) {
    view_refuse(turn->view, "%s", error.text);
  }
}

static void
act_simply(const KeyTurn* turn, ActionKind kind)
{
  act(turn, &(Action){ .kind = kind });
}

static void
act_number(const KeyTurn* turn, ActionKind kind, double number)
{
  act(turn, &(Action){ .kind = kind, .number = number });
}

static void
act_param(const KeyTurn* turn, ActionKind kind, double number)
{
  act(turn,
      &(Action){
        .kind = kind, .param = turn->view->keys.chosen, .number = number });
}

static void
act_text(const KeyTurn* turn, ActionKind kind, ParamId param, const char* text)
{
  Action action = { .kind = kind, .param = param };
  snprintf(action.text, sizeof action.text, "%s", text);
  act(turn, &action);
}

// From the first of its two names to the other, and back.
static void
toggle(const KeyTurn* turn, ParamId id)
{
  const Params* const params = turn->status->params;
  const bool          is_on  = params && params->value[id] > 0;
  act_text(turn, ACTION_SET_TEXT, id, param_table[id].choices[!is_on]);
}

static void
ask(const KeyTurn* turn, Ask what, const char* typed)
{
  ViewKeys* const keys = &turn->view->keys;
  keys->ask            = what;
  keys->ask_until_s    = turn->now_s + ASK_S;
  snprintf(keys->typed, sizeof keys->typed, "%s", typed);
}

static void
choose(const KeyTurn* turn, int by)
{
  ViewKeys* const keys = &turn->view->keys;
  const int       to   = (int)keys->chosen + by;
  keys->chosen         = (ParamId)(to < 0              ? 0
                                   : to >= PARAM_COUNT ? PARAM_COUNT - 1
                                                       : to);
}

// In the help page the arrows move that.
static void
move(const KeyTurn* turn, int by)
{
  ViewKeys* const keys = &turn->view->keys;
  if (keys->help) {
    keys->help_row += by;
  } else {
    choose(turn, by);
  }
}

static void
turn_page(const KeyTurn* turn, int by)
{
  ViewKeys* const keys = &turn->view->keys;
  keys->page = (ViewPage)((keys->page + VIEW_PAGES + by) % VIEW_PAGES);
  keys->help = false;
}

static void
escape(const KeyTurn* turn)
{
  ViewKeys* const keys = &turn->view->keys;
  if (turn->now_s - keys->escape_s < ESCAPE_TWICE_S) {
    act_simply(turn, ACTION_PANIC);
  } else if (keys->ask == ASK_NOTHING && !keys->help) {
    view_refuse(turn->view, "Esc once more ends every note (panic); so does p");
  }
  keys->escape_s = turn->now_s;
  keys->ask      = ASK_NOTHING;
  keys->help     = false;
}

static const KeyHelp key_help[] = {
  { "?", "help", "this page; arrows move it, ? or Esc closes it" },
  { "p", "panic", "panic: ends every note, in synths too" },
  { "Esc Esc", "", "panic from anywhere; one Esc leaves what is open" },
  { "space", "freeze", "freeze: the last beats again and again; and back" },
  { "m", "mute", "mute: plays on without a sound; and back" },
  { "h", "hold", "hold: stays where it is in latent space; and back" },
  { "up down", "", "chooses a parameter (page up/down: 8 on; home, end)" },
  { "left right", "", "changes it by one step" },
  { "[ ]", "", "changes it by 10 steps (shift with left, right too)" },
  { "Enter", "type", "types a value for it; auto where that is allowed" },
  { "1-9 0", "recall", "goes to a stored point (0: the tenth)" },
  { "s", "store", "stores the point that sounds: then 1-9, 0, a-f" },
  { "g", "", "goes to a point: then 1-9, 0, a-f (11 to 16)" },
  { "a", "A/B", "the other of two checkpoints, at the same point" },
  { "n N", "next", "the next checkpoint, the one before" },
  { "+ -", "", "rates the checkpoint: good; bad, and goes on" },
  { "k", "keep", "keeps the last 60 seconds in a file" },
  { "K", "", "keeps the last bars in a file: asks how many" },
  { "r", "record", "records from now on; again ends it" },
  { "l", "learn", "the next controller that moves is bound to it" },
  { "L", "", "forgets what is bound to it" },
  { "b", "", "binds the next controller or key to an action: asks which" },
  { "o", "preset", "takes a preset: asks for its name" },
  { "O", "", "plays another checkpoint: asks for its name" },
  { "w", "save", "saves all settings as a preset: asks for its name" },
  { "tab", "page", "play, parameters, roll, walk, log (shift: back)" },
  { "q", "quit", "quits, when y is pressed after it" },
  { "Ctrl-L", "", "draws the screen anew" },
};

const KeyHelp*
view_key_help(size_t index)
{
  return index < sizeof key_help / sizeof *key_help ? &key_help[index] : NULL;
}

void
view_question(const View*       view,
              const ViewStatus* status,
              char*             text,
              size_t            size)
{
  static const char* const questions[] = {
    [ASK_NOTHING] = "",
    [ASK_STORE]   = "store this point as: 1-9, 0, a-f",
    [ASK_RECALL]  = "go to the point: 1-9, 0, a-f",
    [ASK_QUIT]    = "quit? y ends the music, any other key plays on",
    [ASK_BARS]    = "keep how many bars",
    [ASK_PRESET]  = "preset to take",
    [ASK_SAVE]    = "save as preset",
    [ASK_LOAD]    = "checkpoint to play",
    [ASK_BIND]    = "bind which action",
  };
  const ViewKeys* const keys = &view->keys;
  if (keys->ask < ASK_VALUE) {
    snprintf(text, size, "%s", questions[keys->ask]);
  } else if (keys->ask > ASK_VALUE) {
    snprintf(text, size, "%s: %s_", questions[keys->ask], keys->typed);
  } else {
    const ParamInfo* const info    = &param_table[keys->chosen];
    char                   now[64] = "";
    if (status->params) {
      params_format(status->params, keys->chosen, now, sizeof now);
    }
    snprintf(text, size, "%s (now %s) = %s_", info->name, now, keys->typed);
  }
}

// The slot that a key names: 1-9, 0 the tenth, a-f 11 to 16; 0: none.
static int
slot_of(int key)
{
  return key == '0'                 ? 10
         : key >= '1' && key <= '9' ? key - '0'
         : key >= 'a' && key <= 'f' ? key - 'a' + 11
                                    : 0;
}

// Whether a key was the answer; if not it is an ordinary key.
static bool
answer(const KeyTurn* turn, int key)
{
  ViewKeys* const keys = &turn->view->keys;
  const Ask       was  = keys->ask;
  const int       slot = slot_of(key);
  keys->ask            = ASK_NOTHING;
  if (was == ASK_QUIT && key == 'y') {
    act_simply(turn, ACTION_QUIT);
    return true;
  }
  if (was == ASK_STORE && slot) {
    act_number(turn, ACTION_STORE, slot);
    return true;
  }
  if (was == ASK_RECALL && slot) {
    act_number(turn, ACTION_RECALL, slot);
    return true;
  }
  return false;
}

static void
keep_bars(const KeyTurn* turn, const char* typed)
{
  char*        end;
  const double bars = strtod(typed, &end);
  if (end == typed || *end ||
      !(bars >= action_table[ACTION_KEEP_BARS].low &&
        bars <= action_table[ACTION_KEEP_BARS].high)) {
    view_refuse(turn->view,
                "bars to keep: '%.40s' is no number from %g to %g",
                typed,
                action_table[ACTION_KEEP_BARS].low,
                action_table[ACTION_KEEP_BARS].high);
    return;
  }
  act_number(turn, ACTION_KEEP_BARS, bars);
}

static void
enter_typed(const KeyTurn* turn)
{
  static const ActionKind kinds[] = { [ASK_VALUE]  = ACTION_SET_TEXT,
                                      [ASK_PRESET] = ACTION_PRESET,
                                      [ASK_SAVE]   = ACTION_SAVE,
                                      [ASK_LOAD]   = ACTION_LOAD,
                                      [ASK_BIND]   = ACTION_LEARN_ACTION };
  ViewKeys* const         keys    = &turn->view->keys;
  const Ask               was     = keys->ask;
  keys->ask                       = ASK_NOTHING;
  if (!*keys->typed) {
    return; // nothing typed, nothing done
  }
  if (was == ASK_BARS) {
    keep_bars(turn, keys->typed);
  } else {
    act_text(
      turn, kinds[was], was == ASK_VALUE ? keys->chosen : 0, keys->typed);
  }
}

// One character less: in UTF-8 also the bytes that continue it.
static void
rub_out(char* typed)
{
  size_t length = strlen(typed);
  while (length && (typed[length - 1] & 0xc0) == 0x80) {
    --length;
  }
  typed[length ? length - 1 : 0] = '\0';
}

static void
type(const KeyTurn* turn, int key)
{
  ViewKeys* const keys   = &turn->view->keys;
  const size_t    length = strlen(keys->typed);
  if (key == VIEW_KEY_ENTER && !keys->pasting) {
    enter_typed(turn);
  } else if (key == VIEW_KEY_BACKSPACE) {
    rub_out(keys->typed);
  } else if (key == ('u' & 0x1f)) {
    *keys->typed = '\0';
  } else if (key >= ' ' && key < 256 && length + 1 < sizeof keys->typed) {
    keys->typed[length]     = (char)key;
    keys->typed[length + 1] = '\0';
  }
}

static bool
press_arrow(const KeyTurn* turn, int key)
{
  static const struct {
    int key;
    int nudge;
    int move;
  } moves[] = {
    { VIEW_KEY_LEFT, -1, 0 },
    { VIEW_KEY_RIGHT, 1, 0 },
    { VIEW_KEY_FAR_LEFT, -FAR, 0 },
    { VIEW_KEY_FAR_RIGHT, FAR, 0 },
    { '[', -FAR, 0 },
    { ']', FAR, 0 },
    { VIEW_KEY_UP, 0, -1 },
    { VIEW_KEY_DOWN, 0, 1 },
    { VIEW_KEY_PAGE_UP, 0, -PARAMS_PAGE },
    { VIEW_KEY_PAGE_DOWN, 0, PARAMS_PAGE },
    { VIEW_KEY_HOME, 0, -PARAM_COUNT },
    { VIEW_KEY_END, 0, PARAM_COUNT },
  };
  for (size_t i = 0; i < sizeof moves / sizeof *moves; ++i) {
    if (moves[i].key == key) {
      if (moves[i].nudge) {
        act_param(turn, ACTION_NUDGE, moves[i].nudge);
      } else {
        move(turn, moves[i].move);
      }
      return true;
    }
  }
  return false;
}

static bool
press_simple(const KeyTurn* turn, int key)
{
  static const struct {
    int        key;
    ActionKind kind;
  } simple[] = {
    { 'p', ACTION_PANIC },    { 'a', ACTION_AB },     { 'n', ACTION_NEXT },
    { 'N', ACTION_PREVIOUS }, { '+', ACTION_ACCEPT }, { '-', ACTION_REJECT },
  };
  static const struct {
    int         key;
    Ask         ask;
    const char* typed;
  } questions[] = {
    { 's', ASK_STORE, "" },       { 'g', ASK_RECALL, "" },
    { 'q', ASK_QUIT, "" },        { VIEW_KEY_ENTER, ASK_VALUE, "" },
    { 'o', ASK_PRESET, "" },      { 'O', ASK_LOAD, "" },
    { 'w', ASK_SAVE, "" },        { 'b', ASK_BIND, "" },
    { 'K', ASK_BARS, KEEP_BARS },
  };
  for (size_t i = 0; i < sizeof simple / sizeof *simple; ++i) {
    if (simple[i].key == key) {
      act_simply(turn, simple[i].kind);
      return true;
    }
  }
  for (size_t i = 0; i < sizeof questions / sizeof *questions; ++i) {
    if (questions[i].key == key) {
      ask(turn, questions[i].ask, questions[i].typed);
      return true;
    }
  }
  return false;
}

static void
press(const KeyTurn* turn, int key)
{
  ViewKeys* const keys = &turn->view->keys;
  if (press_arrow(turn, key) || press_simple(turn, key)) {
    return;
  }
  switch (key) {
    case ' ':
      toggle(turn, PARAM_FREEZE);
      break;
    case 'm':
      toggle(turn, PARAM_MUTE);
      break;
    case 'h':
      toggle(turn, PARAM_HOLD);
      break;
    case 'k':
      act_number(turn, ACTION_KEEP, KEEP_S);
      break;
    case 'r':
      act_number(turn, ACTION_RECORD, !turn->status->recording);
      break;
    case 'l':
      act_param(turn, ACTION_LEARN, 0);
      break;
    case 'L':
      act_param(turn, ACTION_UNLEARN, 0);
      break;
    case '\t':
      turn_page(turn, 1);
      break;
    case VIEW_KEY_BACK_TAB:
      turn_page(turn, -1);
      break;
    case '?':
      keys->help     = !keys->help;
      keys->help_row = 0;
      break;
    case 'l' & 0x1f:
      terminal_redraw();
      break;
    default:
      if (key >= '0' && key <= '9') {
        act_number(turn, ACTION_RECALL, slot_of(key));
      }
  }
}

static void
take_key(const KeyTurn* turn, int key)
{
  ViewKeys* const keys = &turn->view->keys;
  turn->view->dirty    = true;
  if (key == VIEW_KEY_PASTE_BEGIN || key == VIEW_KEY_PASTE_END) {
    keys->pasting = key == VIEW_KEY_PASTE_BEGIN;
    keys->paste_s = turn->now_s;
  } else if (key == VIEW_KEY_ESCAPE) {
    escape(turn);
  } else if (keys->ask >= ASK_VALUE) {
    type(turn, key);
  } else if (!keys->pasting && !(keys->ask && answer(turn, key))) {
    press(turn, key);
  }
}

void
view_take_keys(const KeyTurn* turn)
{
  ViewKeys* const keys = &turn->view->keys;
  char            bytes[256];
  const size_t got = terminal_read(&turn->view->terminal, bytes, sizeof bytes);
  for (size_t i = 0; i < got; ++i) {
    int          two[2];
    const size_t count =
      key_decoder_take(&keys->decoder, turn->now_s, bytes[i], two);
    for (size_t k = 0; k < count; ++k) {
      take_key(turn, two[k]);
    }
  }
  // An end that got lost must not silence the keys.
  keys->pasting    = keys->pasting && turn->now_s - keys->paste_s < PASTE_S;
  const int waited = key_decoder_wait(&keys->decoder, turn->now_s);
  if (waited != VIEW_KEY_NONE) {
    take_key(turn, waited);
  }
  if (keys->ask && keys->ask < ASK_VALUE && turn->now_s > keys->ask_until_s) {
    keys->ask = ASK_NOTHING;
  }
}
