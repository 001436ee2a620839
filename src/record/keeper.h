// Writing takes and ended recordings without waiting for the disk: a thread
// does, one after another, in the order in which they were given. All
// functions: control thread.
#pragma once

#include "record.h"
#include "record/place.h"
#include "record/scribe.h"
#include "record/take.h"

#include <stdbool.h>

// That wait or are being written. One more is refused and counted: nothing is
// lost, the ring and the recording are as they were.
#define KEEPER_JOBS_MAX 8u

typedef struct {
  bool     is_recording; // else a take
  SmfTrack track;        // of a take
  Take     take;
  uint32_t tempo_us;
  bool     has_directory;
  char     directory[PLACE_BYTES_MAX];
  time_t   when;
  Recorder recorder; // of a recording
  uint32_t sample_rate_hz;
  char*    text;
  char     path[PLACE_BYTES_MAX];
  Error    error;
} KeeperJob;

typedef struct {
  Scribe    scribe; // has jobs[first], if there is one
  KeeperJob jobs[KEEPER_JOBS_MAX];
  uint32_t  first;
  uint32_t  count;
  uint64_t  refused;
} Keeper;

// What became of one.
typedef struct {
  bool  is_recording;
  Take  take; // of a take
  char  path[PLACE_BYTES_MAX];
  Error error; // status not OK: why it is in no file, or not in this one
} KeeperAnswer;

Status keeper_init(Keeper* keeper, Error* error);
// Waits for all that was given. Also for one that is all zeros.
void keeper_free(Keeper* keeper);

// Takes what is wanted from the ring, at once, and has it written; directory
// and name as for place_take(). STATUS_UNAVAILABLE: too many wait; other errors
// as for take_encode(). The ring is as it was.
Status keeper_keep(Keeper*            keeper,
                   const TakeRing*    ring,
                   const TakeRequest* request,
                   const char*        directory,
                   Error*             error);

// False and an error: one more would be refused, which counts as such.
bool keeper_has_room(Keeper* keeper, const char* what, Error* error);

// Has a finished recording written as recorder_write() does; `recorder` begins
// anew. There must be room. STATUS_NO_MEMORY: `recorder` is as it was.
Status keeper_end_recording(Keeper*     keeper,
                            Recorder*   recorder,
                            const char* path,
                            uint32_t    sample_rate_hz,
                            const char* text,
                            Error*      error);

// Once a turn of the loop. True: one is done.
bool keeper_turn(Keeper* keeper, KeeperAnswer* answer);
// The same, after waiting for the first; false: none was left.
bool keeper_finish(Keeper* keeper, KeeperAnswer* answer);
