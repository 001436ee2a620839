// What the parity tests share: a device is held against the CPU, the
// specification, op by op on the same numbers. They use nothing of the device
// but kernels.h, so that they run on a GPU and on the emulator alike. One
// thread.
#pragma once

#include "kernels.h"

#include <stdlib.h>

// Opens the device under test: what a test is linked with says which.
// STATUS_UNSUPPORTED: this machine has none, and the test is skipped.
Status parity_open(Device** out, Error* error);

// Whether a case's `size`-th size is tried in a layout of so many. An emulator
// is slow: with $PARITY_QUICK set, all but the first sizes take turns.
static inline bool
parity_tries(uint32_t size, uint32_t layout, uint32_t layouts)
{
  return !getenv("PARITY_QUICK") || size < 5 || size % layouts == layout;
}

#define PARITY_SKIPPED 77 // meson's exit code of a skipped test
