// A short queue of lines.
#include "control/said.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
drop_first(Said* said)
{
  --said->count;
  memmove(said->lines, said->lines + 1, said->count * sizeof *said->lines);
}

void
said_add(Said* said, const char* format, ...)
{
  if (said->count == SAID_LINES_MAX) {
    drop_first(said);
  }
  va_list args;
  va_start(args, format);
  vsnprintf(said->lines[said->count++], SAID_LINE_BYTES, format, args);
  va_end(args);
}

bool
said_take(Said* said, char line[SAID_LINE_BYTES])
{
  if (!said->count) {
    return false;
  }
  memcpy(line, said->lines[0], SAID_LINE_BYTES);
  drop_first(said);
  return true;
}
