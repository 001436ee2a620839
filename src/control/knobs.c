// Knobs that glide.
#include "control/knobs.h"

#include <math.h>

// From one value on the way to the next: each changes the plan.
#define GLIDE_S 0.02
// Nearer than this share of the range a glide has arrived.
#define ARRIVED 0.002

void
knobs_init(Knobs* knobs, const Params* params)
{
  *knobs = (Knobs){ .params = *params, .told = *params };
}

static Status
take(Knobs* knobs, const Params* changed, Error* error)
{
  const Status status = params_check(changed, error);
  if (status == STATUS_OK) {
    knobs->params = *changed;
  }
  return status;
}

// A low and the high above it, and how near they may come.
static const struct {
  ParamId low, high;
  double  apart;
} partners[] = { { PARAM_VELOCITY_LOW, PARAM_VELOCITY_HIGH, 0 },
                 { PARAM_REGISTER_LOW, PARAM_REGISTER_HIGH, 11 } };

// What is turned past its partner stops there: a controller goes on turning.
static void
stop_at_partner(Params* changed, ParamId id)
{
  double* const value = changed->value;
  for (size_t i = 0; i < sizeof partners / sizeof *partners; ++i) {
    const double most  = value[partners[i].high] - partners[i].apart;
    const double least = value[partners[i].low] + partners[i].apart;
    if (id == partners[i].low) {
      value[id] = fmin(value[id], most);
    } else if (id == partners[i].high) {
      value[id] = fmax(value[id], least);
    }
  }
}

Status
knobs_set(Knobs* knobs, ParamId id, double value, Error* error)
{
  Params                 changed = knobs->params;
  const ParamInfo* const info    = &param_table[id];
  if (info->type == PARAM_CHOICE) {
    // By number, as MIDI and OSC have it.
    if (!(value >= info->low && value <= info->high) || value != floor(value)) {
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "%s is number %g, it has names 0 to %g",
                       info->name,
                       value,
                       info->high);
    }
    changed.value[id] = value;
    return take(knobs, &changed, error);
  }
  const Status status = params_set_number(&changed, id, value, error);
  return status ? status : take(knobs, &changed, error);
}

Status
knobs_set_text(Knobs* knobs, ParamId id, const char* text, Error* error)
{
  Params       changed = knobs->params;
  const Status status  = params_set_text(&changed, id, text, error);
  return status ? status : take(knobs, &changed, error);
}

Status
knobs_set_share(Knobs* knobs, ParamId id, double share, Error* error)
{
  Params changed = knobs->params;
  if (!isfinite(share)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "%s: a share is a number from 0 to 1",
                     param_table[id].name);
  }
  params_set_share(&changed, id, share);
  stop_at_partner(&changed, id);
  return take(knobs, &changed, error);
}

Status
knobs_nudge(Knobs* knobs, ParamId id, double steps, Error* error)
{
  const ParamInfo* const info     = &param_table[id];
  Params                 changed  = knobs->params;
  double* const          value    = &changed.value[id];
  const bool             was_auto = params_is_auto(&changed, id);
  const bool             whole    = info->type != PARAM_REAL;
  const double           unit = whole ? 1.0 : (info->high - info->low) / 100.0;
  // What is auto stands one step below the lowest.
  const double low =
    info->flags & PARAM_MAY_BE_AUTO ? info->low - unit : info->low;
  double moved = (was_auto ? low : *value) + steps * unit;
  moved        = fmin(fmax(moved, low), info->high);
  moved        = whole ? round(moved) : moved;
  // A value below the range says auto, whichever it is.
  *value = moved < info->low - 0.5 * unit ? info->low - 1
           : moved < info->low            ? info->low
                                          : moved;
  stop_at_partner(&changed, id);
  return take(knobs, &changed, error);
}

void
knobs_set_all(Knobs* knobs, const Params* params)
{
  knobs->params = *params;
}

static double
next_value(const Knobs* knobs, ParamId id)
{
  const ParamInfo* const info = &param_table[id];
  const double           aim  = knobs->params.value[id];
  const double           now  = knobs->told.value[id];
  if (info->smoothing_s <= 0 || now < info->low || aim < info->low ||
      fabs(aim - now) < ARRIVED * (info->high - info->low)) {
    return aim;
  }
  return now + (aim - now) * (1.0 - exp(-GLIDE_S / info->smoothing_s));
}

void
knobs_turn(Knobs* knobs, double now_s, Worker* worker)
{
  const bool glides = now_s >= knobs->next_s;
  bool       moved  = false;
  for (int i = 0; i < PARAM_COUNT; ++i) {
    const ParamId id        = (ParamId)i;
    const bool    is_smooth = param_table[id].smoothing_s > 0;
    if (knobs->told.value[id] == knobs->params.value[id] ||
        (is_smooth && !glides)) {
      continue;
    }
    const double        value   = next_value(knobs, id);
    const WorkerCommand command = { .kind  = COMMAND_PARAM,
                                    .param = id,
                                    .value = value };
    if (!worker_command(worker, &command)) {
      return; // the ring is full: in the next turn
    }
    knobs->told.value[id] = value;
    moved                 = moved || is_smooth;
  }
  knobs->next_s = moved ? now_s + GLIDE_S : knobs->next_s;
}
