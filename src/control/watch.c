// inotify, and scans where it is not enough.
#include "control/watch.h"

#include "clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EVENTS_BYTES 32768u
#define NO_WATCH (-1)
// Not in the kernel's list for programs.
#define CIFS_MAGIC 0xff534d42u
#define SMB2_MAGIC 0xfe534d42u
#define FUSE_MAGIC 0x65735546u

typedef struct {
  int      descriptor; // NO_WATCH: the system would not
  uint32_t depth;      // 0: the root
  char     path[CHECKPOINT_PATH_BYTES];
} Folder;

struct Watch {
  CheckpointList* list; // not owned
  int             notify;
  Folder*         folders; // [WATCH_FOLDERS_MAX]
  size_t          count;   // 0: the root is not there
  char            root[CHECKPOINT_PATH_BYTES];
  bool            partial; // the system does not tell everything
  double          look_s;  // when to look for oneself
  bool            has_problem;
  bool            told_partial;
  bool            told_absent;
  Error           problem;
  alignas(struct inotify_event) char events[EVENTS_BYTES];
};

static void
say_partial(Watch* watch, const char* path, const char* reason)
{
  watch->partial = true;
  if (!watch->told_partial) {
    watch->told_partial = true;
    watch->has_problem  = true;
    error_set(&watch->problem,
              STATUS_LIMIT,
              "%s: %s; it is looked at every %g s instead",
              path,
              reason,
              WATCH_LOOK_S);
  }
}

static bool
join(char out[CHECKPOINT_PATH_BYTES], const char* folder, const char* name)
{
  const int length =
    snprintf(out, CHECKPOINT_PATH_BYTES, "%s/%s", folder, name);
  return length > 0 && (size_t)length < CHECKPOINT_PATH_BYTES;
}

static bool
is_within(const char* path, const char* folder)
{
  const size_t length = strlen(folder);
  return !strncmp(path, folder, length) &&
         (path[length] == '\0' || path[length] == '/');
}

// Other machines write there, and the system hears nothing of it.
static bool
is_remote(const char* path)
{
  struct statfs info;
  if (statfs(path, &info)) {
    return false;
  }
  const uint32_t magic = (uint32_t)info.f_type;
  return magic == NFS_SUPER_MAGIC || magic == CIFS_MAGIC ||
         magic == SMB2_MAGIC || magic == FUSE_MAGIC || magic == V9FS_MAGIC;
}

static int
start_watching(Watch* watch, const char* path)
{
  const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                        IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF |
                        IN_ONLYDIR | IN_EXCL_UNLINK;
  const int descriptor =
    watch->notify < 0 ? NO_WATCH : inotify_add_watch(watch->notify, path, mask);
  if (descriptor < 0 && watch->notify < 0) {
    say_partial(watch,
                path,
                "the system has no inotify left (fs.inotify.max_user_instances "
                "of sysctl)");
  } else if (descriptor < 0) {
    say_partial(watch,
                path,
                errno == ENOSPC ? "the system watches no more folders "
                                  "(fs.inotify.max_user_watches of sysctl)"
                                : "the system cannot watch it");
  } else if (is_remote(path)) {
    say_partial(watch, path, "the system does not watch other machines' files");
  }
  return descriptor;
}

static void
look_at_file(Watch* watch, const char* path, bool written)
{
  struct stat info;
  if (!stat(path, &info) && S_ISREG(info.st_mode)) {
    checkpoint_list_found(watch->list, path, &info, written);
  }
}

// --- Folders -----------------------------------------------------------------

static Folder*
folder_by_path(Watch* watch, const char* path)
{
  for (size_t i = 0; i < watch->count; ++i) {
    if (!strcmp(watch->folders[i].path, path)) {
      return watch->folders + i;
    }
  }
  return NULL;
}

static Folder*
folder_by_descriptor(Watch* watch, int descriptor)
{
  for (size_t i = 0; i < watch->count; ++i) {
    if (watch->folders[i].descriptor == descriptor) {
      return watch->folders + i;
    }
  }
  return NULL;
}

