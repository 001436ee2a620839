// The part of a training run that does not know the network: lanes (parts of
// the batch, each with a device, a gradient and a turn in a Pool), their sum,
// clipping, LAMB or AdamW, the moving average, the learning rate. Everything is
// summed in lane order, so a step does not depend on the number of threads. A
// step waits for no device: what it came to is read by optimiser_check(). Main
// thread; lanes run in the Pool.
#pragma once

#include "parameter.h"
#include "pool.h"
#include "recipe.h"

// The seam for several GPUs or machines: makes lane 0's flat gradient the sum
// of all of theirs, by ops or waiting.
typedef void (*GradientReduce)(void* context, Device* device, Tensor gradient);

typedef struct {
  const RunRecipe* recipe;
  uint32_t         lanes; // on the CPU the recipe's, but no more than the
                          // batch; else 1
  char             device_text[DEVICE_WHY_BYTES]; // for people
  Pool*            pool;
  Device*          devices[RECIPE_LANES_MAX];
  const Parameter* table;
  uint32_t         parameter_count;
  Tensor           weights;                     // flat [1, N], of all lanes
  Tensor           gradients[RECIPE_LANES_MAX]; // flat [1, N] each
  Tensor           average;                     // of the weights
  Tensor           moment1;
  Tensor           moment2;
  Tensor           square_sums; // of the gradient
  GradientReduce   reduce;      // of this run with others; NULL: it is alone
  void*            reduce_context;
  // Lane i's segments: every lanes-th of the table.
  OptimiserSegment segments[RECIPE_LANES_MAX][OPTIMISER_SEGMENTS_MAX];
  uint32_t         segment_counts[RECIPE_LANES_MAX];
  Tensor           now;             // [1, OPTIMISER_NOW_FLOATS]
  uint32_t         step;            // done so far
  uint32_t         unchecked_steps; // since the last optimiser_check()
  float            gradient_norm;   // of the step before it
} Optimiser;

// Opens the devices and threads: `device` as device_open() has it; `recipe`
// lives as long as the Optimiser. After a failure, optimiser_close() is still
// owed.
Status optimiser_open(Optimiser*       optimiser,
                      const RunRecipe* recipe,
                      const char*      device,
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

// --- A step
//
// A lane makes its share of the batch in passes. Before each, what changes from
// pass to pass is written to tensors; the pass itself is ops alone, so that it
// is recorded and replayed (replay.h): they clear the gradient, draw and learn.
// Where one lane is all there is they also update, and a step in one pass is
// one launch of a GPU.

// Of the step to come.
float optimiser_rate(const Optimiser* optimiser);
// The part [share_begin(i), share_begin(i + 1)) of `total` that is lane i's.
uint32_t optimiser_share_begin(const Optimiser* optimiser,
                               uint32_t         total,
                               uint32_t         lane);
// Units of one forward and backward pass of a lane: its share, at most so many.
uint32_t optimiser_chunk(const Optimiser* optimiser,
                         uint32_t         cpu_chunk,
                         uint32_t         gpu_chunk);
void     optimiser_run(Optimiser* optimiser, PoolJob job, void* context);

// What a pass is to its step: part of a recording's key.
typedef struct {
  uint32_t clears;  // 1: a lane's first, so that the gradient begins at 0
  uint32_t updates; // 1: the only lane's last: the update is part of it
} OptimiserPart;
// Of a lane's pass over `count` units of the batch from `first` on.
OptimiserPart optimiser_part(const Optimiser* optimiser,
                             uint32_t         lane,
                             uint32_t         first,
                             uint32_t         count);
// The first and the last ops of a pass.
void optimiser_begin(Optimiser* optimiser, uint32_t lane, OptimiserPart part);
void optimiser_end(Optimiser* optimiser, OptimiserPart part);

// One step: `passes` makes a lane's. A gradient that is not finite changes
// nothing.
Status optimiser_step(Optimiser* optimiser,
                      PoolJob    passes,
                      void*      context,
                      Error*     error);
// Waits for the steps so far: sets gradient_norm. STATUS_BAD_ARGUMENT: since
// the last check a gradient was not finite.
Status optimiser_check(Optimiser* optimiser, Error* error);
