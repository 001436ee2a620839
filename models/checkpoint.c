// Reading checkpoints: the map, the checks of its frame and weights, and what a
// model takes from it. Any thread except process.
#include "checkpoint.h"
#include "checkpoint_header.h"

#include "file.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Checkpoint {
  FileMap          map;
  CheckpointHeader header;
  const uint8_t*   data;  // in the map, after the header
  bool*            asked; // [header.tensor_count]
  char*            path;
  char             digest[17];
};

// Little-endian.
static uint64_t
read_u64(const uint8_t* bytes)
{
  uint64_t value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

static Status
read_header(Checkpoint* checkpoint, Error* error)
{
  const char* const path       = checkpoint->path;
  const uint64_t    size_bytes = checkpoint->map.size_bytes;
  if (size_bytes < CHECKPOINT_LENGTH_BYTES) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            NULL,
                            "%" PRIu64 " bytes are too short for a checkpoint",
                            size_bytes);
  }
  const uint64_t header_bytes = read_u64(checkpoint->map.data);
  const Status   status =
    checkpoint_frame_check(path, size_bytes, header_bytes, error);
  if (status != STATUS_OK) {
    return status;
  }
  checkpoint->data =
    checkpoint->map.data + CHECKPOINT_LENGTH_BYTES + header_bytes;
  return checkpoint_header_parse(&checkpoint->header,
                                 path,
                                 checkpoint->map.data + CHECKPOINT_LENGTH_BYTES,
                                 (size_t)header_bytes,
                                 size_bytes - CHECKPOINT_LENGTH_BYTES -
                                   header_bytes,
                                 error);
}

// Points the tensors into the map; refuses weights that are not finite.
static Status
take_data(Checkpoint* checkpoint, Error* error)
{
  for (uint32_t i = 0; i < checkpoint->header.tensor_count; ++i) {
    HeaderTensor* const     entry  = checkpoint->header.tensors + i;
    CheckpointTensor* const tensor = &entry->tensor;
    tensor->data =
      (const float*)(const void*)(checkpoint->data + entry->begin_bytes);
    const size_t odd =
      checkpoint_first_not_finite(tensor->data, tensor->element_count);
    if (odd < tensor->element_count) {
      return checkpoint_error(error,
                              STATUS_BAD_FILE,
                              checkpoint->path,
                              tensor->name,
                              "element %zu is %s, not a finite number",
                              odd,
                              isnan(tensor->data[odd]) ? "NaN" : "infinite");
    }
  }
  return STATUS_OK;
}

static void
make_digest(Checkpoint* checkpoint)
{
  uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
  for (size_t i = 0; i < checkpoint->map.size_bytes; ++i) {
    hash = (hash ^ checkpoint->map.data[i]) * 0x100000001b3u;
  }
  snprintf(checkpoint->digest, sizeof checkpoint->digest, "%016" PRIx64, hash);
}

Status
checkpoint_open(const char* path, Checkpoint** out, Error* error)
{
  *out                         = NULL;
  Checkpoint* const checkpoint = calloc(1, sizeof *checkpoint);
  Status            status     = STATUS_NO_MEMORY;
  if (checkpoint && (checkpoint->path = strdup(path))) {
    status = file_map_open(&checkpoint->map, path, error);
    if (status == STATUS_OK) {
      status = read_header(checkpoint, error);
    }
    if (status == STATUS_OK) {
      status = take_data(checkpoint, error);
    }
    if (status == STATUS_OK &&
        !(checkpoint->asked = calloc(checkpoint->header.tensor_count,
                                     sizeof *checkpoint->asked))) {
      status =
        checkpoint_error(error, STATUS_NO_MEMORY, path, NULL, "out of memory");
    }
  } else {
    checkpoint_error(error, status, path, NULL, "out of memory");
  }
  if (status != STATUS_OK) {
    checkpoint_close(checkpoint);
    return status;
  }
  make_digest(checkpoint);
  *out = checkpoint;
  return STATUS_OK;
}

void
checkpoint_close(Checkpoint* checkpoint)
{
  if (checkpoint) {
    checkpoint_header_free(&checkpoint->header);
    file_map_close(&checkpoint->map);
    free(checkpoint->asked);
    free(checkpoint->path);
    free(checkpoint);
  }
}

const char*
checkpoint_path(const Checkpoint* checkpoint)
{
  return checkpoint->path;
}

const char*
checkpoint_digest(const Checkpoint* checkpoint)
{
  return checkpoint->digest;
}

