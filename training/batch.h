// Windows of a data set, shuffled, augmented and encoded for the network. A
// batch is a pure function of (data set, recipe, step), so that training can
// stop and go on anywhere. One BatchMaker a thread.
#pragma once

#include "dataset.h"
#include "recipe.h"

// The order in which an epoch visits the training windows.
typedef struct {
  uint32_t* order;
  uint64_t  window_count;
  uint64_t  epoch; // whose order it is; UINT64_MAX: none yet
} Shuffle;

Status shuffle_init(Shuffle* shuffle, const Dataset* dataset, Error* error);
void   shuffle_free(Shuffle* shuffle);
// Makes the order of `epoch`, a permutation drawn from (seed, epoch).
void shuffle_epoch(Shuffle* shuffle, uint64_t seed, uint64_t epoch);

// Fills rows for `count` windows that are numbers first .. first + count of the
// whole training run (window n is number n % window_count of epoch n /
// window_count; `shuffle` holds the order of one epoch, so the caller keeps a
// call within it). pitch[WINDOW_NOTES][count], channels[...][count][3],
// force[WINDOW_NOTES][count] with teacher forcing probability `forcing`.
void batch_fill(const Dataset*   dataset,
                const Shuffle*   shuffle,
                const VaeRecipe* recipe,
                uint64_t         first,
                uint32_t         count,
                float            forcing,
                float*           pitch,
                float*           channels,
                float*           force);
