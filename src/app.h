// `meander play`: owns everything that sounds, and the order in which it starts
// and stops. Control thread.
#pragma once

#include "options.h"
#include "status.h"

#include <stdbool.h>

// `model_stuck`: a call of the model did not end and its thread runs on. The
// program must then end without exit handlers: they would free what that thread
// stands on (OpenBLAS has one).
Status app_run(const Options* options, bool* model_stuck, Error* error);
