// The training of a VAE: the state of a run and one step of it. A step is a
// pure function of (data set, recipe, state); lanes are parts of the batch
// (optimiser.h). Main thread; lanes run in the Pool.
#pragma once

#include "batch.h"
#include "latent_prior.h"
#include "optimiser.h"

typedef struct {
  Vae*     vae;   // lane 0 owns the weights
  uint32_t chunk; // windows of one pass
  float*   pitch;
  float*   channels;
  float*   force;
  VaeLoss  loss; // of the last step
} VaeLane;

typedef struct {
  VaeRecipe      recipe;
  const Dataset* dataset;
  Shuffle        shuffle;
  Optimiser      optimiser;
  VaeLane        lanes[RECIPE_LANES_MAX];
  Parameter      table[VAE_PARAMETER_COUNT];
  Vae*           judge; // holds the averaged weights while a prior is fitted
  LatentPrior    prior; // the last one fitted
} VaeTrainer;

typedef struct {
  float learning_rate;
  float beta;
  float forcing;
} VaeSchedule;

// After a failure, vae_trainer_close() is still owed.
Status vae_trainer_open(VaeTrainer*      trainer,
                        const VaeRecipe* recipe,
                        const Dataset*   dataset,
                        uint32_t         thread_count,
                        Error*           error);
void   vae_trainer_close(VaeTrainer* trainer);

VaeSchedule vae_trainer_schedule(const VaeTrainer* trainer); // of the next step

// One step. Adds the sums over the batch to `loss`.
Status vae_trainer_step(VaeTrainer* trainer,
                        VaeLoss*    loss,
                        float*      gradient_norm,
                        Error*      error);

// The run directory's two files (training_run.h).
Status vae_trainer_save(VaeTrainer* trainer,
                        const char* directory,
                        Error*      error);
