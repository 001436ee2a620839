// Parsing the command line: programs' own options, and one for each row of the
// parameter table.
#include "options.h"

#include "caps.h"
#include "control/osc.h"
#include "control/preset.h"
#include "data_path.h"

#include <getopt.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_MAX 86400.0

enum {
  OPTION_BACKEND = 256,
  OPTION_CONNECT,
  OPTION_SECONDS,
  OPTION_SEED,
  OPTION_PRESET,
  OPTION_RECORD,
  OPTION_MODEL,
  OPTION_DEVICE,
  OPTION_FALLBACK,
  OPTION_PHRASE,
  OPTION_ALSA_TIMING,
  OPTION_JACK_SERVER,
  OPTION_RATE,
  OPTION_PERIOD,
  OPTION_TRACE,
  OPTION_CONTROL,
  OPTION_OSC_PORT,
  OPTION_OSC_BIND,
  OPTION_NO_OSC,
  OPTION_WATCH,
  OPTION_KEEP_DIR,
  OPTION_FROM,
  OPTION_LIST_PORTS,
  OPTION_HELP_PARAMS,
  OPTION_VERSION,
  OPTION_PARAM // + ParamId
};

static const struct option plain_options[] = {
  { "backend", required_argument, NULL, OPTION_BACKEND },
  { "connect", required_argument, NULL, OPTION_CONNECT },
  { "seconds", required_argument, NULL, OPTION_SECONDS },
  { "seed", required_argument, NULL, OPTION_SEED },
  { "preset", required_argument, NULL, OPTION_PRESET },
  { "record", required_argument, NULL, OPTION_RECORD },
  { "output", required_argument, NULL, 'o' },
  { "model", required_argument, NULL, OPTION_MODEL },
  { "device", required_argument, NULL, OPTION_DEVICE },
  { "fallback", required_argument, NULL, OPTION_FALLBACK },
  { "phrase", required_argument, NULL, OPTION_PHRASE },
  { "alsa-timing", required_argument, NULL, OPTION_ALSA_TIMING },
  { "jack-server", required_argument, NULL, OPTION_JACK_SERVER },
  { "rate", required_argument, NULL, OPTION_RATE },
  { "period", required_argument, NULL, OPTION_PERIOD },
  { "trace", required_argument, NULL, OPTION_TRACE },
  { "control", required_argument, NULL, OPTION_CONTROL },
  { "osc-port", required_argument, NULL, OPTION_OSC_PORT },
  { "osc-bind", required_argument, NULL, OPTION_OSC_BIND },
  { "no-osc", no_argument, NULL, OPTION_NO_OSC },
  { "watch", required_argument, NULL, OPTION_WATCH },
  { "keep-dir", required_argument, NULL, OPTION_KEEP_DIR },
  { "from", required_argument, NULL, OPTION_FROM },
  { "list-ports", no_argument, NULL, OPTION_LIST_PORTS },
  { "help", no_argument, NULL, 'h' },
  { "help-params", no_argument, NULL, OPTION_HELP_PARAMS },
  { "version", no_argument, NULL, OPTION_VERSION },
};
#define PLAIN_COUNT (sizeof plain_options / sizeof *plain_options)

// "walk_step" is --walk-step, and --walk_step too.
typedef struct {
  char          dashed[PARAM_COUNT][PARAM_NAME_BYTES];
  struct option table[PLAIN_COUNT + 2 * PARAM_COUNT + 1];
} OptionTable;

static void
make_table(OptionTable* options)
{
  memset(options, 0, sizeof *options);
  memcpy(options->table, plain_options, sizeof plain_options);
  struct option* next = options->table + PLAIN_COUNT;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    const char* const name   = param_table[id].name;
    char* const       dashed = options->dashed[id];
    params_dashed_name((ParamId)id, dashed);
    *next++ =
      (struct option){ dashed, required_argument, NULL, OPTION_PARAM + id };
    if (strcmp(dashed, name)) {
      *next++ =
        (struct option){ name, required_argument, NULL, OPTION_PARAM + id };
    }
  }
}

static Status
parse_number(const char* name,
             const char* text,
             double      low,
             double      high,
             double*     value,
             Error*      error)
{
  char* end;
  *value = strtod(text, &end);
  if (end == text || *end || !(*value >= low && *value <= high)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--%s is '%.40s', use a number from %g to %g",
                     name,
                     text,
                     low,
                     high);
  }
  return STATUS_OK;
}

static Status
parse_whole(const char* name,
            const char* text,
            uint32_t    low,
            uint32_t    high,
            uint32_t*   value,
            Error*      error)
{
  double       number;
  const Status status = parse_number(name, text, low, high, &number, error);
  if (!status && number != floor(number)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--%s is '%.40s', use a whole number",
                     name,
                     text);
  }
  *value = status ? 0 : (uint32_t)number;
  return status;
}

