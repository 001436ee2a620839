// Keeping takes without waiting for the disk: a thread writes the file. One
// take at a time. All functions: control thread.
#pragma once

#include "record/place.h"
#include "record/scribe.h"
#include "record/take.h"

#include <stdbool.h>

typedef struct {
  Scribe scribe;
  bool   is_given; // to the scribe, whose answer was not looked at yet

  // The scribe's while it is busy.
  SmfTrack track;
  Take     take;
  uint32_t tempo_us;
  bool     has_directory;
  char     directory[PLACE_BYTES_MAX];
  char     path[PLACE_BYTES_MAX];
  time_t   when;
  Error    error;
} Keeper;

Status keeper_init(Keeper* keeper, Error* error);
// Waits for a take that is being written. Also for one that is all zeros.
void keeper_free(Keeper* keeper);

// Takes what is wanted from the ring, at once, and has it written; directory
// and name as for place_take(). STATUS_UNAVAILABLE: the take before is still
// being written; other errors as for take_encode(). The ring is as it was.
Status keeper_keep(Keeper*            keeper,
                   const TakeRing*    ring,
                   const TakeRequest* request,
                   const char*        directory,
                   Error*             error);

// Once a turn of the loop. True: a take ended, in the file `*path` (good until
// the next keeper_keep()), or, where error->status says so, in no file.
bool keeper_turn(Keeper* keeper, Take* take, const char** path, Error* error);
// The same, after waiting for it.
bool keeper_finish(Keeper* keeper, Take* take, const char** path, Error* error);
