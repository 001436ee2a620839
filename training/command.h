// What the subcommands of meander-train share: numbers on the command line and
// the one error line. Main thread.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

#define COMMAND_FAILURE 1
#define COMMAND_USAGE 2

// A whole number in [low, high]; otherwise says so on stderr and returns false.
bool command_u32(const char* option,
                 const char* text,
                 uint32_t    low,
                 uint32_t    high,
                 uint32_t*   out);
bool command_u64(const char* option, const char* text, uint64_t* out);
bool command_float(const char* option,
                   const char* text,
                   float       low,
                   float       high,
                   float*      out);

bool command_exists_in(const char* directory, const char* name);

// Prints "meander-train NAME: TEXT"; returns COMMAND_FAILURE.
int command_fail(const char* name, const Error* error);
