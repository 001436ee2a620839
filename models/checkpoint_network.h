// What every kind of network's checkpoint has: metadata fields in a table
// (sizes, choices, encoding statistics) and one tensor for each Parameter. Any
// thread except process.
#pragma once

#include "checkpoint.h"
#include "encoding_stats.h"
#include "parameter.h"

// One number or choice of the metadata and where it is kept: `whole` with a
// range, or `choice` by name, or `real`.
typedef struct {
  const char*        key;
  uint32_t*          whole;
  float*             real;
  const char* const* names; // with `whole`: its values' names, NULL-terminated
  float              low;
  float              high;
} NetworkField;

#define NETWORK_FIELDS_MAX 24u
#define NETWORK_STATS_FIELDS 6u

// The six numbers of `stats`.
void network_stats_fields(EncodingStats* stats,
                          NetworkField   fields[NETWORK_STATS_FIELDS]);

// STATUS_UNSUPPORTED where the file's kind is another.
Status network_check_kind(const Checkpoint* checkpoint,
                          const char*       kind,
                          Error*            error);
Status network_read_fields(const Checkpoint*   checkpoint,
                           const NetworkField* fields,
                           size_t              count,
                           Error*              error);
// Into `data`, laid out as the table's offsets say.
Status network_read_parameters(const Checkpoint* checkpoint,
                               const Parameter*  table,
                               size_t            count,
                               float*            data,
                               Error*            error);

typedef struct {
  const char*             kind;
  const NetworkField*     fields;
  size_t                  field_count;
  const CheckpointText*   provenance; // further metadata, written as given
  size_t                  provenance_count;
  const Parameter*        table;
  size_t                  parameter_count;
  const float*            weights;
  const CheckpointTensor* others; // tensors after the weights
  size_t                  other_count;
} NetworkFile;

Status network_write(const char* path, const NetworkFile* file, Error* error);

CheckpointTensor network_tensor(const char*  name,
                                uint32_t     rows,
                                uint32_t     columns,
                                const float* data);
