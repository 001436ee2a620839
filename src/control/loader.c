// A mailbox of one request and one answer, and a bin.
#include "control/loader.h"

#include "checkpoint.h"
#include "clock.h"
#include "live/generator.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COPY_BYTES (1u << 20)
#define COPY_PATH_BYTES 32
// Below the threads that play.
#define NICENESS 10
// Warming up stops there: a slow model need not make anyone wait twice.
#define WARM_S_MAX 2.0
// Models that wait to be freed. When full they are freed at once, by who
// discards.
#define BIN_MODELS 16u

typedef struct {
  char     path[LOADER_PATH_BYTES];
  char     device[64];
  Params   params;
  uint64_t seed;
  uint64_t number;
} Request;

struct Loader {
  // Under `lock`, which nobody holds for longer than a copy takes.
  pthread_mutex_t lock;
  pthread_cond_t  changed;
  pthread_cond_t  ended_changed;
  Request         request;
  Loaded          loaded;
  bool            has_request; // the thread has not taken it
  bool            has_loaded;  // nobody has fetched it
  bool            ended;
  bool            stop_requested;
  uint32_t        bin_count;
  Model*          bin[BIN_MODELS];

  _Atomic uint64_t wanted; // the number of the request that counts; 0: none
  uint64_t         last_number; // control's own
  _Atomic int      users; // the thread and who started it: the last one frees
  pthread_t        thread;
};

// --- Reading -----------------------------------------------------------------

// The bytes of a file in memory, under a name that can be opened.
typedef struct {
  int  memory;
  char name[COPY_PATH_BYTES];
} Copy;

static Status
cannot(const char* path, const char* what, Error* error)
{
  return error_set(error,
                   errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO,
                   "%s: cannot %s: %s",
                   path,
                   what,
                   strerror(errno));
}

static bool
write_all(int file, const uint8_t* bytes, size_t count)
{
  while (count) {
    const ssize_t written = write(file, bytes, count);
    if (written < 0 && errno != EINTR) {
      return false;
    }
    const size_t done = written > 0 ? (size_t)written : 0;
    bytes += done;
    count -= done;
  }
  return true;
}

static Status
copy_bytes(int file, int memory, const char* path, Error* error)
{
  uint8_t* const buffer     = malloc(COPY_BYTES);
  uint64_t       total      = 0;
  Status         status     = STATUS_OK;
  ssize_t        read_bytes = 1;
  if (!buffer) {
    return error_set(error, STATUS_NO_MEMORY, "%s: no memory to read it", path);
  }
  while (!status && read_bytes) {
    read_bytes = read(file, buffer, COPY_BYTES);
    if (read_bytes < 0) {
      status = errno == EINTR ? STATUS_OK : cannot(path, "read", error);
    } else if ((total += (uint64_t)read_bytes) > CHECKPOINT_BYTES_MAX) {
      status = error_set(error,
                         STATUS_LIMIT,
                         "%s: too large for a checkpoint (more than %llu MiB)",
                         path,
                         CHECKPOINT_BYTES_MAX >> 20);
    } else if (!write_all(memory, buffer, (size_t)read_bytes)) {
      status = cannot(path, "be held in memory", error);
    }
  }
  free(buffer);
  return status;
}

static bool
is_unchanged(const struct stat* before, const struct stat* after)
{
  return before->st_size == after->st_size &&
         before->st_mtim.tv_sec == after->st_mtim.tv_sec &&
         before->st_mtim.tv_nsec == after->st_mtim.tv_nsec;
}

static Status
copy_file(int file, int memory, const char* path, Error* error)
{
  struct stat before;
  struct stat after;
  if (fstat(file, &before) || !S_ISREG(before.st_mode)) {
    return error_set(error, STATUS_IO, "%s: not a regular file", path);
  }
  const Status status = copy_bytes(file, memory, path, error);
  if (status || (!fstat(file, &after) && is_unchanged(&before, &after))) {
    return status;
  }
  return error_set(error,
                   STATUS_UNAVAILABLE,
                   "%s: still being written; it is tried again when its "
                   "writer has closed it",
                   path);
}

static Status
copy_open(Copy* copy, const char* path, Error* error)
{
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    return cannot(path, "read", error);
  }
  copy->memory = memfd_create("meander-checkpoint", MFD_CLOEXEC);
  Status status =
    copy->memory < 0
      ? error_set(error, STATUS_NO_MEMORY, "%s: no memory to read it", path)
      : copy_file(file, copy->memory, path, error);
  close(file);
  if (status && copy->memory >= 0) {
    close(copy->memory);
  }
  snprintf(copy->name, sizeof copy->name, "/proc/self/fd/%d", copy->memory);
  return status;
}

static void
copy_close(Copy* copy)
{
  close(copy->memory);
}

// An error line about the copy is one about the file.
static void
name_file(Error* error, const char* copy, const char* path)
{
  const size_t length = strlen(copy);
  char* const  at     = strstr(error->text, copy);
  if (at && at[length] == ':') {
    Error named = *error;
    error_set(&named,
              error->status,
              "%.*s%s%s",
              (int)(at - error->text),
              error->text,
              path,
              at + length);
    *error = named;
  }
}