static Status
parse_seed(const char* text, uint64_t* seed, Error* error)
{
  char* end;
  *seed = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end || strlen(text) > 19) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--seed is '%.40s', use a whole number of at most 19 "
                     "digits",
                     text);
  }
  return STATUS_OK;
}

static Status
parse_choice(const char*        name,
             const char*        text,
             const char* const* choices,
             int                count,
             int*               value,
             Error*             error)
{
  char list[96] = "";
  for (int i = 0; i < count; ++i) {
    if (!strcmp(choices[i], text)) {
      *value = i;
      return STATUS_OK;
    }
    const size_t length = strlen(list);
    snprintf(
      list + length, sizeof list - length, "%s%s", i ? ", " : "", choices[i]);
  }
  return error_set(error,
                   STATUS_BAD_ARGUMENT,
                   "--%s is '%.40s', use one of %s",
                   name,
                   text,
                   list);
}

static Status
parse_backend(const char* text, Options* options, Error* error)
{
  static const char* const choices[] = {
    "auto", "jack", "alsa", "synth", "null"
  };
  int          value = 0;
  const Status status =
    parse_choice("backend", text, choices, 5, &value, error);
  options->backend = (Choice)value;
  return status;
}

static Status
parse_alsa_timing(const char* text, Options* options, Error* error)
{
  static const char* const choices[] = { "auto", "queue", "direct" };
  int                      value     = 0;
  const Status             status =
    parse_choice("alsa-timing", text, choices, 3, &value, error);
  options->alsa_timing = (AlsaTiming)value;
  return status;
}

// Options that name something; the rest are numbers and choices.
static bool
take_text(int code, const char* text, Options* options)
{
  switch (code) {
    case OPTION_PRESET:
      options->preset = text;
      return true;
    case OPTION_RECORD:
    case 'o':
      options->record_path = text;
      return true;
    case OPTION_TRACE:
      options->trace_path = text;
      return true;
    case OPTION_JACK_SERVER:
      options->jack_server = text;
      return true;
    case OPTION_DEVICE:
      options->device = text;
      return true;
    case OPTION_FALLBACK:
      options->fallback_path  = text;
      options->fallback_named = true;
      return true;
    case OPTION_PHRASE:
      options->phrase_path = text;
      return true;
    case OPTION_OSC_BIND:
      options->osc_address = text;
      options->osc_named   = true;
      return true;
    case OPTION_NO_OSC:
      options->no_osc = true;
      return true;
    case OPTION_WATCH:
      options->watch = text;
      return true;
    case OPTION_KEEP_DIR:
      options->keep_path = text;
      return true;
    case OPTION_FROM:
      options->from_path = text;
      return true;
    case OPTION_LIST_PORTS:
      options->command = COMMAND_LIST_PORTS;
      return true;
    case 'h':
      options->command = COMMAND_HELP;
      return true;
    case OPTION_HELP_PARAMS:
      options->command = COMMAND_HELP_PARAMS;
      return true;
    case OPTION_VERSION:
      options->command = COMMAND_VERSION;
      return true;
    default:
      return false;
  }
}

static Status
parse_pattern(const char* name, const char* text, const char** to, Error* error)
{
  regex_t   pattern;
  const int result = regcomp(&pattern, text, REG_EXTENDED | REG_NOSUB);
  if (result) {
    char reason[80];
    regerror(result, &pattern, reason, sizeof reason);
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--%s '%.80s' is no regular expression: %s",
                     name,
                     text,
                     reason);
  }
  regfree(&pattern);
  *to = text;
  return STATUS_OK;
}

static Status
take_model(const char* path, Options* options, Error* error)
{
  if (options->model_count == OPTIONS_MODELS_MAX) {
    return error_set(
      error, STATUS_LIMIT, "too many --model: name a folder of them");
  }
  options->model_paths[options->model_count++] = path;
  options->model_path                          = path;
  options->model_typed                         = true;
  return STATUS_OK;
}

static Status
take_value(int code, const char* text, Options* options, Error* error)
{
  switch (code) {
    case OPTION_BACKEND:
      return parse_backend(text, options, error);
    case OPTION_ALSA_TIMING:
      return parse_alsa_timing(text, options, error);
    case OPTION_CONNECT:
      return parse_pattern("connect", text, &options->connect_pattern, error);
    case OPTION_CONTROL:
      return parse_pattern("control", text, &options->control_pattern, error);
    case OPTION_OSC_PORT:
      options->osc_named = true;
      return parse_whole("osc-port", text, 0, 65535, &options->osc_port, error);
    case OPTION_MODEL:
      return take_model(text, options, error);
    case OPTION_SEED:
      return parse_seed(text, &options->seed, error);
    case OPTION_SECONDS:
      return parse_number(
        "seconds", text, 0, SECONDS_MAX, &options->seconds, error);
    case OPTION_RATE:
      return parse_whole("rate",
                         text,
                         RATE_HZ_MIN,
                         RATE_HZ_MAX,
                         &options->sample_rate_hz,
                         error);
    case OPTION_PERIOD:
      return parse_whole("period",
                         text,
                         PERIOD_FRAMES_MIN,
                         PERIOD_FRAMES_MAX,
                         &options->period_frames,
                         error);
    default:
      return error_set(
        error, STATUS_BAD_ARGUMENT, "see 'meander --help' for how to use it");
  }
}

