// What the machine can do at most, measured in the same run as what is compared
// with it. One thread.
#pragma once

#include "clock.h"
#include "kernels.h"

#include <math.h>
#include <stdlib.h>

static inline int
by_value(const void* a, const void* b)
{
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

// Best of several passes of a matrix-vector product over `bytes` of weights:
// bytes a second.
static inline double
read_bandwidth(Device* device, size_t bytes)
{
  const uint32_t columns = 1024;
  const uint32_t rows    = (uint32_t)(bytes / sizeof(float) / columns);
  Tensor         w, x, y;
  if (tensor_allocate(device, rows, columns, &w, NULL) ||
      tensor_allocate(device, 1, columns, &x, NULL) ||
      tensor_allocate(device, 1, rows, &y, NULL)) {
    return NAN;
  }
  double best = INFINITY;
  for (int i = 0; i < 50; ++i) {
    const double start = clock_now_s();
    op_matmul(device, false, true, 1.0f, x, w, 0.0f, y);
    best = fmin(best, clock_now_s() - start);
  }
  tensor_free(device, &w);
  tensor_free(device, &x);
  tensor_free(device, &y);
  return (double)rows * columns * sizeof(float) / best;
}

// FLOP a second of one large product.
static inline double
product_rate(Device* device)
{
  enum { N = 1536 };
  Tensor a, b, c;
  if (tensor_allocate(device, N, N, &a, NULL) ||
      tensor_allocate(device, N, N, &b, NULL) ||
      tensor_allocate(device, N, N, &c, NULL)) {
    return NAN;
  }
  double best = INFINITY;
  for (int i = 0; i < 5; ++i) {
    const double start = clock_now_s();
    op_matmul(device, false, true, 1.0f, a, b, 0.0f, c);
    best = fmin(best, clock_now_s() - start);
  }
  tensor_free(device, &a);
  tensor_free(device, &b);
  tensor_free(device, &c);
  return 2.0 * N * N * (double)N / best;
}
