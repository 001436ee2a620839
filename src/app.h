// `meander play`: owns everything that sounds, and the order in which it starts
// and stops. Control thread.
#pragma once

#include "options.h"
#include "status.h"

Status app_run(const Options* options, Error* error);
