// Which files the models are that the command line and a preset mean.
#include "options.h"

#include "data_path.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

// The default model, and what plays and stands in where that does not ship.
#define DEFAULT_MODEL "diffusion"
#define DEFAULT_FALLBACK "vae"

bool
options_find_model(const char* name, char* path, size_t size)
{
  char relative[PRESET_MODEL_BYTES + 40];
  if (strlen(name) >= PRESET_MODEL_BYTES || strpbrk(name, "./")) {
    return false;
  }
  snprintf(relative, sizeof relative, "models/weights/%s.safetensors", name);
  return data_find(relative, path, size);
}

// The path of a model that ships with the program; `path` has room for 1024.
static Status
find_shipped(const char* name, char* path, Error* error)
{
  char relative[PRESET_MODEL_BYTES + 40];
  snprintf(relative, sizeof relative, "models/weights/%s.safetensors", name);
  return data_find(relative, path, 1024)
           ? STATUS_OK
           : error_set(error,
                       STATUS_NOT_FOUND,
                       "the shipped model %s is not there: name one with "
                       "--model FILE",
                       relative);
}

Status
options_find_meant(const char* model,
                   const char* preset,
                   char        path[1024],
                   Error*      error)
{
  if (*model != '/') {
    return find_shipped(model, path, error);
  }
  snprintf(path, 1024, "%s", model);
  return !access(path, R_OK)
           ? STATUS_OK
           : error_set(error,
                       STATUS_NOT_FOUND,
                       "preset %.200s: its model %.250s cannot be read: put it "
                       "back, or name another with --model",
                       preset,
                       model);
}

// Without --model: the preset's, or else the default one.
static Status
choose_model(Options* options, Error* error)
{
  char* const path    = options->shipped_model;
  options->model_path = path;
  if (*options->preset_model) {
    return options_find_meant(
      options->preset_model, options->preset, path, error);
  }
  return find_shipped(DEFAULT_MODEL, path, error)
           ? find_shipped(DEFAULT_FALLBACK, path, error)
           : STATUS_OK;
}

// A typed name that is no file, as in presets: the shipped model's.
static void
take_shipped(const char** path, char* room)
{
  Error none;
  if (*path && strlen(*path) < PRESET_MODEL_BYTES && !strpbrk(*path, "./") &&
      access(*path, F_OK) && !find_shipped(*path, room, &none)) {
    *path = room;
  }
}

// A word that is neither a file nor the name of a shipped model.
static Status
check_model_name(const char* option, const char* path, Error* error)
{
  return !path || !strcmp(path, "none") || strpbrk(path, "./") ||
             !access(path, F_OK)
           ? STATUS_OK
           : error_set(error,
                       STATUS_NOT_FOUND,
                       "%s: no file and no shipped model '%.80s': 'meander "
                       "models' lists these",
                       option,
                       path);
}

// Beside the model the shipped VAE stands in, where there is one.
Status
options_choose_models(Options* options, Error* error)
{
  const Status chosen =
    options->model_path ? STATUS_OK : choose_model(options, error);
  if (chosen) {
    return chosen;
  }
  take_shipped(&options->model_path, options->shipped_model);
  take_shipped(&options->fallback_path, options->shipped_fallback);
  Status status = check_model_name("--model", options->model_path, error);
  if (!status) {
    status = check_model_name("--fallback", options->fallback_path, error);
  }
  if (status) {
    return status;
  }
  Error none;
  if (!options->fallback_path &&
      !find_shipped(DEFAULT_FALLBACK, options->shipped_fallback, &none)) {
    options->fallback_path = options->shipped_fallback;
  } else if (options->fallback_path &&
             !strcmp(options->fallback_path, "none")) {
    options->fallback_path = NULL;
  }
  return STATUS_OK;
}
