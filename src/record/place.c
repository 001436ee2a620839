// Names for takes.
#include "record/place.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 1000

static Status
too_long(const char* directory, Error* error)
{
  return error_set(error,
                   STATUS_BAD_ARGUMENT,
                   "%.80s...: the name of the directory is too long",
                   directory);
}

static Status
take_free_name(const char* directory,
               time_t      when,
               char        path[PLACE_BYTES_MAX],
               Error*      error)
{
  struct tm local;
  char      name[64];
  localtime_r(&when, &local);
  strftime(name, sizeof name, "meander-%Y-%m-%d_%H%M%S", &local);
  for (int i = 1; i <= NAMES_MAX; ++i) {
    char suffix[16] = "";
    if (i > 1) {
      snprintf(suffix, sizeof suffix, "-%d", i);
    }
    const int length =
      snprintf(path, PLACE_BYTES_MAX, "%s/%s%s.mid", directory, name, suffix);
    if (length >= (int)PLACE_BYTES_MAX) {
      return too_long(directory, error);
    }
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
      close(fd);
      return STATUS_OK;
    }
    if (errno != EEXIST) {
      return error_set(
        error, STATUS_IO, "%s: cannot write: %s", path, strerror(errno));
    }
  }
  return error_set(error,
                   STATUS_LIMIT,
                   "%s/%s.mid: there are %d of that name already",
                   directory,
                   name,
                   NAMES_MAX);
}

// With its parents, as far as they are missing.
static Status
make_directory(const char* path, Error* error)
{
  char parent[PLACE_BYTES_MAX];
  if (strlen(path) >= sizeof parent) {
    return too_long(path, error);
  }
  strcpy(parent, path);
  for (char* slash = strchr(parent + 1, '/'); *parent && slash;
       slash       = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(parent, 0777); // what follows says whether it is there
    *slash = '/';
  }
  return file_make_directory(path, error);
}

// False: nobody says where home is.
static bool
default_directory(char path[PLACE_BYTES_MAX])
{
  const char* const music  = getenv("XDG_MUSIC_DIR");
  const char* const home   = getenv("HOME");
  int               length = -1;
  if (music && *music == '/') {
    length = snprintf(path, PLACE_BYTES_MAX, "%s/meander", music);
  } else if (home && *home == '/') {
    length = snprintf(path, PLACE_BYTES_MAX, "%s/Music/meander", home);
  }
  return length > 0 && length < (int)PLACE_BYTES_MAX;
}

Status
place_take(const char* directory,
           time_t      when,
           char        path[PLACE_BYTES_MAX],
           Error*      error)
{
  char home[PLACE_BYTES_MAX];
  if (directory) {
    const Status status = make_directory(directory, error);
    return status ? status : take_free_name(directory, when, path, error);
  }
  if (default_directory(home) && !make_directory(home, error) &&
      !take_free_name(home, when, path, error)) {
    return STATUS_OK;
  }
  return take_free_name(".", when, path, error);
}
