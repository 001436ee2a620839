// x weight^T + bias for few rows, as sampling at batch 1 makes them: BLAS would
// pack the weights anew for each, at more cost than the product, so they are
// packed once. More rows, and weights that were not packed, go to BLAS.
// Compiled once for each instruction set; the thread of the Device.
#include "cpu/simd.h"

#include <string.h>

#define TILE_ROWS 4u
#define TILE_LANES 3u // with 4 rows, its sums leave registers for two operands
#define PANEL (TILE_LANES * LANES)
#define ROWS_MAX 32u // above, BLAS is as fast

// A packed weight [N, K] is N / PANEL panels [K][PANEL] (transposed, so that
// PANEL columns of the product are made at once), then one of the columns left,
// to whole lanes, zeros added: in the order of reading, from front to back.

static uint32_t
whole_lanes(uint32_t columns)
{
  return (columns + LANES - 1) / LANES * LANES;
}

Status
VARIANT(pack)(Device* device, Tensor weight, Tensor* packed, Error* error)
{
  const uint32_t n = weight.rows;
  const Status   status =
    tensor_allocate(device, whole_lanes(n), weight.columns, packed, error);
  float* to = packed->data;
  for (uint32_t first = 0; status == STATUS_OK && first < n; first += PANEL) {
    const uint32_t left  = whole_lanes(n - first);
    const uint32_t width = left < PANEL ? left : PANEL;
    for (uint32_t k = 0; k < weight.columns; ++k) {
      for (uint32_t i = 0; i < width; ++i) {
        *to++ = first + i < n ? row(weight, first + i)[k] : 0.0f;
      }
    }
  }
  return status;
}

// sum = TILE_ROWS rows x, `lanes` wide. `lanes` is a constant where this is
// inlined.
static inline __attribute__((always_inline)) void
tile(uint32_t           lanes,
     uint32_t           depth,
     const float* const x[TILE_ROWS],
     const float*       panel,
     Lanes              sum[TILE_ROWS][TILE_LANES])
{
  const size_t width                    = lanes * LANES;
  const float* next                     = panel + depth * width;
  Lanes        s[TILE_ROWS][TILE_LANES] = { 0 };
  for (uint32_t k = 0; k < depth; ++k) {
    Lanes w[TILE_LANES];
#pragma GCC unroll 3
    for (uint32_t v = 0; v < lanes; ++v) {
      w[v] = *lanes_in(panel + v * LANES);
    }
    // The next panel, while this one is in the first cache.
    __builtin_prefetch(next);
    __builtin_prefetch(next + 2 * LANES);
    panel += width;
    next += width;
#pragma GCC unroll 4
    for (uint32_t r = 0; r < TILE_ROWS; ++r) {
#pragma GCC unroll 3
      for (uint32_t v = 0; v < lanes; ++v) {
        s[r][v] += x[r][k] * w[v];
      }
    }
  }
#pragma GCC unroll 4
  for (uint32_t r = 0; r < TILE_ROWS; ++r) {
#pragma GCC unroll 3
    for (uint32_t v = 0; v < lanes; ++v) {
      sum[r][v] = s[r][v];
    }
  }
}

// y = x panel + bias, for all rows of one panel's columns.
static inline __attribute__((always_inline)) void
panel_product(uint32_t     lanes,
              Tensor       x,
              const float* panel,
              const float* bias,
              Tensor       y)
{
  const uint32_t last = x.rows - 1;
  for (uint32_t r = 0; r < x.rows; r += TILE_ROWS) {
    // Rows past the end repeat the last, and are not kept.
    const float* rows[TILE_ROWS];
    for (uint32_t i = 0; i < TILE_ROWS; ++i) {
      rows[i] = row(x, r + i < last ? r + i : last);
    }
    Lanes sum[TILE_ROWS][TILE_LANES];
    tile(lanes, x.columns, rows, panel, sum);
    for (uint32_t i = 0; i < TILE_ROWS && r + i < x.rows; ++i) {
      const float* const from = (const float*)sum[i];
      float* const       to   = row(y, r + i);
      for (uint32_t c = 0; c < y.columns; ++c) {
        to[c] = from[c] + bias[c];
      }
    }
  }
}

static void
packed_affine(Tensor x, Tensor packed, Tensor bias, Tensor y)
{
  const float* panel = packed.data;
  for (uint32_t first = 0; first < y.columns; first += PANEL) {
    const uint32_t left = y.columns - first;
    const Tensor   part = tensor_columns(y, first, left < PANEL ? left : PANEL);
    const float* const b = bias.data + first;
    if (left > 2 * LANES) {
      panel_product(3, x, panel, b, part);
    } else if (left > LANES) {
      panel_product(2, x, panel, b, part);
    } else {
      panel_product(1, x, panel, b, part);
    }
    panel += (size_t)x.columns * PANEL;
  }
}

void
VARIANT(affine)(Device* device,
                Tensor  x,
                Tensor  weight,
                Tensor  packed,
                Tensor  bias,
                Tensor  y)
{
  if (packed.data && x.rows > 1 && x.rows <= ROWS_MAX) {
    packed_affine(x, packed, bias, y);
    return;
  }
  device->ops->broadcast_row(device, bias, y);
  cpu_matmul(device, false, true, 1.0f, x, weight, 1.0f, y);
}