typedef struct {
  const char* name;
  Command     command;
} CommandName;

static const CommandName command_names[] = {
  { "play", COMMAND_PLAY },       { "audition", COMMAND_AUDITION },
  { "render", COMMAND_RENDER },   { "models", COMMAND_MODELS },
  { "presets", COMMAND_PRESETS }, { "doctor", COMMAND_DOCTOR },
};
#define COMMAND_COUNT (sizeof command_names / sizeof *command_names)

static Status
parse_command(int argc, char** argv, Options* options, Error* error)
{
  if (optind >= argc) {
    return STATUS_OK; // play, or what --help and its like asked for
  }
  size_t i = 0;
  while (i < COMMAND_COUNT && strcmp(argv[optind], command_names[i].name)) {
    ++i;
  }
  if (i == COMMAND_COUNT) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "no command '%.40s', use play, audition, render, models, "
                     "presets or doctor",
                     argv[optind]);
  }
  const bool takes_paths = command_names[i].command == COMMAND_AUDITION;
  if (optind + 1 < argc && !takes_paths) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "'%.40s' is one word too many",
                     argv[optind + 1]);
  }
  options->paths      = (const char* const*)(argv + optind + 1);
  options->path_count = (size_t)(argc - optind - 1);
  if (options->command == COMMAND_PLAY) {
    options->command = command_names[i].command;
  }
  return STATUS_OK;
}

static Status
apply_params(Options* options, char* const* texts, Error* error)
{
  if (options->preset) {
    Preset       preset;
    const Status status = preset_load(options->preset, &preset, error);
    if (status) {
      // A preset is a file that the user named, whatever is wrong within.
      return status == STATUS_BAD_ARGUMENT ? STATUS_BAD_FILE : status;
    }
    options->params = preset.params;
    snprintf(
      options->preset_model, sizeof options->preset_model, "%s", preset.model);
  }
  for (int id = 0; id < PARAM_COUNT; ++id) {
    if (texts[id]) {
      options->typed[id] = true;
      const Status status =
        params_set_text(&options->params, (ParamId)id, texts[id], error);
      if (status) {
        error_prefix(error, "--");
        return status;
      }
    }
  }
  return params_check(&options->params, error);
}

static Status
check_music(Options* options, Error* error)
{
  if (options->from_path && options->command != COMMAND_RENDER) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "--from is for 'meander render': it makes a recording "
                     "again");
  }
  if (options->command == COMMAND_RENDER && !options->record_path) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "render needs a target: -o FILE.mid");
  }
  if (options->command == COMMAND_RENDER && options->from_path) {
    return STATUS_OK; // it says all that is needed
  }
  if (options->command == COMMAND_RENDER && options->seconds < 0) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "render needs a length: --seconds T");
  }
  if (options->command == COMMAND_AUDITION && !options->path_count &&
      !options->watch) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "audition needs checkpoints or folders of them, or "
                     "--watch DIR");
  }
  return options_choose_models(options, error);
}

// /dev/urandom's generator cannot fail this early in any Linux we run on, but
// a sandbox may forbid the call.
static uint64_t
random_seed(void)
{
  uint64_t seed;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
    seed = (uint64_t)time(NULL);
  }
  return seed % 1000000000u; // short enough to be typed again
}

Status
options_parse(int argc, char** argv, Options* options, Error* error)
{
  *options = (Options){ .seconds        = -1,
                        .seed           = random_seed(),
                        .device         = "auto",
                        .osc_port       = OSC_PORT_STANDARD,
                        .sample_rate_hz = 48000,
                        .period_frames  = 256,
                        .params         = params_standard() };
  OptionTable table;
  make_table(&table);
  char*  texts[PARAM_COUNT] = { NULL };
  Status status             = STATUS_OK;
  int    code;
  opterr = 0;
  while (!status &&
         (code = getopt_long(argc, argv, ":o:h", table.table, NULL)) != -1) {
    if (code == '?' || code == ':') {
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       code == '?' ? "'%.60s' is no option: see 'meander "
                                     "--help' and '--help-params'"
                                   : "'%.60s' needs a value",
                       argv[optind - 1]);
    }
    if (code >= OPTION_PARAM) {
      texts[code - OPTION_PARAM] = optarg;
    } else if (!take_text(code, optarg, options)) {
      status = take_value(code, optarg, options, error);
    }
  }
  if (status || (status = parse_command(argc, argv, options, error)) ||
      (status = apply_params(options, texts, error))) {
    return status;
  }
  const bool makes_music = options->command == COMMAND_PLAY ||
                           options->command == COMMAND_AUDITION ||
                           options->command == COMMAND_RENDER;
  return makes_music ? check_music(options, error) : STATUS_OK;
}
