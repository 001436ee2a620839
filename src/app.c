// Playing live, from start to the last note-off.
#include "app.h"

#include "backend_choice.h"
#include "clock.h"
#include "live/process_setup.h"
#include "live/worker.h"
#include "recording.h"
#include "sources.h"
#include "view/view.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// How long the control loop sleeps: short until the first note was seen.
#define LOOP_NS 20000000
#define LOOP_FIRST_NS 2000000
#define RECONNECT_S 1.0
// How long process may take to end all notes before it is given up.
#define END_S_MAX 1.0

typedef struct {
  const Options* options;
  Sources        sources;
  Process        process;
  Worker         worker;
  Recorder       recorder;
  View           view;
  FILE*          trace;

  Choice        choice;
  BackendConfig config;
  Backend*      backend; // NULL while the server is gone
  BackendStatus status;
  uint32_t      sample_rate_hz; // of the session
  double        start_s;
  double        retry_s; // when to look for the server again
  bool          heard_first;
  bool          told_retry; // the reason for waiting was logged
  bool          told_model; // that it failed
  bool          told_fallback;
  bool          told_gpu;
  bool          model_stuck; // within a call that does not end: free nothing
} App;

static atomic_int signal_count;

static void
on_signal(int number)
{
  (void)number;
  atomic_fetch_add(&signal_count, 1);
}

static void
catch_signals(void)
{
  const struct sigaction catch  = { .sa_handler = on_signal,
                                    .sa_flags   = SA_RESTART };
  const struct sigaction ignore = { .sa_handler = SIG_IGN };
  sigaction(SIGINT, &catch, NULL);
  sigaction(SIGTERM, &catch, NULL);
  sigaction(SIGHUP, &catch, NULL);
  sigaction(SIGPIPE, &ignore, NULL);
  sigaction(SIGXFSZ, &ignore, NULL); // a write fails instead
}

// Since the kernel started this process, libraries loaded and all.
static double
process_age_s(void)
{
  char        text[1024] = "";
  FILE* const file       = fopen("/proc/self/stat", "re");
  if (!file) {
    return 0;
  }
  const size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = '\0';
  // The name in brackets may hold anything; starttime is field 22.
  const char* field = strrchr(text, ')');
  for (int i = 2; field && i < 22; ++i) {
    field = strchr(field + 1, ' ');
  }
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return field ? (double)now.tv_sec + 1e-9 * (double)now.tv_nsec -
                   strtod(field, NULL) / (double)sysconf(_SC_CLK_TCK)
               : 0;
}

static void
hear(App* app, const PlayedEvent* event)
{
  if (!app->heard_first && (event->message[0] & 0xf0) == 0x90) {
    app->heard_first = true;
    view_log(&app->view,
             "first note %.0f ms after the program's start",
             1e3 * process_age_s());
  }
  recorder_add(&app->recorder,
               event->frame - atomic_load(&app->worker.origin_frame),
               event->number,
               event->message);
  view_played(&app->view, event->message);
  if (app->trace) {
    fprintf(app->trace,
            "%" PRIu64 " %u %u %u\n",
            event->frame,
            event->message[0],
            event->message[1],
            event->message[2]);
  }
}

static void
drain(App* app)
{
  PlayedEvent event;
  while (process_read_played(&app->process, &event)) {
    hear(app, &event);
  }
}

static Status
start_backend(App* app, Error* error)
{
  process_connect(&app->process);
  const Status status = app->backend->start(app->backend, error);
  if (status) {
    app->backend->close(app->backend);
    app->backend = NULL;
  }
  return status;
}

static void
lose_backend(App* app)
{
  view_log(&app->view,
           "%s: the server is gone; looking for it once a second",
           app->backend->name);
  app->backend->stop(app->backend);
  app->backend->close(app->backend);
  app->backend    = NULL;
  app->retry_s    = clock_now_s() + RECONNECT_S;
  app->told_retry = false;
}

// The session clock cannot change its rate.
static Status
check_rate(const App* app, Error* error)
{
  if (app->status.sample_rate_hz == app->sample_rate_hz) {
    return STATUS_OK;
  }
  return error_set(error,
                   STATUS_UNAVAILABLE,
                   "the server is back at %u Hz, this session runs at %u Hz: "
                   "start meander anew, or the server at the old rate",
                   app->status.sample_rate_hz,
                   app->sample_rate_hz);
}

