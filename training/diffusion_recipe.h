// The recipe of `meander-train diffusion` (recipe.h). Any thread.
#pragma once

#include "diffusion.h"
#include "recipe.h"

typedef struct {
  RunRecipe run; // the unit of a batch is a slot of SEQUENCE_NOTES notes
  DiffusionSettings settings;
  uint32_t          chunk; // on the CPU: slots of one forward and backward pass

  // Which notes of a sequence are given (sequence_batch.h); the rest of the
  // sequences, 1 minus these shares, have none.
  float continuation_share; // all but the last WINDOW_NOTES
  float prefix_share;       // a beginning of any length
  float infill_share;       // all but a run of notes anywhere

  float channel_weight; // of squared errors, and their least and greatest
  float snr_low;        // weight by noise level (diffusion.h)
  float snr_high;

  // Distilling (settings.student_steps above 0): steps of the teacher in one of
  // the student's.
  uint32_t teacher_substeps;

  uint32_t validate_steps; // held-out figures every so many steps
} DiffusionRecipe;

#define RECIPE_CHUNK_MAX 256u

extern const RecipeFormat diffusion_recipe_format;
DiffusionRecipe           diffusion_recipe_default(void);
// What no single key shows; completes the settings.
Status diffusion_recipe_check(DiffusionRecipe* recipe, Error* error);
