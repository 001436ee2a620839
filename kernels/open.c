// Opening a device by name.
#include "device.h"

#include <stdio.h>
#include <string.h>

Status
device_open(const char* name, Device** out, char* why, Error* error)
{
  (void)name;
  const Status s = device_open_cpu(NULL, out, error);
  if (why && !s) {
    snprintf(why, DEVICE_WHY_BYTES, "%s (no CUDA module)", device_name(*out));
  }
  return s;
}
