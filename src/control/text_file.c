// Reading small text files. Not by a memory map: an editor that cuts the file
// short meanwhile would end the program.
#include "control/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Reads until the end or `size` bytes; -1 with errno.
static ssize_t
read_fully(int fd, char* text, size_t size)
{
  size_t used = 0;
  while (used < size) {
    const ssize_t got = read(fd, text + used, size - used);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return got ? -1 : (ssize_t)used;
    }
    used += (size_t)got;
  }
  return (ssize_t)used;
}

static Status
read_open(int fd, const char* path, size_t bytes_max, char* text, Error* error)
{
  struct stat info;
  if (fstat(fd, &info) || !S_ISREG(info.st_mode)) {
    return error_set(error, STATUS_IO, "%s: not a regular file", path);
  }
  const ssize_t size = read_fully(fd, text, bytes_max + 1);
  if (size < 0) {
    return error_set(
      error, STATUS_IO, "%s: cannot read: %s", path, strerror(errno));
  }
  if ((size_t)size > bytes_max) {
    return error_set(error,
                     STATUS_LIMIT,
                     "%s: larger than %zu bytes, which none of ours is",
                     path,
                     bytes_max);
  }
  if (memchr(text, '\0', (size_t)size)) {
    return error_set(
      error, STATUS_BAD_FILE, "%s: holds a NUL, this is no text file", path);
  }
  text[size] = '\0';
  return STATUS_OK;
}

Status
text_file_read(const char* path, size_t bytes_max, char** text, Error* error)
{
  *text        = NULL;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return error_set(error,
                     errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO,
                     "%s: cannot read: %s",
                     path,
                     strerror(errno));
  }
  char* const  room = malloc(bytes_max + 1);
  const Status status =
    room ? read_open(fd, path, bytes_max, room, error)
         : error_set(error, STATUS_NO_MEMORY, "%s: no memory to read it", path);
  close(fd);
  if (status) {
    free(room);
    return status;
  }
  *text = room;
  return STATUS_OK;
}

Status
text_file_parse(const char* path,
                const char* text,
                const char* instead,
                config_t*   config,
                Error*      error)
{
  if (strstr(text, "@include")) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "%s: @include is not allowed here, %s",
                     path,
                     instead);
  }
  config_init(config);
  if (config_read_string(config, text) == CONFIG_TRUE) {
    return STATUS_OK;
  }
  const Status status = error_set(error,
                                  STATUS_BAD_FILE,
                                  "%s:%d: %s",
                                  path,
                                  config_error_line(config),
                                  config_error_text(config));
  config_destroy(config);
  return status;
}

void
text_file_put_number(FILE* out, double value, int digits)
{
  char text[48];
  snprintf(text, sizeof text, "%.*g", digits, value);
  char* const comma = strchr(text, ',');
  if (comma) {
    *comma = '.';
  }
  fprintf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}
