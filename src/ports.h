// `meander --list-ports`: whom --connect and --control could name. Control
// thread, while no backend is open.
#pragma once

#include "status.h"

// Prints the MIDI ports of JACK (`jack_server` or the default one) and of ALSA
// to standard output; of one that is not there it says so in a line.
// STATUS_NOT_FOUND: neither is there. STATUS_IO: standard output takes no more.
Status ports_print(const char* jack_server, Error* error);
