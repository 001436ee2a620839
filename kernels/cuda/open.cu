// Opening and closing a GPU: what the main program calls (cuda_module.h). Any
// thread.
#include "ops.h"

extern "C" {
#include "cuda_module.h"
}

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH_FLOATS ((size_t)2 * 1024 * 1024)

#define EXPORTED extern "C" __attribute__((visibility("default")))

// Why no GPU can be had, or STATUS_OK and their number.
static Status
count_gpus(int* count, Error* error)
{
  *count                   = 0;
  const cudaError_t result = cudaGetDeviceCount(count);
  if (result == cudaSuccess && *count > 0) {
    return STATUS_OK;
  }
  (void)cudaGetLastError();
  int knows = 0;
  if (cudaDriverGetVersion(&knows) != cudaSuccess || !knows) {
    return error_set(error, STATUS_UNSUPPORTED, "no NVIDIA driver");
  }
  if (result == cudaErrorInsufficientDriver) {
    return error_set(error,
                     STATUS_UNSUPPORTED,
                     "the NVIDIA driver is too old: it knows CUDA %d.%d, "
                     "CUDA %d.%d is needed",
                     knows / 1000,
                     knows % 1000 / 10,
                     CUDART_VERSION / 1000,
                     CUDART_VERSION % 1000 / 10);
  }
  if (result == cudaSuccess || result == cudaErrorNoDevice) {
    return error_set(error, STATUS_UNSUPPORTED, "no NVIDIA GPU");
  }
  return error_set(
    error, STATUS_UNSUPPORTED, "CUDA: %s", cudaGetErrorString(result));
}

// All that an op may need is taken here: nothing is allocated later, as a
// captured graph must not.
static bool
take_resources(CudaDevice* cuda, int compute_major)
{
  Device* const device   = &cuda->base;
  int           least    = 0;
  int           greatest = 0;
  bool          done     = cuda_check(device,
                         cudaDeviceGetStreamPriorityRange(&least, &greatest),
                         "open") &&
              cuda_check(device,
                         cudaStreamCreateWithPriority(
                           &cuda->stream, cudaStreamNonBlocking, greatest),
                         "open");
  cuda->scratch_floats = SCRATCH_FLOATS;
  // As much as cuBLAS asks for by itself.
  const size_t workspace_bytes =
    (size_t)(compute_major >= 9 ? 32 : 8) * 1024 * 1024;
  done = done &&
         cuda_check(
           device,
           cudaMalloc((void**)&cuda->scratch, SCRATCH_FLOATS * sizeof(float)),
           "open") &&
         cuda_check(device,
                    cudaMalloc(&cuda->blas_workspace, workspace_bytes),
                    "open") &&
         cuda_check(device,
                    cudaMallocHost((void**)&cuda->staging,
                                   (size_t)STAGING_PIECES *
                                     STAGING_PIECE_FLOATS * sizeof(float)),
                    "open");
  for (uint32_t i = 0; done && i < STAGING_PIECES; ++i) {
    done = cuda_check(
      device,
      cudaEventCreateWithFlags(&cuda->staged[i], cudaEventDisableTiming),
      "open");
  }
  // The workspace after the stream: setting a stream takes it back.
  return done && cuda_check_blas(device, cublasCreate(&cuda->blas), "open") &&
         cuda_check_blas(
           device, cublasSetStream(cuda->blas, cuda->stream), "open") &&
         cuda_check_blas(device,
                         cublasSetWorkspace(
                           cuda->blas, cuda->blas_workspace, workspace_bytes),
                         "open");
}

