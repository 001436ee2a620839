// One named weight of a network. All weights of a network are views of one flat
// tensor [1, N], in the order of its table; its gradients likewise. Each begins
// on a 64-byte boundary, so that a device can read it by four; the floats
// between two are 0 and no weights. Pure.
#pragma once

#include "kernels.h"

#include <stddef.h>

typedef struct {
  char     name[40];
  uint32_t rows;
  uint32_t columns;
  size_t   offset; // floats from the start of the flat tensor
} Parameter;

static inline size_t
parameter_size(const Parameter* parameter)
{
  return (size_t)parameter->rows * parameter->columns;
}

static inline Tensor
parameter_view(const Parameter* parameter, Tensor flat)
{
  return tensor_reshape(
    flat, parameter->offset, parameter->rows, parameter->columns);
}

// Sets the offsets; returns N, the floats of the flat tensor.
size_t parameters_lay_out(Parameter* table, size_t count);
// The weights among them: those without what lies between.
size_t parameters_weights(const Parameter* table, size_t count);

// A flat tensor's floats to its weights alone, one after the other, and back
// (what lies between is not written).
void parameters_pack(const Parameter* table,
                     size_t           count,
                     const float*     flat,
                     float*           packed);
void parameters_spread(const Parameter* table,
                       size_t           count,
                       const float*     packed,
                       float*           flat);
