// Checkpoints to choose from: those that were named, in their order, then those
// of a watched folder, the oldest first. A file is one entry; when it is
// written anew the entry gets a new `serial`, so that who remembers a serial
// knows the version. Pure bookkeeping: opens no checkpoint. Control thread.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

// Beyond the cap a named file is refused; of a watched folder the newest stay.
#define CHECKPOINT_LIST_MAX 1024u
#define CHECKPOINT_PATH_BYTES 1024u
#define CHECKPOINT_SUFFIX ".safetensors"

// Where in the order something stands, whether or not it is still there.
typedef struct {
  uint32_t place; // of a named file; CHECKPOINT_WATCHED: by time
  int64_t  modified_ns;
  char     path[CHECKPOINT_PATH_BYTES];
} CheckpointKey;
#define CHECKPOINT_WATCHED UINT32_MAX

typedef struct {
  CheckpointKey key;
  uint64_t      serial; // of this version of the file; never 0
  dev_t         device;
  ino_t         inode;
  off_t         size_bytes;
  bool          fresh;  // new or changed: for who asks next to clear
  bool          failed; // this version could not be played
  bool          seen;   // in the scan under way
} CheckpointEntry;

typedef struct {
  CheckpointEntry* entries; // sorted by key
  size_t           count;
  uint32_t         place_count;
  uint64_t         last_serial;
  uint64_t         changes;  // grows when an entry comes, changes or goes
  uint64_t         left_out; // older than all, and there was no room
} CheckpointList;

// STATUS_NO_MEMORY.
Status checkpoint_list_init(CheckpointList* list, Error* error);
void   checkpoint_list_free(CheckpointList* list);

// Whether a file's name says that it is a checkpoint to play: not the state
// that meander-train resumes from, which lies beside it.
bool checkpoint_list_takes(const char* name);

// For people: "runs/run12/checkpoint.safetensors" is "run12",
// "old/calm.safetensors" is "calm".
#define CHECKPOINT_SHORT_BYTES 96u
void checkpoint_short_name(const char* path, char name[CHECKPOINT_SHORT_BYTES]);
// With as many of its folders as it takes to tell it from the others of the
// list: "run1/best" beside "run2/best".
void checkpoint_list_name(const CheckpointList* list,
                          const char*           path,
                          char                  name[CHECKPOINT_SHORT_BYTES]);

// A file that was named, or all checkpoints right in a folder that was, the
// oldest first. STATUS_NOT_FOUND, STATUS_IO, STATUS_LIMIT: nothing was added.
Status checkpoint_list_add_named(CheckpointList* list,
                                 const char*     path,
                                 Error*          error);

// Sees which of the named files changed: nobody tells of them.
void checkpoint_list_look_at_named(CheckpointList* list);

// A file of a watched folder is there. It is a new version if it differs from
// what was known, or was `written` just now.
void checkpoint_list_found(CheckpointList*    list,
                           const char*        path,
                           const struct stat* info,
                           bool               written);
// A file, or all watched ones in a folder and below, are gone.
void checkpoint_list_lost(CheckpointList* list, const char* path);
void checkpoint_list_lost_folder(CheckpointList* list, const char* folder);

// A scan of everything watched: what is not found in between is gone.
void checkpoint_list_begin_scan(CheckpointList* list);
void checkpoint_list_end_scan(CheckpointList* list);

// NULL where there is none. Pointers hold until the list changes.
CheckpointEntry* checkpoint_list_by_path(const CheckpointList* list,
                                         const char*           path);
CheckpointEntry* checkpoint_list_by_serial(const CheckpointList* list,
                                           uint64_t              serial);
// The newest of those watched that did not fail.
CheckpointEntry* checkpoint_list_newest(const CheckpointList* list);
// The next (`step` 1) or previous (-1) entry from a key that did not fail,
// round the end; never the one whose serial is `except`.
CheckpointEntry* checkpoint_list_step(const CheckpointList* list,
                                      const CheckpointKey*  from,
                                      int                   step,
                                      uint64_t              except);
