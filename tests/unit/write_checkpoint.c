// A tool for tests/golden/test_checkpoint_python.py: writes a checkpoint of
// fixed content with the C writer, or prints with the C reader what a file
// written elsewhere holds.
//   write_checkpoint write PATH
//   write_checkpoint read PATH KEY TENSOR [DIM...]
#include "checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status
write_fixed(const char* path, Error* error)
{
  float matrix[15];
  for (int i = 0; i < 15; ++i) {
    matrix[i] = (float)(i - 7) / 3.0f;
  }
  const float            edges[]   = { 0x1p-149f, -0x1.fffffep127f, -0.0f };
  const float            scalar    = 0.1f;
  const CheckpointText   texts[]   = { { "kind", "vae" },
                                       { "note", "caf\xc3\xa9 \"8\"\n\\" } };
  const CheckpointTensor tensors[] = {
    { "z.matrix", { 3, 5 }, 2, matrix, 15 },
    { "a.edges", { 1, 1, 3, 1 }, 4, edges, 3 },
    { "scalar", { 0 }, 0, &scalar, 1 },
  };
  return checkpoint_write(path, texts, 2, tensors, 3, error);
}

// One line: the text, then each element as a hexadecimal float.
static Status
print_tensor(const char* path,
             const char* key,
             const char* name,
             char**      dim_texts,
             uint32_t    dim_count,
             Error*      error)
{
  Checkpoint* checkpoint                = NULL;
  uint32_t    dims[CHECKPOINT_DIMS_MAX] = { 0 };
  size_t      element_count             = 1;
  for (uint32_t i = 0; i < dim_count; ++i) {
    dims[i] = (uint32_t)strtoul(dim_texts[i], NULL, 10);
    element_count *= dims[i];
  }
  Status status = checkpoint_open(path, &checkpoint, error);
  if (status == STATUS_OK) {
    const float* data = NULL;
    status = checkpoint_tensor(checkpoint, name, dims, dim_count, &data, error);
    if (status == STATUS_OK) {
      const char* const text = checkpoint_text(checkpoint, key);
      printf("%s", text ? text : "");
      for (size_t i = 0; i < element_count; ++i) {
        printf(" %a", (double)data[i]);
      }
      printf("\n");
    }
  }
  checkpoint_close(checkpoint);
  return status;
}

int
main(int argc, char** argv)
{
  Error  error  = { 0 };
  Status status = STATUS_BAD_ARGUMENT;
  if (argc == 3 && !strcmp(argv[1], "write")) {
    status = write_fixed(argv[2], &error);
  } else if (argc >= 5 && argc <= 9 && !strcmp(argv[1], "read")) {
    status = print_tensor(
      argv[2], argv[3], argv[4], argv + 5, (uint32_t)argc - 5, &error);
  }
  if (status != STATUS_OK) {
    fprintf(stderr, "write_checkpoint: %s\n", error.text);
    return 1;
  }
  return 0;
}
