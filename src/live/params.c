// The parameter table and the checks that every way in goes through.
#include "live/params.h"

#include "caps.h"
#include "music/scale.h"
#include "noise_schedule.h"
#include "sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char* const mode_names[]   = { "prior",    "walk",   "interpolate",
                                            "continue", "mutate", "bridge" };
static const char* const switch_names[] = { "off", "on" };
static const char* const listen_names[] = { "off",
                                            "respond",
                                            "follow",
                                            "seed" };
static const char* const sync_names[]   = { "free", "jack", "midi" };
static const char* const program_names[] = { "off", "preset", "checkpoint" };
static const char* const grid_names[]    = { "1/4",  "1/8",   "1/8t",
                                             "1/16", "1/16t", "1/32" };
const double grid_quarters[GRID_COUNT]   = { 1,       1.0 / 2, 1.0 / 3,
                                             1.0 / 4, 1.0 / 6, 1.0 / 8 };

// clang-format off
const ParamInfo param_table[PARAM_COUNT] = {
  [PARAM_MODE] = { "mode", PARAM_CHOICE, 0, GENERATOR_BRIDGE, -1, "",
    "prior: unrelated windows; walk: each near the last; interpolate: travel "
    "between points; diffusion models also continue: go on from the last "
    "notes; mutate: vary the last phrase; bridge: lead from phrase to phrase; "
    "auto: continue, with a VAE walk", mode_names,
    PARAM_MAY_BE_AUTO | PARAM_SAMPLES, 0 },
  [PARAM_WALK_STEP] = { "walk_step", PARAM_REAL, 0, 1, 0.35, "",
    "walk: how far each window moves (0 stays, 1 forgets)", NULL,
    PARAM_SAMPLES, 0 },
  [PARAM_PULL] = { "pull", PARAM_REAL, 0, 1, 0, "",
    "walk: how strongly each window is drawn to the centre, where the model is "
    "surest of itself", NULL, PARAM_SAMPLES, 0 },
  [PARAM_LEG_WINDOWS] = { "leg_windows", PARAM_INTEGER, 1, 256, 8, "windows",
    "interpolate, bridge: windows from one point to the next", NULL,
    PARAM_SAMPLES, 0 },
  [PARAM_FROM_POINT] = { "from_point", PARAM_INTEGER, 0, POINTS_MAX, 0, "",
    "interpolate: the stored point to set out from (0: the seed's own)", NULL,
    PARAM_SAMPLES, 0 },
  [PARAM_TO_POINT] = { "to_point", PARAM_INTEGER, 0, POINTS_MAX, 0, "",
    "interpolate: the stored point to travel to (0: the seed's own)", NULL,
    PARAM_SAMPLES, 0 },
  [PARAM_POSITION] = { "position", PARAM_REAL, 0, 1, -1, "",
    "interpolate: where between the two points; auto: travels", NULL,
    PARAM_MAY_BE_AUTO | PARAM_SAMPLES, 0 },
  [PARAM_HOLD] = { "hold", PARAM_CHOICE, 0, 1, 0, "",
    "on: stays at the point in latent space where it is", switch_names,
    PARAM_SAMPLES | PARAM_RIG, 0 },
  [PARAM_TEMPERATURE] = { "temperature", PARAM_REAL, 0, 2, 0.5, "",
    "pitch sampling: 0 takes the likeliest, above 1 is wilder", NULL,
    PARAM_SAMPLES, 0 },
  [PARAM_SAMPLER] = { "sampler", PARAM_CHOICE, 0, SAMPLER_DPM, -1, "",
    "diffusion: ddpm (random), ddim, or dpm++ (needs the fewest steps); auto: "
    "dpm++, with eta above 0 or a student ddim",
    sampler_names, PARAM_MAY_BE_AUTO | PARAM_DIFFUSION_ONLY | PARAM_SAMPLES,
    0 },
  [PARAM_STEPS] = { "steps", PARAM_INTEGER, 1, NOISE_STEPS_MAX, 0, "",
    "diffusion: sampling steps; auto: as many as the model was made for", NULL,
    PARAM_MAY_BE_AUTO | PARAM_DIFFUSION_ONLY | PARAM_SAMPLES, 0 },
  [PARAM_ETA] = { "eta", PARAM_REAL, 0, 1, 0, "",
    "ddim: fresh noise at each step (0 none, 1 as much as ddpm)", NULL,
    PARAM_DIFFUSION_ONLY | PARAM_SAMPLES, 0 },
  [PARAM_CONTEXT] = { "context", PARAM_INTEGER, 0, CONTEXT_NOTES_MAX, -1,
    "notes", "diffusion: how many of the last notes each window goes on from; "
    "auto: in modes continue and bridge as many as the model takes, else none",
    NULL, PARAM_MAY_BE_AUTO | PARAM_DIFFUSION_ONLY | PARAM_SAMPLES, 0 },
  [PARAM_MUTATE_STRENGTH] = { "mutate_strength", PARAM_REAL, 0.05, 1, 0.4, "",
    "mutate, respond: how much of the phrase turns to noise first (1 forgets "
    "it)", NULL, PARAM_DIFFUSION_ONLY | PARAM_SAMPLES, 0 },
  [PARAM_LISTEN] = { "listen", PARAM_CHOICE, 0, LISTEN_SEED, LISTEN_OFF, "",
    "what you play at meander:control is for; respond: it falls silent, then "
    "answers; follow: it moves towards it; seed: it goes on from it",
    listen_names, PARAM_RIG, 0 },
  [PARAM_ECHO] = { "echo", PARAM_CHOICE, 0, 1, 0, "",
    "on: what you play at meander:control sounds as well", switch_names,
    PARAM_RIG, 0 },
  [PARAM_KEY] = { "key", PARAM_CHOICE, 0, SCALE_KEY_COUNT - 1, 0, "",
    "where the scale begins", scale_key_names, PARAM_SAMPLES, 0 },
  [PARAM_SCALE] = { "scale", PARAM_CHOICE, 0, SCALE_COUNT - 1, SCALE_CHROMATIC,
    "", "the only keys that sound, also after --transpose", scale_names,
    PARAM_SAMPLES, 0 },
  [PARAM_SCALE_STRENGTH] = { "scale_strength", PARAM_REAL, 0, 1, 1, "",
    "how much rarer keys out of the scale become: 1 never, 0 as the model "
    "likes", NULL, PARAM_SAMPLES, 0 },
  [PARAM_TEMPO] = { "tempo", PARAM_REAL, 0.25, 4, 1, "times",
    "speed; scales steps and durations", NULL,
    PARAM_FACTOR, 0.1 },
  [PARAM_DENSITY] = { "density", PARAM_REAL, 0.25, 4, 1, "times",
    "notes in a time; scales steps, not durations", NULL,
    PARAM_FACTOR, 0.1 },
  [PARAM_DYNAMICS] = { "dynamics", PARAM_REAL, 0.1, 4, 1, "times",
    "loudness; scales velocities", NULL,
    PARAM_FACTOR, 0.05 },
  [PARAM_VELOCITY_LOW] = { "velocity_low", PARAM_INTEGER, 1, 127, 1, "",
    "softest velocity", NULL, 0, 0 },
  [PARAM_VELOCITY_HIGH] = { "velocity_high", PARAM_INTEGER, 1, 127, 127, "",
    "loudest velocity", NULL, 0, 0 },
  [PARAM_REGISTER_LOW] = { "register_low", PARAM_INTEGER, 0, 127, 21, "key",
    "lowest key; notes below move up by octaves", NULL, 0, 0 },
  [PARAM_REGISTER_HIGH] = { "register_high", PARAM_INTEGER, 0, 127, 108, "key",
    "highest key; notes above move down by octaves", NULL, 0, 0 },
  [PARAM_TRANSPOSE] = { "transpose", PARAM_INTEGER, -48, 48, 0, "semitones",
    "moves every note, before the register folds it", NULL, PARAM_SAMPLES, 0 },
  [PARAM_CHANNEL] = { "channel", PARAM_INTEGER, 1, 16, 1, "",
    "MIDI channel", NULL, PARAM_RIG, 0 },
  [PARAM_MUTE] = { "mute", PARAM_CHOICE, 0, 1, 0, "",
    "on: plays on without a sound", switch_names, PARAM_RIG, 0 },
  [PARAM_SYNC] = { "sync", PARAM_CHOICE, 0, SYNC_MIDI, SYNC_FREE, "",
    "whose beat it keeps; free: its own; jack: the transport's (starts, stops, "
    "relocates, tempo); midi: MIDI clock at meander:control", sync_names,
    PARAM_RIG, 0 },
  [PARAM_BPM] = { "bpm", PARAM_REAL, 20, 300, 120, "beats/min",
    "the beat in free sync; music keeps its own pace at 120", NULL, PARAM_RIG,
    0.1 },
  [PARAM_BEATS_PER_BAR] = { "beats_per_bar", PARAM_INTEGER, 1, 16, 4, "beats",
    "length of a bar, where nobody else tells it", NULL, PARAM_RIG, 0 },
  [PARAM_COUNT_IN] = { "count_in", PARAM_INTEGER, 0, 8, 0, "bars",
    "rest before the music begins", NULL, PARAM_RIG, 0 },
  [PARAM_CLOCK_OUT] = { "clock_out", PARAM_CHOICE, 0, 1, 0, "",
    "on: MIDI clock goes out at meander:notes", switch_names, PARAM_RIG, 0 },
  [PARAM_LATENCY] = { "latency", PARAM_REAL, -200, 200, 0, "ms",
    "moves all notes: later, or below 0 earlier", NULL, PARAM_RIG, 0 },
  [PARAM_QUANTISE] = { "quantise", PARAM_REAL, 0, 1, 0, "",
    "how far onsets are pulled to the grid (1: on it)", NULL, 0, 0 },
  [PARAM_GRID] = { "grid", PARAM_CHOICE, 0, GRID_COUNT - 1, 3, "",
    "note value of the grid; t: triplets", grid_names, 0, 0 },
  [PARAM_SWING] = { "swing", PARAM_REAL, 0, 1, 0, "",
    "how late each second place of the grid comes (1: by half a place)", NULL,
    0, 0 },
  [PARAM_FREEZE] = { "freeze", PARAM_CHOICE, 0, 1, 0, "",
    "on: the last beats come again and again", switch_names, PARAM_RIG, 0 },
  [PARAM_LOOP_BEATS] = { "loop_beats", PARAM_REAL, 1, 32, 4, "beats",
    "freeze: how many beats", NULL, 0, 0 },
  [PARAM_PROGRAM_CHANGE] = { "program_change", PARAM_CHOICE, 0,
    PROGRAM_CHECKPOINT, PROGRAM_PRESET, "",
    "what a Program Change at meander:control chooses, by number from 0",
    program_names, PARAM_RIG, 0 },
  [PARAM_PICKUP] = { "pickup", PARAM_CHOICE, 0, 1, 1, "",
    "on: a knob takes hold as it meets the value that stands; off: the value "
    "jumps to the knob", switch_names, PARAM_RIG, 0 },
  [PARAM_PHRASE_PAUSE] = { "phrase_pause", PARAM_REAL, 0.1, 4, 0.5, "s",
    "listen: what you play ends when no key was held for so long", NULL,
    PARAM_RIG, 0 },
};
// clang-format on

