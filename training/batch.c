// Windows of a data set, shuffled, augmented and encoded for the VAE.
#include "batch.h"

#include "augment.h"
#include "encoding.h"

void
batch_fill(const Dataset*   dataset,
           const Shuffle*   shuffle,
           const VaeRecipe* recipe,
           uint64_t         first,
           uint32_t         count,
           float            forcing,
           float*           pitch,
           float*           channels,
           float*           force)
{
  for (uint32_t b = 0; b < count; ++b) {
    const uint64_t number = first + b;
    Rng            rng    = rng_make(recipe->run.seed, RNG_USE_BATCH, number);
    NoteEvent      window[WINDOW_NOTES];
    const uint32_t index = shuffle->order[number % shuffle->count];
    dataset_window(
      dataset, false, index, rng_below(&rng, WINDOW_NOTES), window);
    augment_notes(&rng, &recipe->run, window, WINDOW_NOTES);
    for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
      const size_t row = (size_t)t * count + b;
      encode_event(dataset_stats(dataset),
                   window[t],
                   &pitch[row],
                   channels + row * CHANNEL_COUNT);
      force[row] = rng_uniform(&rng) < forcing ? 1.0f : 0.0f;
    }
  }
}
