// Where the weights of a network lie.
#include "parameter.h"

#include <string.h>

#define ALIGNED_FLOATS 16u // 64 bytes

size_t
parameters_lay_out(Parameter* table, size_t count)
{
  size_t end = 0;
  for (size_t i = 0; i < count; ++i) {
    table[i].offset = end;
    end += (parameter_size(&table[i]) + ALIGNED_FLOATS - 1) / ALIGNED_FLOATS *
           ALIGNED_FLOATS;
  }
  return end;
}

size_t
parameters_weights(const Parameter* table, size_t count)
{
  size_t weights = 0;
  for (size_t i = 0; i < count; ++i) {
    weights += parameter_size(&table[i]);
  }
  return weights;
}

void
parameters_pack(const Parameter* table,
                size_t           count,
                const float*     flat,
                float*           packed)
{
  for (size_t i = 0; i < count; ++i) {
    const size_t size = parameter_size(&table[i]);
    memcpy(packed, flat + table[i].offset, size * sizeof *packed);
    packed += size;
  }
}

void
parameters_spread(const Parameter* table,
                  size_t           count,
                  const float*     packed,
                  float*           flat)
{
  for (size_t i = 0; i < count; ++i) {
    const size_t size = parameter_size(&table[i]);
    memcpy(flat + table[i].offset, packed, size * sizeof *flat);
    packed += size;
  }
}
