// The transformer's row-wise ops. All are bound by memory: a warp takes a row,
// by 16 bytes a lane where the views allow. The thread of the Device.
#include "ops.h"

#include "gelu.cuh"
#include "reduce_by_index.cuh"

#define NORM_EPSILON 1e-5f
#define ROW_WARPS 8u // of a block of 256
#define ROW_BLOCK (ROW_WARPS * WARP)

// --- GELU --------------------------------------------------------------------

struct Gelu {
  static constexpr bool BY_ROW = false;
  __device__ void
  operator()(uint32_t, const float* in, float* out) const
  {
    out[0] = gelu_of(in[0]);
  }
};

struct GeluBackward {
  static constexpr bool BY_ROW = false;
  __device__ void
  operator()(uint32_t, const float* in, float* out) const
  {
    const float v     = in[0];
    const float t     = gelu_tanh(v);
    const float slope = GELU_SLOPE * (1.0f + 3.0f * GELU_CUBE * v * v);
    out[0]            = in[1] * 0.5f * (1.0f + t + v * (1.0f - t * t) * slope);
  }
};

void
cuda_gelu(Device* device, Tensor x, Tensor y)
{
  map(device, "gelu", Gelu(), { x }, { y });
}

void
cuda_gelu_backward(Device* device, Tensor x, Tensor dy, Tensor dx)
{
  map(device, "gelu_backward", GeluBackward(), { x, dy }, { dx });
}

// --- Modulated norm ----------------------------------------------------------

// HELD: packs of a row that a lane keeps in registers; 0: it reads the row
// again from the cache, however long it is.
template<int V, int HELD>
static __global__ void
__launch_bounds__(ROW_BLOCK) norm_kernel(Tensor x,
                                         Tensor index,
                                         Tensor modulation,
                                         Tensor normal,
                                         Tensor inverse,
                                         Tensor y)
{
  const uint32_t lane  = threadIdx.x % WARP;
  const uint32_t packs = x.columns / V;
  const uint32_t r     = blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
  if (r >= x.rows) {
    return;
  }
  const float* const from = row_of(x, r);
  const float* const shift =
    row_of(modulation, device_index(index, r, modulation.rows));
  const float* const scale = shift + x.columns;
  Pack<V>            held[HELD ? HELD : 1];
  const auto         each = [&](auto use) {
    if (HELD) {
#pragma unroll
      for (int i = 0; i < HELD; ++i) {
        if (lane + (uint32_t)i * WARP < packs) {
          use(held[i], lane + (uint32_t)i * WARP);
        }
      }
    } else {
      for (uint32_t p = lane; p < packs; p += WARP) {
        Pack<V> pack = pack_load<V>(from + (size_t)p * V);
        use(pack, p);
      }
    }
  };
  if (HELD) {
    each([&](Pack<V>& pack, uint32_t p) {
      pack = pack_load<V>(from + (size_t)p * V);
    });
  }
  float sum = 0.0f;
  each([&](Pack<V>& pack, uint32_t) {
#pragma unroll
    for (int j = 0; j < V; ++j) {
      sum += pack.at[j];
    }
  });
  const float mean   = warp_sum(sum) / (float)x.columns;
  float       square = 0.0f;
  each([&](Pack<V>& pack, uint32_t) {
#pragma unroll
    for (int j = 0; j < V; ++j) {
      square += (pack.at[j] - mean) * (pack.at[j] - mean);
    }
  });
  const float variance = warp_sum(square) / (float)x.columns;
  const float factor   = 1.0f / sqrtf(variance + NORM_EPSILON);
  if (lane == 0) {
    *row_of(inverse, r) = factor;
  }
  each([&](Pack<V>& pack, uint32_t p) {
    const Pack<V> a = pack_load<V>(scale + (size_t)p * V);
    const Pack<V> b = pack_load<V>(shift + (size_t)p * V);
    Pack<V>       to;
    Pack<V>       n;
#pragma unroll
    for (int j = 0; j < V; ++j) {
      n.at[j]  = (pack.at[j] - mean) * factor;
      to.at[j] = n.at[j] * (1.0f + a.at[j]) + b.at[j];
    }
    pack_store<V>(row_of(normal, r) + (size_t)p * V, n);
    pack_store<V>(row_of(y, r) + (size_t)p * V, to);
  });
}