static void
poll_backend(App* app)
{
  const uint32_t before = app->status.connection_count;
  app->backend->poll(app->backend, &app->status);
  if (app->status.lost) {
    lose_backend(app);
  } else if (app->status.connection_count != before) {
    view_log(&app->view,
             "inputs that listen to meander:notes: %u",
             app->status.connection_count);
  }
}

static void
try_reconnect(App* app)
{
  Error error;
  char  why[16];
  app->retry_s = clock_now_s() + RECONNECT_S;
  if (backend_open_choice(
        &app->choice, &app->config, &app->backend, why, sizeof why, &error)) {
    return;
  }
  app->backend->poll(app->backend, &app->status);
  if (check_rate(app, &error)) {
    app->backend->close(app->backend);
    app->backend = NULL;
  } else if (!start_backend(app, &error)) {
    view_log(&app->view, "playing again to %s", app->status.text);
    return;
  }
  if (!app->told_retry) {
    view_log(&app->view, "%s", error.text);
    app->told_retry = true;
  }
}

// Where the music ends; UINT64_MAX when it does not, or has not begun.
static uint64_t
end_frame(const App* app)
{
  const uint64_t origin  = atomic_load(&app->worker.origin_frame);
  const double   seconds = app->options->seconds;
  return origin == WORKER_NO_ORIGIN || seconds < 0
           ? UINT64_MAX
           : origin + (uint64_t)llround(seconds * app->sample_rate_hz);
}

static double
buffered_s(const App* app)
{
  const uint64_t planned   = atomic_load(&app->process.planned_until);
  const uint64_t processed = atomic_load(&app->process.processed_until);
  const uint64_t end       = end_frame(app);
  const uint64_t until     = planned < end ? planned : end;
  return until > processed && until != UINT64_MAX
           ? (double)(until - processed) / app->sample_rate_hz
           : 0;
}

static double
look_ahead_s(const App* app)
{
  return app->sample_rate_hz
           ? (double)atomic_load(&app->worker.look_ahead_frames) /
               app->sample_rate_hz
           : 0;
}

// By process, and by the system after it took them.
static uint64_t
dropped_count(const App* app)
{
  return atomic_load(&app->process.counters.dropped) +
         app->status.dropped_count;
}

static Status
act(void* context, const Action* action, Error* error)
{
  const bool quit = action->kind == ACTION_QUIT;
  atomic_fetch_add((atomic_int*)context, quit);
  return quit ? STATUS_OK : error_set(error, STATUS_UNSUPPORTED, "only q");
}

static void
draw(App* app)
{
  const ProcessCounters* const  counters = &app->process.counters;
  const WorkerCounters* const   worker   = &app->worker.counters;
  const LatencyHistogram* const latency  = &app->worker.generation;
  const ViewStatus              status   = {
                   .seed              = app->options->seed,
                   .backend           = app->backend ? app->backend->name : NULL,
                   .on_gpu            = model_is_on_gpu(app->sources.model),
                   .connection_count  = app->status.connection_count,
                   .buffered_s        = buffered_s(app),
                   .look_ahead_s      = look_ahead_s(app),
                   .generation_p50_ms = 1e3 * latency_percentile_s(latency, 0.50),
                   .generation_p99_ms = 1e3 * latency_percentile_s(latency, 0.99),
                   .notes             = atomic_load(&counters->notes),
                   .late              = atomic_load(&counters->late),
                   .dropped           = dropped_count(app),
                   .starved           = atomic_load(&counters->spans_starved),
                   .xruns             = app->status.xrun_count,
                   .fewer_steps       = atomic_load(&worker->fewer_steps),
                   .fallback_model    = atomic_load(&worker->fallback_model),
                   .repeated          = atomic_load(&worker->repeated),
  };
  view_poll(&app->view, clock_now_s(), &status, act, &signal_count);
}

static bool
is_over(const App* app)
{
  const double seconds = app->options->seconds;
  if (atomic_load(&signal_count) || atomic_load(&app->worker.failed)) {
    return true;
  }
  if (seconds >= 0 && !app->backend) {
    return clock_now_s() - app->start_s > seconds;
  }
  const uint64_t end = end_frame(app);
  return end != UINT64_MAX && atomic_load(&app->process.processed_until) > end;
}

static void
tell_fault(App* app, const char* which, ModelFault* fault, bool* told)
{
  if (!*told && atomic_load(&fault->failed)) {
    view_log(&app->view,
             "%s failed, playing on without it: %s",
             which,
             fault->error.text);
    *told = true;
  }
}

