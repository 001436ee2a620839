// Models and phrase.
#include "sources.h"

#include "data_path.h"
#include "music/condense.h"
#include "music/smf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// An option that was typed is refused whatever its value, so that nobody waits
// for what it would have done.
static Status
check_typed(const Options* options, const Model* model, Error* error)
{
  for (int id = 0; id < PARAM_COUNT; ++id) {
    const ParamInfo* const info = &param_table[id];
    if (options->typed[id] && info->flags & PARAM_DIFFUSION_ONLY &&
        model_kind(model) != MODEL_DIFFUSION) {
      char dashed[PARAM_NAME_BYTES];
      params_dashed_name((ParamId)id, dashed);
      return error_set(error,
                       STATUS_UNSUPPORTED,
                       "--%s needs a diffusion model, %.300s is a %s: name one "
                       "of those that 'meander models' lists with --model FILE",
                       dashed,
                       options->model_path,
                       model_kind_name(model));
    }
  }
  return STATUS_OK;
}

// Nothing stands in for a VAE unless asked for: it is as quick.
bool
sources_lack_fallback(const Sources* sources,
                      const Options* options,
                      const Model*   model)
{
  return options->fallback_path && !sources->tried &&
         model_kind(model) == MODEL_DIFFUSION;
}

Status
sources_load_fallback(Sources* sources, const Options* options, Error* error)
{
  const char* const path = options->fallback_path;
  sources->tried         = true;
  // On the CPU, so that it does not share a fault with the model.
  Status status = model_load(path, "cpu", 1, &sources->fallback, error);
  if (status) {
    return status;
  }
  status = model_require(sources->fallback, MODEL_VAE, "--fallback", error);
  if (status) {
    error_prefix(error, "%s: ", path);
    model_free(sources->fallback);
    sources->fallback = NULL;
    return status;
  }
  sources_remember(sources, sources->fallback, path);
  return STATUS_OK;
}

// What the file says of the first note is how long it lets one wait, which is
// no part of the phrase: when the phrase comes again that step is as long as
// the others are on average.
static void
set_first_step(NoteEvent* events, size_t count)
{
  double sum_s = 0;
  for (size_t i = 1; i < count && i < WINDOW_NOTES; ++i) {
    sum_s += events[i].step_s;
  }
  events[0].step_s = (float)(sum_s / (WINDOW_NOTES - 1));
}

static Status
take_phrase(Sources*        sources,
            const char*     path,
            const SmfNotes* notes,
            bool            last,
            Error*          error)
{
  NoteEvent* const events = malloc((notes->count + 1) * sizeof *events);
  if (!events) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a phrase");
  }
  const size_t count = condense_notes(notes->notes, notes->count, events);
  const size_t keep  = count < CONTEXT_NOTES_MAX ? count : CONTEXT_NOTES_MAX;
  set_first_step(events, count);
  memcpy(sources->phrase,
         last ? events + count - keep : events,
         keep * sizeof *events);
  sources->phrase_count = (uint32_t)keep;
  free(events);
  return keep >= WINDOW_NOTES
           ? STATUS_OK
           : error_set(error,
                       STATUS_BAD_FILE,
                       "%s: --phrase needs %u notes or more, this file has %zu",
                       path,
                       WINDOW_NOTES,
                       count);
}

// What goes on from the phrase begins at its end.
static Status
load_phrase(Sources* sources, const Options* options, Error* error)
{
  const GeneratorMode mode = generator_mode(sources->model, &options->params);
  if (mode < GENERATOR_CONTINUE) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--phrase is for the modes continue, mutate and bridge of "
                     "a diffusion model: choose one with --mode");
  }
  SmfNotes     notes;
  const Status status = smf_read_file(options->phrase_path, &notes, error);
  if (status) {
    return status;
  }
  const Status taken = take_phrase(
    sources, options->phrase_path, &notes, mode == GENERATOR_CONTINUE, error);
  smf_notes_free(&notes);
  return taken;
}

void
sources_remember(Sources* sources, const Model* model, const char* path)
{
  SourceFile* const files = sources->files;
  uint32_t          at    = 0;
  if (data_is_shipped("models/weights", path)) {
    return; // found without its path
  }
  while (at < sources->file_count &&
         strcmp(files[at].digest, model_digest(model)) != 0) {
    ++at;
  }
  if (at == SOURCES_FILES_MAX) {
    memmove(files, files + 1, (SOURCES_FILES_MAX - 1) * sizeof *files);
    at = --sources->file_count;
  }
  sources->file_count += at == sources->file_count;
  snprintf(
    files[at].digest, sizeof files[at].digest, "%s", model_digest(model));
  snprintf(files[at].path, sizeof files[at].path, "%s", path);
}

Status
sources_load(Sources* sources, const Options* options, bool live, Error* error)
{
  *sources = (Sources){ 0 };
  Status status =
    model_load(options->model_path, options->device, 1, &sources->model, error);
  if (status || (status = check_typed(options, sources->model, error))) {
    return status;
  }
  sources_remember(sources, sources->model, options->model_path);
  status = generator_check(sources->model, &options->params, error);
  if (status) {
    error_prefix(error,
                 "%s with %s: ",
                 options->preset ? options->preset : "playing",
                 options->model_path);
    return status;
  }
  // What was asked for must be there, even where nothing falls back.
  const bool wants_fallback =
    (options->fallback_path && options->fallback_named) ||
    (live && sources_lack_fallback(sources, options, sources->model));
  if (wants_fallback &&
      (status = sources_load_fallback(sources, options, error))) {
    return status;
  }
  status = model_keep_spare(sources->model, options->model_path, error);
  return status == STATUS_OK && options->phrase_path
           ? load_phrase(sources, options, error)
           : status;
}

void
sources_free(Sources* sources)
{
  model_free(sources->model);
  model_free(sources->fallback);
}

WorkerSetup
sources_setup(const Sources* sources, const Options* options)
{
  return (WorkerSetup){
    .model        = sources->model,
    .fallback     = sources->fallback,
    .params       = options->params,
    .phrase       = sources->phrase_count ? sources->phrase : NULL,
    .phrase_count = sources->phrase_count,
    .seed         = options->seed,
    .seconds      = options->seconds,
  };
}