// The halves of a modulation are rows of their own.
static bool
halves_by_four(Tensor modulation)
{
  return by_four(modulation) && modulation.columns % 8 == 0;
}

void
cuda_modulated_norm(Device* device,
                    Tensor  x,
                    Tensor  index,
                    Tensor  modulation,
                    Tensor  normal,
                    Tensor  inverse,
                    Tensor  y)
{
  CudaDevice* const cuda = cuda_of(device);
  const bool        four =
    by_four(x) && by_four(normal) && by_four(y) && halves_by_four(modulation);
  auto* const kernel = !four               ? norm_kernel<1, 0>
                       : x.columns <= 256  ? norm_kernel<4, 2>
                       : x.columns <= 1024 ? norm_kernel<4, 8>
                                           : norm_kernel<4, 0>;
  LAUNCH(kernel,
         (x.rows - 1) / ROW_WARPS + 1,
         ROW_BLOCK,
         0,
         cuda->stream,
         x,
         index,
         modulation,
         normal,
         inverse,
         y);
  cuda_launched(device, "modulated_norm");
}

// The gradients of shift and scale, row by row.
struct NormTerms {
  Tensor dy;
  Tensor normal;

  __device__ float
  at(uint32_t r, uint32_t c) const
  {
    const uint32_t i = c < dy.columns ? c : c - dy.columns;
    const float    d = row_of(dy, r)[i];
    return c < dy.columns ? d : __fmul_rn(d, row_of(normal, r)[i]);
  }
};

// One row of dx, by a warp.
template<int V>
__device__ static inline void
norm_row_backward(const float* scale,
                  const float* normal,
                  float        factor,
                  const float* dy,
                  float*       dx,
                  uint32_t     columns)
{
  const uint32_t lane  = threadIdx.x % WARP;
  const uint32_t packs = columns / V;
  // The gradient of normal, dy * (1 + scale), loses its mean and its part
  // along normal: the norm is blind to both.
  float sum   = 0.0f;
  float along = 0.0f;
  for (uint32_t p = lane; p < packs; p += WARP) {
    const Pack<V> d = pack_load<V>(dy + (size_t)p * V);
    const Pack<V> s = pack_load<V>(scale + (size_t)p * V);
    const Pack<V> n = pack_load<V>(normal + (size_t)p * V);
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const float g = d.at[j] * (1.0f + s.at[j]);
      sum += g;
      along += g * n.at[j];
    }
  }
  const float mean  = warp_sum(sum) / (float)columns;
  const float slope = warp_sum(along) / (float)columns;
  for (uint32_t p = lane; p < packs; p += WARP) {
    const Pack<V> d  = pack_load<V>(dy + (size_t)p * V);
    const Pack<V> s  = pack_load<V>(scale + (size_t)p * V);
    const Pack<V> n  = pack_load<V>(normal + (size_t)p * V);
    Pack<V>       to = pack_load<V>(dx + (size_t)p * V);
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const float g = d.at[j] * (1.0f + s.at[j]);
      to.at[j] += factor * (g - mean - n.at[j] * slope);
    }
    pack_store<V>(dx + (size_t)p * V, to);
  }
}

