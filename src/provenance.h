// Where the music came from, in one line that a recording carries and that
// allows it to be made again. Control thread.
#pragma once

#include "model.h"
#include "options.h"

#include <stddef.h>

#define PROVENANCE_BYTES_MAX 640

void provenance_format(const Options* options,
                       const Model*   model,
                       char           text[PROVENANCE_BYTES_MAX]);
