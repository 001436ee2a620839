// What the subcommands of meander-train share.
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool
command_u64(const char* option, const char* text, uint64_t* out)
{
  char* end;
  errno                          = 0;
  const unsigned long long value = strtoull(text, &end, 10);
  if (errno || end == text || *end || *text == '-') {
    fprintf(
      stderr, "meander-train: %s '%s' must be a whole number\n", option, text);
    return false;
  }
  *out = value;
  return true;
}

bool
command_u32(const char* option,
            const char* text,
            uint32_t    low,
            uint32_t    high,
            uint32_t*   out)
{
  uint64_t value;
  if (!command_u64(option, text, &value)) {
    return false;
  }
  if (value < low || value > high) {
    fprintf(stderr,
            "meander-train: %s %s is out of range, %u to %u\n",
            option,
            text,
            low,
            high);
    return false;
  }
  *out = (uint32_t)value;
  return true;
}

bool
command_float(const char* option,
              const char* text,
              float       low,
              float       high,
              float*      out)
{
  char*       end;
  const float value = strtof(text, &end);
  if (end == text || *end || !(value >= low && value <= high)) {
    fprintf(stderr,
            "meander-train: %s '%s' must be a number, %g to %g\n",
            option,
            text,
            (double)low,
            (double)high);
    return false;
  }
  *out = value;
  return true;
}

bool
command_exists_in(const char* directory, const char* name)
{
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  return access(path, F_OK) == 0;
}

int
command_fail(const char* name, const Error* error)
{
  fprintf(stderr, "meander-train %s: %s\n", name, error->text);
  return COMMAND_FAILURE;
}
