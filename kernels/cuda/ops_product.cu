// Products of matrices. Many rows go to cuBLAS, large products in TF32 (10 bits
// of mantissa in the operands, sums in full) where the GPU has it.
// Few rows, as sampling at batch 1 makes them, go to a kernel of our own in
// full precision: there the weights are read once, from every multiprocessor,
// and the bias comes with the same launch. The thread of the Device.
#include "ops.h"

#define ROWS_FEW 32u // above, cuBLAS
// Multiplications from which a product may be in TF32: below, full precision
// takes no longer than a launch.
#define TF32_PRODUCTS_MIN 67108864.0

// --- Few rows --------------------------------------------------------------
// c = alpha x w^T + beta c + bias. A block makes up to ROWS rows of the product
// in WARPS * COLUMNS columns: a warp reads COLUMNS rows of w along K, its lanes
// side by side, and multiplies each by the rows of x, of which the block keeps
// a stretch in shared memory.

#define WARPS 4u
#define THREADS (WARPS * WARP)
#define CHUNKS 4u        // float4 of a stretch that a lane reads of a row
#define CHUNK (4 * WARP) // floats that a warp reads at once
#define STRETCH (CHUNKS * CHUNK) // floats of K that are held at a time

struct Product {
  const float* x;
  const float* w;
  const float* bias; // NULL: none
  float*       c;
  uint32_t     x_stride;
  uint32_t     w_stride;
  uint32_t     c_stride;
  uint32_t     m;
  uint32_t     n;
  uint32_t     k;
  float        alpha;
  float        beta;
};

// Floats of `from` that fall to a lane in one chunk: 4 side by side where
// VECTOR, as then rows begin on 16 bytes and their length is a multiple of 4;
// else every 32nd. 0 past `left`.
template<bool VECTOR>
__device__ static inline float4
chunk_of(const float* __restrict__ from, uint32_t chunk, uint32_t left)
{
  const uint32_t lane = threadIdx.x % WARP;
  float4         v    = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if (VECTOR) {
    const uint32_t k = chunk * CHUNK + 4 * lane;
    if (k < left) {
      v = *(const float4*)(from + k);
    }
  } else {
    const uint32_t k = chunk * CHUNK + lane;
    v.x              = k < left ? from[k] : 0.0f;
    v.y              = k + WARP < left ? from[k + WARP] : 0.0f;
    v.z              = k + 2 * WARP < left ? from[k + 2 * WARP] : 0.0f;
    v.w              = k + 3 * WARP < left ? from[k + 3 * WARP] : 0.0f;
  }
  return v;
}

// Adds up COUNT values over a warp, halving what a lane holds with each
// exchange: lane i ends with the sum of value i / (32 / COUNT).
template<uint32_t COUNT>
__device__ static inline float
warp_sums(float (&v)[COUNT])
{
  const uint32_t lane = threadIdx.x % WARP;
  uint32_t       mask = WARP / 2;
#pragma unroll
  for (uint32_t half = COUNT / 2; half > 0; half /= 2, mask /= 2) {
    const bool upper = lane & mask;
#pragma unroll
    for (uint32_t i = 0; i < half; ++i) {
      const float sent = upper ? v[i] : v[i + half];
      const float kept = upper ? v[i + half] : v[i];
      v[i]             = kept + __shfl_xor_sync(WARP_ALL, sent, mask);
    }
  }
#pragma unroll
  for (; mask > 0; mask /= 2) {
    v[0] += __shfl_xor_sync(WARP_ALL, v[0], mask);
  }
  return v[0];
}

