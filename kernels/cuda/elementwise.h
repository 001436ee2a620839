// What ops on single elements and on rows share: packets of one or four floats,
// the kernel and the launch of a function of corresponding elements, the CPU's
// exponential, indices. Only kernels/cuda/*.cu include this; the thread of the
// Device.
#pragma once

#include "cuda.h"

#include <math.h>

#define BLOCK 256u

// V floats that move by one instruction.
template<int V>
struct alignas(V * sizeof(float)) Pack {
  float at[V];
};

template<int V>
__device__ static inline Pack<V>
pack_load(const float* from)
{
  return *reinterpret_cast<const Pack<V>*>(from);
}

template<int V>
__device__ static inline void
pack_store(float* to, Pack<V> pack)
{
  *reinterpret_cast<Pack<V>*>(to) = pack;
}

// Columns of a tensor that has them.
static inline Tensor
columns_of(Tensor x, uint32_t first, uint32_t count)
{
  return { x.data + first, x.rows, count, x.stride };
}

// exp within the bounds of the CPU's, so that neither overflows where the other
// does not.
__device__ static inline float
bounded_exp(float x)
{
  return expf(x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x);
}

// Quotients of about 2 ulp; the exact division costs as much as the rest. The
// divisors here lie within 1..2e38, where __fdividef holds: beyond 2^126 it
// gives 0, which is right for both.
__device__ static inline float
device_sigmoid(float x)
{
  return __fdividef(1.0f, 1.0f + bounded_exp(-x));
}

__device__ static inline float
device_tanh(float x)
{
  return 1.0f - __fdividef(2.0f, bounded_exp(2.0f * x) + 1.0f);
}

// A whole-number index from a float tensor, kept inside the table.
__device__ static inline uint32_t
device_index(Tensor index, uint32_t r, uint32_t end)
{
  const float value = *row_of(index, r);
  if (!(value >= 0.0f)) {
    return 0;
  }
  // A float cannot tell every `end`: hence both bounds.
  const uint32_t i = value < (float)end ? (uint32_t)value : end - 1;
  return i < end ? i : end - 1;
}

// --- Functions of corresponding elements -----------------------------------

template<int N>
struct Views {
  float*   data[N];
  uint32_t stride[N];
};

// F: a function (r, in, out) of one element of each view; all are read before
// any is written, so an output may be an input. r is the row, or 0 where F does
// not ask for it (BY_ROW) and the views are packed.
template<int V, int IN, int OUT, typename F>
static __global__ void
__launch_bounds__(BLOCK)
  map_kernel(F f, Views<IN> in, Views<OUT> out, size_t rows, size_t packs)
{
  const size_t row_step  = (size_t)gridDim.y * blockDim.y;
  const size_t pack_step = (size_t)gridDim.x * blockDim.x;
  for (size_t row = (size_t)blockIdx.y * blockDim.y + threadIdx.y; row < rows;
       row += row_step) {
    const uint32_t r = (uint32_t)row;
    for (size_t p = (size_t)blockIdx.x * blockDim.x + threadIdx.x; p < packs;
         p += pack_step) {
      Pack<V> from[IN];
      Pack<V> to[OUT];
#pragma unroll
      for (int k = 0; k < IN; ++k) {
        from[k] = pack_load<V>(in.data[k] + (size_t)r * in.stride[k] + p * V);
      }
#pragma unroll
      for (int j = 0; j < V; ++j) {
        float x[IN];
        float y[OUT];
#pragma unroll
        for (int k = 0; k < IN; ++k) {
          x[k] = from[k].at[j];
        }
        f(r, x, y);
#pragma unroll
        for (int k = 0; k < OUT; ++k) {
          to[k].at[j] = y[k];
        }
      }
#pragma unroll
      for (int k = 0; k < OUT; ++k) {
        pack_store<V>(out.data[k] + (size_t)r * out.stride[k] + p * V, to[k]);
      }
    }
  }
}

// How threads cover rows x packs.
struct MapShape {
  dim3 grid;
  dim3 block;
};

static inline MapShape
map_shape(const CudaDevice* cuda, size_t rows, size_t packs)
{
  // As many threads along a row as waste at most an eighth of them.
  unsigned across = 1;
  for (unsigned x = 2; x <= BLOCK; x *= 2) {
    if ((packs + x - 1) / x * x <= packs + packs / 8) {
      across = x;
    }
  }
  unsigned down = 1;
  while (down < BLOCK / across && down < rows) {
    down *= 2;
  }
  const size_t full  = (size_t)cuda->multiprocessors * 16;
  const size_t wide  = (packs + across - 1) / across;
  const size_t tall  = (rows + down - 1) / down;
  const size_t x     = wide < full ? wide : full;
  const size_t y_max = full / x < 65535 ? full / x : 65535;
  const size_t y     = tall < y_max ? tall : y_max;
  return { dim3((unsigned)x, (unsigned)(y ? y : 1)), dim3(across, down) };
}

// The views of tensors that have one shape.
template<int N>
static inline Views<N>
views_of(const Tensor (&x)[N])
{
  Views<N> views;
  for (int k = 0; k < N; ++k) {
    views.data[k]   = x[k].data;
    views.stride[k] = x[k].stride;
  }
  return views;
}

// Applies f; an input of stride 0 is one row for all rows.
template<typename F, int IN, int OUT>
static void
map(Device*     device,
    const char* op,
    F           f,
    const Tensor (&in)[IN],
    const Tensor (&out)[OUT])
{
  CudaDevice* const cuda    = cuda_of(device);
  size_t            rows    = out[0].rows;
  size_t            width   = out[0].columns;
  bool              packed  = !F::BY_ROW;
  bool              fours   = true; // of rows
  bool              aligned = true; // the first element
  for (int k = 0; k < IN + OUT; ++k) {
    const Tensor t = k < IN ? in[k] : out[k - IN];
    packed         = packed && is_packed(t);
    fours          = fours && by_four(t);
    aligned        = aligned && (uintptr_t)t.data % 16 == 0;
  }
  if (packed) {
    width *= rows;
    rows  = 1;
    fours = aligned && width % 4 == 0;
  }
  if (fours) {
    const MapShape shape = map_shape(cuda, rows, width / 4);
    LAUNCH((map_kernel<4, IN, OUT, F>),
           shape.grid,
           shape.block,
           0,
           cuda->stream,
           f,
           views_of(in),
           views_of(out),
           rows,
           width / 4);
  } else {
    const MapShape shape = map_shape(cuda, rows, width);
    LAUNCH((map_kernel<1, IN, OUT, F>),
           shape.grid,
           shape.block,
           0,
           cuda->stream,
           f,
           views_of(in),
           views_of(out),
           rows,
           width);
  }
  cuda_launched(device, op);
}
