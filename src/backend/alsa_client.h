// Opening the ALSA sequencer. Control thread.
#pragma once

#include "status.h"

#include <alsa/asoundlib.h>

// A client of that name that does not block. ALSA itself says nothing on
// stderr. STATUS_NOT_FOUND: there is no sequencer; STATUS_UNAVAILABLE: it is
// not for us. The error says what to do.
Status alsa_client_open(snd_seq_t** seq, const char* client_name, Error* error);
