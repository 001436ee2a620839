// What parameters ask of a model, and whether it can do that.
#include "live/generator.h"

#include "music/scale.h"

GeneratorMode
generator_mode(const Model* model, const Params* params)
{
  if (!params_is_auto(params, PARAM_MODE)) {
    return (GeneratorMode)params->value[PARAM_MODE];
  }
  return model_kind(model) == MODEL_DIFFUSION ? GENERATOR_CONTINUE
                                              : GENERATOR_WALK;
}

static Status
check_kind(const Model* model, const Params* params, Error* error)
{
  int id = 0;
  while (id < PARAM_COUNT && !params_need_diffusion(params, (ParamId)id)) {
    ++id;
  }
  if (model_kind(model) == MODEL_DIFFUSION || id == PARAM_COUNT) {
    return STATUS_OK;
  }
  char text[32];
  params_format(params, (ParamId)id, text, sizeof text);
  return error_set(error,
                   STATUS_UNSUPPORTED,
                   "%s %s needs a diffusion model, this one is a %s: name one "
                   "of those that 'meander models' lists with --model FILE",
                   param_table[id].name,
                   text,
                   model_kind_name(model));
}

static SamplerKind
sampler_of(const Model* model, const Params* params)
{
  if (!params_is_auto(params, PARAM_SAMPLER)) {
    return (SamplerKind)params->value[PARAM_SAMPLER];
  }
  return params->value[PARAM_ETA] > 0 || model_student_steps(model)
           ? SAMPLER_DDIM
           : SAMPLER_DPM;
}

// A student was distilled for the jumps of one sampler; with another, or fresh
// noise, its notes are none that it learnt.
static Status
check_student(const Model* model, const Params* params, Error* error)
{
  const bool own =
    sampler_of(model, params) == SAMPLER_DDIM && params->value[PARAM_ETA] == 0;
  return own || !model_student_steps(model)
           ? STATUS_OK
           : error_set(error,
                       STATUS_UNSUPPORTED,
                       "this model is a student made for the sampler ddim with "
                       "eta 0: use --sampler ddim --eta 0, or its teacher");
}

// Room for notes before a window.
static uint32_t
context_room(const Model* model, const Params* params)
{
  const bool     bridge = generator_mode(model, params) == GENERATOR_BRIDGE;
  const uint32_t after  = bridge ? GENERATOR_BRIDGE_AFTER : 0;
  const uint32_t most   = model_context_max(model);
  return most > after ? most - after : 0;
}

Status
generator_check(const Model* model, const Params* params, Error* error)
{
  Status status = check_kind(model, params, error);
  if (status || (status = check_student(model, params, error))) {
    return status;
  }
  const double steps   = params->value[PARAM_STEPS];
  const double context = params->value[PARAM_CONTEXT];
  const bool   bridge  = generator_mode(model, params) == GENERATOR_BRIDGE;
  if (steps > model_steps_max(model)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "steps is %g, above the %u steps of the model's schedule: "
                     "use fewer",
                     steps,
                     model_steps_max(model));
  }
  if (context > context_room(model, params)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "context is %g notes, this model takes at most %u in this "
                     "mode%s: use fewer",
                     context,
                     context_room(model, params),
                     bridge ? ", which leads to 8 more" : "");
  }
  if (bridge && model_context_max(model) < GENERATOR_BRIDGE_AFTER) {
    return error_set(error,
                     STATUS_UNSUPPORTED,
                     "mode bridge needs a model that takes %u notes of "
                     "context, this one takes %u",
                     GENERATOR_BRIDGE_AFTER,
                     model_context_max(model));
  }
  return STATUS_OK;
}

Params
generator_fit(const Model* model, const Params* params)
{
  Params fit = *params;
  Error  none;
  for (int id = 0; id < PARAM_COUNT; ++id) {
    if (model_kind(model) != MODEL_DIFFUSION &&
        params_need_diffusion(params, (ParamId)id)) {
      fit.value[id] = param_table[id].standard;
    }
  }
  static const ParamId hard[] = {
    PARAM_SAMPLER, PARAM_ETA, PARAM_STEPS, PARAM_CONTEXT, PARAM_MODE
  };
  for (size_t i = 0; i < sizeof hard / sizeof *hard; ++i) {
    if (!generator_check(model, &fit, &none)) {
      break;
    }
    fit.value[hard[i]] = param_table[hard[i]].standard;
  }
  return fit;
}

static uint32_t
context_of(const Model* model, const Params* params)
{
  const GeneratorMode mode = generator_mode(model, params);
  if (!params_is_auto(params, PARAM_CONTEXT)) {
    return (uint32_t)params->value[PARAM_CONTEXT];
  }
  return mode == GENERATOR_CONTINUE || mode == GENERATOR_BRIDGE
           ? context_room(model, params)
           : 0;
}

static uint16_t
forbidden_classes(const Params* params)
{
  const uint16_t sounding = scale_classes((Scale)params->value[PARAM_SCALE],
                                          (unsigned)params->value[PARAM_KEY]);
  // The model's notes are transposed later.
  const int up = (int)params->value[PARAM_TRANSPOSE];
  return SCALE_ALL_CLASSES & (uint16_t)~scale_transpose(sounding, -up);
}

static void
set_request(Generator*    generator,
            const Model*  model,
            const Params* params,
            uint64_t      seed)
{
  const double* const v = params->value;
  generator->request    = (ModelRequest){
       .count       = 1,
       .temperature = (float)v[PARAM_TEMPERATURE],
       .seed        = seed,
       .sampler     = sampler_of(model, params),
       .steps = params_is_auto(params, PARAM_STEPS) ? model_steps_default(model)
                                                    : (uint32_t)v[PARAM_STEPS],
       .eta   = (float)v[PARAM_ETA],
       .forbidden_classes = forbidden_classes(params),
       .forbidden_share   = (float)(1.0 - v[PARAM_SCALE_STRENGTH]),
  };
}

// A knob that says otherwise where to set out from, or where to be.
static bool
moves_path(const Generator* generator, const Params* params)
{
  const double* const v = params->value;
  const float         position =
    params_is_auto(params, PARAM_POSITION) ? -1.0f : (float)v[PARAM_POSITION];
  return position != generator->state.origin_position ||
         generator->from_point != (uint32_t)v[PARAM_FROM_POINT];
}

void
generator_set(Generator* generator, const Model* model, const Params* params)
{
  const double* const   v     = params->value;
  const uint32_t        size  = model_latent_size(model);
  GeneratorState* const state = &generator->state;
  if (generator->model && size != generator->latent_size) {
    model_sample_prior(model, generator->seed, state->window, 1, state->z);
    state->target_windows = 0;
    state->set_out        = false;
  }
  state->set_out         = state->set_out && !moves_path(generator, params);
  generator->model       = model;
  generator->mode        = generator_mode(model, params);
  generator->walk_step   = (float)v[PARAM_WALK_STEP];
  generator->pull        = (float)v[PARAM_PULL];
  generator->leg_windows = (uint32_t)v[PARAM_LEG_WINDOWS];
  generator->from_point  = (uint32_t)v[PARAM_FROM_POINT];
  generator->to_point    = (uint32_t)v[PARAM_TO_POINT];
  generator->position =
    params_is_auto(params, PARAM_POSITION) ? -1.0f : (float)v[PARAM_POSITION];
  generator->hold        = v[PARAM_HOLD] > 0;
  generator->strength    = (float)v[PARAM_MUTATE_STRENGTH];
  generator->context     = context_of(model, params);
  generator->latent_size = size;
  set_request(generator, model, params, generator->seed);
}
