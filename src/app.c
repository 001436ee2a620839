// Playing live, from start to the last note-off.
#include "app.h"

#include "backend_choice.h"
#include "clock.h"
#include "live/process_setup.h"
#include "live/worker.h"
#include "session/session.h"
#include "signals.h"
#include "sources.h"
#include "view/view.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// How long the control loop sleeps: a part of what lies between a player's hand
// and the note that obeys it.
#define LOOP_NS 2000000
// Between two looks at the server.
#define POLL_S 0.02
#define RECONNECT_S 1.0
// How long process may take to end all notes before it is given up.
#define END_S_MAX 1.0

typedef struct {
  Options options;
  Sources sources;
  Process process;
  Worker  worker;
  Session session;
  View    view;
  FILE*   trace;

  Choice        choice;
  BackendConfig config;
  Backend*      backend; // NULL while the server is gone
  BackendStatus status;
  uint32_t      sample_rate_hz; // of the session
  BackendStatus before;         // what those that are gone had counted
  double        start_s;
  double        poll_s;
  double        retry_s;    // when to look for the server again
  bool          told_retry; // the reason for waiting was logged
  uint32_t      told_model; // of its faults
  uint32_t      told_fallback;
  const Model*  on_gpu; // that it lost its GPU is told of this one
  bool          told_gpu;
  bool          model_stuck; // within a call that does not end: free nothing
} App;

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

// Waits for process to say so, if it still can.
static void
await(App* app, const atomic_bool* answer)
{
  const double deadline_s = clock_now_s() + END_S_MAX;
  while (!atomic_load(answer) && !app->status.lost &&
         clock_now_s() < deadline_s) {
    clock_sleep_ns(LOOP_NS);
    app->backend->poll(app->backend, &app->status);
  }
}

// All that sounds ends, and is heard to. Nothing begins until hold_requested is
// taken back. The panic, asked for first, tells a recording of it.
static void
hush(App* app)
{
  Process* const process = &app->process;
  if (app->backend) {
    atomic_fetch_add(&process->panic_requests, 1);
    atomic_store(&process->hold_requested, true);
    await(app, &process->held);
    clock_sleep_ns((int64_t)(1e9 * app->status.settle_s));
  }
}

static void
lose_backend(App* app)
{
  BackendStatus* const before = &app->before;
  app->backend->stop(app->backend);
  app->backend->close(app->backend);
  app->backend = NULL;
  before->xrun_count += app->status.xrun_count;
  before->dropped_count += app->status.dropped_count;
  before->input_lost_count += app->status.input_lost_count;
  before->control_gone_count +=
    app->status.control_gone_count + app->status.control_count;
  app->status     = (BackendStatus){ 0 };
  app->retry_s    = clock_now_s() + RECONNECT_S;
  app->told_retry = false;
}

// Frames are no longer what they were stamped as.
static void
leave_rate(App* app)
{
  hush(app);
  lose_backend(app);
  atomic_store(&app->process.hold_requested, false);
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
    view_log(&app->view,
             "%s: the server is gone; looking for it once a second",
             app->backend->name);
    lose_backend(app);
  } else if (app->status.sample_rate_hz != app->sample_rate_hz) {
    view_log(&app->view,
             "%s: the server's sample rate is %u Hz now, no more %u Hz",
             app->backend->name,
             app->status.sample_rate_hz,
             app->sample_rate_hz);
    leave_rate(app);
  } else if (app->status.connection_count != before) {
    view_log(&app->view,
             "inputs that listen to meander:notes: %u",
             app->status.connection_count);
  }
}

static Status
reopen(App* app, Error* error)
{
  char   why[16];
  Status status = backend_open_choice(
    &app->choice, &app->config, &app->backend, why, sizeof why, error);
  if (status) {
    return status;
  }
  app->backend->poll(app->backend, &app->status);
  status = check_rate(app, error);
  if (status) {
    app->backend->close(app->backend);
    app->backend = NULL;
    app->status  = (BackendStatus){ 0 };
    return status;
  }
  return start_backend(app, error);
}

