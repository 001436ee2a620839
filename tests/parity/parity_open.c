// The device under test: a GPU, or what $MEANDER_CUDA_MODULE puts in its place.
#include "parity.h"

Status
parity_open(Device** out, Error* error)
{
  return device_open("cuda", out, NULL, error);
}
