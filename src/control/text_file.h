// Small text files that people and programs write: presets, the state file.
// Control thread.
#pragma once

#include "status.h"

#include <libconfig.h>
#include <stddef.h>
#include <stdio.h>

// Reads all of a regular file into `*text`, which the caller frees. The line
// names the file. STATUS_NOT_FOUND: it is not there. STATUS_BAD_FILE: it holds
// a NUL. STATUS_LIMIT: more than `bytes_max`. STATUS_IO: the system refused.
Status text_file_read(const char* path,
                      size_t      bytes_max,
                      char**      text,
                      Error*      error);

// Parses what was read from `path`. libconfig's @include is refused: it would
// open whatever file it names; `instead` says what to use. On success the
// caller calls config_destroy(). After a syntax error libconfig 1.5 leaks a
// string of the text.
Status text_file_parse(const char* path,
                       const char* text,
                       const char* instead,
                       config_t*   config,
                       Error*      error);

// Writes a finite number as libconfig reads a float, whatever the locale.
void text_file_put_number(FILE* out, double value, int digits);
