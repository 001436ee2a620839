// Set-up and teardown of what process.h declares. Control thread, while no
// process thread runs.
#pragma once

#include "live/process.h"
#include "status.h"

#include <stdbool.h>

Status process_init(Process* process, Error* error);
void   process_free(Process* process);

// Before each backend starts: the first, and each that follows a dead one.
void process_connect(Process* process);

// Takes the next message that was written; false when there is none. Control
// thread, also while process runs.
bool process_read_played(Process* process, PlayedEvent* event);
// The same for what came in.
bool process_read_heard(Process* process, HeardEvent* event);
// To meander:feedback in the next span; false: no room, nothing is sent.
bool process_send_feedback(Process* process, const uint8_t message[3]);
