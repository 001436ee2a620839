// The command line. Control thread, before anything starts.
#pragma once

#include "backend/backend.h"
#include "control/preset.h"
#include "live/params.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
  COMMAND_PLAY,
  COMMAND_AUDITION,
  COMMAND_RENDER,
  COMMAND_MODELS,
  COMMAND_PRESETS,
  COMMAND_DOCTOR,
  COMMAND_LIST_PORTS,
  COMMAND_HELP,
  COMMAND_HELP_PARAMS,
  COMMAND_VERSION
} Command;

typedef enum {
  BACKEND_AUTO,
  BACKEND_JACK,
  BACKEND_ALSA,
  BACKEND_SYNTH,
  BACKEND_NULL
} Choice;

#define OPTIONS_MODELS_MAX 64u // more --model than that are refused

#define RATE_HZ_MIN 8000u
#define RATE_HZ_MAX 384000u

typedef struct {
  Command            command;
  Choice             backend;
  AlsaTiming         alsa_timing;
  const char*        connect_pattern;
  const char*        control_pattern;
  const char*        osc_address; // NULL: loopback
  uint32_t           osc_port;    // 0: any
  bool               osc_named;   // asked for: without it there is no playing
  bool               no_osc;
  const char* const* paths; // of audition
  size_t             path_count;
  const char*        watch;
  const char*        keep_path; // NULL: the usual folder
  const char*        from_path; // of render
  const char*        jack_server;
  const char*        record_path; // --record, and -o of render
  const char*        trace_path;
  const char*        preset;
  const char*        model_path;
  // All --model, of which model_path is the last: for `render --from`.
  const char* model_paths[OPTIONS_MODELS_MAX];
  size_t      model_count;
  bool        model_typed;         // a preset's does not matter
  const char* device;              // of the model, as device_open() takes it
  const char* fallback_path;       // NULL: none
  bool        fallback_named;      // asked for: it has to be there
  const char* phrase_path;         // NULL: none
  char        shipped_model[1024]; // what model_path is without --model
  char        shipped_fallback[1024];
  char        preset_model[PRESET_MODEL_BYTES]; // empty: any
  double      seconds;                          // < 0: until a signal
  uint64_t    seed;
  uint32_t    sample_rate_hz;
  uint32_t    period_frames;
  Params      params;             // standard < preset < command line
  bool        typed[PARAM_COUNT]; // on the command line
} Options;

// The file of a shipped model ("vae"); false: there is none of that name.
bool options_find_model(const char* name, char* path, size_t size);

// The file that a preset means by `model`: a shipped model's name or a path.
Status options_find_meant(const char* model,
                          const char* preset,
                          char        path[1024],
                          Error*      error);

// The end of parsing: sets the paths of model and fallback. Beside the model
// the shipped VAE stands in, where there is one.
Status options_choose_models(Options* options, Error* error);

// STATUS_BAD_ARGUMENT: wrong usage. Any other failure: what an option names is
// missing or broken.
Status options_parse(int argc, char** argv, Options* options, Error* error);

void options_print_help(void);
void options_print_params(void);
