// Products of few rows with what stands before and after them in a transformer
// block, each in one kernel: at batch 1 a launch costs more than its
// arithmetic. Every block normalises its rows anew, which is cheaper than a
// kernel that does it once. The thread of the Device.
#include "ops.h"

#include "compose.h"
#include "few_rows.cuh"
#include "gelu.cuh"

#define NORM_EPSILON 1e-5f
#define NORM_COLUMNS_MAX 1024u
#define NORM_SHORT 8u // columns of a lane: up to 256 columns
#define NORM_LONG (NORM_COLUMNS_MAX / WARP)

// --- norm, affine ----------------------------------------------------------

// One row, held by a warp: lane l has columns l, l + 32, ... All is asked for
// before it is needed.
template<uint32_t HELD>
struct NormRow {
  float x[HELD];
  float shift[HELD];
  float scale[HELD];

  __device__ void
  load(Tensor from, Tensor index, Tensor modulation, uint32_t r)
  {
    const uint32_t     lane = threadIdx.x % WARP;
    const float* const row  = row_of(from, r);
    const float* const m =
      row_of(modulation, device_index(index, r, modulation.rows));
#pragma unroll
    for (uint32_t i = 0; i < HELD; ++i) {
      const uint32_t c  = lane + i * WARP;
      const bool     in = c < from.columns;
      x[i]              = in ? row[c] : 0.0f;
      shift[i]          = in ? m[c] : 0.0f;
      scale[i]          = in ? m[from.columns + c] : 0.0f;
    }
  }

  __device__ void
  store(uint32_t columns, float* to)
  {
    const uint32_t lane = threadIdx.x % WARP;
    float          sum  = 0.0f;
#pragma unroll
    for (uint32_t i = 0; i < HELD; ++i) {
      sum += x[i];
    }
    const float mean   = warp_sum(sum) / (float)columns;
    float       square = 0.0f;
#pragma unroll
    for (uint32_t i = 0; i < HELD; ++i) {
      x[i] = lane + i * WARP < columns ? x[i] - mean : 0.0f;
      square += x[i] * x[i];
    }
    const float variance = warp_sum(square) / (float)columns;
    const float factor   = 1.0f / sqrtf(variance + NORM_EPSILON);
#pragma unroll
    for (uint32_t i = 0; i < HELD; ++i) {
      const uint32_t c = lane + i * WARP;
      if (c < columns) {
        to[c] = x[i] * factor * (1.0f + scale[i]) + shift[i];
      }
    }
  }
};

template<uint32_t GROUP, int V, uint32_t HELD>
static __global__ void
__launch_bounds__(FEW_BLOCK, 1) norm_affine_kernel(Tensor x,
                                                   Tensor index,
                                                   Tensor modulation,
                                                   Tensor weight,
                                                   Tensor bias,
                                                   bool   gelu,
                                                   Tensor y)
{
  DYNAMIC_SHARED(float, normed); // [8, D to whole packs]
  const uint32_t          first  = blockIdx.y * FEW_ROWS;
  const uint32_t          rows   = min(FEW_ROWS, x.rows - first);
  const uint32_t          stride = (x.columns + 3) / 4 * 4;
  const uint32_t          warp   = threadIdx.x / WARP;
  const FewRows<GROUP, V> work(weight);
  const typename FewRows<GROUP, V>::Weights begin = work.load(0);
  const float b = work.column < work.columns ? bias.data[work.column] : 0.0f;
  // Rows of a warp together, where its registers hold them.
  constexpr uint32_t TOGETHER = HELD <= NORM_SHORT ? FEW_ROWS / FEW_WARPS : 1;
#pragma unroll 1
  for (uint32_t r = warp; r < rows; r += FEW_WARPS * TOGETHER) {
    NormRow<HELD> held[TOGETHER];
#pragma unroll
    for (uint32_t i = 0; i < TOGETHER; ++i) {
      if (r + i * FEW_WARPS < rows) {
        held[i].load(x, index, modulation, first + r + i * FEW_WARPS);
      }
    }
#pragma unroll
    for (uint32_t i = 0; i < TOGETHER; ++i) {
      if (r + i * FEW_WARPS < rows) {
        held[i].store(x.columns, normed + (r + i * FEW_WARPS) * stride);
      }
    }
  }
  __syncthreads();
  const float total = work.product(begin, normed, stride, rows);
  if (work.writes(rows)) {
    const float value                        = total + b;
    row_of(y, first + work.row)[work.column] = gelu ? gelu_of(value) : value;
  }
}

