// The backward pass of op_affine(), which every network has. Only models/.
#pragma once

#include "kernels.h"

// Adds to dweight and dbias; dx = dy weight + beta dx, where dx is not empty.
static inline void
affine_backward(Device* device,
                Tensor  x,
                Tensor  weight,
                Tensor  dy,
                Tensor  dweight,
                Tensor  dbias,
                float   beta,
                Tensor  dx)
{
  op_matmul(device, true, false, 1.0f, dy, x, 1.0f, dweight);
  op_sum_rows(device, dy, 1.0f, dbias);
  if (dx.data) {
    op_matmul(device, false, false, 1.0f, dy, weight, beta, dx);
  }
}