// A server that is not there yet is no news.
static void
try_reconnect(App* app)
{
  Error error;
  app->retry_s = clock_now_s() + RECONNECT_S;
  if (!reopen(app, &error)) {
    view_log(&app->view, "playing again to %s", app->status.text);
  } else if (error.status != STATUS_NOT_FOUND && !app->told_retry) {
    view_log(&app->view, "%s", error.text);
    app->told_retry = true;
  }
}

// Where the music ends; UINT64_MAX when it does not, or has not begun.
static uint64_t
end_frame(const App* app)
{
  const uint64_t origin  = atomic_load(&app->worker.origin_frame);
  const double   seconds = app->options.seconds;
  return origin == WORKER_NO_ORIGIN || seconds < 0
           ? UINT64_MAX
           : origin + (uint64_t)llround(seconds * app->sample_rate_hz);
}

static bool
is_over(const App* app)
{
  const double seconds = app->options.seconds;
  if (atomic_load(&signals_count) || atomic_load(&app->worker.failed) ||
      app->session.quit) {
    return true;
  }
  if (seconds >= 0 && !app->backend) {
    return clock_now_s() - app->start_s > seconds;
  }
  const uint64_t end = end_frame(app);
  return end != UINT64_MAX && atomic_load(&app->process.processed_until) > end;
}

static void
tell_fault(App* app, const char* which, ModelFault* fault, uint32_t* told)
{
  const uint32_t count = atomic_load(&fault->count);
  if (*told != count) {
    view_log(&app->view,
             "%s failed, playing on without it: %s",
             which,
             fault->error.text);
    *told = count;
  }
}

