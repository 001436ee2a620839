// Windows of a data set, shuffled, augmented and encoded for the network.
#include "batch.h"

#include "encoding.h"
#include "rng.h"

#include <stdlib.h>

Status
shuffle_init(Shuffle* shuffle, const Dataset* dataset, Error* error)
{
  const uint64_t count = dataset_window_count(dataset, false);
  *shuffle = (Shuffle){ .window_count = count, .epoch = UINT64_MAX };
  if (count < 1 || count > UINT32_MAX) {
    return error_set(
      error,
      STATUS_BAD_FILE,
      "the data set has %llu training windows; it needs 1 to 2^32",
      (unsigned long long)count);
  }
  shuffle->order = malloc(count * sizeof *shuffle->order);
  return shuffle->order ? STATUS_OK
                        : error_set(error,
                                    STATUS_NO_MEMORY,
                                    "no memory to shuffle %llu windows",
                                    (unsigned long long)count);
}

void
shuffle_free(Shuffle* shuffle)
{
  free(shuffle->order);
  shuffle->order = NULL;
}

void
shuffle_epoch(Shuffle* shuffle, uint64_t seed, uint64_t epoch)
{
  if (shuffle->epoch == epoch) {
    return;
  }
  Rng rng = rng_make(seed, RNG_USE_BATCH, (1ull << 55) + epoch);
  for (uint64_t i = 0; i < shuffle->window_count; ++i) {
    shuffle->order[i] = (uint32_t)i;
  }
  for (uint64_t i = shuffle->window_count - 1; i > 0; --i) {
    const uint32_t j    = rng_below(&rng, (uint32_t)i + 1);
    const uint32_t held = shuffle->order[i];
    shuffle->order[i]   = shuffle->order[j];
    shuffle->order[j]   = held;
  }
  shuffle->epoch = epoch;
}

static float
spread(Rng* rng, float share)
{
  return 1.0f + share * (2.0f * rng_uniform(rng) - 1.0f);
}

// A transposition within +-range that keeps every pitch on the piano, or 0.
static int
draw_transposition(Rng* rng, uint32_t range, const NoteEvent* window)
{
  const int shift = (int)rng_below(rng, 2 * range + 1) - (int)range;
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    const int pitch = window[i].pitch + shift;
    if (pitch < 21 || pitch > 108) {
      return 0;
    }
  }
  return shift;
}

static void
augment(Rng* rng, const VaeRecipe* recipe, NoteEvent* window)
{
  const int   shift    = draw_transposition(rng, recipe->transpose, window);
  const float tempo    = spread(rng, recipe->tempo_spread);
  const float velocity = spread(rng, recipe->velocity_spread);
  for (int i = 0; i < WINDOW_NOTES; ++i) {
    window[i].pitch = (uint8_t)(window[i].pitch + shift);
    window[i].velocity *= velocity;
    // Notes of a chord stay a chord.
    window[i].step_s = window[i].step_s <= NOTE_STEP_MIN_S
                         ? NOTE_STEP_MIN_S
                         : window[i].step_s * tempo;
    window[i].duration_s *= tempo;
    window[i] = note_event_clamp(window[i]);
  }
}

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
    Rng            rng    = rng_make(recipe->seed, RNG_USE_BATCH, number);
    NoteEvent      window[WINDOW_NOTES];
    const uint32_t index = shuffle->order[number % shuffle->window_count];
    dataset_window(
      dataset, false, index, rng_below(&rng, WINDOW_NOTES), window);
    augment(&rng, recipe, window);
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
