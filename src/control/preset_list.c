// Where presets are, what they may be called, and their order.
#include "control/preset.h"

#include "control/preset_text.h"
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
  *entry = (PresetEntry){ .yours = yours, .number = -1 };
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

// What its file asks for, whatever else is in it; -1: nothing.
static int
program_of(const char* name, bool shipped_only)
{
  char     path[1024];
  char*    text;
  config_t config;
  Error    error;
  int      program = -1;
  if (preset_find(name, shipped_only, path, &error) ||
      text_file_read(path, PRESET_BYTES_MAX, &text, &error)) {
    return -1;
  }
  if (!text_file_parse(path, text, "", &config, &error)) {
    const config_setting_t* const setting =
      config_setting_get_member(config_root_setting(&config), "program");
    if (setting) {
      preset_read_program(setting, &program, &error);
    }
    config_destroy(&config);
  }
  free(text);
  return program;
}

// One that stands before a shipped one has that one's number, where it says
// none.
static int
wanted_by(const PresetEntry* entry)
{
  const int own = program_of(entry->name, false);
  return own < 0 && entry->shadows ? program_of(entry->name, true) : own;
}

static void
give_wanted(Listing* listing, bool yours, bool taken[])
{
  for (size_t i = 0; i < listing->count; ++i) {
    PresetEntry* const entry  = &listing->entries[i];
    const int          number = entry->yours == yours ? wanted_by(entry) : -1;
    if (number >= 0 && !taken[number]) {
      entry->number = number;
      taken[number] = true;
    }
  }
}

static int
by_number(const void* a, const void* b)
{
  const PresetEntry* const one   = a;
  const PresetEntry* const other = b;
  // Those without one come last.
  const unsigned x = (unsigned)one->number;
  const unsigned y = (unsigned)other->number;
  return x != y ? (x < y ? -1 : 1) : strcmp(one->name, other->name);
}

static void
give_numbers(Listing* listing)
{
  bool taken[PRESET_PROGRAM_MAX + 1] = { false };
  give_wanted(listing, true, taken);
  give_wanted(listing, false, taken);
  int free_one = PRESET_PROGRAM_YOURS;
  for (size_t i = 0; i < listing->count; ++i) {
    while (free_one <= PRESET_PROGRAM_MAX && taken[free_one]) {
      ++free_one;
    }
    if (listing->entries[i].number < 0 && free_one <= PRESET_PROGRAM_MAX) {
      listing->entries[i].number = free_one++;
    }
  }
  qsort(listing->entries, listing->count, sizeof *listing->entries, by_number);
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
  give_numbers(&listing);
  return listing.count + listing.without_room;
}

Status
preset_by_number(uint32_t number, char name[PRESET_NAME_BYTES], Error* error)
{
  PresetEntry  entries[PRESETS_MAX];
  const size_t found = preset_list(entries, NULL);
  for (size_t i = 0; i < found && i < PRESETS_MAX; ++i) {
    if (entries[i].number == (int)number) {
      snprintf(name, PRESET_NAME_BYTES, "%s", entries[i].name);
      return STATUS_OK;
    }
  }
  return error_set(error,
                   STATUS_NOT_FOUND,
                   "no preset has number %u: 'meander presets' shows theirs, "
                   "and program = %u in one of yours gives it that",
                   number,
                   number);
}
