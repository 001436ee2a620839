// Where shipped files and the player's are.
#include "data_path.h"

#include "file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t
data_directories(char paths[DATA_DIRECTORIES_MAX][1024])
{
  size_t            count = 0;
  const char* const named = getenv("MEANDER_DATA");
  if (named && *named && strlen(named) < 1024) {
    snprintf(paths[count++], 1024, "%s", named);
  }
  char          exe[1024];
  const ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 4);
  if (length > 0) {
    exe[length]       = '\0';
    char* const slash = strrchr(exe, '/');
    if (slash) {
      strcpy(slash, "/..");
      snprintf(paths[count++], 1024, "%s", exe);
    }
  }
  snprintf(paths[count++], 1024, "%s", MEANDER_INSTALLED_DATA);
  return count;
}

bool
data_find(const char* relative, char* path, size_t size)
{
  char         paths[DATA_DIRECTORIES_MAX][1024];
  const size_t count = data_directories(paths);
  for (size_t i = 0; i < count; ++i) {
    const int length = snprintf(path, size, "%s/%s", paths[i], relative);
    if (length > 0 && (size_t)length < size && !access(path, R_OK)) {
      return true;
    }
  }
  return false;
}

bool
data_is_shipped(const char* folder, const char* path)
{
  char         paths[DATA_DIRECTORIES_MAX][1024];
  const size_t count   = data_directories(paths);
  char* const  real    = realpath(path, NULL);
  bool         shipped = false;
  for (size_t i = 0; real && i < count && !shipped; ++i) {
    char here[1100];
    snprintf(here, sizeof here, "%s/%s", paths[i], folder);
    char* const  there  = realpath(here, NULL);
    const size_t length = there ? strlen(there) : 0;
    shipped = there && !strncmp(real, there, length) && real[length] == '/';
    free(there);
  }
  free(real);
  return shipped;
}

static bool
ends_in(const char* name, const char* suffix)
{
  const size_t length = strlen(name);
  return length > strlen(suffix) &&
         !strcmp(name + length - strlen(suffix), suffix);
}

void
data_list(const char* folder,
          const char* suffix,
          void (*visit)(const char* path, const char* name))
{
  char         paths[DATA_DIRECTORIES_MAX][1024];
  const size_t count = data_directories(paths);
  for (size_t i = 0; i < count; ++i) {
    char directory[1200];
    snprintf(directory, sizeof directory, "%s/%s", paths[i], folder);
    struct dirent** entries;
    const int       found = scandir(directory, &entries, NULL, alphasort);
    for (int k = 0; k < found; ++k) {
      const char* const name = entries[k]->d_name;
      char              relative[512];
      char              path[1600];
      char              first[1600];
      snprintf(relative, sizeof relative, "%s/%s", folder, name);
      snprintf(path, sizeof path, "%s/%s", paths[i], relative);
      if (ends_in(name, suffix) && data_find(relative, first, sizeof first) &&
          !strcmp(first, path)) {
        visit(path, name);
      }
      free(entries[k]);
    }
    if (found >= 0) {
      free(entries);
    }
  }
}

bool
data_user_path(DataKind kind, const char* relative, char path[1024])
{
  const bool        config = kind == DATA_CONFIG;
  const char* const base =
    getenv(config ? "XDG_CONFIG_HOME" : "XDG_STATE_HOME");
  const char* const home   = getenv("HOME");
  int               length = -1;
  // The standard has it that relative ones are ignored.
  if (base && *base == '/') {
    length = snprintf(path, 1024, "%s/meander/%s", base, relative);
  } else if (home && *home == '/') {
    length = snprintf(path,
                      1024,
                      "%s/%s/meander/%s",
                      home,
                      config ? ".config" : ".local/state",
                      relative);
  }
  return length > 0 && length < 1024;
}

Status
data_make_folders(const char* path, Error* error)
{
  char folder[1024];
  if (strlen(path) >= sizeof folder) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "%.80s...: the path is too long", path);
  }
  strcpy(folder, path);
  for (char* slash = strchr(folder + 1, '/'); slash;
       slash       = strchr(slash + 1, '/')) {
    *slash              = '\0';
    const Status status = file_make_directory(folder, error);
    if (status) {
      return status;
    }
    *slash = '/';
  }
  return STATUS_OK;
}
