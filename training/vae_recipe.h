// The recipe of `meander-train vae` (recipe.h). Pure data; any thread.
#pragma once

#include "recipe.h"
#include "vae.h"

typedef struct {
  RunRecipe run; // the unit of a batch is a window
  VaeSizes  sizes;

  float    channel_weight; // of the squared errors against the cross-entropy
  float    beta;           // KL weight after annealing
  uint32_t beta_steps;     // linear from 0
  float    free_bits;      // KL a window that costs nothing
  float    forcing_start;  // teacher forcing: probability at the first step
  float    forcing_end;    // and from forcing_steps on
  uint32_t forcing_steps;

  // Of the prior that is fitted to encoded training windows and saved with the
  // weights: its standard deviation over the fitted one
  // (models/latent_prior.h).
  float prior_spread;
} VaeRecipe;

extern const RecipeFormat vae_recipe_format;
VaeRecipe                 vae_recipe_default(void);
