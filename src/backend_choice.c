// Which backend plays.
#include "backend_choice.h"

#include <stdio.h>

static Status
open_one(Choice               choice,
         const BackendConfig* config,
         Backend**            out,
         Error*               error)
{
  switch (choice) {
    case BACKEND_JACK:
      return backend_open_jack(config, out, error);
    case BACKEND_ALSA:
      return backend_open_alsa(config, out, error);
    default:
      return backend_open_null(config, out, error);
  }
}

// What is simply not there needs no advice; anything else is told in full.
static const char*
short_reason(const Error* error, const char* absent)
{
  return error->status == STATUS_NOT_FOUND ? absent : error->text;
}

Status
backend_open_choice(Choice*              choice,
                    const BackendConfig* config,
                    Backend**            out,
                    char*                why,
                    size_t               why_bytes,
                    Error*               error)
{
  if (*choice != BACKEND_AUTO) {
    snprintf(why, why_bytes, "as asked");
    return open_one(*choice, config, out, error);
  }
  Error jack;
  Error alsa;
  *choice = BACKEND_JACK;
  if (!open_one(BACKEND_JACK, config, out, &jack)) {
    snprintf(why, why_bytes, "a JACK server runs");
    return STATUS_OK;
  }
  // A pattern that is no regular expression is the user's to mend.
  if (jack.status == STATUS_BAD_ARGUMENT) {
    *error = jack;
    return jack.status;
  }
  *choice = BACKEND_ALSA;
  if (!open_one(BACKEND_ALSA, config, out, &alsa)) {
    snprintf(why, why_bytes, "%s", short_reason(&jack, "no JACK server runs"));
    return STATUS_OK;
  }
  *choice = BACKEND_NULL;
  snprintf(why,
           why_bytes,
           "%.200s; %.200s",
           short_reason(&jack, "no JACK server runs"),
           short_reason(&alsa, "no ALSA sequencer, /dev/snd/seq"));
  return open_one(BACKEND_NULL, config, out, error);
}