// Watched before it is read, so that nothing slips in between. NULL: there is
// no room, or it is deeper than anyone looks.
static Folder*
take_folder(Watch* watch, const char* path, uint32_t depth)
{
  Folder* folder = folder_by_path(watch, path);
  if (folder || depth > WATCH_DEPTH_MAX) {
    return folder;
  }
  if (watch->count == WATCH_FOLDERS_MAX) {
    if (!watch->told_partial) {
      watch->told_partial = true;
      watch->has_problem  = true;
      error_set(&watch->problem,
                STATUS_LIMIT,
                "%s: more than %u folders: this one and others are not "
                "watched; watch one of them",
                path,
                WATCH_FOLDERS_MAX);
    }
    return NULL;
  }
  folder        = watch->folders + watch->count++;
  folder->depth = depth;
  snprintf(folder->path, sizeof folder->path, "%s", path);
  folder->descriptor = start_watching(watch, path);
  return folder;
}

static bool
is_real_folder(const char* path)
{
  struct stat info;
  return !lstat(path, &info) && S_ISDIR(info.st_mode);
}

// Reads the folders from number `from` on, and so those that it meets: each is
// added behind the others.
static void
scan_from(Watch* watch, size_t from)
{
  for (size_t i = from; i < watch->count; ++i) {
    const Folder* const folder = watch->folders + i;
    DIR* const          items  = opendir(folder->path);
    struct dirent*      item;
    while (items && (item = readdir(items))) {
      char path[CHECKPOINT_PATH_BYTES];
      if (item->d_name[0] == '.' || !join(path, folder->path, item->d_name)) {
        continue;
      }
      const bool unknown = item->d_type == DT_UNKNOWN;
      if (item->d_type == DT_DIR || (unknown && is_real_folder(path))) {
        take_folder(watch, path, folder->depth + 1);
      } else if (checkpoint_list_takes(item->d_name)) {
        look_at_file(watch, path, false);
      }
    }
    if (items) {
      closedir(items);
    }
  }
}

// A folder and those below it are gone, or are somewhere else.
static void
drop_folders(Watch* watch, const char* path)
{
  for (size_t i = watch->count; i-- > 0;) {
    Folder* const folder = watch->folders + i;
    if (is_within(folder->path, path)) {
      if (folder->descriptor != NO_WATCH) {
        inotify_rm_watch(watch->notify, folder->descriptor);
      }
      --watch->count;
      memmove(folder, folder + 1, (watch->count - i) * sizeof *watch->folders);
    }
  }
  checkpoint_list_lost_folder(watch->list, path);
}

static void
scan_all(Watch* watch)
{
  checkpoint_list_begin_scan(watch->list);
  for (size_t i = watch->count; i-- > 1;) {
    if (!is_real_folder(watch->folders[i].path)) {
      char path[CHECKPOINT_PATH_BYTES];
      memcpy(path, watch->folders[i].path, sizeof path);
      drop_folders(watch, path);
    }
  }
  // Where another folder took the place of one, or there is room by now.
  for (size_t i = 0; i < watch->count; ++i) {
    watch->folders[i].descriptor =
      start_watching(watch, watch->folders[i].path);
  }
  scan_from(watch, 0);
  checkpoint_list_end_scan(watch->list);
}

static void
look_for_root(Watch* watch)
{
  struct stat info;
  if (stat(watch->root, &info) || !S_ISDIR(info.st_mode)) {
    if (!watch->told_absent) {
      watch->told_absent = true;
      watch->has_problem = true;
      error_set(
        &watch->problem,
        STATUS_NOT_FOUND,
        "%s: no such folder yet; checkpoints are taken when it is there",
        watch->root);
    }
    return;
  }
  take_folder(watch, watch->root, 0);
  scan_from(watch, 0);
}

// --- Events ------------------------------------------------------------------

