// Which checkpoints there are, in order.
#include "control/checkpoint_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAINING_STATE "state" CHECKPOINT_SUFFIX

Status
checkpoint_list_init(CheckpointList* list, Error* error)
{
  *list         = (CheckpointList){ 0 };
  list->entries = calloc(CHECKPOINT_LIST_MAX, sizeof *list->entries);
  return list->entries ? STATUS_OK
                       : error_set(error,
                                   STATUS_NO_MEMORY,
                                   "no memory for a list of checkpoints");
}

void
checkpoint_list_free(CheckpointList* list)
{
  free(list->entries);
  *list = (CheckpointList){ 0 };
}

bool
checkpoint_list_takes(const char* name)
{
  const size_t length = strlen(name);
  const size_t suffix = strlen(CHECKPOINT_SUFFIX);
  return length > suffix && name[0] != '.' &&
         !strcmp(name + length - suffix, CHECKPOINT_SUFFIX) &&
         strcmp(name, TRAINING_STATE) != 0;
}

static const char*
component_before(const char* path, const char* begin)
{
  begin -= begin > path; // the slash
  while (begin > path && begin[-1] != '/') {
    --begin;
  }
  return begin;
}

// The part of a path that people call it by, which ends at `*end`.
static const char*
short_part(const char* path, const char** end)
{
  static const char common[] = "checkpoint" CHECKPOINT_SUFFIX;
  const char*       begin    = strrchr(path, '/');
  *end                       = path + strlen(path);
  begin                      = begin ? begin + 1 : path;
  if (!strcmp(begin, common) && begin > path + 1) {
    *end = begin - 1;
    return component_before(path, begin);
  }
  if (checkpoint_list_takes(begin)) {
    *end -= strlen(CHECKPOINT_SUFFIX);
  }
  return begin;
}

static void
put_name(const char* begin, const char* end, char name[CHECKPOINT_SHORT_BYTES])
{
  snprintf(name, CHECKPOINT_SHORT_BYTES, "%.*s", (int)(end - begin), begin);
  // For terminals.
  for (char* at = name; *at; ++at) {
    *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
  }
}

void
checkpoint_short_name(const char* path, char name[CHECKPOINT_SHORT_BYTES])
{
  const char*       end;
  const char* const begin = short_part(path, &end);
  put_name(begin, end, name);
}

// Two ways to write one path, or links.
static bool
is_one_file(const CheckpointEntry* a, const CheckpointEntry* b)
{
  return a->device == b->device && a->inode == b->inode;
}

// Whether another file's path ends like that, too.
static bool
is_shared(const CheckpointList* list, const char* path, const char* part)
{
  const size_t                 length = strlen(part);
  const CheckpointEntry* const own    = checkpoint_list_by_path(list, path);
  for (size_t i = 0; i < list->count; ++i) {
    const char* const other = list->entries[i].key.path;
    const size_t      size  = strlen(other);
    if (size >= length && !strcmp(other + size - length, part) &&
        (size == length || other[size - length - 1] == '/') &&
        strcmp(other, path) != 0 &&
        !(own && is_one_file(own, list->entries + i))) {
      return true;
    }
  }
  return false;
}

void
checkpoint_list_name(const CheckpointList* list,
                     const char*           path,
                     char                  name[CHECKPOINT_SHORT_BYTES])
{
  const char* end;
  const char* begin = short_part(path, &end);
  while (begin > path && is_shared(list, path, begin)) {
    begin = component_before(path, begin);
  }
  put_name(begin, end, name);
}

static int
compare(const CheckpointKey* a, const CheckpointKey* b)
{
  if (a->place != b->place) {
    return a->place < b->place ? -1 : 1;
  }
  if (a->modified_ns != b->modified_ns) {
    return a->modified_ns < b->modified_ns ? -1 : 1;
  }
  return strcmp(a->path, b->path);
}

static void
take_out(CheckpointList* list, size_t at)
{
  --list->count;
  memmove(list->entries + at,
          list->entries + at + 1,
          (list->count - at) * sizeof *list->entries);
  ++list->changes;
}

// There is room.
static void
put_in(CheckpointList* list, const CheckpointEntry* entry)
{
  size_t at = list->count;
  while (at && compare(&list->entries[at - 1].key, &entry->key) > 0) {
    --at;
  }
  memmove(list->entries + at + 1,
          list->entries + at,
          (list->count - at) * sizeof *list->entries);
  list->entries[at] = *entry;
  ++list->count;
  ++list->changes;
}

