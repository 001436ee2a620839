// `meander render`: the notes of `play` to a file, through the same process
// code with a clock that runs as fast as it can. Everything in one thread.
#pragma once

#include "options.h"
#include "status.h"

Status render_run(const Options* options, Error* error);

// `meander render --from`: a recording made again from the lines in it.
Status render_again(const Options* options, Error* error);
