// What the music is made from: the models and the phrase that the options name,
// loaded and checked against each other. Control thread, before play.
#pragma once

#include "live/worker.h"
#include "options.h"

typedef struct {
  Model*    model;
  Model*    fallback; // NULL: none
  NoteEvent phrase[CONTEXT_NOTES_MAX];
  uint32_t  phrase_count; // 0: none
} Sources;

// `live`: with the shipped fallback model, which only play needs. On error
// there may be something to free.
Status sources_load(Sources*       sources,
                    const Options* options,
                    bool           live,
                    Error*         error);
void   sources_free(Sources* sources);

WorkerSetup sources_setup(const Sources* sources, const Options* options);
