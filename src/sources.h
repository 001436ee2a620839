// What the music is made from: the models and the phrase that the options name,
// loaded and checked against each other. Control thread, before play.
#pragma once

#include "live/worker.h"
#include "options.h"

// Models whose files recordings name; of more the oldest are forgotten: files
// are only a hint, the digest in a recording's lines decides.
#define SOURCES_FILES_MAX 16u

// Which file a model came from.
typedef struct {
  char digest[24];
  char path[1024];
} SourceFile;

typedef struct {
  Model*    model;
  Model*    fallback; // NULL: none
  bool      tried;    // to load it
  NoteEvent phrase[CONTEXT_NOTES_MAX];
  uint32_t  phrase_count; // 0: none
  // Of all models that played and do not ship with the program.
  SourceFile files[SOURCES_FILES_MAX];
  uint32_t   file_count;
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

// `model`, which begins to play, came from the file at `path`.
void sources_remember(Sources* sources, const Model* model, const char* path);

WorkerSetup sources_setup(const Sources* sources, const Options* options);
