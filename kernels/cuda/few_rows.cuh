// Products of few rows, x weight^T, as sampling at batch 1 makes them, in full
// precision: within a kernel, a warp makes a few columns of eight rows, or of
// one. Only kernels/cuda/*.cu include this.
//
// What counts there is how long one warp takes, not how many there are: so a
// column's weights are spread over the lanes of a group, each lane keeps the
// sums of all the rows, and the weights are asked for before anything else is
// computed. How it is used:
//
//   const FewRows<G, V> work(weight);          // group G, V floats a load
//   typename FewRows<G, V>::Weights first = work.load(0);
//   ... whatever the rows need ...
//   const float total = work.product(first, x, x_stride, rows);
//   if (work.writes(rows)) { y[work.row][work.column] = total + bias; }
#pragma once

#include "elementwise.h"

#define FEW_ROWS 8u      // of x that a warp takes at once
#define FEW_ROWS_MAX 32u // above, other products are as fast
#define FEW_WARPS 4u     // of a block
#define FEW_BLOCK (FEW_WARPS * WARP)
#define FEW_LOADS 5u // of a lane's weights at once: 160 or 640 of a row

// Lanes that share a column: 8 for short rows, so that none of them idles.
#define FEW_SHORT 8u
#define FEW_LONG 32u
#define FEW_SHORT_MAX 256u // columns of x

template<uint32_t GROUP, int V, uint32_t ROWS = FEW_ROWS>
struct FewRows {
  struct Weights {
    Pack<V> at[FEW_LOADS];
  };

  const float* weight; // this lane's column
  uint32_t     packs;  // of a row
  uint32_t     lane;   // within the group
  uint32_t     column; // beyond the last where there is no work
  uint32_t     columns;
  uint32_t     row; // of ROWS: the one whose total this lane gets

  // Columns are dealt to the warps of blockIdx.x.
  __device__ explicit FewRows(Tensor w)
  {
    const uint32_t warp = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    lane                = threadIdx.x % GROUP;
    column              = warp * (WARP / GROUP) + threadIdx.x % WARP / GROUP;
    columns             = w.rows;
    packs               = w.columns / V;
    row                 = lane % ROWS;
    weight              = row_of(w, column < columns ? column : columns - 1);
  }

  __device__ Weights
  load(uint32_t first) const
  {
    Weights to;
#pragma unroll
    for (uint32_t i = 0; i < FEW_LOADS; ++i) {
      const uint32_t p = first + i * GROUP + lane;
      if (p < packs) {
        to.at[i] = pack_load<V>(weight + (size_t)p * V);
      }
    }
    return to;
  }

  __device__ void
  add(const Weights& w, uint32_t first, const float* const* x, float* sum) const
  {
#pragma unroll
    for (uint32_t i = 0; i < FEW_LOADS; ++i) {
      const uint32_t p = first + i * GROUP + lane;
      if (p < packs) {
#pragma unroll
        for (uint32_t r = 0; r < ROWS; ++r) {
          const Pack<V> from = pack_load<V>(x[r] + (size_t)p * V);
#pragma unroll
          for (int j = 0; j < V; ++j) {
            sum[r] += from.at[j] * w.at[i].at[j];
          }
        }
      }
    }
  }

  // The totals over the group: lane l gets that of row l % ROWS. At each step
  // half of a lane's sums go to the lane that keeps them.
  __device__ float
  total(float* sum) const
  {
#pragma unroll
    for (uint32_t half = ROWS / 2; half > 0; half /= 2) {
      const bool upper = lane & half;
#pragma unroll
      for (uint32_t i = 0; i < half; ++i) {
        const float kept = upper ? sum[i + half] : sum[i];
        const float sent = upper ? sum[i] : sum[i + half];
        sum[i]           = kept + __shfl_xor_sync(WARP_ALL, sent, (int)half);
      }
    }
#pragma unroll
    for (uint32_t lanes = ROWS; lanes < GROUP; lanes *= 2) {
      sum[0] += __shfl_xor_sync(WARP_ALL, sum[0], (int)lanes);
    }
    return sum[0];
  }

  // first: load(0). x: the first of `rows` rows, 1..ROWS. All lanes take part.
  __device__ float
  product(const Weights& first,
          const float*   x,
          uint32_t       x_stride,
          uint32_t       rows) const
  {
    const float* from[ROWS];
    float        sum[ROWS];
#pragma unroll
    for (uint32_t r = 0; r < ROWS; ++r) {
      // Rows past the end repeat the last, and are not kept.
      from[r] = x + (size_t)(r < rows ? r : rows - 1) * x_stride;
      sum[r]  = 0.0f;
    }
    add(first, 0, from, sum);
#pragma unroll 1
    for (uint32_t p = FEW_LOADS * GROUP; p < packs; p += FEW_LOADS * GROUP) {
      add(load(p), p, from, sum);
    }
    return total(sum);
  }

  // Whether this lane's total is one to keep.
  __device__ bool
  writes(uint32_t rows) const
  {
    return column < columns && row < rows && lane < ROWS;
  }
};

static inline uint32_t
few_rows_group(uint32_t depth)
{
  return depth <= FEW_SHORT_MAX ? FEW_SHORT : FEW_LONG;
}

// The launch: `columns` of the product, eight rows a blockIdx.y.
static inline dim3
few_rows_grid(uint32_t group, uint32_t columns, uint32_t rows, uint32_t warps)
{
  const uint32_t a_block = warps * (WARP / group);
  return dim3((columns + a_block - 1) / a_block,
              (rows + FEW_ROWS - 1) / FEW_ROWS);
}

// Warps of a block that shares nothing: one where larger blocks would leave
// multiprocessors idle.
static inline uint32_t
few_rows_warps(const CudaDevice* cuda, uint32_t group, uint32_t columns)
{
  const uint32_t warps = few_rows_grid(group, columns, 1, 1).x;
  return warps > cuda->multiprocessors ? FEW_WARPS : 1;
}