static int64_t
modified_ns(const struct stat* info)
{
  return (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
}

static CheckpointEntry
make_entry(CheckpointList*    list,
           const char*        path,
           uint32_t           place,
           const struct stat* info)
{
  CheckpointEntry entry = { .key        = { .place       = place,
                                            .modified_ns = modified_ns(info) },
                            .serial     = ++list->last_serial,
                            .device     = info->st_dev,
                            .inode      = info->st_ino,
                            .size_bytes = info->st_size,
                            .fresh      = true,
                            .seen       = true };
  snprintf(entry.key.path, sizeof entry.key.path, "%s", path);
  return entry;
}

static size_t
index_of(const CheckpointList* list, const char* path)
{
  size_t at = 0;
  while (at < list->count && strcmp(list->entries[at].key.path, path) != 0) {
    ++at;
  }
  return at;
}

static bool
is_same(const CheckpointEntry* entry, const struct stat* info)
{
  return entry->device == info->st_dev && entry->inode == info->st_ino &&
         entry->size_bytes == info->st_size &&
         entry->key.modified_ns == modified_ns(info);
}

// Makes room for an entry of this key, where it is not the oldest itself.
static bool
make_room(CheckpointList* list, const CheckpointKey* key)
{
  if (list->count < CHECKPOINT_LIST_MAX) {
    return true;
  }
  size_t oldest = 0;
  while (oldest < list->count &&
         list->entries[oldest].key.place != CHECKPOINT_WATCHED) {
    ++oldest;
  }
  ++list->left_out;
  if (oldest == list->count || compare(key, &list->entries[oldest].key) < 0) {
    return false;
  }
  take_out(list, oldest);
  return true;
}

void
checkpoint_list_found(CheckpointList*    list,
                      const char*        path,
                      const struct stat* info,
                      bool               written)
{
  if (strlen(path) >= CHECKPOINT_PATH_BYTES) {
    ++list->left_out;
    return;
  }
  const size_t at    = index_of(list, path);
  uint32_t     place = CHECKPOINT_WATCHED;
  if (at < list->count) {
    if (!written && is_same(&list->entries[at], info)) {
      list->entries[at].seen = true;
      return;
    }
    place = list->entries[at].key.place;
    take_out(list, at);
  }
  const CheckpointEntry entry = make_entry(list, path, place, info);
  if (make_room(list, &entry.key)) {
    put_in(list, &entry);
  }
}

void
checkpoint_list_lost(CheckpointList* list, const char* path)
{
  const size_t at = index_of(list, path);
  if (at < list->count) {
    take_out(list, at);
  }
}

void
checkpoint_list_lost_folder(CheckpointList* list, const char* folder)
{
  const size_t length = strlen(folder);
  for (size_t i = list->count; i-- > 0;) {
    const CheckpointKey* const key = &list->entries[i].key;
    if (key->place == CHECKPOINT_WATCHED &&
        !strncmp(key->path, folder, length) && key->path[length] == '/') {
      take_out(list, i);
    }
  }
}

void
checkpoint_list_begin_scan(CheckpointList* list)
{
  for (size_t i = 0; i < list->count; ++i) {
    list->entries[i].seen = list->entries[i].key.place != CHECKPOINT_WATCHED;
  }
}

void
checkpoint_list_end_scan(CheckpointList* list)
{
  for (size_t i = list->count; i-- > 0;) {
    if (!list->entries[i].seen) {
      take_out(list, i);
    }
  }
}

// --- What was named ----------------------------------------------------------

static Status
cannot_read(const char* path, Error* error)
{
  return error_set(error,
                   errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO,
                   "%s: cannot read: %s",
                   path,
                   strerror(errno));
}

static Status
add_file(CheckpointList*    list,
         const char*        path,
         const struct stat* info,
         Error*             error)
{
  if (strlen(path) >= CHECKPOINT_PATH_BYTES) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "%.80s...: the path is too long", path);
  }
  if (index_of(list, path) < list->count) {
    return STATUS_OK; // named twice
  }
  if (list->count == CHECKPOINT_LIST_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "%s: more than %u checkpoints: name fewer",
                     path,
                     CHECKPOINT_LIST_MAX);
  }
  CheckpointEntry entry = make_entry(list, path, list->place_count++, info);
  entry.fresh           = false; // who named it knows
  put_in(list, &entry);
  return STATUS_OK;
}

// Orders what was just read of one folder, by time.
static int
compare_found(const void* a, const void* b)
{
  return compare(&((const CheckpointEntry*)a)->key,
                 &((const CheckpointEntry*)b)->key);
}

