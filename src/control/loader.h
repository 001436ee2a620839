// Loads checkpoints in a thread of its own, so that nobody waits: reads the
// file, checks it, makes the model, sees whether it can do what the parameters
// ask for, and has it make a window or two, so that the first one in play is as
// quick as any. Control thread, all of it.
//
// Only the last request counts: what an earlier one made is freed, whether it
// was under way or done. A file is read into memory first: one that is replaced
// or cut short meanwhile can neither crash the program nor mix two versions.
//
// A Model has one owner: this loader until loader_poll(), then who polled;
// loader_discard() gives it back to be freed, which may take a while on a GPU.
#pragma once

#include "live/params.h"
#include "model.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>

#define LOADER_PATH_BYTES 1024u

typedef struct Loader Loader;

typedef struct {
  char     path[LOADER_PATH_BYTES]; // as requested
  char     digest[24];
  bool     has_step; // of training, from the file's metadata
  uint32_t step;
  Model*   model;  // the poller's from here on; NULL unless `status` is OK
  Status   status; // of the file and the device
  Error    error;
  // Whether it can do all that the parameters ask for, or else why not: they
  // may have changed when it is to play, and then this must be asked again.
  Status fit;
  Error  misfit;
  double seconds; // it took
} Loaded;

// STATUS_NO_MEMORY, STATUS_UNAVAILABLE.
Status loader_start(Loader** out, Error* error);

// False: the thread is still within a call of a model after `wait_s`; it is
// left to itself, and nothing that models stand on may be unloaded any more.
// Every model that was not polled, or was discarded, is freed. NULL is allowed.
bool loader_stop(Loader* loader, double wait_s);

// `device` as model_load() takes it. STATUS_BAD_ARGUMENT: the path or the
// device's name is too long; nothing was requested.
Status loader_request(Loader*       loader,
                      const char*   path,
                      const char*   device,
                      const Params* params,
                      uint64_t      seed,
                      Error*        error);
// Nothing is wanted any more.
void loader_cancel(Loader* loader);

// The answer to the last request, once; false: it is not there, or was fetched.
bool loader_poll(Loader* loader, Loaded* out);

// Whether there is an answer to wait for, or to fetch.
bool loader_is_busy(Loader* loader);

// Frees a model that nobody uses any more, in the loader's thread.
void loader_discard(Loader* loader, Model* model);

// The training step that a checkpoint was saved at, for a model that was loaded
// otherwise; false: the file does not say, or is not that of `digest`.
bool loader_find_step(const char* path, const char* digest, uint32_t* step);
