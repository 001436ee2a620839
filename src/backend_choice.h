// Which backend plays. Control thread.
#pragma once

#include "backend/backend.h"
#include "options.h"

#include <stddef.h>

// Opens the backend that was asked for; `choice` is set to what was taken,
// `why` says why. BACKEND_AUTO takes what will be heard: JACK if a server runs;
// an ALSA input that matches `connect_pattern`; our own synth if there is an
// audio device; the ALSA sequencer, if someone may connect to it; else the null
// clock.
Status backend_open_choice(Choice*              choice,
                           const BackendConfig* config,
                           Backend**            out,
                           char*                why,
                           size_t               why_bytes,
                           Error*               error);
