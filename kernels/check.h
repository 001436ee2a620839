// The shape checks that every op passes before it reaches a device. Only the
// files of kernels/ that define ops include this.
#pragma once

#include "device.h"

// Records the first fault; `condition` is the shape rule in words.
static inline bool
check(Device* device, bool fits, const char* op, const char* rule)
{
  if (device->error.status != STATUS_OK) {
    return false;
  }
  if (!fits) {
    error_set(&device->error,
              STATUS_BAD_ARGUMENT,
              "%s: shapes do not fit: %s",
              op,
              rule);
  }
  return fits;
}

static inline bool
is(Tensor x, uint32_t rows, uint32_t columns)
{
  return x.data && rows && columns && x.rows == rows && x.columns == columns &&
         x.stride >= columns;
}

static inline bool
same(Tensor x, Tensor y)
{
  return is(x, x.rows, x.columns) && is(y, x.rows, x.columns);
}

// Runs the device's op when the rule holds; the rule's text is the message.
#define RUN(op, rule, ...)                                                     \
  do {                                                                         \
    if (check(device, (rule), #op, #rule)) {                                   \
      device->ops->op(device, __VA_ARGS__);                                    \
    }                                                                          \
  } while (0)
