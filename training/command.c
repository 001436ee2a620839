// What the subcommands of meander-train share.
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUE_HELP 1
#define VALUE_OPTION 256 // getopt's value of option 0

static bool
read_whole(const char* text, uint64_t* out)
{
  char* end;
  errno = 0;
  *out  = strtoull(text, &end, 10);
  return isdigit((unsigned char)*text) && !*end && !errno;
}

static bool
read_real(const char* text, float* out)
{
  char* end;
  *out = strtof(text, &end);
  return end != text && !*end;
}

// Stores one option's value; false: it is not one, or out of range.
static bool
store(const CommandOption* option, const char* text)
{
  uint64_t whole = 0;
  float    real  = 0.0f;
  switch (option->kind) {
    case COMMAND_FLAG:
      *(bool*)option->out = true;
      return true;
    case COMMAND_TEXT:
      *(const char**)option->out = text;
      return true;
    case COMMAND_LIST: {
      CommandList* const list = option->out;
      if (list->count == COMMAND_LIST_MAX) {
        return false;
      }
      list->texts[list->count++] = text;
      return true;
    }
    case COMMAND_U32:
      if (!read_whole(text, &whole) || (double)whole < option->low ||
          (double)whole > option->high) {
        return false;
      }
      *(uint32_t*)option->out = (uint32_t)whole;
      return true;
    case COMMAND_U64:
      if (!read_whole(text, &whole) || (double)whole < option->low) {
        return false;
      }
      *(uint64_t*)option->out = whole;
      return true;
    case COMMAND_FLOAT:
      if (!read_real(text, &real) ||
          !((double)real >= option->low && (double)real <= option->high)) {
        return false;
      }
      *(float*)option->out = real;
      return true;
  }
  return false;
}

static void
say_range(const char* command, const CommandOption* option, const char* text)
{
  if (option->kind == COMMAND_LIST) {
    fprintf(stderr,
            "meander-train %s: --%s can be given %u times\n",
            command,
            option->name,
            COMMAND_LIST_MAX);
    return;
  }
  fprintf(stderr,
          "meander-train %s: --%s %s: must be a %s",
          command,
          option->name,
          text,
          option->kind == COMMAND_FLOAT ? "number" : "whole number");
  if (option->kind == COMMAND_U64) {
    fprintf(stderr, " of at least %g\n", option->low);
  } else {
    fprintf(stderr, ", %g to %g\n", option->low, option->high);
  }
}

// Fills getopt's two lists.
static void
list_names(const CommandOption* options,
           size_t               option_count,
           struct option*       names,
           char*                letters)
{
  for (size_t i = 0; i < option_count; ++i) {
    const int takes =
      options[i].kind == COMMAND_FLAG ? no_argument : required_argument;
    names[i] =
      (struct option){ options[i].name, takes, NULL, VALUE_OPTION + (int)i };
    if (options[i].letter) {
      *letters++ = options[i].letter;
      if (takes == required_argument) {
        *letters++ = ':';
      }
    }
  }
  names[option_count] =
    (struct option){ "help", no_argument, NULL, VALUE_HELP };
  strcpy(letters, "h");
}

static const CommandOption*
find_option(const CommandOption* options, size_t option_count, int value)
{
  for (size_t i = 0; i < option_count; ++i) {
    if (value == VALUE_OPTION + (int)i ||
        (options[i].letter && value == options[i].letter)) {
      return &options[i];
    }
  }
  return NULL;
}

static bool
check_required(const char*          command,
               const CommandOption* options,
               size_t               option_count,
               const bool*          used)
{
  for (size_t i = 0; i < option_count; ++i) {
    if (options[i].required && !used[i]) {
      fprintf(stderr,
              "meander-train %s: --%s is missing\n",
              command,
              options[i].name);
      return false;
    }
  }
  return true;
}

bool
command_parse(int                  argc,
              char**               argv,
              const char*          usage,
              const CommandOption* options,
              size_t               option_count,
              int*                 first_operand,
              int*                 exit_code)
{
  struct option names[COMMAND_OPTIONS_MAX + 2]       = { 0 };
  char          letters[2 * COMMAND_OPTIONS_MAX + 2] = "";
  bool          used[COMMAND_OPTIONS_MAX]            = { false };
  bool          good = option_count <= COMMAND_OPTIONS_MAX;
  list_names(options, option_count, names, letters);
  *exit_code = COMMAND_USAGE;
  optind     = 0; // this may not be the first parse
  for (int c;
       good && (c = getopt_long(argc, argv, letters, names, NULL)) != -1;) {
    if (c == VALUE_HELP || c == 'h') {
      fputs(usage, stdout);
      *exit_code = 0;
      return false;
    }
    const CommandOption* const option = find_option(options, option_count, c);
    good                              = option != NULL;
    if (option && !store(option, optarg)) {
      say_range(argv[0], option, optarg);
      good = false;
    } else if (option) {
      used[option - options] = true;
      if (option->given) {
        *option->given = true;
      }
    }
  }
  good = good && check_required(argv[0], options, option_count, used);
  if (good && first_operand) {
    *first_operand = optind;
  } else if (good && optind < argc) {
    fprintf(
      stderr, "meander-train %s: '%s' is too much\n", argv[0], argv[optind]);
    good = false;
  }
  if (!good) {
    fputs(usage, stderr);
  }
  return good;
}

bool
command_exists_in(const char* directory, const char* name)
{
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  return access(path, F_OK) == 0;
}

int
command_fail(const char* name, const Error* error)
{
  fprintf(stderr, "meander-train %s: %s\n", name, error->text);
  return COMMAND_FAILURE;
}
