// From a checkpoint's JSON to a checked table of tensors. Any thread except
// process.
#include "checkpoint_header.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SHOWN_BYTES_MAX 200u

Status
checkpoint_error(Error*      error,
                 Status      status,
                 const char* path,
                 const char* tensor,
                 const char* format,
                 ...)
{
  char    reason[256];
  va_list args;
  va_start(args, format);
  vsnprintf(reason, sizeof reason, format, args);
  va_end(args);
  const size_t length = strlen(path);
  const char*  shown =
    length > PATH_SHOWN_BYTES_MAX ? path + length - PATH_SHOWN_BYTES_MAX : path;
  if (!tensor) {
    return error_set(error, status, "%s: %s", shown, reason);
  }
  return error_set(
    error, status, "%s: tensor '%.96s': %s", shown, tensor, reason);
}

Status
checkpoint_frame_check(const char* path,
                       uint64_t    file_bytes,
                       uint64_t    header_bytes,
                       Error*      error)
{
  if (file_bytes > CHECKPOINT_BYTES_MAX) {
    return checkpoint_error(error,
                            STATUS_LIMIT,
                            path,
                            NULL,
                            "%" PRIu64 " bytes, %llu at most are taken",
                            file_bytes,
                            CHECKPOINT_BYTES_MAX);
  }
  if (header_bytes > CHECKPOINT_HEADER_BYTES_MAX) {
    return checkpoint_error(
      error,
      STATUS_LIMIT,
      path,
      NULL,
      "this does not look like a safetensors file: it asks for a header of "
      "%" PRIu64 " bytes, %u at most are taken",
      header_bytes,
      CHECKPOINT_HEADER_BYTES_MAX);
  }
  if (header_bytes > file_bytes - CHECKPOINT_LENGTH_BYTES) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            NULL,
                            "the header's length is %" PRIu64
                            " bytes, beyond the file's end",
                            header_bytes);
  }
  // Weights are used in place, so they must be aligned.
  if (header_bytes == 0 || header_bytes % 8 != 0) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            NULL,
                            "the header's length is %" PRIu64
                            " bytes, not a multiple of 8 from 8 on",
                            header_bytes);
  }
  return STATUS_OK;
}

size_t
checkpoint_first_not_finite(const float* data, size_t count)
{
  // Whole blocks without a branch, so that the compiler vectorises them.
  const size_t block = 1024;
  size_t       begin = 0;
  for (; count - begin >= block; begin += block) {
    int odd = 0;
    for (size_t i = 0; i < block; ++i) {
      odd |= !(fabsf(data[begin + i]) <= FLT_MAX);
    }
    if (odd) {
      break;
    }
  }
  while (begin < count && isfinite(data[begin])) {
    ++begin;
  }
  return begin;
}

// NULL if no key of `object` appears twice.
static const char*
repeated_key(const cJSON* object)
{
  for (const cJSON* a = object->child; a; a = a->next) {
    for (const cJSON* b = a->next; b; b = b->next) {
      if (!strcmp(a->string, b->string)) {
        return a->string;
      }
    }
  }
  return NULL;
}

static Status
check_metadata(const cJSON* metadata, const char* path, Error* error)
{
  if (!cJSON_IsObject(metadata)) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            NULL,
                            CHECKPOINT_METADATA_KEY " is not an object");
  }
  if (cJSON_GetArraySize(metadata) > (int)CHECKPOINT_TEXTS_MAX) {
    return checkpoint_error(error,
                            STATUS_LIMIT,
                            path,
                            NULL,
                            CHECKPOINT_METADATA_KEY " has more than %u texts",
                            CHECKPOINT_TEXTS_MAX);
  }
  const char* const repeated = repeated_key(metadata);
  if (repeated) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            NULL,
                            "metadata '%.96s' appears twice",
                            repeated);
  }
  for (const cJSON* text = metadata->child; text; text = text->next) {
    if (!cJSON_IsString(text)) {
      return checkpoint_error(error,
                              STATUS_BAD_FILE,
                              path,
                              NULL,
                              "metadata '%.96s' is not a string",
                              text->string);
    }
  }
  return STATUS_OK;
}

static Status
check_dtype(const cJSON* dtype,
            const char*  path,
            const char*  name,
            Error*       error)
{
  if (!cJSON_IsString(dtype)) {
    return checkpoint_error(
      error, STATUS_BAD_FILE, path, name, "dtype is not a string");
  }
  if (strcmp(dtype->valuestring, "F32") != 0) {
    return checkpoint_error(error,
                            STATUS_UNSUPPORTED,
                            path,
                            name,
                            "dtype %.32s is not supported: convert it to F32",
                            dtype->valuestring);
  }
  return STATUS_OK;
}

