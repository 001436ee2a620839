// Products of matrices. Many rows go to cuBLAS, large products in TF32 (10 bits
// of mantissa in the operands, sums in full) where the GPU has it.
// Few rows, as sampling at batch 1 makes them, go to a kernel of our own in
// full precision: there the weights are read once, from every multiprocessor,
// and the bias comes with the same launch. The thread of the Device.
#include "few_rows.cuh"
#include "ops.h"

// Multiplications from which a product may be in TF32: below, full precision
// takes no longer than a launch.
#define TF32_PRODUCTS_MIN 67108864.0

// --- Few rows --------------------------------------------------------------

// c = alpha x w^T + beta c + bias; bias empty: none.
template<uint32_t GROUP, int V, uint32_t ROWS>
static __global__ void
__launch_bounds__(FEW_BLOCK) few_rows_kernel(float  alpha,
                                             Tensor x,
                                             Tensor w,
                                             Tensor bias,
                                             float  beta,
                                             Tensor c)
{
  const uint32_t                first = blockIdx.y * ROWS;
  const uint32_t                rows  = min(ROWS, x.rows - first);
  const FewRows<GROUP, V, ROWS> work(w);
  const typename FewRows<GROUP, V, ROWS>::Weights begin = work.load(0);
  // What the end needs, asked for before the product.
  float* to   = nullptr;
  float  base = 0.0f;
  if (work.writes(rows)) {
    to = row_of(c, first + work.row) + work.column;
    if (bias.data) {
      base = bias.data[work.column];
    }
    if (beta != 0.0f) {
      base = fmaf(beta, *to, base);
    }
  }
  const float total = work.product(begin, row_of(x, first), x.stride, rows);
  if (to) {
    *to = fmaf(alpha, total, base);
  }
}

template<uint32_t ROWS>
static void
launch_few_rows(CudaDevice* cuda,
                float       alpha,
                Tensor      x,
                Tensor      w,
                Tensor      bias,
                float       beta,
                Tensor      c)
{
  const uint32_t group  = few_rows_group(x.columns);
  const bool     few    = group == FEW_SHORT;
  const bool     four   = by_four(x) && by_four(w);
  const uint32_t warps  = few_rows_warps(cuda, group, c.columns);
  auto* const    kernel = few ? (four ? few_rows_kernel<FEW_SHORT, 4, ROWS>
                                      : few_rows_kernel<FEW_SHORT, 1, ROWS>)
                              : (four ? few_rows_kernel<FEW_LONG, 4, ROWS>
                                      : few_rows_kernel<FEW_LONG, 1, ROWS>);
  LAUNCH(kernel,
         few_rows_grid(group, c.columns, c.rows, warps),
         warps * WARP,
         0,
         cuda->stream,
         alpha,
         x,
         w,
         bias,
         beta,
         c);
}

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
  auto* const launch =
    c.rows == 1 ? launch_few_rows<1> : launch_few_rows<FEW_ROWS>;
  launch(cuda_of(device), alpha, x, w, bias, beta, c);
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
  if (!ta && tb && c.rows <= FEW_ROWS_MAX) {
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
  if (y.rows <= FEW_ROWS_MAX) {
    few_rows_product(device, "affine", 1.0f, x, weight, bias, 0.0f, y);
    return;
  }
  cuda_broadcast_row(device, bias, y);
  blas_product(device, "affine", false, true, 1.0f, x, weight, 1.0f, y);
}
