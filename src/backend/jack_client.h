// Calls to libjack that wait for the server's answer, and a client's two ends.
//
// libjack waits without a time limit, and a server that hangs never answers.
// Opening and closing a client also hold a lock of libjack's that every other
// opening waits for. So each such call has a thread of its own, which is left
// behind when it takes too long; while one still waits, nothing is opened.
// Control thread.
#pragma once

#include "status.h"

#include <jack/jack.h>
#include <stdbool.h>

typedef struct {
  void (*run)(void* context);
  // Or NULL. After run(), where nobody waited for it to the end.
  void (*late)(void* context);
} JackCall;

// Whether run() returned within `seconds`. If not, `context` is the call's from
// here on; late() may free it.
bool jack_call(const JackCall* call, void* context, double seconds);

// Whether a call was left behind and still waits.
bool jack_call_is_stuck(void);

// As users know it; `server_name` may be NULL.
const char* jack_server_shown(const char* server_name);

// Starts no server. STATUS_NOT_FOUND: none runs. STATUS_UNAVAILABLE: it does
// not answer, or refused us.
Status jack_client_begin(const char*     client_name,
                         const char*     server_name, // or NULL
                         jack_client_t** client,
                         Error*          error);
// Ends within 2 s even when the server is dead or hangs.
void jack_client_end(jack_client_t* client);
