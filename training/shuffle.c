// The order in which a training run visits its units.
#include "shuffle.h"

#include "rng.h"

#include <stdlib.h>

Status
shuffle_init(Shuffle*    shuffle,
             uint64_t    count,
             uint32_t    batch,
             const char* what,
             Error*      error)
{
  *shuffle = (Shuffle){ .count = count, .batch = batch, .epoch = UINT64_MAX };
  if (count < 1 || count > UINT32_MAX) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "the data set has %llu training %s; it needs 1 to 2^32",
                     (unsigned long long)count,
                     what);
  }
  shuffle->steps_per_epoch = (uint32_t)(count / batch);
  if (shuffle->steps_per_epoch == 0) {
    shuffle->steps_per_epoch = 1;
  }
  shuffle->order = malloc(count * sizeof *shuffle->order);
  return shuffle->order ? STATUS_OK
                        : error_set(error,
                                    STATUS_NO_MEMORY,
                                    "no memory to shuffle %llu %s",
                                    (unsigned long long)count,
                                    what);
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
  for (uint64_t i = 0; i < shuffle->count; ++i) {
    shuffle->order[i] = (uint32_t)i;
  }
  for (uint64_t i = shuffle->count - 1; i > 0; --i) {
    const uint32_t j    = rng_below(&rng, (uint32_t)i + 1);
    const uint32_t held = shuffle->order[i];
    shuffle->order[i]   = shuffle->order[j];
    shuffle->order[j]   = held;
  }
  shuffle->epoch = epoch;
}

uint64_t
shuffle_first(const Shuffle* shuffle, uint32_t step)
{
  return (uint64_t)(step / shuffle->steps_per_epoch) * shuffle->count +
         (uint64_t)(step % shuffle->steps_per_epoch) * shuffle->batch;
}
