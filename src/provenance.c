// Where the music came from.
#include "provenance.h"

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

static void
append_fallbacks(const Sources* sources,
                 const Worker*  worker,
                 char           text[PROVENANCE_BYTES_MAX])
{
  if (!worker_fallbacks(worker)) {
    return;
  }
  const WorkerCounters* const counters = &worker->counters;
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

void
provenance_format(const Options* options,
                  const Sources* sources,
                  const Worker*  worker,
                  char           text[PROVENANCE_BYTES_MAX])
{
  *text = '\0';
  append(text,
         "meander " MEANDER_VERSION " model=%s:%s seed=%" PRIu64,
         model_kind_name(sources->model),
         model_digest(sources->model),
         options->seed);
  for (int id = 0; id < PARAM_COUNT; ++id) {
    char value[32];
    params_format(&options->params, (ParamId)id, value, sizeof value);
    append(text, " %s=%s", param_table[id].name, value);
  }
  if (options->phrase_path) {
    const char* const slash = strrchr(options->phrase_path, '/');
    append(text, " phrase=%.200s", slash ? slash + 1 : options->phrase_path);
  }
  append_fallbacks(sources, worker, text);
}
