// Finding MIDI files below directories. Main thread.
#pragma once

#include "status.h"

#include <stddef.h>
#include <sys/types.h>

typedef struct {
  char*       path;
  const char* name; // its last two components, "giantmidi/X.mid"
  dev_t       device;
  ino_t       inode;
} MidiPath;

typedef struct {
  MidiPath* items; // sorted by name, then path
  size_t    count;
  size_t    capacity;
} MidiPaths;

// Adds every *.mid and *.midi (any case) below `directories`, symbolic links
// followed; a file that two of the directories both hold is listed once. What
// cannot be looked into is named on stderr and counted in `*unreadable`.
// STATUS_NOT_FOUND names a directory that is not there.
Status find_midi(char* const* directories,
                 size_t       count,
                 MidiPaths*   out,
                 size_t*      unreadable,
                 Error*       error);
void   midi_paths_free(MidiPaths* paths);
