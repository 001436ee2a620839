// The OSC server and the NSM client with a parameter table of their own and no
// music, for test_osc.py and test_nsm.py: says what was asked for, a line each.
//   control_host ADDRESS PORT SPEED
// ADDRESS "none": no OSC. SPEED times as fast goes the OSC server's clock.
#include "clock.h"
#include "control/nsm.h"
#include "control/osc.h"
#include "file.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Params     params;
static char       session_path[1024];
static atomic_int ended;

static void
end(int number)
{
  (void)number;
  ended = 1;
}

static Status
do_action(void* context, const Action* action, Error* error)
{
  (void)context;
  Params changed = params;
  Status status  = STATUS_OK;
  switch (action->kind) {
    case ACTION_SET:
      status =
        params_set_number(&changed, action->param, action->number, error);
      break;
    case ACTION_SET_SHARE:
      params_set_share(&changed, action->param, action->number);
      break;
    case ACTION_SET_TEXT:
      status = params_set_text(&changed, action->param, action->text, error);
      break;
    default:
      break;
  }
  if (status) {
    return status;
  }
  params = changed;
  printf("action %s %s %g '%s'\n",
         action_table[action->kind].name,
         action->param < PARAM_COUNT ? param_table[action->param].name : "-",
         action->number,
         action->text);
  return STATUS_OK;
}

static size_t
fill_status(void* context, OscStatus lines[OSC_STATUS_MAX])
{
  (void)context;
  lines[0] = (OscStatus){ .name = "buffered_s", .number = 1.5 };
  lines[1] = (OscStatus){ .name = "model", .text = "vae" };
  return 2;
}

static Status
open_session(void*       context,
             const char* path,
             const char* display_name,
             const char* client_id,
             Error*      error)
{
  (void)context;
  if (strstr(path, "corrupt")) {
    return error_set(error, STATUS_BAD_FILE, "%s: not a state", path);
  }
  snprintf(session_path, sizeof session_path, "%s.state", path);
  printf("open '%s' '%s' '%s'\n", path, display_name, client_id);
  return STATUS_OK;
}

static Status
save_session(void* context, Error* error)
{
  (void)context;
  FILE* const file = fopen(session_path, "w");
  if (!file) {
    return error_set(error, STATUS_IO, "%s: cannot be written", session_path);
  }
  fprintf(file, "tempo %g\n", params.value[PARAM_TEMPO]);
  fclose(file);
  return STATUS_OK;
}

static void
say_table(void)
{
  for (int id = 0; id < PARAM_COUNT; ++id) {
    const ParamInfo* const info = &param_table[id];
    printf("param %s %d %.9g %.9g %d",
           info->name,
           (int)info->type,
           info->low,
           info->high,
           (int)(info->flags & PARAM_MAY_BE_AUTO));
    for (int i = 0; info->choices && i <= (int)info->high; ++i) {
      printf(" %s", info->choices[i]);
    }
    printf("\n");
  }
  for (int kind = 0; kind < ACTION_COUNT; ++kind) {
    const ActionInfo* const info = &action_table[kind];
    printf("does %s %d %g %g\n",
           info->name,
           (int)info->takes,
           info->low,
           info->high);
  }
}

static int
fail(const Error* error)
{
  fprintf(stderr, "control_host: %s\n", error->text);
  return 1;
}

static void
loop(Osc* osc, Nsm* nsm, double speed)
{
  double tempo = params.value[PARAM_TEMPO];
  while (!ended) {
    osc_poll(osc, &params, clock_now_s() * speed);
    nsm_poll(nsm);
    if (tempo != params.value[PARAM_TEMPO]) {
      tempo = params.value[PARAM_TEMPO];
      nsm_set_dirty(nsm, true);
    }
    clock_sleep_ns(1000000);
  }
  const OscCounters* const c = &osc->counters;
  printf("counters packets %" PRIu64 " messages %" PRIu64 " malformed %" PRIu64
         " unknown %" PRIu64 " refused %" PRIu64 " unanswered %" PRIu64
         " nsm_malformed %" PRIu64 " nsm_strangers %" PRIu64 "\n",
         c->packets,
         c->messages,
         c->malformed,
         c->unknown,
         c->refused,
         c->unanswered,
         nsm->malformed_count,
         nsm->stranger_count);
}

int
main(int argc, char** argv)
{
  static Osc osc;
  static Nsm nsm;
  Error      error;
  if (argc != 4) {
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigaction(SIGTERM, &(struct sigaction){ .sa_handler = end }, NULL);
  params                    = params_standard();
  const OscConfig   config  = { .address     = argv[1],
                                .port        = (unsigned)atoi(argv[2]),
                                .do_action   = do_action,
                                .fill_status = fill_status };
  const char* const nsm_url = getenv("NSM_URL");
  const NsmConfig   session = { .url        = nsm_url,
                                .executable = "control_host",
                                .open       = open_session,
                                .save       = save_session };
  if (nsm_url && (nsm_init(&nsm, &session, &error) ||
                  nsm_wait_open(&nsm, 3, &ended, &error))) {
    nsm_free(&nsm);
    return fail(&error);
  }
  if (strcmp(argv[1], "none") && osc_init(&osc, &config, &error)) {
    return fail(&error);
  }
  say_table();
  printf("port %u\n", osc_port(&osc));
  loop(&osc, &nsm, atof(argv[3]));
  osc_free(&osc);
  nsm_free(&nsm);
  return 0;
}
