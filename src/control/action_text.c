// Actions in words.
#include "control/action_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status
check_number(const Action* action, Error* error)
{
  const ActionInfo* const info  = &action_table[action->kind];
  const double            value = action->number;
  if (!(value >= info->low && value <= info->high)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s is %g, out of its range %g to %g",
                     info->name,
                     value,
                     info->low,
                     info->high);
  }
  if (info->takes == ACTION_TAKES_NUMBER && action->kind != ACTION_KEEP &&
      value != floor(value)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s is %g, use a whole number",
                     info->name,
                     value);
  }
  return STATUS_OK;
}

Status
action_check(const Action* action, Error* error)
{
  if ((unsigned)action->kind >= ACTION_COUNT) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "there is no action %d", (int)action->kind);
  }
  const ActionInfo* const info        = &action_table[action->kind];
  const bool              takes_param = info->takes == ACTION_TAKES_PARAM ||
                           info->takes == ACTION_TAKES_PARAM_TEXT ||
                           info->takes == ACTION_TAKES_PARAM_ALONE;
  if (takes_param && (unsigned)action->param >= PARAM_COUNT) {
    return error_set(
      error,
      STATUS_BAD_ARGUMENT,
      "%s wants a parameter ('meander --help-params' lists them)",
      info->name);
  }
  if (info->takes == ACTION_TAKES_TEXT && !*action->text) {
    return error_set(error, STATUS_BAD_ARGUMENT, "%s wants a name", info->name);
  }
  if (action->kind == ACTION_SET) {
    return STATUS_OK; // the parameter's own range counts
  }
  return info->takes == ACTION_TAKES_NUMBER || info->takes == ACTION_TAKES_PARAM
           ? check_number(action, error)
           : STATUS_OK;
}

// The next word, with its length; spaces before it are skipped.
static size_t
next_word(const char** text)
{
  *text += strspn(*text, " \t");
  return strcspn(*text, " \t");
}

static Status
parse_param(const char** rest, Action* action, Error* error)
{
  char         name[PARAM_NAME_BYTES];
  const size_t length = next_word(rest);
  snprintf(name, sizeof name, "%.*s", (int)length, *rest);
  action->param =
    length && length < sizeof name ? params_find(name) : PARAM_COUNT;
  if (action->param == PARAM_COUNT) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     length ? "%s: there is no parameter '%s' ('meander "
                              "--help-params' lists them)"
                            : "%s wants a parameter%s",
                     action_table[action->kind].name,
                     length ? name : "");
  }
  *rest += length;
  return STATUS_OK;
}

static Status
parse_number(const char** rest, Action* action, Error* error)
{
  char* end;
  next_word(rest);
  action->number = strtod(*rest, &end);
  if (end == *rest || (*end && !strchr(" \t", *end))) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s wants a number, not '%.40s'",
                     action_table[action->kind].name,
                     *rest);
  }
  *rest = end;
  return STATUS_OK;
}

// All that is left, without the spaces around it.
static Status
parse_text(const char** rest, Action* action, Error* error)
{
  next_word(rest);
  size_t length = strlen(*rest);
  while (length && strchr(" \t", (*rest)[length - 1])) {
    --length;
  }
  if (length >= sizeof action->text) {
    return error_set(error,
                     STATUS_LIMIT,
                     "%s: a text of %zu bytes, use at most %zu",
                     action_table[action->kind].name,
                     length,
                     sizeof action->text - 1);
  }
  memcpy(action->text, *rest, length);
  action->text[length] = '\0';
  *rest += strlen(*rest);
  return STATUS_OK;
}

static Status
parse_rest(const char** rest, Action* action, Error* error)
{
  Status status = STATUS_OK;
  switch (action_table[action->kind].takes) {
    case ACTION_TAKES_NOTHING:
      break;
    case ACTION_TAKES_PARAM:
      status = parse_param(rest, action, error);
      return status ? status : parse_number(rest, action, error);
    case ACTION_TAKES_PARAM_TEXT:
      status = parse_param(rest, action, error);
      return status ? status : parse_text(rest, action, error);
    case ACTION_TAKES_PARAM_ALONE:
      return next_word(rest) ? parse_param(rest, action, error) : STATUS_OK;
    case ACTION_TAKES_NUMBER:
      return parse_number(rest, action, error);
    case ACTION_TAKES_TEXT:
      return parse_text(rest, action, error);
  }
  return status;
}

Status
action_parse(const char* text, Action* action, Error* error)
{
  const char*  rest   = text;
  const size_t length = next_word(&rest);
  char         name[PARAM_NAME_BYTES];
  snprintf(name, sizeof name, "%.*s", (int)length, rest);
  Action parsed = { .kind =
                      length < sizeof name ? action_find(name) : ACTION_COUNT,
                    .param = PARAM_COUNT };
  if (parsed.kind == ACTION_COUNT) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "there is no action '%s'", name);
  }
  rest += length;
  const Status status = parse_rest(&rest, &parsed, error);
  if (status) {
    return status;
  }
  if (next_word(&rest)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s: '%.40s' is too much",
                     action_table[parsed.kind].name,
                     rest);
  }
  const bool last_touched =
    action_table[parsed.kind].takes == ACTION_TAKES_PARAM_ALONE &&
    parsed.param == PARAM_COUNT;
  const Status checked =
    last_touched ? STATUS_OK : action_check(&parsed, error);
  if (!checked) {
    *action = parsed;
  }
  return checked;
}

void
action_format(const Action* action, char* text, size_t size_bytes)
{
  const ActionInfo* const info  = &action_table[action->kind];
  const char* const       param = (unsigned)action->param < PARAM_COUNT
                                    ? param_table[action->param].name
                                    : "";
  switch (info->takes) {
    case ACTION_TAKES_NOTHING:
      snprintf(text, size_bytes, "%s", info->name);
      break;
    case ACTION_TAKES_PARAM:
      snprintf(
        text, size_bytes, "%s %s %.10g", info->name, param, action->number);
      break;
    case ACTION_TAKES_PARAM_TEXT:
      snprintf(text, size_bytes, "%s %s %s", info->name, param, action->text);
      break;
    case ACTION_TAKES_PARAM_ALONE:
      snprintf(
        text, size_bytes, "%s%s%s", info->name, *param ? " " : "", param);
      break;
    case ACTION_TAKES_NUMBER:
      snprintf(text, size_bytes, "%s %.10g", info->name, action->number);
      break;
    case ACTION_TAKES_TEXT:
      snprintf(text, size_bytes, "%s %s", info->name, action->text);
      break;
  }
}
