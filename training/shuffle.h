// Which units of a data set a step of a training run visits, epoch by epoch: a
// pure function of (seed, step); the order within an epoch is draw_order()'s
// (kernels/draw.h). Any thread.
#pragma once

#include "status.h"

#include <stdint.h>

typedef struct {
  uint64_t count;
  uint32_t batch;           // units of a step
  uint32_t steps_per_epoch; // at least 1; what fills no batch is left out
} Shuffle;

// `what` names the units in errors: "windows".
Status shuffle_init(Shuffle*    shuffle,
                    uint64_t    count,
                    uint32_t    batch,
                    const char* what,
                    Error*      error);

uint64_t shuffle_epoch(const Shuffle* shuffle, uint32_t step);
// The number of the first unit of a step: number n is unit draw_order(n %
// count) of the step's epoch.
uint64_t shuffle_first(const Shuffle* shuffle, uint32_t step);