static size_t
read_folder(DIR* folder, const char* path, CheckpointEntry* found, size_t max)
{
  size_t         count = 0;
  struct dirent* item;
  while (count < max && (item = readdir(folder))) {
    CheckpointEntry* const entry  = found + count;
    const int              length = snprintf(
      entry->key.path, sizeof entry->key.path, "%s/%s", path, item->d_name);
    struct stat info;
    if (checkpoint_list_takes(item->d_name) &&
        (size_t)length < sizeof entry->key.path &&
        !stat(entry->key.path, &info) && S_ISREG(info.st_mode)) {
      entry->key.modified_ns = modified_ns(&info);
      ++count;
    }
  }
  return count;
}

static Status
add_folder(CheckpointList* list, const char* path, Error* error)
{
  const size_t           before = list->count;
  const uint32_t         places = list->place_count;
  const size_t           max    = CHECKPOINT_LIST_MAX + 1; // and it is refused
  CheckpointEntry* const found  = calloc(max, sizeof *found);
  DIR* const             folder = found ? opendir(path) : NULL;
  if (!folder) {
    free(found);
    return found ? cannot_read(path, error)
                 : error_set(error, STATUS_NO_MEMORY, "no memory for a list");
  }
  const size_t count = read_folder(folder, path, found, max);
  closedir(folder);
  qsort(found, count, sizeof *found, compare_found);
  Status status = count
                    ? STATUS_OK
                    : error_set(error,
                                STATUS_NOT_FOUND,
                                "%s: no " CHECKPOINT_SUFFIX " file lies in it",
                                path);
  for (size_t i = 0; status == STATUS_OK && i < count; ++i) {
    struct stat info;
    if (!stat(found[i].key.path, &info)) {
      status = add_file(list, found[i].key.path, &info, error);
    }
  }
  free(found);
  for (size_t i = list->count; status && list->count > before && i-- > 0;) {
    if (list->entries[i].key.place >= places) {
      take_out(list, i);
    }
  }
  return status;
}

Status
checkpoint_list_add_named(CheckpointList* list, const char* path, Error* error)
{
  struct stat info;
  if (stat(path, &info)) {
    return cannot_read(path, error);
  }
  return S_ISDIR(info.st_mode) ? add_folder(list, path, error)
                               : add_file(list, path, &info, error);
}

void
checkpoint_list_look_at_named(CheckpointList* list)
{
  for (size_t i = 0; i < list->count; ++i) {
    struct stat info;
    char        path[CHECKPOINT_PATH_BYTES];
    memcpy(path, list->entries[i].key.path, sizeof path);
    if (list->entries[i].key.place != CHECKPOINT_WATCHED &&
        !stat(path, &info)) {
      checkpoint_list_found(list, path, &info, false); // it keeps its place
    }
  }
}

// --- Looking up --------------------------------------------------------------

CheckpointEntry*
checkpoint_list_by_path(const CheckpointList* list, const char* path)
{
  const size_t at = index_of(list, path);
  return at < list->count ? list->entries + at : NULL;
}

CheckpointEntry*
checkpoint_list_by_serial(const CheckpointList* list, uint64_t serial)
{
  for (size_t i = 0; i < list->count; ++i) {
    if (list->entries[i].serial == serial) {
      return list->entries + i;
    }
  }
  return NULL;
}

CheckpointEntry*
checkpoint_list_newest(const CheckpointList* list)
{
  for (size_t i = list->count; i-- > 0;) {
    CheckpointEntry* const entry = list->entries + i;
    if (entry->key.place == CHECKPOINT_WATCHED && !entry->failed) {
      return entry;
    }
  }
  return NULL;
}

CheckpointEntry*
checkpoint_list_step(const CheckpointList* list,
                     const CheckpointKey*  from,
                     int                   step,
                     uint64_t              except)
{
  size_t at = 0; // the first that is not before `from`
  while (at < list->count && compare(&list->entries[at].key, from) < 0) {
    ++at;
  }
  const bool here = at < list->count && !compare(&list->entries[at].key, from);
  // Forwards from a key that is gone, `at` itself comes next.
  size_t next = step > 0 && here ? at + 1 : at;
  for (size_t tried = 0; tried < list->count; ++tried) {
    next = step > 0 ? next : next + list->count - 1;
    next %= list->count;
    CheckpointEntry* const entry = list->entries + next;
    if (!entry->failed && entry->serial != except) {
      return entry;
    }
    next += step > 0;
  }
  return NULL;
}
