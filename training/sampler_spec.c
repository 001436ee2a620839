// How windows are drawn from a diffusion model, as the user writes it.
#include "sampler_spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static Status
bad(Error* error, const char* text)
{
  return error_set(error,
                   STATUS_BAD_ARGUMENT,
                   "sampler '%s': must be ddpm, ddim, dpm++ or student, then "
                   "perhaps -STEPS, and for ddim @ETA (0 to 1), as in "
                   "ddim-20@0.5",
                   text);
}

// What follows the sampler's name in `text`; NULL where it begins with none.
static const char*
read_name(const char* text, SamplerSpec* out)
{
  static const char student[] = "student";
  if (!strncmp(text, student, strlen(student))) {
    out->student = true;
    out->sampler = SAMPLER_DDIM;
    return text + strlen(student);
  }
  for (int i = 0; sampler_names[i]; ++i) {
    const size_t length = strlen(sampler_names[i]);
    if (!strncmp(text, sampler_names[i], length)) {
      out->sampler = (SamplerKind)i;
      return text + length;
    }
  }
  return NULL;
}

Status
sampler_spec_parse(const char* text, SamplerSpec* out, Error* error)
{
  *out = (SamplerSpec){ 0 };
  if (strlen(text) >= sizeof out->name) {
    return bad(error, text);
  }
  strcpy(out->name, text);
  const char* rest = read_name(text, out);
  if (!rest) {
    return bad(error, text);
  }
  char* end;
  if (*rest == '-') {
    errno                     = 0;
    const unsigned long steps = strtoul(rest + 1, &end, 10);
    if (!isdigit((unsigned char)rest[1]) || errno || steps < 1 ||
        steps > UINT32_MAX) {
      return bad(error, text);
    }
    out->steps = (uint32_t)steps;
    rest       = end;
  }
  if (*rest == '@' && out->sampler == SAMPLER_DDIM && !out->student) {
    out->eta = strtof(rest + 1, &end);
    if (end == rest + 1 || !(out->eta >= 0.0f && out->eta <= 1.0f)) {
      return bad(error, text);
    }
    rest = end;
  }
  return *rest ? bad(error, text) : STATUS_OK;
}

Status
sampler_specs_parse(const char*  text,
                    SamplerSpec* out,
                    uint32_t*    count,
                    Error*       error)
{
  *count = 0;
  while (*text) {
    const size_t length = strcspn(text, ",");
    char         one[SAMPLER_SPEC_BYTES];
    if (*count == SAMPLER_SPECS_MAX || length >= sizeof one) {
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "samplers: at most %u, each shorter than %u characters",
                       SAMPLER_SPECS_MAX,
                       SAMPLER_SPEC_BYTES);
    }
    memcpy(one, text, length);
    one[length]         = '\0';
    const Status status = sampler_spec_parse(one, &out[*count], error);
    if (status != STATUS_OK) {
      return status;
    }
    ++*count;
    text += length + (text[length] == ',');
  }
  return STATUS_OK;
}
