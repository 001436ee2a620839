// The emulated GPU's own: what it was asked for (launches, writes, waits), and
// failures. One thread.
#pragma once

#include "emulator_control.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

// NULL where the GPU is none of the emulator's, or has not been opened yet.
static inline void*
emulated_symbol(const char* name)
{
  const char* const path   = getenv("MEANDER_CUDA_MODULE");
  void* const       module = path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : NULL;
  return module ? dlsym(module, name) : NULL;
}

// False: it is not emulated.
static inline bool
emulated_counts(EmulatorCounts* out)
{
  void* const symbol = emulated_symbol("emulated_module_counts");
  EmulatorCounts (*counts)(void);
  memcpy(&counts, &symbol, sizeof counts);
  if (symbol) {
    *out = counts();
  }
  return symbol != NULL;
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

// The next call of CUDA fails with this cudaError_t. False: it is not emulated.
static inline bool
emulated_fail(int error)
{
  void* const symbol = emulated_symbol("emulated_module_fail_after");
  void (*fail_after)(int calls, int error);
  memcpy(&fail_after, &symbol, sizeof fail_after);
  if (symbol) {
    fail_after(1, error);
  }
  return symbol != NULL;
}

static inline void
emulated_heal(void)
{
  void* const symbol = emulated_symbol("emulated_module_heal");
  void (*heal)(void);
  memcpy(&heal, &symbol, sizeof heal);
  if (symbol) {
    heal();
  }
}
