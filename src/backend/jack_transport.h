// JACK's transport as backend.h's. Pure.
#pragma once

#include "backend/backend.h"

#include <jack/transport.h>

// What a client told of bars and beats is taken only where it makes sense.
Transport jack_transport_read(jack_transport_state_t state,
                              const jack_position_t* position) REALTIME;
