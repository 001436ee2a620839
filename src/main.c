// The instrument's entry. Only here is an exit code made: 0 it went well, 1 it
// did not, 2 the command line makes no sense.
#include "app.h"
#include "backend/backend.h"
#include "doctor.h"
#include "listing.h"
#include "options.h"
#include "ports.h"
#include "render.h"

#include <stdio.h>
#include <unistd.h>

static Status
run_doctor(const char* jack_server, Error* error)
{
  bool         heard  = false;
  const Status status = doctor_run(jack_server, &heard, error);
  return status || heard ? status
                         : error_set(error,
                                     STATUS_NOT_FOUND,
                                     "nothing would be heard: see above");
}

static Status
run(const Options* options, bool* model_stuck, Error* error)
{
  switch (options->command) {
    case COMMAND_PLAY:
    case COMMAND_AUDITION:
      return app_run(options, model_stuck, error);
    case COMMAND_RENDER:
      return render_run(options, error);
    case COMMAND_MODELS:
      listing_print_models();
      return STATUS_OK;
    case COMMAND_PRESETS:
      listing_print_presets();
      return STATUS_OK;
    case COMMAND_DOCTOR:
      return run_doctor(options->jack_server, error);
    case COMMAND_LIST_PORTS:
      return ports_print(options->jack_server, error);
    case COMMAND_HELP:
      options_print_help();
      return STATUS_OK;
    case COMMAND_HELP_PARAMS:
      options_print_params();
      return STATUS_OK;
    case COMMAND_VERSION:
      puts("meander " MEANDER_VERSION);
      return STATUS_OK;
  }
  return STATUS_OK;
}

int
main(int argc, char** argv)
{
  Options options;
  Error   error       = { 0 };
  bool    model_stuck = false;
  Status  status      = options_parse(argc, argv, &options, &error);
  if (status == STATUS_BAD_ARGUMENT) {
    fprintf(stderr, "meander: %s\n", error.text);
    return 2;
  }
  if (!status) {
    status = run(&options, &model_stuck, &error);
  }
  if (status) {
    fprintf(stderr, "meander: %s\n", error.text);
  }
  const int code = status ? 1 : 0;
  if (model_stuck || backend_is_stuck()) {
    fflush(NULL);
    _exit(code);
  }
  return code;
}
