// The emulator's cuBLAS: products by OpenBLAS on copies of the operands, which
// are so checked against the device's allocations and rounded to TF32 on the
// way where that is asked for.
#include "emulator_cublas.h"
#include "emulator_internal.h"

#include <cblas.h>
#include <cmath>
#include <cstring>
#include <set>
#include <vector>

struct EmulatedCublas {
  cudaStream_t        stream  = nullptr;
  cublasMath_t        math    = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointer = CUBLAS_POINTER_MODE_HOST;
};

namespace {

std::set<cublasHandle_t>&
handles()
{
  static std::set<cublasHandle_t>* const all = new std::set<cublasHandle_t>;
  return *all;
}

// A factor, by value or where it lies on the device.
struct Scalar {
  float        value;
  const float* device; // or NULL
};

// A stack of column-major matrices.
struct Matrix {
  const float* data;
  int          rows; // as stored
  int          columns;
  int          stride;
  long long    step; // from one to the next

  const float*
  batch(int i) const
  {
    return data + step * i;
  }
  size_t
  bytes() const
  {
    return ((size_t)stride * (size_t)(columns - 1) + (size_t)rows) *
           sizeof(float);
  }
};

struct Product {
  bool   ta, tb, tf32;
  bool   vector; // a matrix by a vector, which no tensor core does
  int    m, n, k, batches;
  Scalar alpha, beta;
  Matrix a, b, c;
};

// 10 bits of mantissa, ties to even.
float
to_tf32(float x)
{
  uint32_t bits = 0;
  memcpy(&bits, &x, sizeof bits);
  if (std::isfinite(x)) {
    bits += 0xfffu + (bits >> 13 & 1u);
    bits &= ~0x1fffu;
  }
  memcpy(&x, &bits, sizeof bits);
  return x;
}

bool
read_scalar(const Scalar& s, float* value)
{
  if (s.device && !on_device(s.device, sizeof(float))) {
    fault(cudaErrorIllegalAddress, "cuBLAS: a factor is not on the device");
    return false;
  }
  *value = s.device ? *s.device : s.value;
  return true;
}

bool
reachable(const Matrix& x, int batch)
{
  if (!x.rows || !x.columns || on_device(x.batch(batch), x.bytes())) {
    return true;
  }
  fault(cudaErrorIllegalAddress,
        "cuBLAS: a matrix of %d columns of %d rows, %d apart, is not all in "
        "one device allocation",
        x.columns,
        x.rows,
        x.stride);
  return false;
}

void
pack(const Matrix& x, int batch, bool tf32, std::vector<float>& out)
{
  out.resize((size_t)x.rows * (size_t)x.columns);
  const float* const data = x.batch(batch);
  for (int j = 0; j < x.columns; j++) {
    for (int i = 0; i < x.rows; i++) {
      const float value = data[(size_t)j * (size_t)x.stride + (size_t)i];
      out[(size_t)j * (size_t)x.rows + (size_t)i] =
        tf32 ? to_tf32(value) : value;
    }
  }
}

void
run_product(const Product& p)
{
  const DeviceMemory touch;
  float              alpha = 0.0f;
  float              beta  = 0.0f;
  std::vector<float> a, b, c;
  if (!read_scalar(p.alpha, &alpha) || !read_scalar(p.beta, &beta)) {
    return;
  }
  for (int i = 0; p.m && p.n && i < p.batches; i++) {
    if (!reachable(p.a, i) || !reachable(p.b, i) || !reachable(p.c, i)) {
      return;
    }
    // With beta 0 what lies in C is not read, NaN or not.
    c.assign((size_t)p.m * (size_t)p.n, 0.0f);
    if (beta != 0.0f) {
      pack(p.c, i, false, c);
    }
    pack(p.a, i, p.tf32, a);
    pack(p.b, i, p.tf32, b);
    cblas_sgemm(CblasColMajor,
                p.ta ? CblasTrans : CblasNoTrans,
                p.tb ? CblasTrans : CblasNoTrans,
                p.m,
                p.n,
                p.k,
                alpha,
                a.data(),
                p.a.rows > 0 ? p.a.rows : 1,
                b.data(),
                p.b.rows > 0 ? p.b.rows : 1,
                beta,
                c.data(),
                p.m);
    float* const out = const_cast<float*>(p.c.batch(i));
    for (int j = 0; j < p.n; j++) {
      memcpy(out + (size_t)j * (size_t)p.c.stride,
             c.data() + (size_t)j * (size_t)p.m,
             (size_t)p.m * sizeof(float));
    }
  }
}

cublasStatus_t
status_of(cudaError_t error)
{
  switch (error) {
    case cudaSuccess:
      return CUBLAS_STATUS_SUCCESS;
    case cudaErrorMemoryAllocation:
      return CUBLAS_STATUS_ALLOC_FAILED;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
      return CUBLAS_STATUS_NOT_INITIALIZED;
    default:
      return CUBLAS_STATUS_EXECUTION_FAILED;
  }
}

bool
valid(const Matrix& x)
{
  return x.rows >= 0 && x.columns >= 0 && x.stride >= 1 && x.stride >= x.rows;
}

Scalar
scalar(cublasHandle_t handle, const float* x)
{
  return handle->pointer == CUBLAS_POINTER_MODE_DEVICE ? Scalar{ 0.0f, x }
                                                       : Scalar{ *x, nullptr };
}

cublasStatus_t
start(cublasHandle_t handle,
      Product        p,
      const float*   alpha,
      const float*   beta,
      bool           tf32)
{
  Gate gate;
  if (!gate) {
    return status_of(gate.error());
  }
  if (!handles().count(handle)) {
    return CUBLAS_STATUS_NOT_INITIALIZED;
  }
  if (!alpha || !beta || !valid(p.a) || !valid(p.b) || !valid(p.c) || p.k < 0 ||
      p.batches < 0) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  p.alpha = scalar(handle, alpha);
  p.beta  = scalar(handle, beta);
  p.tf32  = !p.vector && (tf32 || handle->math == CUBLAS_TF32_TENSOR_OP_MATH);
  return status_of(
    gate.end(submit(handle->stream, Asked::plain, [p] { run_product(p); })));
}

// The shape of a product; the factors are put in by start().
Product
shape(cublasOperation_t ta,
      cublasOperation_t tb,
      int               m,
      int               n,
      int               k,
      int               batches)
{
  Product p = {};
  p.ta      = ta != CUBLAS_OP_N;
  p.tb      = tb != CUBLAS_OP_N;
  p.m       = m;
  p.n       = n;
  p.k       = k;
  p.batches = batches;
  return p;
}

} // namespace

