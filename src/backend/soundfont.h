// Where a General MIDI soundfont is. Control thread.
#pragma once

#include "status.h"

#include <stddef.h>

#define SOUNDFONT_PATH_BYTES 1024

// Where distributions put one, best first, NULL-terminated.
extern const char* const soundfont_places[];

// `named` (what $MEANDER_SOUNDFONT says; NULL or empty: nothing), or else the
// first of `places` that can be read. STATUS_NOT_FOUND says what was looked for
// and what to install.
Status soundfont_find(const char*        named,
                      const char* const* places,
                      char               path[SOUNDFONT_PATH_BYTES],
                      Error*             error);
