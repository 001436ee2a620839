// What the music is made from: the models and the phrase that the options name,
// loaded and checked against each other. Control thread, before play.
#pragma once

#include "live/worker.h"
#include "options.h"

typedef struct {
  Model*    model;
  Model*    fallback; // NULL: none
  bool      tried;    // to load it
  NoteEvent phrase[CONTEXT_NOTES_MAX];
  uint32_t  phrase_count; // 0: none
} Sources;

// `live`: with the shipped fallback model where the model is a diffusion, which
// only play needs. On error there may be something to free.
Status sources_load(Sources*       sources,
                    const Options* options,
                    bool           live,
                    Error*         error);
// Whether a fallback is still to be loaded when `model` is to play.
bool sources_lack_fallback(const Sources* sources,
                           const Options* options,
                           const Model*   model);
// Loads it. A failure is not tried again.
Status sources_load_fallback(Sources*       sources,
                             const Options* options,
                             Error*         error);
void   sources_free(Sources* sources);

WorkerSetup sources_setup(const Sources* sources, const Options* options);