// cuBLAS and the driver load kernels when they are first asked for
// (CUDA_MODULE_LOADING is lazy), some 100 ms: not in the first note. Other
// shapes may still load another kernel; a recording loads what it holds.
static bool
warm_up(CudaDevice* cuda)
{
  Device* const device = &cuda->base;
  const Tensor  all    = {
        cuda->scratch, 1, (uint32_t)SCRATCH_FLOATS, (uint32_t)SCRATCH_FLOATS
  };
  cuda_fill(device, all, 0.0f);
  static const uint32_t sizes[] = { 8, 64, 512 };
  for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    const uint32_t n = sizes[i];
    const Tensor   a = { cuda->scratch, n, n, n };
    const Tensor   b = { cuda->scratch + (size_t)n * n, n, n, n };
    const Tensor   c = { cuda->scratch + (size_t)2 * n * n, n, n, n };
    cuda_matmul(device, false, true, 1.0f, a, b, 0.0f, c);
    cuda_matmul(device, false, false, 1.0f, a, b, 0.0f, c);
    cuda_matmul(device, true, false, 1.0f, a, b, 1.0f, c);
  }
  return cuda_check(device, cudaStreamSynchronize(cuda->stream), "open") &&
         device->error.status == STATUS_OK;
}

static Status
open_one(int gpu, Device** out, Error* error)
{
  cudaDeviceProp properties;
  CudaDevice*    cuda = (CudaDevice*)calloc(1, sizeof *cuda);
  if (!cuda) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a device");
  }
  Device* const device = &cuda->base;
  cuda->gpu            = gpu;
  snprintf(cuda->name, sizeof cuda->name, "cuda:%d", gpu);
  device->ops  = &cuda_ops;
  device->name = cuda->name;
  (void)cuda_of(device);
  bool done =
    device->error.status == STATUS_OK &&
    cuda_check(device, cudaGetDeviceProperties(&properties, gpu), "open");
  if (done) {
    cuda->multiprocessors = (uint32_t)properties.multiProcessorCount;
    snprintf(
      cuda->name, sizeof cuda->name, "cuda:%d %.140s", gpu, properties.name);
    done = take_resources(cuda, properties.major) && warm_up(cuda);
  }
  if (!done) {
    const Error failure = device->error;
    cuda_close(device);
    return error_set(error, failure.status, "%.400s", failure.text);
  }
  *out = device;
  return STATUS_OK;
}

EXPORTED unsigned meander_cuda_abi(void);
unsigned
meander_cuda_abi(void)
{
  return CUDA_MODULE_ABI;
}

EXPORTED Status meander_cuda_open(int      gpu,
                                  Device** out,
                                  char*    why,
                                  Error*   error);
Status
meander_cuda_open(int gpu, Device** out, char* why, Error* error)
{
  Error  failure = {};
  int    count   = 0;
  Status status  = count_gpus(&count, &failure);
  *out           = NULL;
  if (status == STATUS_OK && gpu >= count) {
    status = error_set(&failure,
                       STATUS_UNSUPPORTED,
                       "GPU %d does not exist: there %s %d",
                       gpu,
                       count == 1 ? "is" : "are",
                       count);
  }
  const int first = gpu < 0 ? 0 : gpu;
  const int end   = gpu < 0 ? count : gpu + 1;
  for (int i = first; i < end && !*out && (status == STATUS_OK || i > first);
       ++i) {
    // The first one's reason is the one to tell.
    status = open_one(i, out, i == first ? &failure : NULL);
  }
  if (why) {
    snprintf(why,
             DEVICE_WHY_BYTES,
             "%.*s",
             (int)DEVICE_WHY_BYTES - 1,
             *out ? (*out)->name : failure.text);
  }
  return *out ? STATUS_OK
              : error_set(error, failure.status, "%.400s", failure.text);
}

void
cuda_close(Device* device)
{
  // Nothing is left to do about what fails here, or on a GPU that was lost.
  CudaDevice* const cuda = cuda_of(device);
  if (cuda->stream) {
    (void)cudaStreamSynchronize(cuda->stream);
  }
  if (cuda->blas) {
    (void)cublasDestroy(cuda->blas);
  }
  for (uint32_t i = 0; i < STAGING_PIECES; ++i) {
    if (cuda->staged[i]) {
      (void)cudaEventDestroy(cuda->staged[i]);
    }
  }
  if (cuda->staging) {
    (void)cudaFreeHost(cuda->staging);
  }
  (void)cudaFree(cuda->scratch);
  (void)cudaFree(cuda->blas_workspace);
  if (cuda->stream) {
    (void)cudaStreamDestroy(cuda->stream);
  }
  (void)cudaGetLastError();
  free(cuda);
}
