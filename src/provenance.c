// Where the music came from.
#include "provenance.h"

#include "record/provenance_read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 2, 3)))
append(char text[PROVENANCE_BYTES_MAX], const char* format, ...)
{
  const size_t length = strlen(text);
  va_list      args;
  va_start(args, format);
  vsnprintf(text + length, PROVENANCE_BYTES_MAX - length, format, args);
  va_end(args);
}

// FNV-1a of what is taken from the phrase, wherever its file lies.
static uint64_t
phrase_digest(const Sources* sources)
{
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint32_t i = 0; i < sources->phrase_count; ++i) {
    const NoteEvent* const event  = &sources->phrase[i];
    uint32_t               bits[] = { event->pitch, 0, 0, 0 };
    memcpy(&bits[1], &event->velocity, sizeof bits[1]);
    memcpy(&bits[2], &event->step_s, sizeof bits[2]);
    memcpy(&bits[3], &event->duration_s, sizeof bits[3]);
    for (size_t k = 0; k < sizeof bits / sizeof *bits; ++k) {
      hash = (hash ^ bits[k]) * 0x100000001b3u;
    }
  }
  return hash;
}

static void
append_fallbacks(const Sources* sources,
                 const Worker*  worker,
                 char           text[PROVENANCE_BYTES_MAX])
{
  const WorkerCounters* const counters = &worker->counters;
  const uint64_t              jumps    = atomic_load(&counters->clock_jumps);
  if (jumps) {
    append(text, " clock_jumps=%" PRIu64, jumps);
  }
  if (!worker_fallbacks(worker)) {
    return;
  }
  append(text,
         " fallbacks: fewer_steps=%" PRIu64 " fallback_model=%" PRIu64
         " repeated=%" PRIu64,
         atomic_load(&counters->fewer_steps),
         atomic_load(&counters->fallback_model),
         atomic_load(&counters->repeated));
  if (sources->fallback) {
    append(text,
           " fallback=%s:%s",
           model_kind_name(sources->fallback),
           model_digest(sources->fallback));
  }
}

// Where to look for its models first, as the player named them. A path that
// does not fit is left out: it is a hint.
static void
append_files(const Sources* sources, char text[PROVENANCE_BYTES_MAX])
{
  for (uint32_t i = 0; i < sources->file_count; ++i) {
    const SourceFile* const file = &sources->files[i];
    char                    path[3 * sizeof file->path];
    provenance_write_path(file->path, path);
    if (strlen(text) + strlen(path) + sizeof file->digest +
          sizeof PROVENANCE_FILE <
        PROVENANCE_BYTES_MAX) {
      append(text, PROVENANCE_FILE "%s:%s", file->digest, path);
    }
  }
}

void
provenance_format(const Options* options,
                  const Sources* sources,
                  const Worker*  worker,
                  char           text[PROVENANCE_BYTES_MAX])
{
  *text = '\0';
  append(text,
         "meander " MEANDER_VERSION " model=%s:%s device=%.60s seed=%" PRIu64,
         model_kind_name(sources->model),
         model_digest(sources->model),
         model_device(sources->model),
         options->seed);
  for (int id = 0; id < PARAM_COUNT; ++id) {
    char value[32];
    params_format(&options->params, (ParamId)id, value, sizeof value);
    append(text, " %s=%s", param_table[id].name, value);
  }
  if (options->phrase_path) {
    const char* const slash = strrchr(options->phrase_path, '/');
    append(text,
           " phrase=%.200s:%016" PRIx64,
           slash ? slash + 1 : options->phrase_path,
           phrase_digest(sources));
  }
  Error fault;
  if (model_lost_gpu(sources->model, &fault)) {
    append(text, " the GPU failed: %.200s", fault.text);
  }
  append_fallbacks(sources, worker, text);
  append_files(sources, text);
}
