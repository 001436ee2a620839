// The part of cuBLAS that the emulator knows: single-precision products, column
// major, in a stream or a capture. CUBLAS_COMPUTE_32F_FAST_TF32 and
// CUBLAS_TF32_TENSOR_OP_MATH round both operands to TF32 (10 bits of mantissa)
// before they multiply.
#pragma once

#include "emulator_runtime.h"

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS          = 0,
  CUBLAS_STATUS_NOT_INITIALIZED  = 1,
  CUBLAS_STATUS_ALLOC_FAILED     = 3,
  CUBLAS_STATUS_INVALID_VALUE    = 7,
  CUBLAS_STATUS_ARCH_MISMATCH    = 8,
  CUBLAS_STATUS_MAPPING_ERROR    = 11,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
  CUBLAS_STATUS_INTERNAL_ERROR   = 14,
  CUBLAS_STATUS_NOT_SUPPORTED    = 15
};

enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1, CUBLAS_OP_C = 2 };

enum cublasPointerMode_t {
  CUBLAS_POINTER_MODE_HOST   = 0,
  CUBLAS_POINTER_MODE_DEVICE = 1
};

enum cublasMath_t {
  CUBLAS_DEFAULT_MATH        = 0,
  CUBLAS_TENSOR_OP_MATH      = 1,
  CUBLAS_PEDANTIC_MATH       = 2,
  CUBLAS_TF32_TENSOR_OP_MATH = 3
};

enum cublasAtomicsMode_t {
  CUBLAS_ATOMICS_NOT_ALLOWED = 0,
  CUBLAS_ATOMICS_ALLOWED     = 1
};

enum cublasComputeType_t {
  CUBLAS_COMPUTE_32F           = 68,
  CUBLAS_COMPUTE_32F_PEDANTIC  = 69,
  CUBLAS_COMPUTE_32F_FAST_TF32 = 77
};

enum cublasGemmAlgo_t {
  CUBLAS_GEMM_DEFAULT           = -1,
  CUBLAS_GEMM_DEFAULT_TENSOR_OP = 99
};

enum cudaDataType_t { CUDA_R_32F = 0 };
typedef cudaDataType_t cudaDataType;

typedef struct EmulatedCublas* cublasHandle_t;

cublasStatus_t cublasCreate(cublasHandle_t* handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasGetVersion(cublasHandle_t handle, int* version);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle,
                                  void*          workspace,
                                  size_t         bytes);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t      handle,
                                    cublasAtomicsMode_t mode);
cublasStatus_t cublasSetPointerMode(cublasHandle_t      handle,
                                    cublasPointerMode_t mode);
const char*    cublasGetStatusName(cublasStatus_t status);
const char*    cublasGetStatusString(cublasStatus_t status);

cublasStatus_t cublasSgemm(cublasHandle_t    handle,
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
                           int               ldc);
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t    handle,
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
                                         int               batches);
cublasStatus_t cublasGemmEx(cublasHandle_t      handle,
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
                            cublasGemmAlgo_t    algorithm);
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t      handle,
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
                                          cublasGemmAlgo_t    algorithm);
cublasStatus_t cublasSgemv(cublasHandle_t    handle,
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
                           int               incy);
