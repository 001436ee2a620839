// Presets: libconfig files whose keys are a description, the name of the
// shipped model that is meant, and rows of the parameter table. Control thread.
#pragma once

#include "live/params.h"
#include "status.h"

#include <stddef.h>

#define PRESET_BYTES_MAX (64u << 10)
#define PRESET_MODEL_BYTES 64u

typedef struct {
  char   path[1024];
  char   description[256];
  char   model[PRESET_MODEL_BYTES]; // a shipped one ("vae"), or empty
  Params params; // the standard ones where the preset is silent
} Preset;

// `name` is a shipped preset ("calm") or, with a '/' or ".cfg", a file. Errors
// name file and line.
Status preset_load(const char* name, Preset* preset, Error* error);