static void
tell_faults(App* app)
{
  Error fault;
  if (!app->told_gpu && model_lost_gpu(app->sources.model, &fault)) {
    view_log(&app->view,
             "the GPU failed, playing on with %s: %s",
             model_device(app->sources.model),
             fault.text);
    app->told_gpu = true;
  }
  tell_fault(app, "the model", &app->worker.model_fault, &app->told_model);
  tell_fault(app,
             "the fallback model",
             &app->worker.fallback_fault,
             &app->told_fallback);
}

static void
loop(App* app)
{
  while (!is_over(app)) {
    clock_sleep_ns(app->heard_first ? LOOP_NS : LOOP_FIRST_NS);
    drain(app);
    Error told;
    if (recording_turn(&app->recorder, &app->worker, &told)) {
      view_log(&app->view, "%s", told.text);
    }
    tell_faults(app);
    if (app->backend) {
      poll_backend(app);
    } else if (clock_now_s() >= app->retry_s) {
      try_reconnect(app);
    }
    draw(app);
  }
}

// Every note ends, then process is no longer called, then the worker stops.
static void
end_music(App* app)
{
  atomic_store(&app->process.end_requested, true);
  if (app->backend) {
    const double deadline_s = clock_now_s() + END_S_MAX;
    while (!atomic_load(&app->process.ended) && clock_now_s() < deadline_s) {
      clock_sleep_ns(LOOP_FIRST_NS);
      app->backend->poll(app->backend, &app->status);
      if (app->status.lost) {
        break;
      }
    }
    app->backend->stop(app->backend);
    app->backend->close(app->backend);
    app->backend = NULL;
  }
  app->model_stuck = !worker_stop(&app->worker);
  drain(app);
}

static void
tell_inputs(App* app)
{
  char inputs[512] = "";
  if (app->backend->list_inputs) {
    app->backend->list_inputs(app->backend, inputs, sizeof inputs);
  }
  if (app->status.connection_count || app->choice == BACKEND_NULL) {
    return;
  }
  if (*inputs) {
    view_log(&app->view,
             "nothing listens yet; inputs that --connect could name: %s",
             inputs);
  } else {
    view_log(&app->view,
             "nothing listens yet and there is no MIDI input: start a synth, "
             "then connect it to meander:notes");
  }
}

static Status
open_backend(App* app, Error* error)
{
  const Options* const options = app->options;
  char                 why[420];
  app->choice         = options->backend;
  app->config         = (BackendConfig){ .client_name     = "meander",
                                         .server_name     = options->jack_server,
                                         .connect_pattern = options->connect_pattern,
                                         .sample_rate_hz  = options->sample_rate_hz,
                                         .period_frames   = options->period_frames,
                                         .alsa_timing     = options->alsa_timing,
                                         .process         = process_span,
                                         .process_context = &app->process };
  const Status status = backend_open_choice(
    &app->choice, &app->config, &app->backend, why, sizeof why, error);
  if (status) {
    return status;
  }
  app->backend->poll(app->backend, &app->status);
  app->sample_rate_hz = app->status.sample_rate_hz;
  view_log(&app->view,
           "backend %s (%s): %s",
           app->backend->name,
           why,
           app->status.text);
  return STATUS_OK;
}

static Status
start(App* app, Error* error)
{
  const Options* const options = app->options;
  Status               status  = STATUS_OK;
  if (options->record_path) {
    status = record_check_target(options->record_path, error);
  }
  if (!status && options->trace_path) {
    app->trace = fopen(options->trace_path, "we");
    if (!app->trace) {
      status = error_set(error,
                         STATUS_IO,
                         "%s: cannot write: %s",
                         options->trace_path,
                         strerror(errno));
    }
  }
  if (status || (status = sources_load(&app->sources, options, true, error)) ||
      (status = process_init(&app->process, error))) {
    return status;
  }
  const WorkerSetup setup = sources_setup(&app->sources, options);
  if ((status = worker_init(&app->worker, &app->process, &setup, error))) {
    return status;
  }
  view_log(&app->view,
           "seed %" PRIu64 ", model %s %s on %s",
           options->seed,
           model_kind_name(app->sources.model),
           model_digest(app->sources.model),
           model_device(app->sources.model));
  if (app->sources.fallback) {
    view_log(&app->view,
             "where it is too slow: %s %s",
             model_kind_name(app->sources.fallback),
             model_digest(app->sources.fallback));
  }
  status = worker_prime(&app->worker, &signal_count, error);
  if (status || atomic_load(&signal_count)) {
    return status; // given up: it is over before it began
  }
  if (!app->worker.primed_count) {
    view_log(&app->view,
             "the model has made no notes yet: music begins when it has");
  }
  if ((status = open_backend(app, error)) ||
      (status = recording_start(&app->recorder,
                                options,
                                &app->sources,
                                &app->worker,
                                app->sample_rate_hz,
                                error)) ||
      (status = worker_start(&app->worker, app->sample_rate_hz, error)) ||
      (status = start_backend(app, error))) {
    return status;
  }
  app->start_s = clock_now_s();
  app->backend->poll(app->backend, &app->status);
  tell_inputs(app);
  return STATUS_OK;
}

