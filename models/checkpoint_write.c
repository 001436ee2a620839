// Writing checkpoints. What is about to be written passes the reader's own
// checks first, so that nothing can be saved that cannot be loaded. Any thread
// except process.
#include "checkpoint.h"
#include "checkpoint_header.h"

#include "file.h"

#include <stdlib.h>
#include <string.h>

// False when memory ran out.
static cJSON_bool
add_texts(cJSON* root, const CheckpointText* texts, size_t text_count)
{
  if (text_count == 0) {
    return 1;
  }
  cJSON* const metadata =
    cJSON_AddObjectToObject(root, CHECKPOINT_METADATA_KEY);
  cJSON_bool whole = metadata != NULL;
  for (size_t i = 0; whole && i < text_count; ++i) {
    whole =
      cJSON_AddStringToObject(metadata, texts[i].key, texts[i].value) != NULL;
  }
  return whole;
}

static cJSON_bool
add_numbers(cJSON* object, const char* key, const double* numbers, int count)
{
  cJSON* const array = cJSON_CreateDoubleArray(numbers, count);
  if (array && cJSON_AddItemToObject(object, key, array)) {
    return 1;
  }
  cJSON_Delete(array);
  return 0;
}

static cJSON_bool
add_tensor(cJSON* root, const CheckpointTensor* tensor, uint64_t begin_bytes)
{
  double dims[CHECKPOINT_DIMS_MAX];
  for (uint32_t i = 0; i < tensor->dim_count; ++i) {
    dims[i] = tensor->dims[i];
  }
  const double offsets[2] = {
    (double)begin_bytes,
    (double)(begin_bytes + tensor->element_count * sizeof(float)),
  };
  cJSON* const item = cJSON_AddObjectToObject(root, tensor->name);
  return item && cJSON_AddStringToObject(item, "dtype", "F32") &&
         add_numbers(item, "shape", dims, (int)tensor->dim_count) &&
         add_numbers(item, "data_offsets", offsets, 2);
}

// What would overflow on the way to the header; the rest is left to the
// reader's checks of the finished header.
static Status
check_arguments(const char*             path,
                size_t                  text_count,
                const CheckpointTensor* tensors,
                size_t                  tensor_count,
                Error*                  error)
{
  if (text_count > CHECKPOINT_TEXTS_MAX ||
      tensor_count > CHECKPOINT_TENSORS_MAX) {
    return checkpoint_error(error,
                            STATUS_LIMIT,
                            path,
                            NULL,
                            "%zu texts and %zu tensors, at most %u and %u "
                            "are written",
                            text_count,
                            tensor_count,
                            CHECKPOINT_TEXTS_MAX,
                            CHECKPOINT_TENSORS_MAX);
  }
  for (size_t i = 0; i < tensor_count; ++i) {
    const CheckpointTensor* const tensor = tensors + i;
    if (!memchr(tensor->name, '\0', sizeof tensor->name) ||
        tensor->dim_count > CHECKPOINT_DIMS_MAX ||
        tensor->element_count > CHECKPOINT_BYTES_MAX / sizeof(float)) {
      return checkpoint_error(error,
                              STATUS_BAD_ARGUMENT,
                              path,
                              tensor->name,
                              "its name, dimensions or size are out of range");
    }
    const size_t odd =
      checkpoint_first_not_finite(tensor->data, tensor->element_count);
    if (odd < tensor->element_count) {
      return checkpoint_error(error,
                              STATUS_BAD_ARGUMENT,
                              path,
                              tensor->name,
                              "element %zu is not a finite number",
                              odd);
    }
  }
  return STATUS_OK;
}

// The header's text, padded with spaces; free() it. NULL when memory ran out.
static char*
make_header(const CheckpointText*   texts,
            size_t                  text_count,
            const CheckpointTensor* tensors,
            size_t                  tensor_count,
            uint64_t*               header_bytes,
            uint64_t*               data_bytes)
{
  cJSON* const root  = cJSON_CreateObject();
  cJSON_bool   whole = root && add_texts(root, texts, text_count);
  *data_bytes        = 0;
  for (size_t i = 0; whole && i < tensor_count; ++i) {
    whole = add_tensor(root, tensors + i, *data_bytes);
    *data_bytes += tensors[i].element_count * sizeof(float);
  }
  char* const json = whole ? cJSON_PrintUnformatted(root) : NULL;
  cJSON_Delete(root);
  const size_t length = json ? strlen(json) : 0;
  *header_bytes       = (length + 7) / 8 * 8;
  char* const header  = json ? malloc(*header_bytes) : NULL;
  if (header) {
    memset(header, ' ', *header_bytes);
    memcpy(header, json, length);
  }
  cJSON_free(json);
  return header;
}

static Status
write_file(const char*             path,
           const char*             header,
           uint64_t                header_bytes,
           const CheckpointTensor* tensors,
           size_t                  tensor_count,
           Error*                  error)
{
  FileWriter   writer;
  const Status status = file_writer_open(&writer, path, error);
  if (status != STATUS_OK) {
    return status;
  }
  // A failed write stays on the stream, and the commit reports it.
  size_t whole =
    fwrite(&header_bytes, sizeof header_bytes, 1, writer.stream) == 1 &&
    fwrite(header, header_bytes, 1, writer.stream) == 1;
  for (size_t i = 0; whole && i < tensor_count; ++i) {
    const size_t count = tensors[i].element_count;
    whole =
      fwrite(tensors[i].data, sizeof(float), count, writer.stream) == count;
  }
  return file_writer_commit(&writer, error);
}

Status
checkpoint_write(const char*             path,
                 const CheckpointText*   texts,
                 size_t                  text_count,
                 const CheckpointTensor* tensors,
                 size_t                  tensor_count,
                 Error*                  error)
{
  Status status =
    check_arguments(path, text_count, tensors, tensor_count, error);
  if (status != STATUS_OK) {
    return status;
  }
  uint64_t    header_bytes = 0;
  uint64_t    data_bytes   = 0;
  char* const header       = make_header(
    texts, text_count, tensors, tensor_count, &header_bytes, &data_bytes);
  if (!header) {
    return checkpoint_error(
      error, STATUS_NO_MEMORY, path, NULL, "out of memory");
  }
  CheckpointHeader checked = { 0 };
  status =
    checkpoint_frame_check(path,
                           CHECKPOINT_LENGTH_BYTES + header_bytes + data_bytes,
                           header_bytes,
                           error);
  if (status == STATUS_OK) {
    status = checkpoint_header_parse(
      &checked, path, (const uint8_t*)header, header_bytes, data_bytes, error);
  }
  if (status == STATUS_OK) {
    checkpoint_header_free(&checked);
    status =
      write_file(path, header, header_bytes, tensors, tensor_count, error);
  } else if (status == STATUS_BAD_FILE) {
    status = STATUS_BAD_ARGUMENT; // the caller's fault, not a file's
    if (error) {
      error->status = status;
    }
  }
  free(header);
  return status;
}
