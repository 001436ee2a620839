// The one parameter table: everything about the music that a user may set, by
// command line option, preset, MIDI, OSC or terminal. Pure data; any thread
// except process.
#pragma once

#include "status.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum {
  PARAM_MODE,
  PARAM_WALK_STEP,
  PARAM_PULL,
  PARAM_LEG_WINDOWS,
  PARAM_FROM_POINT,
  PARAM_TO_POINT,
  PARAM_POSITION,
  PARAM_HOLD,
  PARAM_TEMPERATURE,
  PARAM_SAMPLER,
  PARAM_STEPS,
  PARAM_ETA,
  PARAM_CONTEXT,
  PARAM_MUTATE_STRENGTH,
  PARAM_LISTEN,
  PARAM_ECHO,
  PARAM_KEY,
  PARAM_SCALE,
  PARAM_SCALE_STRENGTH,
  PARAM_TEMPO,
  PARAM_DENSITY,
  PARAM_DYNAMICS,
  PARAM_VELOCITY_LOW,
  PARAM_VELOCITY_HIGH,
  PARAM_REGISTER_LOW,
  PARAM_REGISTER_HIGH,
  PARAM_TRANSPOSE,
  PARAM_CHANNEL,
  PARAM_MUTE,
  PARAM_SYNC,
  PARAM_BPM,
  PARAM_BEATS_PER_BAR,
  PARAM_COUNT_IN,
  PARAM_CLOCK_OUT,
  PARAM_LATENCY,
  PARAM_QUANTISE,
  PARAM_GRID,
  PARAM_SWING,
  PARAM_FREEZE,
  PARAM_LOOP_BEATS,
  PARAM_PROGRAM_CHANGE,
  PARAM_PICKUP,
  PARAM_PHRASE_PAUSE,
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

// Values of PARAM_LISTEN: what notes played at meander:control are for.
typedef enum {
  LISTEN_OFF,
  LISTEN_RESPOND, // falls silent while you play, then answers
  LISTEN_FOLLOW,  // the walk moves towards what you play
  LISTEN_SEED     // goes on from what you played
} Listen;

// Values of PARAM_SYNC: whose beat the music keeps.
typedef enum { SYNC_FREE, SYNC_JACK, SYNC_MIDI } Sync;

// Values of PARAM_PROGRAM_CHANGE: what a Program Change chooses.
typedef enum { PROGRAM_OFF, PROGRAM_PRESET, PROGRAM_CHECKPOINT } ProgramChange;

// Values of PARAM_GRID, in quarter notes.
#define GRID_COUNT 6
extern const double grid_quarters[GRID_COUNT];

// Latent points that can be stored: slots 1 .. POINTS_MAX.
#define POINTS_MAX 16u

// May be left to the model or the mode: typed "auto", kept as one below `low`.
#define PARAM_MAY_BE_AUTO 1u
// Means nothing to a VAE.
#define PARAM_DIFFUSION_ONLY 2u
// Changes which notes come: what is planned is sampled anew. The others only
// change when and how notes sound.
#define PARAM_SAMPLES 4u
// A factor with 1 inside its range: a knob's middle is 1, and on each side of
// it equal ways multiply equally.
#define PARAM_FACTOR 8u
// Belongs to the player's rig and hands: a preset that is taken in play leaves
// it as it is, unless it names it, and the next one gives it back.
#define PARAM_RIG 16u

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
  double             smoothing_s; // how long a turned knob glides; 0: jumps
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

// As a knob says it: `share` 0..1 of the range; names and whole numbers in
// steps of equal width, factors (PARAM_FACTOR) from 1 in the middle. Auto is
// out of its reach.
void   params_set_share(Params* params, ParamId id, double share);
double params_share(const Params* params, ParamId id); // auto: 0

// One value as a user would type it.
void params_format(const Params* params, ParamId id, char* text, size_t size);