static Status
finish_files(App* app, Error* error)
{
  Status status = STATUS_OK;
  if (app->trace) {
    const bool failed = ferror(app->trace) | fclose(app->trace);
    app->trace        = NULL;
    if (failed) {
      status = error_set(error,
                         STATUS_IO,
                         "%s: could not be written whole",
                         app->options->trace_path);
    }
  }
  if (app->options->record_path && !app->recorder.count) {
    view_log(&app->view,
             "no notes to record: %s is left as it was",
             app->options->record_path);
  } else if (app->options->record_path) {
    const Status written = recording_end(&app->recorder,
                                         app->options,
                                         &app->sources,
                                         &app->worker,
                                         app->sample_rate_hz,
                                         error);
    status               = written ? written : status;
    if (!written) {
      view_log(&app->view, "recorded in %s", app->options->record_path);
    }
  }
  return status;
}

// The summary names only what went wrong.
static void
tell_end(App* app)
{
  const ProcessCounters* const counters = &app->process.counters;
  const WorkerCounters* const  worker   = &app->worker.counters;
  const struct {
    uint64_t    count;
    const char* what;
  } faults[] = {
    { atomic_load(&counters->late), "late" },
    { dropped_count(app), "dropped" },
    { atomic_load(&counters->offs_retried), "note-offs written late" },
    { atomic_load(&counters->spans_starved), "periods without a plan" },
    { atomic_load(&counters->reports_lost), "missing in view and recording" },
    { app->status.xrun_count, "xruns" },
    { atomic_load(&worker->fewer_steps), "windows of fewer steps" },
    { atomic_load(&worker->fallback_model), "windows of the fallback model" },
    { atomic_load(&worker->repeated), "windows repeated" },
    { atomic_load(&worker->clock_jumps), "jumps of the clock" },
  };
  char         text[480];
  size_t       used   = (size_t)snprintf(text,
                                 sizeof text,
                                 "played %" PRIu64 " notes",
                                 atomic_load(&counters->notes));
  const size_t before = used;
  for (size_t i = 0; i < sizeof faults / sizeof *faults; ++i) {
    if (faults[i].count) {
      used += (size_t)snprintf(text + used,
                               sizeof text - used,
                               "%s %" PRIu64 " %s",
                               used == before ? ":" : ",",
                               faults[i].count,
                               faults[i].what);
    }
  }
  view_log(&app->view, "%s%s", text, used == before ? ", all on time" : "");
}

static Status
run(App* app, Error* error)
{
  Status status = start(app, error);
  if (status) {
    app->model_stuck = !worker_stop(&app->worker);
    return status;
  }
  loop(app);
  end_music(app);
  tell_end(app);
  status = finish_files(app, error);
  if (!status && atomic_load(&app->worker.model_fault.failed)) {
    *error = app->worker.model_fault.error;
    status = error->status;
  }
  return status;
}

Status
app_run(const Options* options, bool* model_stuck, Error* error)
{
  *model_stuck = false;
  // Aligned: rings keep their indices on cache lines of their own.
  App* const app = aligned_alloc(alignof(App), sizeof *app);
  if (!app) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to play");
  }
  memset(app, 0, sizeof *app);
  app->options = options;
  catch_signals();
  rt_init();
  view_open(&app->view);
  const Status status = run(app, error);
  view_close(&app->view);
  *model_stuck = app->model_stuck;
  if (app->model_stuck) {
    return status; // a thread may still touch all that is here
  }
  if (app->backend) {
    app->backend->close(app->backend);
  }
  if (app->trace) {
    fclose(app->trace);
  }
  recorder_free(&app->recorder);
  worker_free(&app->worker);
  process_free(&app->process);
  sources_free(&app->sources);
  free(app);
  return status;
}
