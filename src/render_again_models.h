// The checkpoints that a recording was made by, found by their digest: among
// the files and folders that --model and --fallback name, at the path that the
// recording names, and among those that ship with the program. Control thread.
#pragma once

#include "model.h"
#include "options.h"
#include "record/provenance_read.h"
#include "status.h"

// Held at once; who was not asked for longest goes.
#define AGAIN_MODELS_MAX 8u
// Looked at in what --model names; more are refused.
#define AGAIN_FILES_MAX 4096u
#define AGAIN_FOLDER_DEPTH_MAX 4

typedef struct AgainModels AgainModels;

// STATUS_NOT_FOUND, STATUS_IO, STATUS_LIMIT: of what an option names. Both
// arguments are kept.
Status again_models_open(const Options*    options,
                         const Provenance* provenance,
                         AgainModels**     out,
                         Error*            error);
void   again_models_free(AgainModels* models); // NULL is allowed

// A RegenerateModel; `context` is the AgainModels. The model is good until the
// next call.
Model* again_models_find(void* context, const char* digest, Error* error);