Params
params_standard(void)
{
  Params params;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    params.value[id] = param_table[id].standard;
  }
  return params;
}

void
params_dashed_name(ParamId id, char text[PARAM_NAME_BYTES])
{
  snprintf(text, PARAM_NAME_BYTES, "%s", param_table[id].name);
  for (char* c = text; *c; ++c) {
    *c = *c == '_' ? '-' : *c;
  }
}

bool
params_is_auto(const Params* params, ParamId id)
{
  return params->value[id] < param_table[id].low;
}

bool
params_need_diffusion(const Params* params, ParamId id)
{
  return id == PARAM_MODE ? params->value[id] >= GENERATOR_CONTINUE
                          : param_table[id].flags & PARAM_DIFFUSION_ONLY &&
                              params->value[id] != param_table[id].standard;
}

ParamId
params_find(const char* name)
{
  int id = 0;
  while (id < PARAM_COUNT && strcmp(param_table[id].name, name)) {
    ++id;
  }
  return (ParamId)id;
}

Status
params_set_number(Params* params, ParamId id, double value, Error* error)
{
  const ParamInfo* const info = &param_table[id];
  if (info->type == PARAM_CHOICE) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s is a number, use one of its names",
                     info->name);
  }
  if (info->type == PARAM_INTEGER && value != floor(value)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s is %g, use a whole number",
                     info->name,
                     value);
  }
  if (!(value >= info->low && value <= info->high)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s is %g, out of its range %g to %g",
                     info->name,
                     value,
                     info->low,
                     info->high);
  }
  params->value[id] = value;
  return STATUS_OK;
}

