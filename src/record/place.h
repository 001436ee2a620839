// Where takes go: DIRECTORY/meander-2026-11-23_142501.mid, and with -2, -3 and
// so on where there is one of that name already. Any thread but process.
#pragma once

#include "status.h"

#include <time.h>

#define PLACE_BYTES_MAX 1024u

// Makes an empty file of a name that was free, for `when` (local time), so that
// nobody else takes the name; the caller writes over it, or removes it. The
// directory is made where it is missing.
//
// Without a directory (NULL): $XDG_MUSIC_DIR/meander, or ~/Music/meander, or
// the current directory where those cannot be written.
Status place_take(const char* directory,
                  time_t      when,
                  char        path[PLACE_BYTES_MAX],
                  Error*      error);