const char*
checkpoint_text(const Checkpoint* checkpoint, const char* key)
{
  return cJSON_GetStringValue(
    cJSON_GetObjectItemCaseSensitive(checkpoint->header.metadata, key));
}

static Status
metadata_error(const Checkpoint* checkpoint,
               const char*       key,
               const char*       text,
               const char*       expected,
               Error*            error)
{
  if (!text) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            checkpoint->path,
                            NULL,
                            "metadata '%.64s' is missing",
                            key);
  }
  return checkpoint_error(error,
                          STATUS_BAD_FILE,
                          checkpoint->path,
                          NULL,
                          "metadata '%.64s' is '%.40s', expected %s",
                          key,
                          text,
                          expected);
}

Status
checkpoint_get_u32(const Checkpoint* checkpoint,
                   const char*       key,
                   uint32_t          low,
                   uint32_t          high,
                   uint32_t*         out,
                   Error*            error)
{
  const char* const text   = checkpoint_text(checkpoint, key);
  const size_t      length = text ? strlen(text) : 0;
  // Ten digits: no overflow of 64 bits.
  if (length > 0 && length <= 10 && strspn(text, "0123456789") == length) {
    const unsigned long long value = strtoull(text, NULL, 10);
    if (value >= low && value <= high) {
      *out = (uint32_t)value;
      return STATUS_OK;
    }
  }
  char expected[64];
  snprintf(expected,
           sizeof expected,
           "a whole number from %" PRIu32 " to %" PRIu32,
           low,
           high);
  return metadata_error(checkpoint, key, text, expected, error);
}

Status
checkpoint_get_float(const Checkpoint* checkpoint,
                     const char*       key,
                     float             low,
                     float             high,
                     float*            out,
                     Error*            error)
{
  const char* const text   = checkpoint_text(checkpoint, key);
  const size_t      length = text ? strlen(text) : 0;
  // The characters leave out hexadecimal, "inf" and "nan".
  if (length > 0 && strspn(text, "0123456789+-.eE") == length) {
    const locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    char*          end      = NULL;
    const float    value    = strtof_l(text, &end, c_locale);
    freelocale(c_locale);
    if (end == text + length && value >= low && value <= high) {
      *out = value;
      return STATUS_OK;
    }
  }
  char expected[64];
  snprintf(expected,
           sizeof expected,
           "a number from %g to %g",
           (double)low,
           (double)high);
  return metadata_error(checkpoint, key, text, expected, error);
}

// "[3, 4]"; `text` holds any four numbers.
static void
print_shape(char text[64], const uint32_t* dims, uint32_t dim_count)
{
  int at = snprintf(text, 64, "[");
  for (uint32_t i = 0; i < dim_count && i < CHECKPOINT_DIMS_MAX; ++i) {
    at += snprintf(
      text + at, 64 - (size_t)at, "%s%" PRIu32, i ? ", " : "", dims[i]);
  }
  snprintf(text + at, 64 - (size_t)at, "]");
}

Status
checkpoint_tensor(const Checkpoint* checkpoint,
                  const char*       name,
                  const uint32_t*   dims,
                  uint32_t          dim_count,
                  const float**     data,
                  Error*            error)
{
  const CheckpointTensor* tensor = NULL;
  for (uint32_t i = 0; !tensor && i < checkpoint->header.tensor_count; ++i) {
    if (!strcmp(checkpoint->header.tensors[i].tensor.name, name)) {
      tensor               = &checkpoint->header.tensors[i].tensor;
      checkpoint->asked[i] = true;
    }
  }
  if (!tensor) {
    return checkpoint_error(
      error, STATUS_BAD_FILE, checkpoint->path, name, "missing");
  }
  const int same_dims =
    tensor->dim_count == dim_count &&
    (dim_count == 0 || !memcmp(tensor->dims, dims, dim_count * sizeof *dims));
  if (!same_dims) {
    char found[64];
    char expected[64];
    print_shape(found, tensor->dims, tensor->dim_count);
    print_shape(expected, dims, dim_count);
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            checkpoint->path,
                            name,
                            "its shape is %s, expected %s",
                            found,
                            expected);
  }
  *data = tensor->data;
  return STATUS_OK;
}

Status
checkpoint_expect_no_others(const Checkpoint* checkpoint, Error* error)
{
  for (uint32_t i = 0; i < checkpoint->header.tensor_count; ++i) {
    if (!checkpoint->asked[i]) {
      return checkpoint_error(error,
                              STATUS_BAD_FILE,
                              checkpoint->path,
                              checkpoint->header.tensors[i].tensor.name,
                              "unexpected: this kind of model has no such "
                              "tensor");
    }
  }
  return STATUS_OK;
}