// The products of one stretch, added to `sum`.
template<uint32_t ROWS, uint32_t COLUMNS>
__device__ static inline void
add_stretch(const float4 (&tile)[ROWS][CHUNKS * WARP],
            const float4 (&w)[COLUMNS][CHUNKS],
            uint32_t chunks,
            float (&sum)[ROWS * COLUMNS])
{
#pragma unroll
  for (uint32_t j = 0; j < CHUNKS; ++j) {
    if (j < chunks) {
#pragma unroll
      for (uint32_t r = 0; r < ROWS; ++r) {
        const float4 x = tile[r][j * WARP + threadIdx.x % WARP];
#pragma unroll
        for (uint32_t i = 0; i < COLUMNS; ++i) {
          float s              = sum[r * COLUMNS + i];
          s                    = fmaf(x.x, w[i][j].x, s);
          s                    = fmaf(x.y, w[i][j].y, s);
          s                    = fmaf(x.z, w[i][j].z, s);
          s                    = fmaf(x.w, w[i][j].w, s);
          sum[r * COLUMNS + i] = s;
        }
      }
    }
  }
}

template<uint32_t ROWS, uint32_t COLUMNS, bool VECTOR>
static __global__ void
__launch_bounds__(THREADS) few_rows(Product p)
{
  __shared__ float4 tile[ROWS][CHUNKS * WARP];

  const uint32_t lane              = threadIdx.x % WARP;
  const uint32_t warp              = threadIdx.x / WARP;
  const uint32_t first             = (blockIdx.x * WARPS + warp) * COLUMNS;
  const uint32_t top               = blockIdx.y * ROWS;
  const float* __restrict__ w_data = p.w;
  const float* __restrict__ x_data = p.x;

  // What this lane stores in the end, and what is added to it, asked for now so
  // that nothing waits for it then.
  constexpr uint32_t lanes  = WARP / (ROWS * COLUMNS); // that share a value
  const uint32_t     row    = top + lane / lanes / COLUMNS;
  const uint32_t     column = first + lane / lanes % COLUMNS;
  const bool         stores = lane % lanes == 0 && row < p.m && column < p.n;
  float*             out    = p.c + (size_t)row * p.c_stride + column;
  float              base   = 0.0f;
  if (stores && p.bias) {
    base = p.bias[column];
  }
  if (stores && p.beta != 0.0f) {
    base = fmaf(p.beta, *out, base);
  }

  float sum[ROWS * COLUMNS] = {};
  for (uint32_t done = 0; done < p.k; done += STRETCH) {
    const uint32_t left   = p.k - done < STRETCH ? p.k - done : STRETCH;
    const uint32_t chunks = (left + CHUNK - 1) / CHUNK;
    // Weights first: they come from farthest, and while they do x is laid out.
    float4 w[COLUMNS][CHUNKS];
#pragma unroll
    for (uint32_t i = 0; i < COLUMNS; ++i) {
      // A column past the end repeats the last, and is not kept.
      const uint32_t n = first + i < p.n ? first + i : p.n - 1;
#pragma unroll
      for (uint32_t j = 0; j < CHUNKS; ++j) {
        w[i][j] =
          chunk_of<VECTOR>(w_data + (size_t)n * p.w_stride + done, j, left);
      }
    }
#pragma unroll
    for (uint32_t i = warp; i < ROWS * CHUNKS; i += WARPS) {
      const uint32_t r = i / CHUNKS;
      const uint32_t j = i % CHUNKS;
      const uint32_t m = top + r < p.m ? top + r : p.m - 1;
      if (j < chunks) {
        tile[r][j * WARP + lane] =
          chunk_of<VECTOR>(x_data + (size_t)m * p.x_stride + done, j, left);
      }
    }
    __syncthreads();
    add_stretch(tile, w, chunks, sum);
    __syncthreads();
  }

  const float total = warp_sums(sum);
  if (stores) {
    *out = fmaf(p.alpha, total, base);
  }
}

