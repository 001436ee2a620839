// Recording a session (--record): what ties record.h to the worker and to what
// the player asked for. Control thread.
#pragma once

#include "live/worker.h"
#include "options.h"
#include "record.h"
#include "sources.h"

// If a recording is asked for, its file grows from now on. The rate is known
// and the worker has not started.
Status recording_start(Recorder*      recorder,
                       const Options* options,
                       const Sources* sources,
                       const Worker*  worker,
                       uint32_t       sample_rate_hz,
                       Error*         error);

// Once a turn of the loop, after the messages were added. True: `told` has one
// line for the player.
bool recording_turn(Recorder* recorder, const Worker* worker, Error* told);

// Ends what sounds and writes the file whole.
Status recording_end(Recorder*      recorder,
                     const Options* options,
                     const Sources* sources,
                     const Worker*  worker,
                     uint32_t       sample_rate_hz,
                     Error*         error);