template<uint32_t GROUP, int V, uint32_t HELD>
static void
launch_norm_affine(CudaDevice* cuda,
                   Tensor      x,
                   Tensor      index,
                   Tensor      modulation,
                   Tensor      weight,
                   Tensor      bias,
                   bool        gelu,
                   Tensor      y)
{
  LAUNCH((norm_affine_kernel<GROUP, V, HELD>),
         few_rows_grid(GROUP, y.columns, x.rows, FEW_WARPS),
         FEW_BLOCK,
         FEW_ROWS * ((x.columns + 3) / 4 * 4) * sizeof(float),
         cuda->stream,
         x,
         index,
         modulation,
         weight,
         bias,
         gelu,
         y);
}

void
cuda_norm_affine(Device* device,
                 Tensor  x,
                 Tensor  index,
                 Tensor  modulation,
                 Tensor  weight,
                 Tensor  packed,
                 Tensor  bias,
                 bool    gelu,
                 Tensor  scratch,
                 Tensor  y)
{
  CudaDevice* const cuda = cuda_of(device);
  if (x.rows > FEW_ROWS_MAX || x.columns > NORM_COLUMNS_MAX) {
    compose_norm_affine(
      device, x, index, modulation, weight, packed, bias, gelu, scratch, y);
    return;
  }
  const bool few  = few_rows_group(x.columns) == FEW_SHORT;
  const bool four = by_four(weight);
  // Rows of FEW_SHORT_MAX columns are also rows that a warp holds twice.
  static_assert(FEW_SHORT_MAX <= NORM_SHORT * WARP, "they share a limit");
  auto* const launch = few
                         ? (four ? launch_norm_affine<FEW_SHORT, 4, NORM_SHORT>
                                 : launch_norm_affine<FEW_SHORT, 1, NORM_SHORT>)
                         : (four ? launch_norm_affine<FEW_LONG, 4, NORM_LONG>
                                 : launch_norm_affine<FEW_LONG, 1, NORM_LONG>);
  launch(cuda, x, index, modulation, weight, bias, gelu, y);
  cuda_launched(device, "norm_affine");
}

// --- affine, gated -----------------------------------------------------------

template<uint32_t GROUP, int V>
static __global__ void
__launch_bounds__(FEW_BLOCK) affine_gated_kernel(Tensor input,
                                                 Tensor weight,
                                                 Tensor bias,
                                                 Tensor index,
                                                 Tensor gate,
                                                 Tensor x)
{
  const uint32_t          first = blockIdx.y * FEW_ROWS;
  const uint32_t          rows  = min(FEW_ROWS, input.rows - first);
  const FewRows<GROUP, V> work(weight);
  const typename FewRows<GROUP, V>::Weights begin = work.load(0);
  // What the end needs, asked for before the product.
  float* to  = nullptr;
  float  old = 0.0f;
  float  b   = 0.0f;
  float  g   = 0.0f;
  if (work.writes(rows)) {
    const uint32_t r = first + work.row;
    to               = row_of(x, r) + work.column;
    old              = *to;
    b                = bias.data[work.column];
    g = row_of(gate, device_index(index, r, gate.rows))[work.column];
  }
  const float total =
    work.product(begin, row_of(input, first), input.stride, rows);
  if (to) {
    *to = old + g * (total + b);
  }
}

void
cuda_affine_gated(Device* device,
                  Tensor  input,
                  Tensor  weight,
                  Tensor  packed,
                  Tensor  bias,
                  Tensor  index,
                  Tensor  gate,
                  Tensor  scratch,
                  Tensor  x)
{
  CudaDevice* const cuda = cuda_of(device);
  if (x.rows > FEW_ROWS_MAX) {
    compose_affine_gated(
      device, input, weight, packed, bias, index, gate, scratch, x);
    return;
  }
  const uint32_t group  = few_rows_group(input.columns);
  const bool     few    = group == FEW_SHORT;
  const bool     four   = by_four(weight) && by_four(input);
  auto* const    kernel = few ? (four ? affine_gated_kernel<FEW_SHORT, 4>
                                      : affine_gated_kernel<FEW_SHORT, 1>)
                              : (four ? affine_gated_kernel<FEW_LONG, 4>
                                      : affine_gated_kernel<FEW_LONG, 1>);
  const uint32_t warps  = few_rows_warps(cuda, group, x.columns);
  LAUNCH(kernel,
         few_rows_grid(group, x.columns, x.rows, warps),
         warps * WARP,
         0,
         cuda->stream,
         input,
         weight,
         bias,
         index,
         gate,
         x);
  cuda_launched(device, "affine_gated");
}
