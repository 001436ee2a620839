// A home of the test's own for presets and the state file: $XDG_CONFIG_HOME and
// $XDG_STATE_HOME point into it, and it vanishes.
#pragma once

#include "data_path.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// cmocka's fail() needs its headers before this one.
static char user_folder[64];

static inline int
user_folder_make(void** state)
{
  (void)state;
  strcpy(user_folder, "/tmp/meander-user-XXXXXX");
  return !mkdtemp(user_folder) || setenv("XDG_CONFIG_HOME", user_folder, 1) ||
         setenv("XDG_STATE_HOME", user_folder, 1);
}

static inline int
user_folder_remove(void** state)
{
  char command[256];
  (void)state;
  snprintf(command,
           sizeof command,
           "chmod -R u+w %s; rm -rf %s",
           user_folder,
           user_folder);
  return system(command);
}

// Writes `size` bytes to meander/`relative` of it.
static inline void
user_write_bytes(const char* relative, const char* bytes, size_t size)
{
  char  path[1024];
  Error error;
  assert_true(data_user_path(DATA_CONFIG, relative, path));
  assert_int_equal(data_make_folders(path, &error), STATUS_OK);
  FILE* const file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

static inline void
user_write(const char* relative, const char* text)
{
  user_write_bytes(relative, text, strlen(text));
}

static inline void
user_write_preset(const char* name, const char* text)
{
  char relative[128];
  snprintf(relative, sizeof relative, "presets/%s.cfg", name);
  user_write(relative, text);
}

// The caller frees it; NULL: there is no such file.
static inline char*
user_read(const char* relative)
{
  char path[1024];
  assert_true(data_user_path(DATA_CONFIG, relative, path));
  FILE* const file = fopen(path, "rb");
  if (!file) {
    return NULL;
  }
  char* const  text = calloc(1, 1u << 20);
  const size_t size = fread(text, 1, (1u << 20) - 1, file);
  assert_true(size < (1u << 20) - 1);
  fclose(file);
  return text;
}
