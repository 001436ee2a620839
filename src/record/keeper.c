// Takes and recordings on their way to the disk.
#include "record/keeper.h"

#include "record/encode.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Status
write_take(KeeperJob* job)
{
  const char* const directory = job->has_directory ? job->directory : NULL;
  Error* const      error     = &job->error;
  Status            status = place_take(directory, job->when, job->path, error);
  if (!status) {
    status = record_write_track(job->path, &job->track, job->tempo_us, error);
    if (status) {
      unlink(job->path);
    }
  }
  return status;
}

static void
write_job(void* context)
{
  KeeperJob* const job = context;
  job->error.status    = job->is_recording ? recorder_write(&job->recorder,
                                                         job->path,
                                                         job->sample_rate_hz,
                                                         job->text,
                                                         &job->error)
                                           : write_take(job);
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
  KeeperAnswer answer;
  while (keeper_finish(keeper, &answer)) {
  }
  scribe_stop(&keeper->scribe);
}

bool
keeper_has_room(Keeper* keeper, const char* what, Error* error)
{
  if (keeper->count < KEEPER_JOBS_MAX) {
    return true;
  }
  ++keeper->refused;
  error_set(error,
            STATUS_UNAVAILABLE,
            "%s: %u files before it are still being written: try again",
            what,
            KEEPER_JOBS_MAX);
  return false;
}

// There is room.
static KeeperJob*
new_job(Keeper* keeper)
{
  KeeperJob* const job =
    &keeper->jobs[(keeper->first + keeper->count) % KEEPER_JOBS_MAX];
  memset(job, 0, sizeof *job);
  return job;
}

static void
give_first(Keeper* keeper)
{
  if (keeper->count) {
    scribe_give(&keeper->scribe, write_job, &keeper->jobs[keeper->first]);
  }
}

static void
add_job(Keeper* keeper)
{
  if (!keeper->count++) {
    give_first(keeper);
  }
}

Status
keeper_keep(Keeper*            keeper,
            const TakeRing*    ring,
            const TakeRequest* request,
            const char*        directory,
            Error*             error)
{
  if (!keeper_has_room(keeper, "keep", error)) {
    return STATUS_UNAVAILABLE;
  }
  KeeperJob* const job = new_job(keeper);
  if (directory && strlen(directory) >= sizeof job->directory) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "keep: %.80s...: the name of the directory is too long",
                     directory);
  }
  job->has_directory = directory;
  strcpy(job->directory, directory ? directory : "");
  const Status status =
    take_encode(ring, request, &job->track, &job->take, error);
  if (status) {
    smf_track_free(&job->track);
    return status;
  }
  job->tempo_us = smf_tempo_us(request->bpm);
  job->when     = time(NULL);
  add_job(keeper);
  return STATUS_OK;
}

Status
keeper_end_recording(Keeper*     keeper,
                     Recorder*   recorder,
                     const char* path,
                     uint32_t    sample_rate_hz,
                     const char* text,
                     Error*      error)
{
  KeeperJob* const job = new_job(keeper);
  job->text            = strdup(text);
  if (!job->text) {
    return error_set(error, STATUS_NO_MEMORY, "%s: no memory to write", path);
  }
  job->is_recording   = true;
  job->sample_rate_hz = sample_rate_hz;
  snprintf(job->path, sizeof job->path, "%s", path);
  job->recorder = *recorder;
  recorder_init(recorder);
  add_job(keeper);
  return STATUS_OK;
}

bool
keeper_turn(Keeper* keeper, KeeperAnswer* answer)
{
  if (!keeper->count || scribe_is_busy(&keeper->scribe)) {
    return false;
  }
  KeeperJob* const job = &keeper->jobs[keeper->first];
  *answer              = (KeeperAnswer){ .is_recording = job->is_recording,
                                         .take         = job->take,
                                         .error        = job->error };
  memcpy(answer->path, job->path, sizeof answer->path);
  smf_track_free(&job->track);
  recorder_free(&job->recorder);
  free(job->text);
  keeper->first = (keeper->first + 1) % KEEPER_JOBS_MAX;
  --keeper->count;
  give_first(keeper);
  return true;
}

bool
keeper_finish(Keeper* keeper, KeeperAnswer* answer)
{
  if (keeper->count) {
    scribe_wait(&keeper->scribe);
  }
  return keeper_turn(keeper, answer);
}
