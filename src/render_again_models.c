// Which file has which digest, and the models that were loaded from them.
#include "render_again_models.h"

#include "checkpoint.h"
#include "control/checkpoint_list.h"
#include "data_path.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WEIGHTS "models/weights"

typedef struct {
  char* path;
  char  digest[24]; // empty: not looked at yet, or no checkpoint
  bool  looked_at;
} File;

struct AgainModels {
  const Options*    options;
  const Provenance* provenance;
  File*             files; // in the order of looking
  size_t            count;
  bool              has_shipped;
  Model*            models[AGAIN_MODELS_MAX]; // the last asked for is first
  uint32_t          model_count;
};

// --- Files -------------------------------------------------------------------

static Status
add_file(AgainModels* models, const char* path, Error* error)
{
  if (models->count == AGAIN_FILES_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "%s: more than %u checkpoints to look at: name fewer with "
                     "--model",
                     path,
                     AGAIN_FILES_MAX);
  }
  char* const copy = strdup(path);
  if (!copy) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a list of files");
  }
  models->files[models->count++].path = copy;
  return STATUS_OK;
}

// What fts_read() came to: a file that was named, or one that looks like a
// checkpoint in a folder.
static Status
take_entry(AgainModels* models, FTS* tree, FTSENT* entry, Error* error)
{
  const bool is_named = entry->fts_level == FTS_ROOTLEVEL;
  switch (entry->fts_info) {
    case FTS_D:
      if (!is_named && (*entry->fts_name == '.' ||
                        entry->fts_level > AGAIN_FOLDER_DEPTH_MAX)) {
        fts_set(tree, entry, FTS_SKIP);
      }
      return STATUS_OK;
    case FTS_F:
      return is_named || checkpoint_list_takes(entry->fts_name)
               ? add_file(models, entry->fts_path, error)
               : STATUS_OK;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
      return is_named ? error_set(error,
                                  entry->fts_errno == ENOENT ? STATUS_NOT_FOUND
                                                             : STATUS_IO,
                                  "--model %s: cannot read: %s",
                                  entry->fts_path,
                                  strerror(entry->fts_errno))
                      : STATUS_OK;
    default:
      return STATUS_OK;
  }
}

static Status
add_named(AgainModels* models, const char* path, Error* error)
{
  char       shipped[1024];
  const bool is_name =
    access(path, F_OK) && options_find_model(path, shipped, sizeof shipped);
  char* const paths[] = { (char*)(uintptr_t)(is_name ? shipped : path), NULL };
  FTS* const  tree    = fts_open(paths, FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
  Status      status  = STATUS_OK;
  FTSENT*     entry;
  if (!tree) {
    return error_set(
      error, STATUS_IO, "--model %s: cannot read: %s", path, strerror(errno));
  }
  while (!status && (entry = fts_read(tree))) {
    status = take_entry(models, tree, entry, error);
  }
  fts_close(tree);
  return status;
}

// data_list() has no context.
static AgainModels* listing;

static void
add_shipped(const char* path, const char* name)
{
  (void)name;
  Error none; // one too many is not looked at
  add_file(listing, path, &none);
}

static const char*
digest_of(File* file)
{
  Checkpoint* checkpoint;
  if (!file->looked_at && !checkpoint_open(file->path, &checkpoint, NULL)) {
    snprintf(
      file->digest, sizeof file->digest, "%s", checkpoint_digest(checkpoint));
    checkpoint_close(checkpoint);
  }
  file->looked_at = true;
  return file->digest;
}

static const char*
path_in_list(AgainModels* models, const char* digest)
{
  for (size_t i = 0; i < models->count; ++i) {
    if (!strcmp(digest_of(&models->files[i]), digest)) {
      return models->files[i].path;
    }
  }
  return NULL;
}

// Where the file of that digest is, or NULL. `hint` has room for 1024.
static const char*
find_path(AgainModels* models, const char* digest, char* hint)
{
  const char* path = path_in_list(models, digest);
  if (!path && provenance_file(models->provenance, digest, hint)) {
    File file = { .path = hint };
    path      = strcmp(digest_of(&file), digest) != 0 ? NULL : hint;
  }
  if (!path && !models->has_shipped) {
    models->has_shipped = true;
    listing             = models;
    data_list(WEIGHTS, CHECKPOINT_SUFFIX, add_shipped);
    path = path_in_list(models, digest);
  }
  return path;
}

Status
again_models_open(const Options*    options,
                  const Provenance* provenance,
                  AgainModels**     out,
                  Error*            error)
{
  AgainModels* const models = calloc(1, sizeof *models);
  *out                      = models;
  if (!models ||
      !(models->files = calloc(AGAIN_FILES_MAX, sizeof *models->files))) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to render");
  }
  models->options    = options;
  models->provenance = provenance;
  Status status      = STATUS_OK;
  for (size_t i = 0; !status && i < options->model_count; ++i) {
    status = add_named(models, options->model_paths[i], error);
  }
  return !status && options->fallback_path &&
             strcmp(options->fallback_path, "none") != 0
           ? add_named(models, options->fallback_path, error)
           : status;
}

void
again_models_free(AgainModels* models)
{
  if (!models) {
    return;
  }
  for (uint32_t i = 0; i < models->model_count; ++i) {
    model_free(models->models[i]);
  }
  for (size_t i = 0; i < models->count; ++i) {
    free(models->files[i].path);
  }
  free(models->files);
  free(models);
}

// --- Models ------------------------------------------------------------------

static Model*
put_first(AgainModels* models, uint32_t at, Model* model)
{
  memmove(models->models + 1, models->models, at * sizeof *models->models);
  models->models[0] = model;
  return model;
}

static Model*
loaded(AgainModels* models, const char* digest)
{
  for (uint32_t i = 0; i < models->model_count; ++i) {
    if (!strcmp(model_digest(models->models[i]), digest)) {
      return put_first(models, i, models->models[i]);
    }
  }
  return NULL;
}

// A training run writes its checkpoint over the one before.
static void
say_missing(const AgainModels* models, const char* digest, Error* error)
{
  char       path[1024];
  const bool has_name = provenance_file(models->provenance, digest, path);
  error_set(
    error,
    STATUS_NOT_FOUND,
    "it was made by checkpoint %s%s%.300s%s: name its file, or a folder "
    "to search, with --model (as often as needed)",
    digest,
    has_name ? ", which was " : "",
    has_name ? path : "",
    !has_name            ? ", which is not at hand"
    : access(path, F_OK) ? " and is not there now"
                         : " before another was written there");
}

Model*
again_models_find(void* context, const char* digest, Error* error)
{
  AgainModels* const models = context;
  Model*             model  = loaded(models, digest);
  if (model) {
    return model;
  }
  char              hint[1024];
  const char* const path = find_path(models, digest, hint);
  if (!path) {
    say_missing(models, digest, error);
    return NULL;
  }
  if (model_load(path, models->options->device, 1, &model, error)) {
    return NULL;
  }
  if (models->model_count == AGAIN_MODELS_MAX) {
    model_free(models->models[--models->model_count]);
  }
  return put_first(models, models->model_count++, model);
}