// A block a span of 32 rows.
template<int V>
static __global__ void
__launch_bounds__(ROW_BLOCK, 4) norm_backward_kernel(SpanSums sums,
                                                     Tensor   modulation,
                                                     Tensor   normal,
                                                     Tensor   inverse,
                                                     Tensor   dy,
                                                     Tensor   dx)
{
  for (uint32_t i = threadIdx.x / WARP; i < SPAN; i += ROW_WARPS) {
    const uint32_t r = blockIdx.x * SPAN + i;
    if (r >= dy.rows) {
      break;
    }
    const uint32_t m = device_index(sums.index, r, modulation.rows);
    norm_row_backward<V>(row_of(modulation, m) + dy.columns,
                         row_of(normal, r),
                         *row_of(inverse, r),
                         row_of(dy, r),
                         row_of(dx, r),
                         dy.columns);
  }
  add_span(sums, NormTerms{ dy, normal }, blockIdx.x);
}

void
cuda_modulated_norm_backward(Device* device,
                             Tensor  index,
                             Tensor  modulation,
                             Tensor  normal,
                             Tensor  inverse,
                             Tensor  dy,
                             Tensor  dx,
                             Tensor  dmodulation)
{
  const char* const op   = "modulated_norm_backward";
  CudaDevice* const cuda = cuda_of(device);
  SpanSums          sums = {};
  if (!begin_sums(device, op, index, dmodulation, &sums)) {
    return;
  }
  const bool four =
    by_four(normal) && by_four(dy) && by_four(dx) && halves_by_four(modulation);
  auto* const kernel = four ? norm_backward_kernel<4> : norm_backward_kernel<1>;
  LAUNCH(kernel,
         sums.spans,
         ROW_BLOCK,
         0,
         cuda->stream,
         sums,
         modulation,
         normal,
         inverse,
         dy,
         dx);
  if (cuda_launched(device, op)) {
    end_sums(device, op, sums, NormTerms{ dy, normal });
  }
}

// --- Gated sum ---------------------------------------------------------------

template<int V>
static __global__ void
__launch_bounds__(ROW_BLOCK)
  gated_add_kernel(Tensor branch, Tensor index, Tensor gate, Tensor x)
{
  const uint32_t r = blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
  if (r >= x.rows) {
    return;
  }
  const float* const g  = row_of(gate, device_index(index, r, gate.rows));
  const float* const b  = row_of(branch, r);
  float* const       to = row_of(x, r);
  for (uint32_t p = threadIdx.x % WARP; p < x.columns / V; p += WARP) {
    const Pack<V> gp  = pack_load<V>(g + (size_t)p * V);
    const Pack<V> bp  = pack_load<V>(b + (size_t)p * V);
    Pack<V>       sum = pack_load<V>(to + (size_t)p * V);
#pragma unroll
    for (int j = 0; j < V; ++j) {
      sum.at[j] += gp.at[j] * bp.at[j];
    }
    pack_store<V>(to + (size_t)p * V, sum);
  }
}

void
cuda_gated_add(Device* device,
               Tensor  branch,
               Tensor  index,
               Tensor  gate,
               Tensor  x)
{
  CudaDevice* const cuda   = cuda_of(device);
  const bool        four   = by_four(branch) && by_four(gate) && by_four(x);
  auto* const       kernel = four ? gated_add_kernel<4> : gated_add_kernel<1>;
  LAUNCH(kernel,
         (x.rows - 1) / ROW_WARPS + 1,
         ROW_BLOCK,
         0,
         cuda->stream,
         branch,
         index,
         gate,
         x);
  cuda_launched(device, "gated_add");
}

struct GateTerms {
  Tensor branch;
  Tensor dx;

  __device__ float
  at(uint32_t r, uint32_t c) const
  {
    return __fmul_rn(row_of(branch, r)[c], row_of(dx, r)[c]);
  }
};