// The scan before made sure that every number is a whole one from 0, exact in
// a double.
static Status
read_shape(const cJSON*      shape,
           const char*       path,
           CheckpointTensor* tensor,
           Error*            error)
{
  const char* const name = tensor->name;
  if (!cJSON_IsArray(shape)) {
    return checkpoint_error(
      error, STATUS_BAD_FILE, path, name, "shape is not an array");
  }
  if (cJSON_GetArraySize(shape) > (int)CHECKPOINT_DIMS_MAX) {
    return checkpoint_error(error,
                            STATUS_UNSUPPORTED,
                            path,
                            name,
                            "shape has %d dimensions, %u at most are supported",
                            cJSON_GetArraySize(shape),
                            CHECKPOINT_DIMS_MAX);
  }
  const uint64_t count_max = CHECKPOINT_BYTES_MAX / sizeof(float);
  uint64_t       count     = 1;
  for (const cJSON* dim = shape->child; dim; dim = dim->next) {
    if (!cJSON_IsNumber(dim)) {
      return checkpoint_error(
        error, STATUS_BAD_FILE, path, name, "shape is not made of numbers");
    }
    if (dim->valuedouble < 1) {
      return checkpoint_error(
        error, STATUS_UNSUPPORTED, path, name, "shape has a dimension of 0");
    }
    if (dim->valuedouble > (double)(count_max / count)) {
      return checkpoint_error(error,
                              STATUS_LIMIT,
                              path,
                              name,
                              "shape is too large: over %" PRIu64 " elements",
                              count_max);
    }
    count *= (uint64_t)dim->valuedouble;
    tensor->dims[tensor->dim_count++] = (uint32_t)dim->valuedouble;
  }
  tensor->element_count = (size_t)count;
  return STATUS_OK;
}

static Status
read_offsets(const cJSON*  offsets,
             const char*   path,
             uint64_t      data_bytes,
             HeaderTensor* out,
             Error*        error)
{
  const char* const  name  = out->tensor.name;
  const cJSON* const begin = cJSON_GetArrayItem(offsets, 0);
  const cJSON* const end   = cJSON_GetArrayItem(offsets, 1);
  if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
      !cJSON_IsNumber(begin) || !cJSON_IsNumber(end)) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            name,
                            "data_offsets is not an array of two numbers");
  }
  out->begin_bytes = (uint64_t)begin->valuedouble;
  out->end_bytes   = (uint64_t)end->valuedouble;
  if (out->begin_bytes > out->end_bytes) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            name,
                            "data_offsets are reversed: %" PRIu64
                            " to %" PRIu64,
                            out->begin_bytes,
                            out->end_bytes);
  }
  if (out->end_bytes > data_bytes) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            name,
                            "data_offsets end at byte %" PRIu64
                            ", out of range: the file has %" PRIu64
                            " bytes of data (was it cut short?)",
                            out->end_bytes,
                            data_bytes);
  }
  const uint64_t size_bytes = out->end_bytes - out->begin_bytes;
  if (size_bytes != out->tensor.element_count * sizeof(float)) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            name,
                            "data_offsets hold %" PRIu64
                            " bytes, the shape needs %zu",
                            size_bytes,
                            out->tensor.element_count * sizeof(float));
  }
  return STATUS_OK;
}

static Status
read_tensor(const cJSON*  item,
            const char*   path,
            uint64_t      data_bytes,
            HeaderTensor* out,
            Error*        error)
{
  const char* const name = item->string;
  if (!*name || strlen(name) >= CHECKPOINT_NAME_BYTES) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            name,
                            "its name is not 1 to %u bytes long",
                            CHECKPOINT_NAME_BYTES - 1);
  }
  strcpy(out->tensor.name, name);
  const cJSON* const dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
  const cJSON* const shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
  const cJSON* const offsets =
    cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
  if (!cJSON_IsObject(item) || !dtype || !shape || !offsets ||
      cJSON_GetArraySize(item) != 3) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            name,
                            "not an object of exactly dtype, shape and "
                            "data_offsets, once each");
  }
  Status status = check_dtype(dtype, path, name, error);
  if (status == STATUS_OK) {
    status = read_shape(shape, path, &out->tensor, error);
  }
  if (status == STATUS_OK) {
    status = read_offsets(offsets, path, data_bytes, out, error);
  }
  return status;
}

static int
compare_begins(const void* a, const void* b)
{
  const uint64_t x = ((const HeaderTensor*)a)->begin_bytes;
  const uint64_t y = ((const HeaderTensor*)b)->begin_bytes;
  return (x > y) - (x < y);
}