static Status
set_choice(Params* params, ParamId id, const char* text, Error* error)
{
  const ParamInfo* const info       = &param_table[id];
  char                   names[160] = "";
  for (int i = 0; i <= (int)info->high; ++i) {
    if (!strcmp(info->choices[i], text)) {
      params->value[id] = i;
      return STATUS_OK;
    }
    strncat(names, i ? ", " : "", sizeof names - strlen(names) - 1);
    strncat(names, info->choices[i], sizeof names - strlen(names) - 1);
  }
  if (info->flags & PARAM_MAY_BE_AUTO) {
    strncat(names, ", auto", sizeof names - strlen(names) - 1);
  }
  return error_set(error,
                   STATUS_BAD_ARGUMENT,
                   "%s is '%.40s', use one of %s",
                   info->name,
                   text,
                   names);
}

Status
params_set_text(Params* params, ParamId id, const char* text, Error* error)
{
  if (param_table[id].flags & PARAM_MAY_BE_AUTO && !strcmp(text, "auto")) {
    params->value[id] = param_table[id].low - 1;
    return STATUS_OK;
  }
  if (param_table[id].type == PARAM_CHOICE) {
    return set_choice(params, id, text, error);
  }
  char*        end;
  const double value = strtod(text, &end);
  if (end == text || *end) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s is '%.40s', use a number",
                     param_table[id].name,
                     text);
  }
  return params_set_number(params, id, value, error);
}

