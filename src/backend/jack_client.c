// A client of JACK, with a server that may hang.
#include "backend/jack_client.h"

#include "thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define OPEN_S_MAX 5.0
#define CLOSE_S_MAX 2.0

// Who comes last, the call or who waited for it, cleans up.
typedef enum { CALL_RUNS, CALL_ENDED, CALL_LEFT } CallState;

typedef struct {
  JackCall    call;
  void*       context;
  _Atomic int state; // CallState
} Call;

// Of the process, as libjack's lock is.
static _Atomic int left_behind;

static void*
call_thread(void* context)
{
  Call* const call = context;
  call->call.run(call->context);
  if (atomic_exchange(&call->state, CALL_ENDED) == CALL_LEFT) {
    if (call->call.late) {
      call->call.late(call->context);
    }
    free(call);
    atomic_fetch_sub(&left_behind, 1);
  }
  return NULL;
}

bool
jack_call(const JackCall* call, void* context, double seconds)
{
  pthread_t   thread;
  Call* const own = malloc(sizeof *own);
  if (!own) {
    return false;
  }
  *own = (Call){ .call = *call, .context = context };
  if (thread_start(&thread, NULL, call_thread, own)) {
    free(own);
    return false;
  }
  if (!thread_join_within(thread, seconds)) {
    atomic_fetch_add(&left_behind, 1); // before the thread may take it back
    if (atomic_exchange(&own->state, CALL_LEFT) == CALL_RUNS) {
      pthread_detach(thread);
      return false;
    }
    atomic_fetch_sub(&left_behind, 1);
    pthread_join(thread, NULL); // it was just in time
  }
  free(own);
  return true;
}

bool
jack_call_is_stuck(void)
{
  return atomic_load(&left_behind) > 0;
}

const char*
jack_server_shown(const char* server_name)
{
  const char* const named = getenv("JACK_DEFAULT_SERVER");
  return server_name ? server_name : named && *named ? named : "default";
}

typedef struct {
  char           client_name[64];
  char           server_name[128]; // empty: the default one
  jack_client_t* client;
  jack_status_t  status;
} Opening;

static void
stay_silent(const char* message)
{
  (void)message; // our error lines say what libjack's would say
}

static void
open_client(void* context)
{
  Opening* const opening = context;
  jack_options_t options = JackNoStartServer;
  if (*opening->server_name) {
    options |= JackServerName;
  }
  opening->client = jack_client_open(
    opening->client_name, options, &opening->status, opening->server_name);
}

static void
close_client(void* client)
{
  jack_client_close(client); // deactivates first
}

static void
discard(void* context)
{
  Opening* const opening = context;
  if (opening->client) {
    close_client(opening->client);
  }
  free(opening);
}

static Status
explain(const char* server_name, jack_status_t status, Error* error)
{
  return status & JackServerFailed
           ? error_set(error,
                       STATUS_NOT_FOUND,
                       "no JACK server '%.80s' answers: start one, or choose "
                       "another --backend",
                       jack_server_shown(server_name))
           : error_set(error,
                       STATUS_UNAVAILABLE,
                       "JACK '%.80s': the server refused us (status 0x%x): "
                       "restart it, or choose another --backend",
                       jack_server_shown(server_name),
                       (unsigned)status);
}

Status
jack_client_begin(const char*     client_name,
                  const char*     server_name,
                  jack_client_t** client,
                  Error*          error)
{
  static const JackCall call = { .run = open_client, .late = discard };
  *client                    = NULL;
  if (jack_call_is_stuck()) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "JACK '%.80s': a server that hangs, or died, holds up "
                     "libjack: start meander anew",
                     jack_server_shown(server_name));
  }
  Opening* const opening = calloc(1, sizeof *opening);
  if (!opening) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for JACK");
  }
  snprintf(
    opening->client_name, sizeof opening->client_name, "%s", client_name);
  snprintf(opening->server_name,
           sizeof opening->server_name,
           "%s",
           server_name ? server_name : "");
  jack_set_error_function(stay_silent);
  jack_set_info_function(stay_silent);
  if (!jack_call(&call, opening, OPEN_S_MAX)) {
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "JACK '%.80s': the server hangs, it does not answer: "
                     "restart it, or choose another --backend",
                     jack_server_shown(server_name));
  }
  *client = opening->client;
  const Status status =
    *client ? STATUS_OK : explain(server_name, opening->status, error);
  free(opening);
  return status;
}

void
jack_client_end(jack_client_t* client)
{
  static const JackCall call = { .run = close_client };
  jack_call(&call, client, CLOSE_S_MAX);
}
