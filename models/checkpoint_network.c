// What every kind of network's checkpoint has.
#include "checkpoint_network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 32u

void
network_stats_fields(EncodingStats* stats,
                     NetworkField   fields[NETWORK_STATS_FIELDS])
{
  const NetworkField list[NETWORK_STATS_FIELDS] = {
    { "u_mean", NULL, &stats->u_mean, NULL, -100, 100 },
    { "u_std", NULL, &stats->u_std, NULL, ENCODING_STD_MIN, 100 },
    { "w_mean", NULL, &stats->w_mean, NULL, -100, 100 },
    { "w_std", NULL, &stats->w_std, NULL, ENCODING_STD_MIN, 100 },
    { "v_mean", NULL, &stats->v_mean, NULL, -100, 100 },
    { "v_std", NULL, &stats->v_std, NULL, ENCODING_STD_MIN, 100 },
  };
  memcpy(fields, list, sizeof list);
}

// --- Reading -----------------------------------------------------------------

Status
network_check_kind(const Checkpoint* checkpoint, const char* kind, Error* error)
{
  const char* const found = checkpoint_text(checkpoint, "kind");
  return found && !strcmp(found, kind)
           ? STATUS_OK
           : error_set(error,
                       STATUS_UNSUPPORTED,
                       "%s: model kind '%s' where '%s' is needed",
                       checkpoint_path(checkpoint),
                       found ? found : "(none)",
                       kind);
}

static Status
read_choice(const Checkpoint*   checkpoint,
            const NetworkField* field,
            Error*              error)
{
  const char* const text = checkpoint_text(checkpoint, field->key);
  for (uint32_t i = 0; text && field->names[i]; ++i) {
    if (!strcmp(text, field->names[i])) {
      *field->whole = i;
      return STATUS_OK;
    }
  }
  return error_set(error,
                   STATUS_BAD_FILE,
                   "%s: %s '%s' is not known to this version",
                   checkpoint_path(checkpoint),
                   field->key,
                   text ? text : "(none)");
}

static Status
read_field(const Checkpoint*   checkpoint,
           const NetworkField* field,
           Error*              error)
{
  if (field->names) {
    return read_choice(checkpoint, field, error);
  }
  return field->whole ? checkpoint_get_u32(checkpoint,
                                           field->key,
                                           (uint32_t)field->low,
                                           (uint32_t)field->high,
                                           field->whole,
                                           error)
                      : checkpoint_get_float(checkpoint,
                                             field->key,
                                             field->low,
                                             field->high,
                                             field->real,
                                             error);
}

Status
network_read_fields(const Checkpoint*   checkpoint,
                    const NetworkField* fields,
                    size_t              count,
                    Error*              error)
{
  Status status = STATUS_OK;
  for (size_t i = 0; i < count && status == STATUS_OK; ++i) {
    status = read_field(checkpoint, &fields[i], error);
  }
  return status;
}

Status
network_read_parameters(const Checkpoint* checkpoint,
                        const Parameter*  table,
                        size_t            count,
                        float*            data,
                        Error*            error)
{
  for (size_t i = 0; i < count; ++i) {
    const uint32_t dims[2] = { table[i].rows, table[i].columns };
    const float*   source;
    const Status   status =
      checkpoint_tensor(checkpoint, table[i].name, dims, 2, &source, error);
    if (status != STATUS_OK) {
      return status;
    }
    memcpy(data + table[i].offset,
           source,
           parameter_size(&table[i]) * sizeof(float));
  }
  return STATUS_OK;
}

// --- Writing -----------------------------------------------------------------

CheckpointTensor
network_tensor(const char*  name,
               uint32_t     rows,
               uint32_t     columns,
               const float* data)
{
  CheckpointTensor tensor = {
    .dims          = { rows, columns },
    .dim_count     = 2,
    .data          = data,
    .element_count = (size_t)rows * columns,
  };
  snprintf(tensor.name, sizeof tensor.name, "%.39s", name);
  return tensor;
}

static void
print_field(const NetworkField* field, char text[TEXT_BYTES])
{
  if (field->names) {
    snprintf(text, TEXT_BYTES, "%s", field->names[*field->whole]);
  } else if (field->whole) {
    snprintf(text, TEXT_BYTES, "%u", *field->whole);
  } else {
    snprintf(text, TEXT_BYTES, "%.9g", (double)*field->real);
  }
}

Status
network_write(const char* path, const NetworkFile* file, Error* error)
{
  char   values[NETWORK_FIELDS_MAX][TEXT_BYTES];
  size_t text_count   = 1 + file->field_count + file->provenance_count;
  size_t tensor_count = file->parameter_count + file->other_count;
  CheckpointText* const   texts   = calloc(text_count, sizeof *texts);
  CheckpointTensor* const tensors = calloc(tensor_count, sizeof *tensors);
  Status                  status  = STATUS_OK;
  if (!texts || !tensors || file->field_count > NETWORK_FIELDS_MAX) {
    status = error_set(
      error, STATUS_NO_MEMORY, "no memory for a checkpoint's metadata");
  }
  if (status == STATUS_OK) {
    texts[0] = (CheckpointText){ "kind", file->kind };
    for (size_t i = 0; i < file->field_count; ++i) {
      print_field(&file->fields[i], values[i]);
      texts[1 + i] = (CheckpointText){ file->fields[i].key, values[i] };
    }
    for (size_t i = 0; i < file->provenance_count; ++i) {
      texts[1 + file->field_count + i] = file->provenance[i];
    }
    for (size_t i = 0; i < file->parameter_count; ++i) {
      const Parameter* const p = &file->table[i];
      tensors[i] =
        network_tensor(p->name, p->rows, p->columns, file->weights + p->offset);
    }
    for (size_t i = 0; i < file->other_count; ++i) {
      tensors[file->parameter_count + i] = file->others[i];
    }
    status =
      checkpoint_write(path, texts, text_count, tensors, tensor_count, error);
  }
  free(texts);
  free(tensors);
  return status;
}
