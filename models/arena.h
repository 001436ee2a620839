// Cutting one flat tensor into many. Laying out twice, first without memory,
// tells how much is needed. Pure.
#pragma once

#include "kernels.h"

#include <stddef.h>

typedef struct {
  Tensor memory; // flat [1, N], or empty: only counts
  size_t used;   // floats
} Arena;

static inline Tensor
arena_cut(Arena* arena, uint32_t rows, uint32_t columns)
{
  const size_t offset = arena->used;
  arena->used += ((size_t)rows * columns + 15) / 16 * 16; // 64-byte starts
  return arena->memory.data
           ? tensor_reshape(arena->memory, offset, rows, columns)
           : (Tensor){ 0 };
}
