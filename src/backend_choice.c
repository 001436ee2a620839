// Which backend plays.
#include "backend_choice.h"

#include <stdio.h>

// Why each road was not taken.
typedef struct {
  Error jack;
  Error alsa;
  Error synth;
} Reasons;

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
    case BACKEND_SYNTH:
      return backend_open_synth(config, out, error);
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

static const char*
no_jack(const Reasons* reasons)
{
  return short_reason(&reasons->jack, "no JACK server runs");
}

// Whether what the pattern names is there now.
static bool
is_connected(Backend* backend)
{
  BackendStatus status;
  backend->poll(backend, &status);
  return status.connection_count > 0;
}

// ALSA where something there matches the pattern.
static bool
open_connected_alsa(const BackendConfig* config,
                    Backend**            out,
                    Reasons*             reasons)
{
  if (!config->connect_pattern ||
      backend_open_alsa(config, out, &reasons->alsa)) {
    return false;
  }
  if (is_connected(*out)) {
    return true;
  }
  (*out)->close(*out);
  *out = NULL;
  return false;
}

static Status
open_silent(const BackendConfig* config,
            const Reasons*       reasons,
            Backend**            out,
            char*                why,
            size_t               why_bytes,
            Error*               error)
{
  snprintf(why,
           why_bytes,
           "%.120s; %.170s; %.120s",
           no_jack(reasons),
           reasons->synth.text,
           short_reason(&reasons->alsa, "no ALSA sequencer, /dev/snd/seq"));
  return backend_open_null(config, out, error);
}

static Status
open_auto(Choice*              choice,
          const BackendConfig* config,
          Backend**            out,
          char*                why,
          size_t               why_bytes,
          Error*               error)
{
  Reasons reasons;
  *choice = BACKEND_JACK;
  if (!backend_open_jack(config, out, &reasons.jack)) {
    snprintf(why, why_bytes, "a JACK server runs");
    return STATUS_OK;
  }
  // A pattern that is no regular expression is the user's to mend.
  if (reasons.jack.status == STATUS_BAD_ARGUMENT) {
    *error = reasons.jack;
    return error->status;
  }
  *choice = BACKEND_ALSA;
  if (open_connected_alsa(config, out, &reasons)) {
    snprintf(
      why, why_bytes, "%s; ALSA has what --connect names", no_jack(&reasons));
    return STATUS_OK;
  }
  *choice = BACKEND_SYNTH;
  if (!backend_open_synth(config, out, &reasons.synth)) {
    snprintf(why,
             why_bytes,
             "%s%s",
             no_jack(&reasons),
             config->connect_pattern
               ? "; nothing in ALSA matches --connect, --backend alsa waits"
               : "");
    return STATUS_OK;
  }
  *choice = BACKEND_ALSA;
  if (!backend_open_alsa(config, out, &reasons.alsa)) {
    snprintf(
      why, why_bytes, "%s; %.250s", no_jack(&reasons), reasons.synth.text);
    return STATUS_OK;
  }
  *choice = BACKEND_NULL;
  return open_silent(config, &reasons, out, why, why_bytes, error);
}

Status
backend_open_choice(Choice*              choice,
                    const BackendConfig* config,
                    Backend**            out,
                    char*                why,
                    size_t               why_bytes,
                    Error*               error)
{
  if (*choice == BACKEND_AUTO) {
    return open_auto(choice, config, out, why, why_bytes, error);
  }
  snprintf(why, why_bytes, "as asked");
  return open_one(*choice, config, out, error);
}
