// Status codes and error text.
#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
clean_text(char* text)
{
  for (; *text; ++text) {
    if ((unsigned char)*text < 0x20 || *text == 0x7f) {
      *text = '?';
    }
  }
}

Status
error_set(Error* error, Status status, const char* format, ...)
{
  if (error) {
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    clean_text(error->text);
    error->status = status;
  }
  return status;
}

void
error_prefix(Error* error, const char* format, ...)
{
  if (!error) {
    return;
  }
  char    text[sizeof error->text];
  va_list args;
  va_start(args, format);
  const int length = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (length >= 0 && (size_t)length < sizeof text) {
    snprintf(text + length, sizeof text - (size_t)length, "%s", error->text);
  }
  clean_text(text);
  memcpy(error->text, text, sizeof text);
}

const char*
status_name(Status status)
{
  static const char* const names[] = { "ok",
                                       "bad argument",
                                       "bad file",
                                       "input/output error",
                                       "out of memory",
                                       "limit reached",
                                       "not found",
                                       "unsupported",
                                       "unavailable",
                                       "device failed" };
  return (unsigned)status < sizeof names / sizeof *names ? names[status]
                                                         : "unknown";
}
