// The training of a VAE: the state of a run and one step of it. A step is a
// pure function of (data set, recipe, state); lanes are parts of the batch
// (optimiser.h). Main thread; lanes run in the Pool.
#pragma once

#include "draw_source.h"
#include "latent_prior.h"
#include "optimiser.h"
#include "replay.h"
#include "shuffle.h"
#include "vae_recipe.h"

typedef struct VaeTrainer VaeTrainer;

typedef struct {
  VaeTrainer* trainer;
  uint32_t    number;
  Vae*        vae;    // lane 0 owns the weights
  Tensor      now;    // [1, DRAW_NOW_FLOATS]
  Replay      passes; // recorded
} VaeLane;

struct VaeTrainer {
  VaeRecipe      recipe;
  const Dataset* dataset;
  Shuffle        shuffle;
  Optimiser      optimiser;
  DrawRule       rule;
  DrawSource     source; // of all lanes: those of the CPU share its memory
  uint32_t       chunk;  // windows of one pass
  VaeLane        lanes[RECIPE_LANES_MAX];
  Parameter      table[VAE_PARAMETER_COUNT];
  Vae*           judge; // holds the averaged weights while a prior is fitted
  LatentPrior    prior; // the last one fitted
};

typedef struct {
  float learning_rate;
  float beta;
  float forcing;
} VaeSchedule;

// After a failure, vae_trainer_close() is still owed.
Status vae_trainer_open(VaeTrainer*      trainer,
                        const VaeRecipe* recipe,
                        const Dataset*   dataset,
                        const char*      device,
                        uint32_t         thread_count,
                        Error*           error);
void   vae_trainer_close(VaeTrainer* trainer);

VaeSchedule vae_trainer_schedule(const VaeTrainer* trainer); // of the next step

// One step, which waits for no GPU.
Status vae_trainer_step(VaeTrainer* trainer, Error* error);
// Adds the sums over the batches since the last call; waits for the device.
void vae_trainer_take_loss(VaeTrainer* trainer, VaeLoss* loss);

// The run directory's two files (training_run.h).
Status vae_trainer_save(VaeTrainer* trainer,
                        const char* directory,
                        Error*      error);
