// What the emulated GPU was asked for: launches, writes, waits. One thread.
#pragma once

#include "emulator_control.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

// False where the GPU is none of the emulator's, or has not been opened yet.
static inline bool
emulated_counts(EmulatorCounts* out)
{
  const char* const path   = getenv("MEANDER_CUDA_MODULE");
  void* const       module = path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : NULL;
  void* const symbol = module ? dlsym(module, "emulated_module_counts") : NULL;
  EmulatorCounts (*counts)(void);
  memcpy(&counts, &symbol, sizeof counts);
  if (!symbol) {
    return false;
  }
  *out = counts();
  return true;
}

// What was asked since `before`.
static inline EmulatorCounts
emulated_since(EmulatorCounts before)
{
  EmulatorCounts now = before;
  emulated_counts(&now);
  return (EmulatorCounts){ .graphs = now.graphs - before.graphs,
                           .plain  = now.plain - before.plain,
                           .writes = now.writes - before.writes,
                           .waits  = now.waits - before.waits };
}
