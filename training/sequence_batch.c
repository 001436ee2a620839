// Passes of the diffusion model's training: their lengths, noise levels and
// jumps, and the draw of their notes.
#include "sequence_batch.h"

#include <math.h>
#include <stdlib.h>

// The shortest sequence of a pass, and so how many a slot holds at most.
#define SHORTEST_NOTES WINDOW_NOTES
#define SEQUENCES_A_SLOT (SEQUENCE_NOTES / SHORTEST_NOTES)
// Streams of a step's own draws, above those of slots.
#define STEP_STREAMS (1ull << 54)
#define JUMP_STREAMS (3ull << 53)

Status
sequence_pass_create(SequencePass* pass, uint32_t chunk, Error* error)
{
  const size_t sequences = (size_t)chunk * SEQUENCES_A_SLOT;
  *pass                  = (SequencePass){
                     .t    = malloc(sequences * sizeof(uint32_t)),
                     .next = malloc(sequences * sizeof(uint32_t)),
  };
  return pass->t && pass->next ? STATUS_OK
                               : error_set(error,
                                           STATUS_NO_MEMORY,
                                           "no memory for a training pass");
}

void
sequence_pass_free(SequencePass* pass)
{
  free(pass->t);
  free(pass->next);
}

static double
fraction(double x)
{
  return x - floor(x);
}

static uint32_t
length_at(double share)
{
  return share < 0.25 ? 8 : share < 0.375 ? 16 : share < 0.5 ? 24 : 32;
}

// What the whole pass has in common, and the noise levels.
static void
plan_pass(const DiffusionRecipe* recipe,
          const PassPlace*       place,
          SequencePass*          out)
{
  const DiffusionSettings* const settings = &recipe->settings;
  const uint64_t                 batch    = recipe->run.batch;
  const double share = (double)place->pass / place->pass_count;
  Rng          rng =
    rng_make(recipe->run.seed, RNG_USE_BATCH, STEP_STREAMS + place->step);
  const double level  = (double)rng_uniform(&rng);
  const double length = (double)rng_uniform(&rng);
  const bool   odd    = rng_below(&rng, 2);

  out->notes          = length_at(fraction(length + share));
  out->sequences      = place->count * (SEQUENCE_NOTES / out->notes);
  out->self_condition = settings->self_condition && place->pass % 2 == odd;
  out->first_sequence = (place->step * batch + place->first) * SEQUENCES_A_SLOT;
  for (uint32_t s = 0; s < out->sequences; ++s) {
    const double at = fraction(level + (s + share) / out->sequences);
    out->t[s]       = 1 + (uint32_t)(at * settings->noise_steps);
  }
}

// A jump over `steps` of the student's K grid steps, from a place on that grid
// where the jump fits.
static void
plan_grid_jumps(const DiffusionSettings* settings,
                uint32_t                 steps,
                double                   level,
                SequencePass*            out)
{
  const uint32_t k = settings->student_steps;
  for (uint32_t s = 0; s < out->sequences; ++s) {
    const double   at   = fraction(level + (double)s / out->sequences);
    const uint32_t from = steps + (uint32_t)(at * (k - steps + 1));
    out->t[s]           = settings->noise_steps * from / k;
    out->next[s]        = settings->noise_steps * (from - steps) / k;
  }
}

// From any level, any length up to one of the student's steps.
static void
plan_free_jumps(const DiffusionSettings* settings,
                Rng*                     rng,
                uint32_t                 substeps,
                SequencePass*            out)
{
  const uint32_t longest = settings->noise_steps / settings->student_steps;
  for (uint32_t s = 0; s < out->sequences; ++s) {
    const uint32_t jump = 1 + rng_below(rng, longest);
    uint32_t       t    = out->t[s];
    // Each substep moves by at least one.
    t            = t < substeps ? substeps : t;
    out->t[s]    = t;
    out->next[s] = jump < substeps ? t - substeps : t > jump ? t - jump : 0;
  }
}

static void
plan_jumps(const DiffusionRecipe* recipe,
           const PassPlace*       place,
           SequencePass*          out)
{
  const DiffusionSettings* const settings = &recipe->settings;
  const uint32_t                 k        = settings->student_steps;
  Rng                            rng      = rng_make(recipe->run.seed,
                     RNG_USE_BATCH,
                     JUMP_STREAMS + (uint64_t)place->step * place->pass_count +
                       place->pass);
  const uint32_t                 kind     = rng_below(&rng, 8);
  const double                   level    = (double)rng_uniform(&rng);
  out->substeps                           = recipe->teacher_substeps;
  if (kind < 3 || k == 1) {
    plan_grid_jumps(settings, 1, level, out);
  } else if (kind < 4) {
    out->substeps *= k > 2 ? 2 : k;
    plan_grid_jumps(settings, k > 2 ? 2 : k, level, out);
  } else if (kind < 6) {
    out->substeps *= k;
    plan_grid_jumps(settings, k, level, out);
  } else {
    plan_free_jumps(settings, &rng, out->substeps, out);
  }
}

void
sequence_pass_plan(const DiffusionRecipe* recipe,
                   const PassPlace*       place,
                   SequencePass*          out)
{
  plan_pass(recipe, place, out);
  if (recipe->settings.student_steps) {
    plan_jumps(recipe, place, out);
  }
}

DrawRule
sequence_rule(const DiffusionRecipe* recipe, const Dataset* dataset)
{
  DrawRule rule           = draw_source_rule(&recipe->run, dataset);
  rule.continuation_share = recipe->continuation_share;
  rule.prefix_share       = recipe->prefix_share;
  rule.infill_share       = recipe->infill_share;
  return rule;
}

void
sequence_pass_now(const DiffusionRecipe* recipe,
                  const PassPlace*       place,
                  float                  now[DRAW_NOW_FLOATS])
{
  draw_now(
    recipe->run.seed, place->order + place->first, place->epoch, 0.0f, now);
}
