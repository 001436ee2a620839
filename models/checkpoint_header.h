// The JSON header of a checkpoint: text in, a checked table of tensors out. For
// checkpoint.c and checkpoint_write.c only; any thread except process.
#pragma once

#include "checkpoint.h"

#include <cjson/cJSON.h>

#define CHECKPOINT_METADATA_KEY "__metadata__"
#define CHECKPOINT_LENGTH_BYTES sizeof(uint64_t) // before the header

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "safetensors are little-endian and read in place");
_Static_assert(sizeof(float) == 4, "F32");

typedef struct {
  CheckpointTensor tensor;      // its data is NULL
  uint64_t         begin_bytes; // from the start of the data
  uint64_t         end_bytes;
} HeaderTensor;

typedef struct {
  cJSON*        json;
  const cJSON*  metadata;     // NULL, or an object of strings
  HeaderTensor* tensors;      // in the order of their data
  uint32_t      tensor_count; // 1..CHECKPOINT_TENSORS_MAX
} CheckpointHeader;

// Checks a file's size and its header's length field against each other and the
// caps.
Status checkpoint_frame_check(const char* path,
                              uint64_t    file_bytes,
                              uint64_t    header_bytes,
                              Error*      error);

// The index of the first NaN or infinity, or `count` if all are finite.
size_t checkpoint_first_not_finite(const float* data, size_t count);

// Checks a header's text[size_bytes], padding included, that describes
// `data_bytes` bytes of data. Needs no checkpoint_header_free() on failure.
Status checkpoint_header_parse(CheckpointHeader* header,
                               const char*       path,
                               const uint8_t*    text,
                               size_t            size_bytes,
                               uint64_t          data_bytes,
                               Error*            error);
void   checkpoint_header_free(CheckpointHeader* header);

// The length of the JSON in text[size_bytes] without its padding, having
// refused what cJSON is too lenient about: depth beyond the cap, numbers that
// are not plain whole ones, text that is not UTF-8, an escaped NUL (which would
// cut a string short), padding other than spaces.
Status checkpoint_json_scan(const char*    path,
                            const uint8_t* text,
                            size_t         size_bytes,
                            size_t*        json_bytes,
                            Error*         error);

// Fills `error` with "PATH: tensor 'NAME': reason" or, without a tensor,
// "PATH: reason". A long path loses its front, so that the reason is not cut.
Status checkpoint_error(Error*      error,
                        Status      status,
                        const char* path,
                        const char* tensor,
                        const char* format,
                        ...) __attribute__((format(printf, 5, 6)));
