// Makes a recording again from the lines that it carries (plan_text.h): samples
// its windows anew, stamps them as they were stamped, and plays them through
// the same process. Control thread.
#pragma once

#include "live/process.h"
#include "model.h"
#include "status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Regeneration Regeneration;

// The loaded model of that digest; NULL and an error: there is none.
typedef Model* (*RegenerateModel)(void*       context,
                                  const char* digest,
                                  Error*      error);

Status regeneration_open(RegenerateModel model,
                         void*           context,
                         Regeneration**  out,
                         Error*          error);
void   regeneration_free(Regeneration* regeneration);

// The lines, in order; `number` is of the first note that a line concerns.
// STATUS_BAD_FILE, or what sampling came to.
Status regeneration_line(Regeneration* regeneration,
                         uint64_t      number,
                         const char*   text,
                         Error*        error);

uint32_t regeneration_rate_hz(const Regeneration* regeneration); // 0: not told

// Plays all notes that begin before `end_frame` (session clock) and tells each
// message.
Status regeneration_play(Regeneration* regeneration,
                         uint64_t      end_frame,
                         void (*heard)(void* context, const PlayedEvent* event),
                         void*  context,
                         Error* error);
