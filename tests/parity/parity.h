// What the parity tests share: a device is held against the CPU, the
// specification, op by op on the same numbers. They use nothing of the device
// but kernels.h, so that they run on a GPU and on the emulator alike. One
// thread.
#pragma once

#include "kernels.h"

// Opens the device under test: what a test is linked with says which.
// STATUS_UNSUPPORTED: this machine has none, and the test is skipped.
Status parity_open(Device** out, Error* error);

#define PARITY_SKIPPED 77 // meson's exit code of a skipped test