// Each data byte belongs to exactly one tensor. Tensors are not empty and in
// range.
static Status
check_cover(CheckpointHeader* header,
            const char*       path,
            uint64_t          data_bytes,
            Error*            error)
{
  HeaderTensor* const tensors = header->tensors;
  qsort(tensors, header->tensor_count, sizeof *tensors, compare_begins);
  uint64_t covered_bytes = 0;
  for (uint32_t i = 0; i < header->tensor_count; ++i) {
    if (tensors[i].begin_bytes != covered_bytes) {
      return checkpoint_error(error,
                              STATUS_BAD_FILE,
                              path,
                              tensors[i].tensor.name,
                              "data_offsets begin at byte %" PRIu64
                              ", %s byte %" PRIu64,
                              tensors[i].begin_bytes,
                              tensors[i].begin_bytes < covered_bytes
                                ? "overlapping the tensor that ends at"
                                : "leaving a gap after",
                              covered_bytes);
    }
    covered_bytes = tensors[i].end_bytes;
  }
  if (covered_bytes != data_bytes) {
    return checkpoint_error(error,
                            STATUS_BAD_FILE,
                            path,
                            NULL,
                            "%" PRIu64 " bytes too many after the last tensor",
                            data_bytes - covered_bytes);
  }
  return STATUS_OK;
}

static Status
read_tensors(CheckpointHeader* header,
             const char*       path,
             uint64_t          data_bytes,
             Error*            error)
{
  const int count = cJSON_GetArraySize(header->json) - !!header->metadata;
  if (count > (int)CHECKPOINT_TENSORS_MAX) {
    return checkpoint_error(error,
                            STATUS_LIMIT,
                            path,
                            NULL,
                            "%d tensors, %u at most are taken",
                            count,
                            CHECKPOINT_TENSORS_MAX);
  }
  const char* const repeated = repeated_key(header->json);
  if (repeated) {
    return checkpoint_error(
      error, STATUS_BAD_FILE, path, repeated, "appears twice in the header");
  }
  if (count == 0) {
    return checkpoint_error(
      error, STATUS_BAD_FILE, path, NULL, "it holds no tensors");
  }
  header->tensors = calloc((size_t)count, sizeof *header->tensors);
  if (!header->tensors) {
    return checkpoint_error(
      error, STATUS_NO_MEMORY, path, NULL, "out of memory");
  }
  for (const cJSON* item = header->json->child; item; item = item->next) {
    if (item != header->metadata) {
      const Status status = read_tensor(
        item, path, data_bytes, header->tensors + header->tensor_count, error);
      if (status != STATUS_OK) {
        return status;
      }
      ++header->tensor_count;
    }
  }
  return check_cover(header, path, data_bytes, error);
}

static Status
parse_json(const char*    path,
           const uint8_t* text,
           size_t         size_bytes,
           cJSON**        json,
           Error*         error)
{
  // A copy, because some releases of cJSON look one byte beyond a text that is
  // not terminated (CVE-2023-53154).
  char* const copy = malloc(size_bytes + 1);
  if (!copy) {
    return checkpoint_error(
      error, STATUS_NO_MEMORY, path, NULL, "out of memory");
  }
  memcpy(copy, text, size_bytes);
  copy[size_bytes] = '\0';
  const char* end  = copy;
  *json            = cJSON_ParseWithOpts(copy, &end, 1);
  const Status status =
    *json ? STATUS_OK
          : checkpoint_error(error,
                             STATUS_BAD_FILE,
                             path,
                             NULL,
                             "the header is not valid JSON (header byte %zu)",
                             (size_t)(end - copy));
  free(copy);
  return status;
}

Status
checkpoint_header_parse(CheckpointHeader* header,
                        const char*       path,
                        const uint8_t*    text,
                        size_t            size_bytes,
                        uint64_t          data_bytes,
                        Error*            error)
{
  *header           = (CheckpointHeader){ 0 };
  size_t json_bytes = 0;
  Status status =
    checkpoint_json_scan(path, text, size_bytes, &json_bytes, error);
  if (status == STATUS_OK) {
    status = parse_json(path, text, json_bytes, &header->json, error);
  }
  if (status == STATUS_OK) {
    header->metadata =
      cJSON_GetObjectItemCaseSensitive(header->json, CHECKPOINT_METADATA_KEY);
    status = header->metadata ? check_metadata(header->metadata, path, error)
                              : STATUS_OK;
  }
  if (status == STATUS_OK) {
    status = read_tensors(header, path, data_bytes, error);
  }
  if (status != STATUS_OK) {
    checkpoint_header_free(header);
  }
  return status;
}

void
checkpoint_header_free(CheckpointHeader* header)
{
  cJSON_Delete(header->json);
  free(header->tensors);
  *header = (CheckpointHeader){ 0 };
}
