// What the tests of kernels share: tensors of noise and of poison on the device
// under test, gradients by finite differences, and the run over every CPU
// variant of this machine. One thread.
#pragma once

#include "kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 5u
#define COLUMNS 11u
#define MAXIMUM 20480u

static Device* device;

static inline Tensor
make(uint32_t rows, uint32_t columns, uint64_t stream)
{
  Tensor t;
  float  values[MAXIMUM];
  Rng    rng = rng_make(99, RNG_USE_TEST, stream);
  assert_true((size_t)rows * columns <= MAXIMUM);
  assert_int_equal(tensor_allocate(device, rows, columns, &t, NULL), STATUS_OK);
  rng_normals(&rng, values, (size_t)rows * columns);
  tensor_write(device, t, values);
  return t;
}

// A tensor of poison: what an op must fill, whatever was there.
static inline Tensor
poisoned(uint32_t rows, uint32_t columns)
{
  Tensor t;
  assert_int_equal(tensor_allocate(device, rows, columns, &t, NULL), STATUS_OK);
  op_fill(device, t, NAN);
  return t;
}

// A view of noise inside a larger tensor, whose memory *whole holds.
static inline Tensor
make_view(uint32_t rows, uint32_t columns, uint64_t stream, Tensor* whole)
{
  *whole = make(rows, columns + 3, stream);
  return tensor_columns(*whole, 1, columns);
}

static inline Tensor
make_values(uint32_t rows, uint32_t columns, const float* values)
{
  const Tensor t = poisoned(rows, columns);
  tensor_write(device, t, values);
  return t;
}

// Random numbers of (seed, first_index + row).
static inline Tensor
make_key(uint64_t seed, uint64_t first_index)
{
  float key[RNG_KEY_FLOATS];
  rng_key(seed, first_index, key);
  return make_values(1, RNG_KEY_FLOATS, key);
}

static inline Tensor
filled(uint32_t rows, uint32_t columns, float value)
{
  const Tensor t = poisoned(rows, columns);
  op_fill(device, t, value);
  return t;
}

static inline void
release(Tensor* tensors, size_t count)
{
  for (size_t i = 0; i < count; ++i) {
    tensor_free(device, &tensors[i]);
  }
}
#define RELEASE(...)                                                           \
  do {                                                                         \
    Tensor all_[] = { __VA_ARGS__ };                                           \
    release(all_, sizeof all_ / sizeof *all_);                                 \
  } while (0)

static inline void
assert_close(double a, double b, double tolerance)
{
  if (!(fabs(a - b) <= tolerance * (1.0 + fabs(b)))) {
    print_error("%s: %.9g is not %.9g\n", device_name(device), a, b);
    fail();
  }
}

// Sum of out * weight with fixed weights: a scalar to differentiate.
static inline double
dot(Tensor out, uint64_t stream)
{
  float values[MAXIMUM];
  float weights[MAXIMUM];
  Rng   rng = rng_make(7, RNG_USE_TEST, stream);
  rng_normals(&rng, weights, (size_t)out.rows * out.columns);
  tensor_read(device, out, values);
  double sum = 0.0;
  for (size_t i = 0; i < (size_t)out.rows * out.columns; ++i) {
    sum += (double)values[i] * (double)weights[i];
  }
  return sum;
}

// Those weights as the gradient of `out`.
static inline Tensor
dot_gradient(uint32_t rows, uint32_t columns, uint64_t stream)
{
  float weights[MAXIMUM];
  Rng   rng = rng_make(7, RNG_USE_TEST, stream);
  rng_normals(&rng, weights, (size_t)rows * columns);
  Tensor t;
  assert_int_equal(tensor_allocate(device, rows, columns, &t, NULL), STATUS_OK);
  tensor_write(device, t, weights);
  return t;
}

typedef double (*Loss)(void* context);

// gradient of loss with respect to x, against central differences.
static inline void
check_gradient(const char* what,
               Tensor      x,
               Tensor      gradient,
               Loss        loss,
               void*       context)
{
  float        values[MAXIMUM];
  float        ours[MAXIMUM];
  const size_t count = (size_t)x.rows * x.columns;
  tensor_read(device, x, values);
  tensor_read(device, gradient, ours);
  for (size_t i = 0; i < count; ++i) {
    const float held = values[i];
    const float step = 4e-3f;
    values[i]        = held + step;
    tensor_write(device, x, values);
    const double above = loss(context);
    values[i]          = held - step;
    tensor_write(device, x, values);
    const double below   = loss(context);
    values[i]            = held;
    const double numeric = (above - below) / (2.0 * (double)step);
    if (!(fabs(numeric - (double)ours[i]) <= 2e-3 + 0.01 * fabs(numeric))) {
      print_error("%s %s[%zu]: %g, by differences %g\n",
                  device_name(device),
                  what,
                  i,
                  (double)ours[i],
                  numeric);
      fail();
    }
  }
  tensor_write(device, x, values);
}

// The tensors of one case, for a Loss.
typedef struct {
  Tensor t[8];
} Context;

// The last op was refused, by its name.
static inline void
assert_refused(const char* op)
{
  Error error;
  assert_int_equal(device_status(device, &error), STATUS_BAD_ARGUMENT);
  assert_non_null(strstr(error.text, op));
  device_clear(device);
}

static inline int
run_on_all_variants(const struct CMUnitTest* tests, size_t count)
{
  int failed = 0;
  for (const char* const* variant = device_cpu_variants(); *variant;
       ++variant) {
    if (device_open_cpu(*variant, &device, NULL) != STATUS_OK) {
      continue;
    }
    print_message("variant %s\n", *variant);
    failed += _cmocka_run_group_tests(*variant, tests, count, NULL, NULL);
    device_close(device);
  }
  // A GPU, or what $MEANDER_CUDA_MODULE puts in its place.
  Error error;
  if (device_open("cuda", &device, NULL, &error) == STATUS_OK) {
    failed += _cmocka_run_group_tests("cuda", tests, count, NULL, NULL);
    device_close(device);
  } else if (getenv("MEANDER_CUDA_MODULE")) {
    print_error("%s\n", error.text);
    ++failed;
  }
  return failed;
}
