// A training recipe: the libconfig file of `meander-train vae --config`. Every
// key has a range; an unknown key or a value out of range is refused with the
// file and line. Main thread.
#pragma once

#include "vae.h"

typedef struct {
  VaeSizes sizes;
  uint32_t seed;
  uint32_t batch; // windows a step, at most RECIPE_BATCH_MAX
  uint32_t lanes; // parts that a batch is cut into, one thread each; fixed by
                  // the recipe because it sets the order of sums
  uint32_t steps;

  float    learning_rate; // peak; linear warm-up, then cosine decay to 2 %
  uint32_t warmup_steps;
  float    weight_decay; // of matrices; biases have none
  float    clip_norm;
  float    average_decay; // of the exponential moving average that is saved

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

  uint32_t transpose;       // +- semitones, drawn for each window
  float    tempo_spread;    // +- share, of steps and durations
  float    velocity_spread; // +- share

  uint32_t save_steps; // a checkpoint every so many steps
} VaeRecipe;

#define RECIPE_BATCH_MAX 4096u
#define RECIPE_LANES_MAX 64u

VaeRecipe recipe_default(void);
// Replaces the values that `path` gives.
Status recipe_read(const char* path, VaeRecipe* recipe, Error* error);
// The same from text; `name` stands for the path in errors.
Status recipe_read_text(const char* name,
                        const char* text,
                        VaeRecipe*  recipe,
                        Error*      error);
// All of them as the text of such a file, for the run directory and for
// provenance. `text` of at least RECIPE_TEXT_BYTES.
#define RECIPE_TEXT_BYTES 2048u
void recipe_print(const VaeRecipe* recipe, char* text);
