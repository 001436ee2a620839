// The order in which a training run visits its units, epoch by epoch: a pure
// function of (seed, step). One thread at a time makes an order; any may read.
#pragma once

#include "status.h"

#include <stdint.h>

typedef struct {
  uint32_t* order;
  uint64_t  count;
  uint32_t  batch;           // units of a step
  uint32_t  steps_per_epoch; // at least 1; what fills no batch is left out
  uint64_t  epoch;           // whose order it is; UINT64_MAX: none yet
} Shuffle;

// `what` names the units in errors: "windows".
Status shuffle_init(Shuffle*    shuffle,
                    uint64_t    count,
                    uint32_t    batch,
                    const char* what,
                    Error*      error);
void   shuffle_free(Shuffle* shuffle);
// Makes the order of `epoch`, a permutation drawn from (seed, epoch).
void shuffle_epoch(Shuffle* shuffle, uint64_t seed, uint64_t epoch);

// The number of the first unit of a step: number n is the unit order[n % count]
// of epoch n / count.
uint64_t shuffle_first(const Shuffle* shuffle, uint32_t step);
