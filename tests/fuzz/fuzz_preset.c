// libFuzzer target: any bytes given as a preset are taken or refused in one
// line, never a crash, a leak or a read out of bounds; and what is taken can be
// saved and comes back as it was. tests/fuzz/run.sh builds it.
#include "control/preset.h"
#include "sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libconfig_leak.h"

#define PROMISE(condition)                                                     \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "broken promise: %s\n", #condition);                     \
      abort();                                                                 \
    }                                                                          \
  } while (0)

// In place of models/sampler.c, which would bring all kernels along.
const char* const sampler_names[] = { "ddpm", "ddim", "dpm++", NULL };

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size_bytes);

static void
check_trip(const Preset* preset)
{
  static Preset again;
  Error         error = { 0 };
  if (preset_save("saved", preset, NULL, &error)) {
    PROMISE(error.status == STATUS_LIMIT); // too many bindings for one file
    return;
  }
  PROMISE(!preset_load("saved", &again, &error));
  PROMISE(!memcmp(&again.params, &preset->params, sizeof again.params));
  PROMISE(!strcmp(again.description, preset->description));
  PROMISE(!strcmp(again.model, preset->model));
  PROMISE(again.binding_count == preset->binding_count);
  for (uint32_t i = 0; i < again.binding_count; ++i) {
    PROMISE(!strcmp(again.bindings[i], preset->bindings[i]));
  }
}

int
LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size_bytes)
{
  // A file in memory that has a path.
  static int    fd = -1;
  static char   path[64];
  static Preset preset;
  if (fd < 0) {
    fd = memfd_create("preset", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  }
  if (fd < 0 || ftruncate(fd, (off_t)size_bytes) ||
      pwrite(fd, bytes, size_bytes, 0) != (ssize_t)size_bytes) {
    abort();
  }
  Error error = { 0 };
  if (preset_load(path, &preset, &error)) {
    PROMISE(*error.text && !strchr(error.text, '\n'));
  } else {
    PROMISE(!params_check(&preset.params, &error));
    PROMISE(preset.binding_count <= PRESET_BINDINGS_MAX);
    check_trip(&preset);
  }
  return 0;
}
