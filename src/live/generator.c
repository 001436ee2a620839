// Paths through latent space.
#include "live/generator.h"

#include <math.h>
#include <stdbool.h>

// Prior draws are numbered apart by what they are for; a session has far fewer
// than 2^32 windows.
#define DRAWS_FOR_STEPS (1ull << 40)

void
generator_init(Generator*    generator,
               Model*        model,
               const Params* params,
               uint64_t      seed)
{
  *generator = (Generator){
    .model       = model,
    .mode        = (GeneratorMode)params->value[PARAM_MODE],
    .walk_step   = (float)params->value[PARAM_WALK_STEP],
    .leg_windows = (uint32_t)params->value[PARAM_LEG_WINDOWS],
    .temperature = (float)params->value[PARAM_TEMPERATURE],
    .seed        = seed,
    .latent_size = model_latent_size(model),
  };
}

// z' = rho z + sqrt(1 - rho^2) eps, where walk_step is sqrt(1 - rho^2) and eps
// a fresh draw: the walk stays on the (standard normal) prior however long it
// lasts.
static void
walk(Generator* generator)
{
  const float step = generator->walk_step;
  const float rho  = sqrtf(1.0f - step * step);
  float       eps[MODEL_LATENT_MAX];
  model_sample_prior(generator->model,
                     generator->seed,
                     DRAWS_FOR_STEPS + generator->window,
                     1,
                     eps);
  for (uint32_t i = 0; i < generator->latent_size; ++i) {
    generator->z[i] = rho * generator->z[i] + step * eps[i];
  }
}

static float
dot(const float* a, const float* b, uint32_t size)
{
  double sum = 0;
  for (uint32_t i = 0; i < size; ++i) {
    sum += (double)a[i] * b[i];
  }
  return (float)sum;
}

void
slerp(const float* a, const float* b, uint32_t size, float t, float* out)
{
  const float norms  = sqrtf(dot(a, a, size) * dot(b, b, size));
  const float cosine = norms > 0 ? dot(a, b, size) / norms : 1.0f;
  const float angle  = acosf(fminf(fmaxf(cosine, -1.0f), 1.0f));
  const float sine   = sinf(angle);
  // Nearly parallel or opposite: a great circle is not defined, a line is.
  const bool  line = sine < 1e-4f;
  const float wa   = line ? 1.0f - t : sinf((1.0f - t) * angle) / sine;
  const float wb   = line ? t : sinf(t * angle) / sine;
  for (uint32_t i = 0; i < size; ++i) {
    out[i] = wa * a[i] + wb * b[i];
  }
}

static void
interpolate(Generator* generator)
{
  const uint64_t leg  = generator->window / generator->leg_windows;
  const uint64_t step = generator->window % generator->leg_windows;
  float          ends[2 * MODEL_LATENT_MAX];
  model_sample_prior(generator->model, generator->seed, leg, 2, ends);
  slerp(ends,
        ends + generator->latent_size,
        generator->latent_size,
        (float)step / (float)generator->leg_windows,
        generator->z);
}

void
generator_step(Generator* generator)
{
  if (generator->mode == GENERATOR_INTERPOLATE) {
    interpolate(generator);
  } else if (generator->mode == GENERATOR_WALK && generator->window) {
    walk(generator);
  } else {
    model_sample_prior(
      generator->model, generator->seed, generator->window, 1, generator->z);
  }
  ++generator->window;
}

Status
generator_next(Generator* generator, NoteEvent out[WINDOW_NOTES], Error* error)
{
  const uint64_t window = generator->window;
  generator_step(generator);
  return model_decode(generator->model,
                      generator->z,
                      1,
                      generator->temperature,
                      generator->seed,
                      window,
                      out,
                      error);
}