static bool
read_step(const char* path, char digest[24], uint32_t* step)
{
  Checkpoint* checkpoint;
  if (checkpoint_open(path, &checkpoint, NULL)) {
    return false;
  }
  const bool has =
    !checkpoint_get_u32(checkpoint, "step", 0, UINT32_MAX, step, NULL);
  snprintf(digest, 24, "%s", checkpoint_digest(checkpoint));
  checkpoint_close(checkpoint);
  return has;
}

bool
loader_find_step(const char* path, const char* digest, uint32_t* step)
{
  Copy copy;
  char found[24] = "";
  if (copy_open(&copy, path, NULL)) {
    return false;
  }
  const bool has = read_step(copy.name, found, step);
  copy_close(&copy);
  return has && !strcmp(digest, found);
}

// --- Making ready ------------------------------------------------------------

static bool
is_wanted(const Loader* loader, const Request* request)
{
  return atomic_load(&loader->wanted) == request->number;
}

// What the model is warmed up with: what is asked for, as far as it can.
static Params
fit(const Model* model, const Params* asked, Loaded* loaded)
{
  Params params = *asked;
  loaded->fit   = generator_check(model, &params, &loaded->misfit);
  if (!loaded->fit) {
    return params;
  }
  for (int id = 0; id < PARAM_COUNT; ++id) {
    if (params_need_diffusion(&params, (ParamId)id)) {
      params.value[id] = param_table[id].standard;
    }
  }
  return generator_check(model, &params, NULL) ? params_standard() : params;
}

// One window with nothing before it, one with all that play will ever give it.
static Status
warm_up(const Loader* loader, const Request* request, Loaded* loaded)
{
  const Params params  = fit(loaded->model, &request->params, loaded);
  const double start_s = clock_now_s();
  Generator    generator;
  NoteEvent    events[WINDOW_NOTES];
  generator_init(&generator, loaded->model, &params, request->seed);
  Status status =
    generator_next(&generator, loaded->model, events, &loaded->error);
  for (uint32_t i = 0; i < CONTEXT_NOTES_MAX; i += WINDOW_NOTES) {
    generator_heard(&generator, events, WINDOW_NOTES);
  }
  if (!status && is_wanted(loader, request) &&
      clock_now_s() - start_s < WARM_S_MAX) {
    status = generator_next(&generator, loaded->model, events, &loaded->error);
  }
  return status;
}

static Status
load_copy(const Loader*  loader,
          const Request* request,
          const char*    copy,
          Loaded*        loaded)
{
  loaded->has_step = read_step(copy, loaded->digest, &loaded->step);
  Status status =
    model_load(copy, request->device, 1, &loaded->model, &loaded->error);
  if (!status && is_wanted(loader, request)) {
    status = model_keep_spare(loaded->model, copy, &loaded->error);
  }
  if (!status && is_wanted(loader, request)) {
    status = warm_up(loader, request, loaded);
  }
  if (status) {
    name_file(&loaded->error, copy, request->path);
    if (!strstr(loaded->error.text, request->path)) {
      error_prefix(&loaded->error, "%s: ", request->path);
    }
    model_free(loaded->model);
    loaded->model = NULL;
  }
  return status;
}

static void
load(const Loader* loader, const Request* request, Loaded* loaded)
{
  const double start_s = clock_now_s();
  Copy         copy;
  *loaded = (Loaded){ 0 };
  memcpy(loaded->path, request->path, sizeof loaded->path);
  loaded->status = copy_open(&copy, request->path, &loaded->error);
  if (!loaded->status) {
    loaded->status = load_copy(loader, request, copy.name, loaded);
    copy_close(&copy);
  }
  loaded->seconds = clock_now_s() - start_s;
}

// --- The thread --------------------------------------------------------------

// The last user is alone.
static void
leave(Loader* loader)
{
  if (atomic_fetch_sub(&loader->users, 1) != 1) {
    return;
  }
  for (uint32_t i = 0; i < loader->bin_count; ++i) {
    model_free(loader->bin[i]);
  }
  if (loader->has_loaded) {
    model_free(loader->loaded.model);
  }
  pthread_cond_destroy(&loader->changed);
  pthread_cond_destroy(&loader->ended_changed);
  pthread_mutex_destroy(&loader->lock);
  free(loader);
}

// Unlocks while it frees.
static void
empty_bin(Loader* loader)
{
  while (loader->bin_count) {
    Model* const model = loader->bin[--loader->bin_count];
    pthread_mutex_unlock(&loader->lock);
    model_free(model);
    pthread_mutex_lock(&loader->lock);
  }
}

static void
serve(Loader* loader, Request* request, Loaded* loaded)
{
  *request            = loader->request;
  loader->has_request = false;
  pthread_mutex_unlock(&loader->lock);
  load(loader, request, loaded);
  pthread_mutex_lock(&loader->lock);
  if (is_wanted(loader, request)) {
    loader->loaded     = *loaded;
    loader->has_loaded = true;
    return;
  }
  pthread_mutex_unlock(&loader->lock);
  model_free(loaded->model);
  pthread_mutex_lock(&loader->lock);
}

