// Files written whole or not at all: a temporary name beside the target, fsync,
// then rename, so that a kill at any moment leaves the old file or the new one.
// Any thread except process.
#pragma once

#include "status.h"

#include <stdint.h>
#include <stdio.h>

typedef struct {
  FILE* stream; // write here
  char  path[1024];
  char  temporary_path[1040];
} FileWriter;

// STATUS_IO names the path and the system's reason.
Status file_writer_open(FileWriter* writer, const char* path, Error* error);
// Flushes, syncs and renames. On failure (a full disk, say) the temporary file
// is removed and what stood at `path` before is untouched.
Status file_writer_commit(FileWriter* writer, Error* error);
// Gives up: removes the temporary file.
void file_writer_abort(FileWriter* writer);

// Makes a directory if it is not there (not its parents).
Status file_make_directory(const char* path, Error* error);

// A read-only memory map of a regular file. An empty file maps to NULL/0.
typedef struct {
  const uint8_t* data;
  size_t         size_bytes;
} FileMap;

Status file_map_open(FileMap* map, const char* path, Error* error);
void   file_map_close(FileMap* map);
