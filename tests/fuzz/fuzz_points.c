// libFuzzer target: any bytes given as the file of stored points are taken or
// put aside, never a crash, a leak, a read out of bounds or a lost byte; and
// what is taken comes back as it was. tests/fuzz/run.sh builds it.
#include "control/state_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libconfig_leak.h"

#define PROMISE(condition)                                                     \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "broken promise: %s\n", #condition);                     \
      abort();                                                                 \
    }                                                                          \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// In $XDG_STATE_HOME/meander, which run.sh makes.
static void
name_file(const char* name, char path[1024])
{
  snprintf(path, 1024, "%s/meander/%s", getenv("XDG_STATE_HOME"), name);
}

static void
write_file(const uint8_t* data, size_t size)
{
  char path[1024];
  name_file("points", path);
  FILE* const file = fopen(path, "wb");
  PROMISE(file && fwrite(data, 1, size, file) == size && !fclose(file));
}

static void
check_aside(const uint8_t* data, size_t size)
{
  char path[1024];
  name_file("points.bad", path);
  uint8_t* const kept = malloc(size + 1);
  FILE* const    file = fopen(path, "rb");
  PROMISE(file && kept);
  PROMISE(fread(kept, 1, size + 1, file) == size);
  PROMISE(!memcmp(kept, data, size));
  fclose(file);
  free(kept);
  unlink(path);
}

static void
check_trip(const PointSet* set)
{
  static PointSet again;
  Error           error;
  PROMISE(!points_save(set, &error));
  PROMISE(!points_load(&again, &error));
  PROMISE(again.other_count == set->other_count);
  for (uint32_t i = 0; i < set->other_count; ++i) {
    PROMISE(!memcmp(&again.others[i], &set->others[i], sizeof(Point)));
  }
}

int
LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
  static PointSet set;
  Error           error = { 0 };
  write_file(data, size);
  if (points_load(&set, &error)) {
    PROMISE(*error.text && !strchr(error.text, '\n'));
    PROMISE(!set.other_count && !set.unread);
    check_aside(data, size);
  } else {
    check_trip(&set);
  }
  return 0;
}
