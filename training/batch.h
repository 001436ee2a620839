// Windows of a data set, shuffled, augmented and encoded for the VAE. A batch
// is a pure function of (data set, recipe, step), so that training can stop and
// go on anywhere. Any thread.
#pragma once

#include "dataset.h"
#include "shuffle.h"
#include "vae_recipe.h"

// Fills rows for `count` windows that are numbers first .. first + count of the
// whole training run (shuffle_first(); `shuffle` holds the order of one epoch,
// so the caller keeps a call within it). pitch[WINDOW_NOTES][count],
// channels[...][count][3], force[WINDOW_NOTES][count] with teacher forcing
// probability `forcing`.
void batch_fill(const Dataset*   dataset,
                const Shuffle*   shuffle,
                const VaeRecipe* recipe,
                uint64_t         first,
                uint32_t         count,
                float            forcing,
                float*           pitch,
                float*           channels,
                float*           force);
