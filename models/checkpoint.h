// Checkpoints: one .safetensors file of weights and the text metadata needed to
// run them, stricter than the reference format (DESIGN.md, "Checkpoints"). The
// reader maps the file and hands out pointers into the map; the writer replaces
// the file atomically. Any thread except process; a Checkpoint is read-only
// once open, but checkpoint_tensor() marks what was asked for, so one thread at
// a time takes tensors.
//
// The map is of the file, not a copy: a file that another program cuts short
// while it is open kills the reader (SIGBUS), as with any map. Replace
// checkpoints by renaming, as checkpoint_write() does.
#pragma once

#include "caps.h"
#include "status.h"

#include <stddef.h>
#include <stdint.h>

#define CHECKPOINT_DIMS_MAX 4u
#define CHECKPOINT_NAME_BYTES 96u

// Row-major 32-bit floats. dim_count 0 is a scalar of one element.
typedef struct {
  char         name[CHECKPOINT_NAME_BYTES];
  uint32_t     dims[CHECKPOINT_DIMS_MAX];
  uint32_t     dim_count;
  const float* data; // [dims[0]][dims[1]]...
  size_t       element_count;
} CheckpointTensor;

typedef struct Checkpoint Checkpoint;

// Maps a file and checks everything but the names and shapes that a kind of
// model expects. *out is NULL unless STATUS_OK. Errors name file, tensor and
// reason: STATUS_NOT_FOUND, STATUS_IO, STATUS_BAD_FILE (the format is broken),
// STATUS_UNSUPPORTED (valid safetensors that we do not take, say a dtype other
// than F32), STATUS_LIMIT (a CHECKPOINT_ cap of caps.h), STATUS_NO_MEMORY.
Status checkpoint_open(const char* path, Checkpoint** out, Error* error);
// NULL is allowed. Ends the life of all its texts and tensor data.
void checkpoint_close(Checkpoint* checkpoint);

const char* checkpoint_path(const Checkpoint* checkpoint);
// FNV-1a, 64 bits, of the whole file's bytes, as 16 lower-case hex digits:
// tells files apart, does not protect against forgery.
const char* checkpoint_digest(const Checkpoint* checkpoint);

// Metadata, UTF-8. NULL if there is no such key.
const char* checkpoint_text(const Checkpoint* checkpoint, const char* key);
// Decimal digits only, low to high inclusive, else STATUS_BAD_FILE.
Status checkpoint_get_u32(const Checkpoint* checkpoint,
                          const char*       key,
                          uint32_t          low,
                          uint32_t          high,
                          uint32_t*         out,
                          Error*            error);
// A finite decimal number, low to high inclusive, else STATUS_BAD_FILE. The
// decimal sign is a point whatever the locale.
Status checkpoint_get_float(const Checkpoint* checkpoint,
                            const char*       key,
                            float             low,
                            float             high,
                            float*            out,
                            Error*            error);

// Tensor `name` must exist with exactly these dims, else STATUS_BAD_FILE. *data
// is valid until checkpoint_close(); all elements are finite.
Status checkpoint_tensor(const Checkpoint* checkpoint,
                         const char*       name,
                         const uint32_t*   dims,
                         uint32_t          dim_count,
                         const float**     data,
                         Error*            error);
// Once a model took all its tensors: refuses (STATUS_BAD_FILE) a file with any
// tensor that was not asked for.
Status checkpoint_expect_no_others(const Checkpoint* checkpoint, Error* error);

typedef struct {
  const char* key;
  const char* value;
} CheckpointText;

// Writes texts, then tensors, in the order given: the same arguments give the
// same bytes. Whatever checkpoint_open() would refuse (a name twice, an
// infinite weight, element_count other than the product of dims, a cap) is
// refused here with STATUS_BAD_ARGUMENT, STATUS_UNSUPPORTED or STATUS_LIMIT,
// and the file that stood at `path` stays, as it does after STATUS_IO.
Status checkpoint_write(const char*             path,
                        const CheckpointText*   texts,
                        size_t                  text_count,
                        const CheckpointTensor* tensors,
                        size_t                  tensor_count,
                        Error*                  error);
