// One named weight of a network. All weights of a network are views of one flat
// tensor [1, N], in the order of its table; its gradients likewise. Pure data.
#pragma once

#include "kernels.h"

#include <stddef.h>

typedef struct {
  char     name[40];
  uint32_t rows;
  uint32_t columns;
  size_t   offset; // floats from the start of the flat tensor
} Parameter;

static inline Tensor
parameter_view(const Parameter* parameter, Tensor flat)
{
  return tensor_reshape(
    flat, parameter->offset, parameter->rows, parameter->columns);
}
