// The part of a training run that does not know the network: lanes (parts of
// the batch, each with a device, a gradient and a turn in a Pool), their sum,
// clipping, LAMB or AdamW, the moving average, the learning rate. Everything is
// summed in lane order, so a step does not depend on the number of threads.
// Main thread; lanes run in the Pool.
#pragma once

#include "parameter.h"
#include "pool.h"
#include "recipe.h"

typedef struct {
  const RunRecipe* recipe;
  Pool*            pool;
  Device*          devices[RECIPE_LANES_MAX];
  const Parameter* table;
  uint32_t         parameter_count;
  Tensor           weights;                     // flat [1, N], of all lanes
  Tensor           gradients[RECIPE_LANES_MAX]; // flat [1, N] each
  Tensor           average;                     // of the weights
  Tensor           moment1;
  Tensor           moment2;
  Tensor           square_sums; // [1, 1 + lanes]: whole, then each slice
  float            square_sums_host[1 + RECIPE_LANES_MAX];
  // Lane i's segments: every lanes-th of the table.
  OptimiserSegment segments[RECIPE_LANES_MAX][OPTIMISER_SEGMENTS_MAX];
  uint32_t         segment_counts[RECIPE_LANES_MAX];
  Tensor           now;  // [1, OPTIMISER_NOW_FLOATS]
  uint32_t         step; // done so far
} Optimiser;

// Opens the devices and threads; `recipe` lives as long as the Optimiser. After
// a failure, optimiser_close() is still owed.
Status optimiser_open(Optimiser*       optimiser,
                      const RunRecipe* recipe,
                      uint32_t         thread_count,
                      Error*           error);
// Takes the weights of networks made on those devices, all of which use lane
// 0's; the caller has set gradients[lane]. The average begins at the weights.
Status optimiser_bind(Optimiser*       optimiser,
                      const Parameter* table,
                      uint32_t         parameter_count,
                      Tensor           weights,
                      Error*           error);
// After the networks are freed.
void optimiser_close(Optimiser* optimiser);

// Of the step to come.
float optimiser_rate(const Optimiser* optimiser);
// The part [share_begin(i), share_begin(i + 1)) of `total` that is lane i's.
uint32_t optimiser_share_begin(const Optimiser* optimiser,
                               uint32_t         total,
                               uint32_t         lane);
void     optimiser_run(Optimiser* optimiser, PoolJob job, void* context);

// One step from the lanes' gradients. STATUS_BAD_ARGUMENT: they are not finite.
Status optimiser_step(Optimiser* optimiser, float* gradient_norm, Error* error);
