// Which backend plays. Control thread.
#pragma once

#include "backend/backend.h"
#include "options.h"

#include <stddef.h>

// Opens the backend that was asked for; BACKEND_AUTO takes JACK if a server
// runs, else ALSA if its sequencer is there, else the null clock. `choice` is
// set to what was taken, `why` says why.
Status backend_open_choice(Choice*              choice,
                           const BackendConfig* config,
                           Backend**            out,
                           char*                why,
                           size_t               why_bytes,
                           Error*               error);
