// Which pieces are held out for tests: those of a list, or a tenth drawn by
// seed. Main thread.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  char*    text;  // the list file's content, cut into lines
  char**   lines; // sorted; NULL: drawn by seed
  bool*    found; // each line, whether a piece had that name
  size_t   count;
  uint64_t seed;
} Split;

// The names that `list_path` holds, one a line (empty lines do not count), or a
// tenth of all where it is NULL.
Status split_open(Split*      split,
                  const char* list_path,
                  uint64_t    seed,
                  Error*      error);
void   split_close(Split* split);

// A function of the name and of the list or seed only.
bool split_is_test(Split* split, const char* name);

// Names the lines that no piece had on stderr, up to `named_max` of them;
// returns how many there are.
size_t split_report_unfound(const Split* split, size_t named_max);
