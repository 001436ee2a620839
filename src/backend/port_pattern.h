// A regular expression on "client:port", as --connect and --control take it; or
// that name itself, as --list-ports prints it, whatever signs are in it.
// Control thread.
#pragma once

#include "status.h"

#include <regex.h>
#include <stdbool.h>

// All zero: matches nothing.
typedef struct {
  bool        given;
  const char* text; // lives as long as the pattern
  regex_t     regex;
} PortPattern;

// `text` NULL: matches nothing. STATUS_BAD_ARGUMENT names `option`.
Status port_pattern_compile(PortPattern* pattern,
                            const char*  text,
                            const char*  option,
                            Error*       error);
bool   port_pattern_matches(const PortPattern* pattern, const char* name);
void   port_pattern_free(PortPattern* pattern);