static void
tell_faults(App* app)
{
  Error fault;
  if (app->on_gpu != app->sources.model) {
    app->on_gpu   = app->sources.model; // another plays now
    app->told_gpu = false;
  }
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

static SessionLink
link_of(const App* app)
{
  return (SessionLink){
    .backend          = app->backend ? app->backend->name : NULL,
    .connection_count = app->status.connection_count,
    .control_count    = app->status.control_count,
    .feedback_count   = app->status.feedback_count,
    .xrun_count       = app->before.xrun_count + app->status.xrun_count,
    .dropped_count    = app->before.dropped_count + app->status.dropped_count,
    .input_lost_count =
      app->before.input_lost_count + app->status.input_lost_count,
    .control_gone_count =
      app->before.control_gone_count + app->status.control_gone_count
  };
}

static void
turn(App* app)
{
  const SessionLink link = link_of(app);
  session_turn(&app->session, &link);
}

// A stopped process can end no note.
static void
obey_stop(App* app)
{
  hush(app);
  turn(app); // what ended is recorded
  view_stop(&app->view);
  atomic_store(&app->process.hold_requested, false);
}

static void
loop(App* app)
{
  while (!is_over(app)) {
    clock_sleep_ns(LOOP_NS);
    tell_faults(app);
    if (view_stop_asked()) {
      obey_stop(app);
    }
    const double now_s = clock_now_s();
    if (app->backend && now_s >= app->poll_s) {
      app->poll_s = now_s + POLL_S;
      poll_backend(app);
    } else if (!app->backend && now_s >= app->retry_s) {
      try_reconnect(app);
    }
    turn(app);
  }
}

// Every note ends, then process is no longer called, then the worker stops.
static void
end_music(App* app)
{
  atomic_store(&app->process.end_requested, true);
  if (app->backend) {
    await(app, &app->process.ended);
    app->backend->stop(app->backend);
    app->backend->close(app->backend);
    app->backend = NULL;
  }
  app->model_stuck = !worker_stop(&app->worker);
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
  const Options* const options = &app->options;
  char                 why[420];
  app->choice = options->backend;
  app->config =
    (BackendConfig){ .client_name     = session_client_name(&app->session),
                     .server_name     = options->jack_server,
                     .connect_pattern = options->connect_pattern,
                     .control_pattern = options->control_pattern,
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
open_trace(App* app, Error* error)
{
  const char* const path = app->options.trace_path;
  app->trace             = path ? fopen(path, "we") : NULL;
  return path && !app->trace
           ? error_set(
               error, STATUS_IO, "%s: cannot write: %s", path, strerror(errno))
           : STATUS_OK;
}

static void
tell_models(App* app)
{
  const Sources* const sources = &app->sources;
  view_log(&app->view,
           "seed %" PRIu64 ", model %s %s on %s",
           app->options.seed,
           model_kind_name(sources->model),
           model_digest(sources->model),
           model_device(sources->model));
  if (sources->fallback) {
    view_log(&app->view,
             "where it is too slow: %s %s",
             model_kind_name(sources->fallback),
             model_digest(sources->fallback));
  }
}

// All that has to be there before the clock runs.
static Status
make_ready(App* app, Error* error)
{
  Options* const options = &app->options;
  Session* const session = &app->session;
  Status         status  = options->record_path
                             ? record_check_target(options->record_path, error)
                             : STATUS_OK;
  if (status || (status = open_trace(app, error)) ||
      (status = process_init(&app->process, error)) ||
      (status = session_find_first(session, options, error)) ||
      (status = sources_load(&app->sources, options, true, error))) {
    return status;
  }
  const WorkerSetup setup = sources_setup(&app->sources, options);
  status = worker_init(&app->worker, &app->process, &setup, error);
  if (status) {
    return status;
  }
  session->sources = &app->sources;
  session->process = &app->process;
  session->worker  = &app->worker;
  session->trace   = app->trace;
  tell_models(app);
  status = session_open(session, error);
  if (!status) {
    status = worker_prime(&app->worker, &signals_count, error);
  }
  if (!status && !app->worker.primed_count && !atomic_load(&signals_count)) {
    view_log(&app->view,
             "the model has made no notes yet: music begins when it has");
  }
  return status;
}

static Status
start(App* app, Error* error)
{
  Status status = make_ready(app, error);
  if (status || atomic_load(&signals_count)) {
    return status; // given up: it is over before it began
  }
  if ((status = open_backend(app, error)) ||
      (status = session_start(&app->session, app->sample_rate_hz, error)) ||
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
  Status      status = session_end(&app->session, error);
  FILE* const trace  = app->trace;
  app->trace         = NULL;
  app->session.trace = NULL;
  if (trace && (ferror(trace) | fclose(trace)) && !status) {
    status = error_set(error,
                       STATUS_IO,
                       "%s: could not be written whole",
                       app->options.trace_path);
  }
  return status;
}

// The summary names only what went wrong.
static void
tell_end(App* app)
{
  const ProcessCounters* const counters = &app->process.counters;
  const WorkerCounters* const  worker   = &app->worker.counters;
  const SessionLink            link     = link_of(app);
  const uint64_t               notes    = atomic_load(&counters->notes);
  const struct {
    uint64_t    count;
    const char* what;
  } faults[] = {
    { atomic_load(&counters->late), "late" },
    { session_dropped(&app->session, &link), "dropped" },
    { atomic_load(&counters->offs_retried), "note-offs written late" },
    { atomic_load(&counters->spans_starved), "periods without a plan" },
    { atomic_load(&counters->reports_lost), "missing in view and recording" },
    { session_feedback_lost(&app->session),
      "lost on their way to controllers" },
    { atomic_load(&counters->beats_lost), "beats lost to MIDI clock" },
    { link.xrun_count, "xruns" },
    { atomic_load(&worker->fewer_steps), "windows of fewer steps" },
    { atomic_load(&worker->fallback_model), "windows of the fallback model" },
    { atomic_load(&worker->repeated), "windows repeated" },
    { atomic_load(&worker->clock_jumps), "jumps of the clock" },
    { session_missed(&app->session, &link),
      "messages missed at meander:control" },
    { app->session.osc.counters.malformed, "malformed OSC packets" },
  };
  char   text[640];
  size_t used =
    (size_t)snprintf(text, sizeof text, "played %" PRIu64 " notes", notes);
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
  view_log(
    &app->view, "%s%s", text, used == before && notes ? ", all on time" : "");
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
  app->options = *options;
  signals_catch(view_rescue);
  rt_init();
  view_open(&app->view);
  app->session.options = &app->options;
  app->session.view    = &app->view;
  app->session.give_up = &signals_count;
  const Status status  = run(app, error);
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
  app->model_stuck = !session_close(&app->session);
  *model_stuck     = app->model_stuck;
  if (app->model_stuck) {
    return status;
  }
  worker_free(&app->worker);
  process_free(&app->process);
  sources_free(&app->sources);
  free(app);
  return status;
}
