// A MIDI file that grows in place and is whole after every step, so that a
// program killed at any moment leaves one that any reader takes. No thread of
// its own; one thread at a time.
//
// The file is head, body, closing; the closing ends what sounds and the track,
// and the next part of the body overwrites it. A part takes three writes:
//   1. what reaches beyond the file's end is put there. Killed now, the file
//      has bytes after its track.
//   2. the track's length in its head. Killed now, the track ends before its
//      chunk does.
//   3. what takes the old closing's place, a few dozen bytes. Done.
// In all three states a reader that stops at the end of the track finds a whole
// one. What is not safe: a kill within the copying of write 3 where it crosses
// a page (4096 bytes), a fraction of a microsecond once in some hundred writes.
//
// Nothing is synced but at the start: after a power failure the file is as the
// system last wrote it back (Linux: at most some 35 s earlier), and its last
// page may be torn.
#pragma once

#include "status.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
  char   path[1024];
  int    fd;       // -1: not open
  size_t body_end; // where the closing begins
  size_t end;
  dev_t  device; // which file it is
  ino_t  inode;
} GrowingFile;

// Bytes of a track: delta times and events. They end with smf_end_of_track.
typedef struct {
  const uint8_t* bytes;
  size_t         size;
} TrackPart;

// Puts a new file in the place of what is at `path`, in one step.
Status growing_file_open(GrowingFile* file,
                         const char*  path,
                         uint32_t     tempo_us,
                         TrackPart    body,
                         TrackPart    closing,
                         Error*       error);

// After an error the file is as it was, and the same part can be tried again.
// STATUS_NOT_FOUND: there is no such file at the path any more.
Status growing_file_append(GrowingFile* file,
                           TrackPart    body,
                           TrackPart    closing,
                           Error*       error);

// The file stays. Also for one that is not open.
void growing_file_close(GrowingFile* file);
