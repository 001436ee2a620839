// Opening the ALSA sequencer, and keeping ALSA quiet. Control thread.
#pragma once

#include "status.h"

#include <alsa/asoundlib.h>

// A client of that name that does not block. ALSA itself says nothing on
// stderr. STATUS_NOT_FOUND: there is no sequencer; STATUS_UNAVAILABLE: it is
// not for us. The error says what to do.
Status alsa_client_open(snd_seq_t** seq, const char* client_name, Error* error);

// Between these two ALSA says nothing on stderr: an error line of ours says
// what its own would say, and what to do.
void alsa_hush(void);
void alsa_speak(void);
