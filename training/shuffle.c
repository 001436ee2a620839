// Steps and epochs of a training run.
#include "shuffle.h"

Status
shuffle_init(Shuffle*    shuffle,
             uint64_t    count,
             uint32_t    batch,
             const char* what,
             Error*      error)
{
  *shuffle = (Shuffle){ .count = count, .batch = batch };
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
  return STATUS_OK;
}

uint64_t
shuffle_epoch(const Shuffle* shuffle, uint32_t step)
{
  return step / shuffle->steps_per_epoch;
}

uint64_t
shuffle_first(const Shuffle* shuffle, uint32_t step)
{
  return shuffle_epoch(shuffle, step) * shuffle->count +
         (uint64_t)(step % shuffle->steps_per_epoch) * shuffle->batch;
}
