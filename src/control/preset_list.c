// Where presets are, what they may be called, and their order.
#include "control/preset.h"

#include "data_path.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".cfg"

Status
preset_check_name(const char* name, Error* error)
{
  const size_t length = strspn(
    name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
  if (length && !name[length] && length < PRESET_NAME_BYTES && *name != '-' &&
      *name != '_') {
    return STATUS_OK;
  }
  return error_set(error,
                   STATUS_BAD_ARGUMENT,
                   "'%.80s' cannot name a preset: use letters, digits, '-' "
                   "and '_', at most %u, a letter or digit first",
                   name,
                   PRESET_NAME_BYTES - 1);
}

Status
preset_find(const char* name, bool shipped_only, char path[1024], Error* error)
{
  const Status status = preset_check_name(name, error);
  if (status) {
    return status;
  }
  char relative[PRESET_NAME_BYTES + 16];
  snprintf(relative, sizeof relative, "presets/%s" SUFFIX, name);
  // One of theirs that cannot be read is an error, no reason to play another.
  if ((!shipped_only && data_user_path(DATA_CONFIG, relative, path) &&
       !access(path, F_OK)) ||
      data_find(relative, path, 1024)) {
    return STATUS_OK;
  }
  return error_set(error,
                   STATUS_NOT_FOUND,
                   "no preset '%s': 'meander presets' lists them",
                   name);
}

typedef struct {
  PresetEntry* entries; // [PRESETS_MAX], sorted
  size_t       count;
  size_t       without_room;
  void (*refuse)(const char* path, const Error* error);
} Listing;

// `entries` has room for one of each name; the player's come first.
static void
add_entry(Listing* listing, const char* name, bool yours)
{
  size_t at = 0;
  while (at < listing->count && strcmp(listing->entries[at].name, name) < 0) {
    ++at;
  }
  PresetEntry* const entry = &listing->entries[at];
  if (at < listing->count && !strcmp(entry->name, name)) {
    entry->shadows = entry->yours;
    return;
  }
  if (listing->count == PRESETS_MAX) {
    ++listing->without_room;
    return;
  }
  memmove(entry + 1, entry, (listing->count - at) * sizeof *entry);
  *entry = (PresetEntry){ .yours = yours };
  strcpy(entry->name, name);
  ++listing->count;
}

static void
add_file(Listing* listing, const char* folder, const char* file, bool yours)
{
  const size_t length = strlen(file);
  const size_t suffix = strlen(SUFFIX);
  // What begins with a dot is an editor's.
  if (*file == '.' || length <= suffix ||
      strcmp(file + length - suffix, SUFFIX)) {
    return;
  }
  char name[256];
  snprintf(name, sizeof name, "%.*s", (int)(length - suffix), file);
  Error error;
  if (!preset_check_name(name, &error)) {
    add_entry(listing, name, yours);
  } else if (listing->refuse) {
    char path[1300];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    listing->refuse(path, &error);
  }
}

static void
add_folder(Listing* listing, const char* folder, bool yours)
{
  struct dirent** files;
  const int       count = scandir(folder, &files, NULL, alphasort);
  for (int i = 0; i < count; ++i) {
    add_file(listing, folder, files[i]->d_name, yours);
    free(files[i]);
  }
  if (count >= 0) {
    free(files);
  }
}

size_t
preset_list(PresetEntry entries[PRESETS_MAX],
            void (*refuse)(const char* path, const Error* error))
{
  Listing listing = { .entries = entries, .refuse = refuse };
  char    folder[1024];
  if (data_user_path(DATA_CONFIG, "presets", folder)) {
    add_folder(&listing, folder, true);
  }
  char         paths[DATA_DIRECTORIES_MAX][1024];
  const size_t count = data_directories(paths);
  for (size_t i = 0; i < count; ++i) {
    char shipped[1040];
    snprintf(shipped, sizeof shipped, "%s/presets", paths[i]);
    add_folder(&listing, shipped, false);
  }
  return listing.count + listing.without_room;
}

Status
preset_by_number(uint32_t number, char name[PRESET_NAME_BYTES], Error* error)
{
  PresetEntry  entries[PRESETS_MAX];
  const size_t found = preset_list(entries, NULL);
  const size_t count = found < PRESETS_MAX ? found : PRESETS_MAX;
  if (number >= count) {
    return error_set(error,
                     STATUS_NOT_FOUND,
                     count ? "no preset number %u: 'meander presets' numbers "
                             "them from 0 to %zu"
                           : "no preset number %u: there are no presets",
                     number,
                     count - 1);
  }
  snprintf(name, PRESET_NAME_BYTES, "%s", entries[number].name);
  return STATUS_OK;
}
