// The one parameter table: everything about the music that a user may set, by
// command line option or preset (later by MIDI and OSC). Pure data; any thread
// except process.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum {
  PARAM_MODE,
  PARAM_WALK_STEP,
  PARAM_LEG_WINDOWS,
  PARAM_TEMPERATURE,
  PARAM_SAMPLER,
  PARAM_STEPS,
  PARAM_ETA,
  PARAM_CONTEXT,
  PARAM_MUTATE_STRENGTH,
  PARAM_KEY,
  PARAM_SCALE,
  PARAM_TEMPO,
  PARAM_DYNAMICS,
  PARAM_VELOCITY_LOW,
  PARAM_VELOCITY_HIGH,
  PARAM_REGISTER_LOW,
  PARAM_REGISTER_HIGH,
  PARAM_TRANSPOSE,
  PARAM_CHANNEL,
  PARAM_COUNT
} ParamId;

typedef enum { PARAM_REAL, PARAM_INTEGER, PARAM_CHOICE } ParamType;

// Values of PARAM_MODE; what auto means is generator_mode()'s.
typedef enum {
  GENERATOR_PRIOR,
  GENERATOR_WALK,
  GENERATOR_INTERPOLATE,
  GENERATOR_CONTINUE, // from here on diffusion models only
  GENERATOR_MUTATE,
  GENERATOR_BRIDGE
} GeneratorMode;

// May be left to the model or the mode: typed "auto", kept as one below `low`.
#define PARAM_MAY_BE_AUTO 1u
// Means nothing to a VAE.
#define PARAM_DIFFUSION_ONLY 2u

typedef struct {
  const char*        name; // as in a preset; an option has '-' for '_'
  ParamType          type;
  double             low;
  double             high;
  double             standard; // the default
  const char*        unit;
  const char*        help;
  const char* const* choices; // PARAM_CHOICE: names of low..high
  unsigned           flags;
} ParamInfo;

typedef struct {
  double value[PARAM_COUNT]; // each in [low, high] of its row, or auto
} Params;

extern const ParamInfo param_table[PARAM_COUNT];

Params params_standard(void);

// The name as an option: "walk-step".
#define PARAM_NAME_BYTES 32
void params_dashed_name(ParamId id, char text[PARAM_NAME_BYTES]);

// Whether a parameter is left to the model or the mode.
bool params_is_auto(const Params* params, ParamId id);

// Whether a parameter asks for what a VAE cannot do. Its standard does not.
bool params_need_diffusion(const Params* params, ParamId id);

// PARAM_COUNT when there is none of this name.
ParamId params_find(const char* name);

// STATUS_BAD_ARGUMENT names the parameter, the value and the range.
Status params_set_number(Params* params,
                         ParamId id,
                         double  value,
                         Error*  error);
Status params_set_text(Params*     params,
                       ParamId     id,
                       const char* text,
                       Error*      error);

// What no single value can break: lows below highs, a register of an octave.
Status params_check(const Params* params, Error* error);

// One value as a user would type it.
void params_format(const Params* params, ParamId id, char* text, size_t size);
