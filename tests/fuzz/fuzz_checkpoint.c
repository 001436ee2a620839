// libFuzzer target: any bytes given as a checkpoint are opened or refused,
// never a crash, a leak or a read out of bounds. tests/fuzz/run.sh builds it.
#include "checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size_bytes);

int
LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size_bytes)
{
  // A file in memory that has a path, as the reader maps a path.
  static int  fd = -1;
  static char path[64];
  if (fd < 0) {
    fd = memfd_create("checkpoint", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  }
  if (fd < 0 || ftruncate(fd, (off_t)size_bytes) ||
      pwrite(fd, bytes, size_bytes, 0) != (ssize_t)size_bytes) {
    abort();
  }
  Error       error      = { 0 };
  Checkpoint* checkpoint = NULL;
  if (checkpoint_open(path, &checkpoint, &error) == STATUS_OK) {
    // As run.sh's seed names them. What is handed out must be in the file, not
    // in the rest of its last page.
    const uint32_t dims[] = { 2 };
    const float*   data   = NULL;
    uint32_t       number = 0;
    float          value  = 0;
    if (!checkpoint_tensor(checkpoint, "a", dims, 1, &data, &error) &&
        !memmem(bytes, size_bytes, data, 2 * sizeof *data)) {
      abort();
    }
    (void)checkpoint_get_u32(checkpoint, "size", 1, 64, &number, &error);
    (void)checkpoint_get_float(checkpoint, "size", 0, 1, &value, &error);
    (void)checkpoint_expect_no_others(checkpoint, &error);
  } else if (checkpoint || error.text[0] == '\0') {
    abort();
  }
  checkpoint_close(checkpoint);
  return 0;
}
