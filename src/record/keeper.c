// Takes on their way to the disk.
#include "record/keeper.h"

#include "record/encode.h"

#include <string.h>
#include <unistd.h>

static void
write_take(void* context)
{
  Keeper* const     keeper = context;
  const char* const directory =
    keeper->has_directory ? keeper->directory : NULL;
  Error* const error = &keeper->error;
  Status status      = place_take(directory, keeper->when, keeper->path, error);
  if (!status) {
    status =
      record_write_track(keeper->path, &keeper->track, keeper->tempo_us, error);
    if (status) {
      unlink(keeper->path);
    }
  }
  error->status = status;
}

Status
keeper_init(Keeper* keeper, Error* error)
{
  memset(keeper, 0, sizeof *keeper);
  return scribe_start(&keeper->scribe, error);
}

void
keeper_free(Keeper* keeper)
{
  scribe_stop(&keeper->scribe);
  smf_track_free(&keeper->track);
}

Status
keeper_keep(Keeper*            keeper,
            const TakeRing*    ring,
            const TakeRequest* request,
            const char*        directory,
            Error*             error)
{
  if (keeper->is_given) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "keep: the take before is still being written: try again");
  }
  if (directory && strlen(directory) >= sizeof keeper->directory) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "keep: %.80s...: the name of the directory is too long",
                     directory);
  }
  keeper->has_directory = directory;
  strcpy(keeper->directory, directory ? directory : "");
  smf_track_free(&keeper->track);
  const Status status =
    take_encode(ring, request, &keeper->track, &keeper->take, error);
  if (status) {
    return status;
  }
  keeper->tempo_us = smf_tempo_us(request->bpm);
  keeper->when     = time(NULL);
  keeper->is_given = true;
  scribe_give(&keeper->scribe, write_take, keeper);
  return STATUS_OK;
}

bool
keeper_turn(Keeper* keeper, Take* take, const char** path, Error* error)
{
  if (!keeper->is_given || scribe_is_busy(&keeper->scribe)) {
    return false;
  }
  keeper->is_given = false;
  smf_track_free(&keeper->track);
  *take  = keeper->take;
  *path  = keeper->path;
  *error = keeper->error;
  return true;
}

bool
keeper_finish(Keeper* keeper, Take* take, const char** path, Error* error)
{
  if (keeper->is_given) {
    scribe_wait(&keeper->scribe);
  }
  return keeper_turn(keeper, take, path, error);
}
