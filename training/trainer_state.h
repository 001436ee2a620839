// The state of a VAE training run. A step is a pure function of (data set,
// recipe, state); lanes are parts of the batch, each with its own device and
// gradient, summed in a fixed order. Main thread; lanes run in the Pool.
#pragma once

#include "batch.h"
#include "latent_prior.h"
#include "pool.h"
#include "recipe.h"

typedef struct {
  Device*  device;
  Vae*     vae;   // lane 0 owns the weights
  uint32_t chunk; // windows of one pass
  float*   pitch;
  float*   channels;
  float*   force;
  VaeLoss  loss; // of the last step
} Lane;

typedef struct {
  VaeRecipe      recipe;
  const Dataset* dataset;
  Shuffle        shuffle;
  Pool*          pool;
  Lane           lanes[RECIPE_LANES_MAX];
  Parameter   table[VAE_PARAMETER_COUNT];
  Tensor         average; // flat [1, N], as the weights
  Vae*           judge;   // holds the averaged weights while a prior is fitted
  LatentPrior    prior;   // the last one fitted
  Tensor         moment1;
  Tensor         moment2;
  Tensor         square_sums; // [1, 1 + lanes]: whole, then each slice
  float          square_sums_host[1 + RECIPE_LANES_MAX];
  uint32_t       steps_per_epoch;
  uint32_t       step; // done so far
} Trainer;

typedef struct {
  float learning_rate;
  float beta;
  float forcing;
} Schedule;

// After a failure, trainer_close() is still owed.
Status trainer_open(Trainer*         trainer,
                    const VaeRecipe* recipe,
                    const Dataset*   dataset,
                    uint32_t         thread_count,
                    Error*           error);
void   trainer_close(Trainer* trainer);

Schedule trainer_schedule(const Trainer* trainer); // of the step to come

// One step. Adds the sums over the batch to `loss`.
Status trainer_step(Trainer* trainer,
                    VaeLoss* loss,
                    float*   gradient_norm,
                    Error*   error);

// The run directory's two files (vae_command.h).
Status trainer_save(Trainer* trainer, const char* directory, Error* error);
// Reads the recipe of DIRECTORY/state.safetensors, then (into an open Trainer
// of that recipe) its tensors and step. Refuses another data set.
Status trainer_read_recipe(const char* directory,
                           VaeRecipe*  recipe,
                           Error*      error);
Status trainer_load(Trainer* trainer, const char* directory, Error* error);