static void
on_folder_event(Watch*        watch,
                const Folder* parent,
                const char*   path,
                uint32_t      mask)
{
  if (mask & (IN_DELETE | IN_MOVED_FROM)) {
    drop_folders(watch, path);
  } else if (mask & (IN_CREATE | IN_MOVED_TO)) {
    const size_t before = watch->count;
    const bool   known  = folder_by_path(watch, path) != NULL;
    if (!known && take_folder(watch, path, parent->depth + 1)) {
      scan_from(watch, before);
    }
  }
}

// Of either kind: whole as soon as it is there.
static bool
is_link(const char* path)
{
  struct stat info;
  return !lstat(path, &info) && (S_ISLNK(info.st_mode) || info.st_nlink > 1);
}

static void
on_event(Watch* watch, const struct inotify_event* event)
{
  const Folder* const folder = folder_by_descriptor(watch, event->wd);
  char                path[CHECKPOINT_PATH_BYTES];
  if (event->mask & IN_Q_OVERFLOW) {
    scan_all(watch);
    return;
  }
  if (!folder) {
    return; // of one that was dropped
  }
  if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) {
    // Its parent tells of a folder; of the root nobody else does.
    if (folder->depth == 0 || !(event->mask & IN_MOVE_SELF)) {
      snprintf(path, sizeof path, "%s", folder->path);
      drop_folders(watch, path);
    }
    return;
  }
  if (!event->len || event->name[0] == '.' ||
      !join(path, folder->path, event->name)) {
    return;
  }
  if (event->mask & IN_ISDIR) {
    on_folder_event(watch, folder, path, event->mask);
  } else if (checkpoint_list_takes(event->name)) {
    if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO) ||
        (event->mask & IN_CREATE && is_link(path))) {
      look_at_file(watch, path, true);
    } else if (event->mask & (IN_DELETE | IN_MOVED_FROM)) {
      checkpoint_list_lost(watch->list, path);
    }
  }
}

void
watch_poll(Watch* watch)
{
  // One reading a turn, so that a turn stays short.
  const ssize_t bytes =
    watch->notify < 0
      ? -1
      : read(watch->notify, watch->events, sizeof watch->events);
  for (ssize_t at = 0; at < bytes;) {
    const struct inotify_event* const event = (const void*)(watch->events + at);
    on_event(watch, event);
    at += (ssize_t)(sizeof *event + event->len);
  }
  const double now_s = clock_now_s();
  if ((watch->count && !watch->partial) || now_s < watch->look_s) {
    return;
  }
  watch->look_s = now_s + WATCH_LOOK_S;
  if (!watch->count) {
    look_for_root(watch);
  } else if (access(watch->root, F_OK)) {
    drop_folders(watch, watch->root);
  } else {
    scan_all(watch);
  }
}

bool
watch_problem(Watch* watch, Error* error)
{
  const bool has = watch->has_problem;
  if (has) {
    *error             = watch->problem;
    watch->has_problem = false;
  }
  return has;
}

Status
watch_open(const char* folder, CheckpointList* list, Watch** out, Error* error)
{
  *out = NULL;
  struct stat info;
  size_t      length = strlen(folder);
  while (length > 1 && folder[length - 1] == '/') {
    --length;
  }
  if (!length || length >= CHECKPOINT_PATH_BYTES / 2) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "'%.80s' is not a path of a folder to watch",
                     folder);
  }
  if (!stat(folder, &info) && !S_ISDIR(info.st_mode)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s: is no folder: --watch takes one; name files without",
                     folder);
  }
  Watch* const watch = calloc(1, sizeof *watch);
  if (watch) {
    watch->folders = calloc(WATCH_FOLDERS_MAX, sizeof *watch->folders);
  }
  if (!watch || !watch->folders) {
    free(watch);
    return error_set(error, STATUS_NO_MEMORY, "no memory for a watch");
  }
  watch->list = list;
  snprintf(watch->root, sizeof watch->root, "%.*s", (int)length, folder);
  watch->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  look_for_root(watch);
  *out = watch;
  return STATUS_OK;
}

void
watch_close(Watch* watch)
{
  if (watch) {
    if (watch->notify >= 0) {
      close(watch->notify);
    }
    free(watch->folders);
    free(watch);
  }
}
