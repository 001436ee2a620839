// Finding MIDI files below directories. Main thread.
#include "find_midi.h"

#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static bool
is_midi_name(const char* name)
{
  const char* const dot = strrchr(name, '.');
  return dot && (!strcasecmp(dot, ".mid") || !strcasecmp(dot, ".midi"));
}

// The part of `path` from its last but one component on.
static const char*
last_two_components(const char* path)
{
  const char* name   = path;
  const char* before = path;
  for (const char* at = path; *at; ++at) {
    if (*at == '/') {
      before = name;
      name   = at + 1;
    }
  }
  return before;
}

static Status
add_path(MidiPaths* paths, const FTSENT* entry, Error* error)
{
  if (paths->count == paths->capacity) {
    const size_t    wanted = paths->capacity ? 2 * paths->capacity : 256;
    MidiPath* const bigger = realloc(paths->items, wanted * sizeof *bigger);
    if (!bigger) {
      return error_set(
        error, STATUS_NO_MEMORY, "out of memory for %zu paths", wanted);
    }
    paths->items    = bigger;
    paths->capacity = wanted;
  }
  char* const path = strdup(entry->fts_path);
  if (!path) {
    return error_set(error, STATUS_NO_MEMORY, "out of memory for a path");
  }
  paths->items[paths->count++] = (MidiPath){ path,
                                             last_two_components(path),
                                             entry->fts_statp->st_dev,
                                             entry->fts_statp->st_ino };
  return STATUS_OK;
}

static int
compare_paths(const void* left, const void* right)
{
  const MidiPath* const a     = left;
  const MidiPath* const b     = right;
  const int             order = strcmp(a->name, b->name);
  return order ? order : strcmp(a->path, b->path);
}

static void
drop_repeated(MidiPaths* paths)
{
  size_t kept = 0;
  for (size_t i = 0; i < paths->count; ++i) {
    const MidiPath item     = paths->items[i];
    bool           repeated = false;
    for (size_t j = kept; j-- > 0 && !repeated;) {
      const MidiPath* const earlier = &paths->items[j];
      if (strcmp(earlier->name, item.name) != 0) {
        break;
      }
      repeated = earlier->device == item.device && earlier->inode == item.inode;
    }
    if (repeated) {
      free(item.path);
    } else {
      paths->items[kept++] = item;
    }
  }
  paths->count = kept;
}

static Status
walk(FTS* tree, MidiPaths* out, size_t* unreadable, Error* error)
{
  Status status = STATUS_OK;
  for (FTSENT* entry; !status && (entry = fts_read(tree));) {
    switch (entry->fts_info) {
      case FTS_DNR:
      case FTS_ERR:
      case FTS_NS:
        ++*unreadable;
        fprintf(stderr,
                "%s: cannot look inside: %s\n",
                entry->fts_path,
                strerror(entry->fts_errno));
        break;
      case FTS_F:
      case FTS_DEFAULT:
      case FTS_SLNONE: // a dangling link: reading it will say so
        if (is_midi_name(entry->fts_name)) {
          status = add_path(out, entry, error);
        }
        break;
      default:
        break; // directories, once entered and once left; cycles of links
    }
  }
  return status;
}

// "." and ".." become the directory's own name, so that names do not depend on
// where one stands. NULL with errno when it is not there.
static char*
resolve(const char* directory)
{
  struct stat info;
  if (stat(directory, &info)) {
    return NULL;
  }
  char* const path = strdup(directory);
  for (size_t n = path ? strlen(path) : 0; n > 1 && path[n - 1] == '/';) {
    path[--n] = '\0';
  }
  const char* const slash = path ? strrchr(path, '/') : NULL;
  const char* const last  = slash ? slash + 1 : path;
  if (path && (!strcmp(last, ".") || !strcmp(last, ".."))) {
    free(path);
    return realpath(directory, NULL);
  }
  return path;
}

Status
find_midi(char* const* directories,
          size_t       count,
          MidiPaths*   out,
          size_t*      unreadable,
          Error*       error)
{
  *out          = (MidiPaths){ 0 };
  *unreadable   = 0;
  Status status = STATUS_OK;
  for (size_t i = 0; i < count && !status; ++i) {
    char* const root     = resolve(directories[i]);
    char* const roots[2] = { root, NULL };
    FTS* const  tree =
      root ? fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL) : NULL;
    status = tree ? walk(tree, out, unreadable, error)
                  : error_set(error,
                              STATUS_NOT_FOUND,
                              "%s: cannot look inside: %s",
                              directories[i],
                              strerror(errno));
    if (tree) {
      fts_close(tree);
    }
    free(root);
  }
  if (status) {
    midi_paths_free(out);
    return status;
  }
  if (out->count) {
    qsort(out->items, out->count, sizeof *out->items, compare_paths);
  }
  drop_repeated(out);
  return STATUS_OK;
}

void
midi_paths_free(MidiPaths* paths)
{
  for (size_t i = 0; i < paths->count; ++i) {
    free(paths->items[i].path);
  }
  free(paths->items);
  *paths = (MidiPaths){ 0 };
}