Status
params_check(const Params* params, Error* error)
{
  const double* const v = params->value;
  if (v[PARAM_VELOCITY_LOW] > v[PARAM_VELOCITY_HIGH]) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "velocity_low is %g, above velocity_high at %g",
                     v[PARAM_VELOCITY_LOW],
                     v[PARAM_VELOCITY_HIGH]);
  }
  if (v[PARAM_REGISTER_HIGH] - v[PARAM_REGISTER_LOW] < 11) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "the register from %g to %g is less than an octave wide",
                     v[PARAM_REGISTER_LOW],
                     v[PARAM_REGISTER_HIGH]);
  }
  if (v[PARAM_ETA] > 0 && !params_is_auto(params, PARAM_SAMPLER) &&
      v[PARAM_SAMPLER] != SAMPLER_DDIM) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "eta is %g, which only the sampler ddim knows: use "
                     "--sampler ddim or --eta 0",
                     v[PARAM_ETA]);
  }
  return STATUS_OK;
}

// Choices and whole numbers that a knob steps through; 0 for the others.
static double
places(const ParamInfo* info)
{
  return info->type == PARAM_REAL ? 0 : info->high - info->low + 1;
}

// Exact at both ends and in the middle.
static double
factor_at(const ParamInfo* info, double of)
{
  return of <= 0   ? info->low
         : of >= 1 ? info->high
                   : pow(of < 0.5 ? info->low : info->high, fabs(2 * of - 1));
}

static double
factor_share(const ParamInfo* info, double value)
{
  return value < 1 ? 0.5 - 0.5 * log(fmax(value, info->low)) / log(info->low)
                   : 0.5 + 0.5 * log(value) / log(info->high);
}

void
params_set_share(Params* params, ParamId id, double share)
{
  const ParamInfo* const info  = &param_table[id];
  const double           of    = fmin(fmax(share, 0), 1);
  const double           count = places(info);
  params->value[id] = info->flags & PARAM_FACTOR ? factor_at(info, of)
                      : count ? info->low + fmin(floor(of * count), count - 1)
                              : info->low + of * (info->high - info->low);
}

double
params_share(const Params* params, ParamId id)
{
  const ParamInfo* const info  = &param_table[id];
  const double           count = places(info);
  const double           above = fmax(params->value[id] - info->low, 0);
  return info->flags & PARAM_FACTOR ? factor_share(info, params->value[id])
         : count > 1                ? above / (count - 1)
         : count                    ? 0
                                    : above / (info->high - info->low);
}

void
params_format(const Params* params, ParamId id, char* text, size_t size)
{
  const ParamInfo* const info = &param_table[id];
  if (params_is_auto(params, id)) {
    snprintf(text, size, "auto");
  } else if (info->type == PARAM_CHOICE) {
    snprintf(text, size, "%s", info->choices[(int)params->value[id]]);
  } else {
    snprintf(text, size, "%g", params->value[id]);
  }
}
