// Where the music came from.
#include "provenance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void
provenance_format(const Options* options,
                  const Model*   model,
                  char           text[PROVENANCE_BYTES_MAX])
{
  snprintf(text,
           PROVENANCE_BYTES_MAX,
           "meander " MEANDER_VERSION " model=%s:%s seed=%" PRIu64,
           model_kind(model),
           model_digest(model),
           options->seed);
  for (int id = 0; id < PARAM_COUNT; ++id) {
    char         value[32];
    const size_t length = strlen(text);
    params_format(&options->params, (ParamId)id, value, sizeof value);
    snprintf(text + length,
             PROVENANCE_BYTES_MAX - length,
             " %s=%s",
             param_table[id].name,
             value);
  }
}