static void
launch_few_rows(CudaDevice* cuda, Product p, bool vector)
{
  if (p.m == 1) {
    const dim3 grid((p.n - 1) / WARPS + 1, 1);
    if (vector) {
      LAUNCH((few_rows<1, 1, true>), grid, THREADS, 0, cuda->stream, p);
    } else {
      LAUNCH((few_rows<1, 1, false>), grid, THREADS, 0, cuda->stream, p);
    }
    return;
  }
  // Two columns a warp halve what shared memory has to give, but also the
  // blocks: one, where those would not fill the GPU.
  const uint32_t groups  = (p.m - 1) / 8 + 1;
  const uint32_t columns = (p.n - 1) / WARPS + 1;
  if ((size_t)columns * groups <= cuda->multiprocessors) {
    const dim3 grid(columns, groups);
    if (vector) {
      LAUNCH((few_rows<8, 1, true>), grid, THREADS, 0, cuda->stream, p);
    } else {
      LAUNCH((few_rows<8, 1, false>), grid, THREADS, 0, cuda->stream, p);
    }
  } else {
    const dim3 grid((p.n - 1) / (2 * WARPS) + 1, groups);
    if (vector) {
      LAUNCH((few_rows<8, 2, true>), grid, THREADS, 0, cuda->stream, p);
    } else {
      LAUNCH((few_rows<8, 2, false>), grid, THREADS, 0, cuda->stream, p);
    }
  }
}

// c = alpha x w^T + beta c + bias; bias empty: none.
static void
few_rows_product(Device*     device,
                 const char* op,
                 float       alpha,
                 Tensor      x,
                 Tensor      w,
                 Tensor      bias,
                 float       beta,
                 Tensor      c)
{
  const Product p = {
    x.data,   w.data, bias.data, c.data,    x.stride, w.stride,
    c.stride, c.rows, c.columns, x.columns, alpha,    beta,
  };
  launch_few_rows(cuda_of(device), p, by_four(x) && by_four(w));
  cuda_launched(device, op);
}

// --- Many rows -------------------------------------------------------------

static bool
fits_blas(Tensor x)
{
  return x.rows <= INT32_MAX && x.columns <= INT32_MAX && x.stride <= INT32_MAX;
}

// cuBLAS counts columns first, so it sees every matrix transposed: c^T =
// op(b)^T op(a)^T.
static void
blas_product(Device*     device,
             const char* op,
             bool        ta,
             bool        tb,
             float       alpha,
             Tensor      a,
             Tensor      b,
             float       beta,
             Tensor      c)
{
  CudaDevice* const cuda = cuda_of(device);
  if (!fits_blas(a) || !fits_blas(b) || !fits_blas(c)) {
    error_set(&device->error,
              STATUS_LIMIT,
              "%s: %s: a tensor of more than 2^31 - 1 rows or columns",
              device->name,
              op);
    return;
  }
  const uint32_t k    = ta ? a.rows : a.columns;
  const bool     tf32 = (double)c.rows * c.columns * k >= TF32_PRODUCTS_MIN;
  cuda_check_blas(
    device,
    cublasGemmEx(cuda->blas,
                 tb ? CUBLAS_OP_T : CUBLAS_OP_N,
                 ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                 (int)c.columns,
                 (int)c.rows,
                 (int)k,
                 &alpha,
                 b.data,
                 CUDA_R_32F,
                 (int)b.stride,
                 a.data,
                 CUDA_R_32F,
                 (int)a.stride,
                 &beta,
                 c.data,
                 CUDA_R_32F,
                 (int)c.stride,
                 tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                 CUBLAS_GEMM_DEFAULT),
    op);
}

void
cuda_matmul(Device* device,
            bool    ta,
            bool    tb,
            float   alpha,
            Tensor  a,
            Tensor  b,
            float   beta,
            Tensor  c)
{
  if (!ta && tb && c.rows <= ROWS_FEW) {
    few_rows_product(device, "matmul", alpha, a, b, Tensor{}, beta, c);
  } else {
    blas_product(device, "matmul", ta, tb, alpha, a, b, beta, c);
  }
}

void
cuda_affine(Device* device,
            Tensor  x,
            Tensor  weight,
            Tensor  packed,
            Tensor  bias,
            Tensor  y)
{
  (void)packed;
  if (y.rows <= ROWS_FEW) {
    few_rows_product(device, "affine", 1.0f, x, weight, bias, 0.0f, y);
    return;
  }
  cuda_broadcast_row(device, bias, y);
  blas_product(device, "affine", false, true, 1.0f, x, weight, 1.0f, y);
}