// --- Handles --------------------------------------------------------------

cublasStatus_t
cublasCreate(cublasHandle_t* handle)
{
  Gate gate;
  *handle = nullptr;
  if (!gate) {
    return status_of(gate.error());
  }
  const cudaError_t forbidden = forbidden_in_capture();
  if (forbidden != cudaSuccess) {
    return status_of(gate.end(forbidden));
  }
  *handle = new EmulatedCublas;
  handles().insert(*handle);
  count_handle(1);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasDestroy(cublasHandle_t handle)
{
  const Release release;
  if (!handles().erase(handle)) {
    return CUBLAS_STATUS_NOT_INITIALIZED;
  }
  delete handle;
  count_handle(-1);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasGetVersion(cublasHandle_t, int* version)
{
  *version = 130000;
  return CUBLAS_STATUS_SUCCESS;
}

// Changes a setting of a handle that exists.
template<typename Change>
static cublasStatus_t
set(cublasHandle_t handle, Change change)
{
  Gate gate;
  if (!gate) {
    return status_of(gate.error());
  }
  if (!handles().count(handle)) {
    return CUBLAS_STATUS_NOT_INITIALIZED;
  }
  change();
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasSetStream(cublasHandle_t handle, cudaStream_t stream)
{
  return set(handle, [=] { handle->stream = stream; });
}

cublasStatus_t
cublasSetWorkspace(cublasHandle_t handle, void* workspace, size_t bytes)
{
  bool                 good = true;
  const cublasStatus_t status =
    set(handle, [&] { good = !bytes || on_device(workspace, bytes); });
  return good ? status : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t
cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode)
{
  return set(handle, [=] { handle->math = mode; });
}

cublasStatus_t
cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t)
{
  return set(handle, [] {});
}

cublasStatus_t
cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode)
{
  return set(handle, [=] { handle->pointer = mode; });
}

const char*
cublasGetStatusName(cublasStatus_t status)
{
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown status";
}

const char*
cublasGetStatusString(cublasStatus_t status)
{
  return cublasGetStatusName(status);
}

// --- Products -------------------------------------------------------------

cublasStatus_t
cublasGemmStridedBatchedEx(cublasHandle_t      handle,
                           cublasOperation_t   ta,
                           cublasOperation_t   tb,
                           int                 m,
                           int                 n,
                           int                 k,
                           const void*         alpha,
                           const void*         a,
                           cudaDataType        type_a,
                           int                 lda,
                           long long           stride_a,
                           const void*         b,
                           cudaDataType        type_b,
                           int                 ldb,
                           long long           stride_b,
                           const void*         beta,
                           void*               c,
                           cudaDataType        type_c,
                           int                 ldc,
                           long long           stride_c,
                           int                 batches,
                           cublasComputeType_t compute,
                           cublasGemmAlgo_t)
{
  if (type_a != CUDA_R_32F || type_b != CUDA_R_32F || type_c != CUDA_R_32F) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  Product     p  = shape(ta, tb, m, n, k, batches);
  const auto* fa = static_cast<const float*>(a);
  const auto* fb = static_cast<const float*>(b);
  p.a            = { fa, p.ta ? k : m, p.ta ? m : k, lda, stride_a };
  p.b            = { fb, p.tb ? n : k, p.tb ? k : n, ldb, stride_b };
  p.c            = { static_cast<const float*>(c), m, n, ldc, stride_c };
  return start(handle,
               p,
               static_cast<const float*>(alpha),
               static_cast<const float*>(beta),
               compute == CUBLAS_COMPUTE_32F_FAST_TF32);
}

cublasStatus_t
cublasGemmEx(cublasHandle_t      handle,
             cublasOperation_t   ta,
             cublasOperation_t   tb,
             int                 m,
             int                 n,
             int                 k,
             const void*         alpha,
             const void*         a,
             cudaDataType        type_a,
             int                 lda,
             const void*         b,
             cudaDataType        type_b,
             int                 ldb,
             const void*         beta,
             void*               c,
             cudaDataType        type_c,
             int                 ldc,
             cublasComputeType_t compute,
             cublasGemmAlgo_t    algorithm)
{
  return cublasGemmStridedBatchedEx(handle,
                                    ta,
                                    tb,
                                    m,
                                    n,
                                    k,
                                    alpha,
                                    a,
                                    type_a,
                                    lda,
                                    0,
                                    b,
                                    type_b,
                                    ldb,
                                    0,
                                    beta,
                                    c,
                                    type_c,
                                    ldc,
                                    0,
                                    1,
                                    compute,
                                    algorithm);
}

cublasStatus_t
cublasSgemmStridedBatched(cublasHandle_t    handle,
                          cublasOperation_t ta,
                          cublasOperation_t tb,
                          int               m,
                          int               n,
                          int               k,
                          const float*      alpha,
                          const float*      a,
                          int               lda,
                          long long         stride_a,
                          const float*      b,
                          int               ldb,
                          long long         stride_b,
                          const float*      beta,
                          float*            c,
                          int               ldc,
                          long long         stride_c,
                          int               batches)
{
  return cublasGemmStridedBatchedEx(handle,
                                    ta,
                                    tb,
                                    m,
                                    n,
                                    k,
                                    alpha,
                                    a,
                                    CUDA_R_32F,
                                    lda,
                                    stride_a,
                                    b,
                                    CUDA_R_32F,
                                    ldb,
                                    stride_b,
                                    beta,
                                    c,
                                    CUDA_R_32F,
                                    ldc,
                                    stride_c,
                                    batches,
                                    CUBLAS_COMPUTE_32F,
                                    CUBLAS_GEMM_DEFAULT);
}

cublasStatus_t
cublasSgemm(cublasHandle_t    handle,
            cublasOperation_t ta,
            cublasOperation_t tb,
            int               m,
            int               n,
            int               k,
            const float*      alpha,
            const float*      a,
            int               lda,
            const float*      b,
            int               ldb,
            const float*      beta,
            float*            c,
            int               ldc)
{
  return cublasSgemmStridedBatched(
    handle, ta, tb, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}

cublasStatus_t
cublasSgemv(cublasHandle_t    handle,
            cublasOperation_t ta,
            int               m,
            int               n,
            const float*      alpha,
            const float*      a,
            int               lda,
            const float*      x,
            int               incx,
            const float*      beta,
            float*            y,
            int               incy)
{
  // y as a row, y' = x' op(A)', so that both increments are strides.
  if (incx < 1 || incy < 1) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const bool transposed = ta != CUBLAS_OP_N;
  const int  out        = transposed ? n : m;
  const int  in         = transposed ? m : n;
  Product    p =
    shape(CUBLAS_OP_N, transposed ? CUBLAS_OP_N : CUBLAS_OP_T, 1, out, in, 1);
  p.vector = true;
  p.a      = { x, 1, in, incx, 0 };
  p.b      = { a, m, n, lda, 0 };
  p.c      = { y, 1, out, incy, 0 };
  return start(handle, p, alpha, beta, false);
}
