// Counts what is read back from a device: each time its owner waits for it. One
// device at a time, until it is closed. One thread.
#pragma once

#include "device.h"

static uint32_t  reads;
static DeviceOps counted_ops;
static void (*uncounted_read)(Device*, Tensor source, float* destination);

static inline void
counted_read(Device* device, Tensor source, float* destination)
{
  ++reads;
  uncounted_read(device, source, destination);
}

static inline void
count_reads(Device* device)
{
  counted_ops      = *device->ops;
  uncounted_read   = counted_ops.read;
  counted_ops.read = counted_read;
  device->ops      = &counted_ops;
  reads            = 0;
}