template<int V>
static __global__ void
__launch_bounds__(ROW_BLOCK) gated_add_backward_kernel(SpanSums sums,
                                                       Tensor   branch,
                                                       Tensor   gate,
                                                       Tensor   dx,
                                                       Tensor   dbranch)
{
  for (uint32_t i = threadIdx.x / WARP; i < SPAN; i += ROW_WARPS) {
    const uint32_t r = blockIdx.x * SPAN + i;
    if (r >= dx.rows) {
      break;
    }
    const float* const g = row_of(gate, device_index(sums.index, r, gate.rows));
    const float* const from = row_of(dx, r);
    float* const       to   = row_of(dbranch, r);
    for (uint32_t p = threadIdx.x % WARP; p < dx.columns / V; p += WARP) {
      const Pack<V> gp = pack_load<V>(g + (size_t)p * V);
      Pack<V>       d  = pack_load<V>(from + (size_t)p * V);
#pragma unroll
      for (int j = 0; j < V; ++j) {
        d.at[j] *= gp.at[j];
      }
      pack_store<V>(to + (size_t)p * V, d);
    }
  }
  add_span(sums, GateTerms{ branch, dx }, blockIdx.x);
}

void
cuda_gated_add_backward(Device* device,
                        Tensor  branch,
                        Tensor  index,
                        Tensor  gate,
                        Tensor  dx,
                        Tensor  dbranch,
                        Tensor  dgate)
{
  const char* const op   = "gated_add_backward";
  CudaDevice* const cuda = cuda_of(device);
  SpanSums          sums = {};
  if (!begin_sums(device, op, index, dgate, &sums)) {
    return;
  }
  const bool  four = by_four(gate) && by_four(dx) && by_four(dbranch);
  auto* const kernel =
    four ? gated_add_backward_kernel<4> : gated_add_backward_kernel<1>;
  LAUNCH(kernel,
         sums.spans,
         ROW_BLOCK,
         0,
         cuda->stream,
         sums,
         branch,
         gate,
         dx,
         dbranch);
  if (cuda_launched(device, op)) {
    end_sums(device, op, sums, GateTerms{ branch, dx });
  }
}

// --- Rotary positions --------------------------------------------------------

template<int V>
static __global__ void
__launch_bounds__(ROW_BLOCK) rotate_kernel(uint32_t pairs, // of packs, of a row
                                           Tensor   position,
                                           Tensor   cosines,
                                           Tensor   sines,
                                           float    sign,
                                           Tensor   x)
{
  const uint32_t r = blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
  if (r >= x.rows) {
    return;
  }
  const uint32_t     half  = cosines.columns / V; // packs
  const uint32_t     place = device_index(position, r, cosines.rows);
  const float* const c     = row_of(cosines, place);
  const float* const s     = row_of(sines, place);
  for (uint32_t p = threadIdx.x % WARP; p < pairs; p += WARP) {
    const uint32_t i  = p % half;
    float* const   a  = row_of(x, r) + (size_t)((p - i) * 2 + i) * V;
    float* const   b  = a + cosines.columns;
    Pack<V>        at = pack_load<V>(a);
    Pack<V>        bt = pack_load<V>(b);
    const Pack<V>  ct = pack_load<V>(c + (size_t)i * V);
    const Pack<V>  st = pack_load<V>(s + (size_t)i * V);
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const float ai = at.at[j];
      const float bi = bt.at[j];
      const float si = sign * st.at[j];
      at.at[j]       = ai * ct.at[j] - si * bi;
      bt.at[j]       = bi * ct.at[j] + si * ai;
    }
    pack_store<V>(a, at);
    pack_store<V>(b, bt);
  }
}

void
cuda_rotate(Device*  device,
            uint32_t heads,
            Tensor   position,
            Tensor   cosines,
            Tensor   sines,
            bool     back,
            Tensor   x)
{
  CudaDevice* const cuda   = cuda_of(device);
  const bool        four   = by_four(x) && by_four(cosines) && by_four(sines);
  const uint32_t    pairs  = heads * cosines.columns / (four ? 4 : 1);
  auto* const       kernel = four ? rotate_kernel<4> : rotate_kernel<1>;
  LAUNCH(kernel,
         (x.rows - 1) / ROW_WARPS + 1,
         ROW_BLOCK,
         0,
         cuda->stream,
         pairs,
         position,
         cosines,
         sines,
         back ? -1.0f : 1.0f,
         x);
  cuda_launched(device, "rotate");
}
