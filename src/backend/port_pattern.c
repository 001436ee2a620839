// Regular expressions on port names. Control thread.
#include "backend/port_pattern.h"

#include <stddef.h>
#include <string.h>

Status
port_pattern_compile(PortPattern* pattern,
                     const char*  text,
                     const char*  option,
                     Error*       error)
{
  if (!text) {
    return STATUS_OK;
  }
  const int result = regcomp(&pattern->regex, text, REG_EXTENDED | REG_NOSUB);
  if (result) {
    char reason[80];
    regerror(result, &pattern->regex, reason, sizeof reason);
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s '%.80s' is not a regular expression: %s",
                     option,
                     text,
                     reason);
  }
  pattern->given = true;
  pattern->text  = text;
  return STATUS_OK;
}

bool
port_pattern_matches(const PortPattern* pattern, const char* name)
{
  return pattern->given && (!strcmp(pattern->text, name) ||
                            !regexec(&pattern->regex, name, 0, NULL, 0));
}

void
port_pattern_free(PortPattern* pattern)
{
  if (pattern->given) {
    regfree(&pattern->regex);
    pattern->given = false;
  }
}
