// What the subcommands of meander-train share: one table of options each, and
// the one error line. Main thread.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_FAILURE 1
#define COMMAND_USAGE 2

typedef enum {
  COMMAND_FLAG,  // bool
  COMMAND_TEXT,  // const char*
  COMMAND_LIST,  // CommandList: one text for each use
  COMMAND_U32,   // uint32_t, whole number in [low, high]
  COMMAND_U64,   // uint64_t, whole number of at least `low`
  COMMAND_FLOAT, // float in [low, high]
} CommandKind;

#define COMMAND_LIST_MAX 16u
typedef struct {
  const char* texts[COMMAND_LIST_MAX];
  uint32_t    count;
} CommandList;

// One option; `--name` and, where given, `-letter`. `out` keeps its value where
// the option is not used; a required option must be.
typedef struct {
  const char* name;
  char        letter;
  CommandKind kind;
  void*       out;
  double      low;
  double      high;
  bool        required;
  bool*       given; // set when the option is used; may be NULL
} CommandOption;

#define COMMAND_OPTIONS_MAX 16u

// Reads argv[1..]. True: go on; operands (argv[*first_operand..]) are left
// where `first_operand` is not NULL, else refused. False: end with *exit_code;
// --help or one line of what is wrong and the usage were printed.
bool command_parse(int                  argc,
                   char**               argv,
                   const char*          usage,
                   const CommandOption* options,
                   size_t               option_count,
                   int*                 first_operand,
                   int*                 exit_code);

bool command_exists_in(const char* directory, const char* name);

// Prints "meander-train NAME: TEXT"; returns COMMAND_FAILURE.
int command_fail(const char* name, const Error* error);
