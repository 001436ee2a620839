// Where the music came from, in one line that a recording carries and that
// allows it to be made again. Control thread.
#pragma once

#include "live/worker.h"
#include "options.h"
#include "sources.h"

#define PROVENANCE_BYTES_MAX 4096

// Where a fallback was played it says so: that cannot be made again.
void provenance_format(const Options* options,
                       const Sources* sources,
                       const Worker*  worker,
                       char           text[PROVENANCE_BYTES_MAX]);