static void*
loader_thread(void* context)
{
  Loader* const loader = context;
  Request       request;
  Loaded        loaded;
  setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
  pthread_mutex_lock(&loader->lock);
  while (!loader->stop_requested) {
    empty_bin(loader);
    if (loader->stop_requested) {
      break;
    }
    if (loader->has_request) {
      serve(loader, &request, &loaded);
    } else if (!loader->bin_count) {
      pthread_cond_wait(&loader->changed, &loader->lock);
    }
  }
  empty_bin(loader);
  loader->ended = true;
  pthread_cond_signal(&loader->ended_changed);
  pthread_mutex_unlock(&loader->lock);
  leave(loader);
  return NULL;
}

// --- Control -----------------------------------------------------------------

Status
loader_start(Loader** out, Error* error)
{
  *out                 = NULL;
  Loader* const loader = calloc(1, sizeof *loader);
  if (!loader) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a loader");
  }
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&loader->lock, NULL);
  pthread_cond_init(&loader->changed, NULL);
  pthread_cond_init(&loader->ended_changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  atomic_init(&loader->users, 2);
  const int reason = thread_start(&loader->thread, NULL, loader_thread, loader);
  if (reason) {
    leave(loader); // for both
    leave(loader);
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "cannot start the loading thread: %s",
                     strerror(reason));
  }
  *out = loader;
  return STATUS_OK;
}

bool
loader_stop(Loader* loader, double wait_s)
{
  if (!loader) {
    return true;
  }
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  const int64_t ns = until.tv_nsec + (int64_t)(wait_s * 1e9);
  until.tv_sec += ns / 1000000000;
  until.tv_nsec = ns % 1000000000;
  atomic_store(&loader->wanted, 0);
  pthread_mutex_lock(&loader->lock);
  loader->stop_requested = true;
  pthread_cond_signal(&loader->changed);
  int reason = 0;
  while (!loader->ended && !reason) {
    reason =
      pthread_cond_timedwait(&loader->ended_changed, &loader->lock, &until);
  }
  const bool ended = loader->ended;
  pthread_mutex_unlock(&loader->lock);
  if (ended) {
    pthread_join(loader->thread, NULL);
  } else {
    pthread_detach(loader->thread);
  }
  leave(loader);
  return ended;
}

// Locked. Into the bin, where there is room: false: there is none.
static bool
throw_away(Loader* loader, Model* model)
{
  if (loader->bin_count == BIN_MODELS) {
    return false;
  }
  loader->bin[loader->bin_count++] = model;
  pthread_cond_signal(&loader->changed);
  return true;
}

void
loader_discard(Loader* loader, Model* model)
{
  if (!model) {
    return;
  }
  pthread_mutex_lock(&loader->lock);
  const bool taken = throw_away(loader, model);
  pthread_mutex_unlock(&loader->lock);
  if (!taken) {
    model_free(model);
  }
}

void
loader_cancel(Loader* loader)
{
  atomic_store(&loader->wanted, 0);
  pthread_mutex_lock(&loader->lock);
  Model* const model   = loader->has_loaded ? loader->loaded.model : NULL;
  loader->has_loaded   = false;
  loader->has_request  = false;
  loader->loaded.model = NULL;
  pthread_mutex_unlock(&loader->lock);
  loader_discard(loader, model);
}

Status
loader_request(Loader*       loader,
               const char*   path,
               const char*   device,
               const Params* params,
               uint64_t      seed,
               Error*        error)
{
  if (strlen(path) >= sizeof loader->request.path ||
      strlen(device) >= sizeof loader->request.device) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%.80s...: the path or the device's name is too long",
                     path);
  }
  loader_cancel(loader);
  pthread_mutex_lock(&loader->lock);
  Request* const request = &loader->request;
  snprintf(request->path, sizeof request->path, "%s", path);
  snprintf(request->device, sizeof request->device, "%s", device);
  request->params     = *params;
  request->seed       = seed;
  request->number     = ++loader->last_number;
  loader->has_request = true;
  atomic_store(&loader->wanted, request->number);
  pthread_cond_signal(&loader->changed);
  pthread_mutex_unlock(&loader->lock);
  return STATUS_OK;
}

bool
loader_is_busy(Loader* loader)
{
  return atomic_load(&loader->wanted) != 0;
}

bool
loader_poll(Loader* loader, Loaded* out)
{
  // Asked every turn: where the thread has the lock the next one will do.
  if (!loader_is_busy(loader) || pthread_mutex_trylock(&loader->lock)) {
    return false;
  }
  const bool has = loader->has_loaded;
  if (has) {
    *out                 = loader->loaded;
    loader->has_loaded   = false;
    loader->loaded.model = NULL;
    atomic_store(&loader->wanted, 0);
  }
  pthread_mutex_unlock(&loader->lock);
  return has;
}
