// A GPU's memory, host copies, errors and recordings. The thread of the Device.
#include "ops.h"

#include <stdlib.h>
#include <string.h>

// --- Errors ----------------------------------------------------------------

CudaDevice*
cuda_of(Device* device)
{
  CudaDevice* const       cuda    = (CudaDevice*)device;
  static thread_local int current = -1;
  if (current != cuda->gpu &&
      cuda_check(device, cudaSetDevice(cuda->gpu), "select")) {
    current = cuda->gpu;
  }
  return cuda;
}

// Failures after which no call of this process on this GPU can succeed.
static bool
is_lost(cudaError_t result)
{
  const int code = (int)result;
  return result == cudaErrorECCUncorrectable || result == cudaErrorUnknown ||
         (code >= 700 && code < 800 && result != cudaErrorLaunchOutOfResources);
}

static const char*
advice_on(cudaError_t result)
{
  if (is_lost(result)) {
    return " (the program has lost this GPU until it is started again)";
  }
  return result == cudaErrorNoKernelImageForDevice
           ? " (this build has no code for this GPU's generation)"
           : "";
}

bool
cuda_check(Device* device, cudaError_t result, const char* op)
{
  if (result == cudaSuccess) {
    return true;
  }
  (void)cudaGetLastError(); // told once: not again after the next launch
  if (device->error.status == STATUS_OK) {
    error_set(&device->error,
              result == cudaErrorMemoryAllocation ? STATUS_NO_MEMORY
                                                  : STATUS_DEVICE,
              "%s: %s: %s%s",
              device->name,
              op,
              cudaGetErrorString(result),
              advice_on(result));
  }
  return false;
}

bool
cuda_check_blas(Device* device, cublasStatus_t result, const char* op)
{
  if (result != CUBLAS_STATUS_SUCCESS && device->error.status == STATUS_OK) {
    // cuBLAS only says that it failed; what the driver remembers says why.
    const cudaError_t cause = cudaGetLastError();
    error_set(&device->error,
              result == CUBLAS_STATUS_ALLOC_FAILED ? STATUS_NO_MEMORY
                                                   : STATUS_DEVICE,
              "%s: %s: cuBLAS: %s%s",
              device->name,
              op,
              cublasGetStatusString(result),
              advice_on(cause));
  }
  return result == CUBLAS_STATUS_SUCCESS;
}

// --- Memory ----------------------------------------------------------------

Status
cuda_allocate(Device* device, size_t count, float** out, Error* error)
{
  CudaDevice* const cuda   = cuda_of(device);
  void*             memory = NULL;
  *out                     = NULL;
  if (device->error.status != STATUS_OK) {
    return device_status(device, error);
  }
  const cudaError_t result = cudaMalloc(&memory, count * sizeof(float));
  if (result == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    size_t free_bytes = 0;
    size_t all_bytes  = 0;
    (void)cudaMemGetInfo(&free_bytes, &all_bytes);
    return error_set(error,
                     STATUS_NO_MEMORY,
                     "%s: no memory for a tensor of %zu values: %zu of %zu MiB "
                     "are free",
                     device->name,
                     count,
                     free_bytes >> 20,
                     all_bytes >> 20);
  }
  if (!cuda_check(device, result, "allocate") ||
      !cuda_check(
        device,
        cudaMemsetAsync(memory, 0, count * sizeof(float), cuda->stream),
        "allocate")) {
    (void)cudaFree(memory);
    return device_status(device, error);
  }
  *out = (float*)memory;
  return STATUS_OK;
}

void
cuda_release(Device* device, float* data)
{
  (void)cuda_of(device);
  // Waits for the work that uses it.
  cuda_check(device, cudaFree(data), "release");
}

// --- Host copies -----------------------------------------------------------

// A tensor as few rows as it has: one, where they follow one another.
typedef struct {
  float* data;
  size_t rows;
  size_t columns;
  size_t stride;
} Block;

static Block
block_of(Tensor x)
{
  if (is_packed(x)) {
    const size_t count = (size_t)x.rows * x.columns;
    return { x.data, 1, count, count };
  }
  return { x.data, x.rows, x.columns, x.stride };
}

// The next part of `all` from (row, column), of at most `floats`: whole rows,
// or a piece of one that is longer. Moves (row, column) past it.
static Block
next_part(Block all, size_t floats, size_t* row, size_t* column)
{
  Block part = { all.data + *row * all.stride + *column, 1, 0, all.stride };
  if (all.columns > floats) {
    const size_t left = all.columns - *column;
    part.columns      = left < floats ? left : floats;
    *column += part.columns;
    if (*column == all.columns) {
      *column = 0;
      ++*row;
    }
  } else {
    const size_t left = all.rows - *row;
    const size_t fit  = floats / all.columns;
    part.columns      = all.columns;
    part.rows         = left < fit ? left : fit;
    *row += part.rows;
  }
  return part;
}

static cudaError_t
copy_part(Block part, float* packed, cudaMemcpyKind kind, cudaStream_t stream)
{
  const size_t width_bytes = part.columns * sizeof(float);
  const size_t pitch_bytes = part.stride * sizeof(float);
  const bool   in          = kind == cudaMemcpyHostToDevice;
  void* const  to          = in ? part.data : packed;
  void* const  from        = in ? packed : part.data;
  if (part.rows == 1) {
    return cudaMemcpyAsync(to, from, width_bytes, kind, stream);
  }
  return cudaMemcpy2DAsync(to,
                           in ? pitch_bytes : width_bytes,
                           from,
                           in ? width_bytes : pitch_bytes,
                           width_bytes,
                           part.rows,
                           kind,
                           stream);
}

// Pinned memory that no copy reads any more, for `floats`, at most a piece; it
// waits only where all pieces are under way.
static float*
staging_take(CudaDevice* cuda, size_t floats)
{
  Device* const device = &cuda->base;
  if (cuda->piece_used + floats > STAGING_PIECE_FLOATS) {
    const uint32_t next = (cuda->piece + 1) % STAGING_PIECES;
    if (!cuda_check(device,
                    cudaEventRecord(cuda->staged[cuda->piece], cuda->stream),
                    "write") ||
        !cuda_check(
          device, cudaEventSynchronize(cuda->staged[next]), "write")) {
      return NULL;
    }
    cuda->piece      = next;
    cuda->piece_used = 0;
  }
  float* const taken = cuda->staging +
                       (size_t)cuda->piece * STAGING_PIECE_FLOATS +
                       cuda->piece_used;
  // The next begins on 64 bytes.
  cuda->piece_used += (floats + 15) / 16 * 16;
  return taken;
}

// Returns before the copy is made: the caller's memory is free at once.
void
cuda_write(Device* device, Tensor destination, const float* source)
{
  CudaDevice* const cuda   = cuda_of(device);
  const Block       all    = block_of(destination);
  size_t            row    = 0;
  size_t            column = 0;
  while (row < all.rows) {
    const Block  part   = next_part(all, STAGING_PIECE_FLOATS, &row, &column);
    const size_t count  = part.rows * part.columns;
    float* const staged = staging_take(cuda, count);
    if (!staged) {
      return;
    }
    memcpy(staged, source, count * sizeof(float));
    source += count;
    if (!cuda_check(
          device,
          copy_part(part, staged, cudaMemcpyHostToDevice, cuda->stream),
          "write")) {
      return;
    }
  }
}

// Waits for all work so far, once where the tensor is no larger than staging.
void
cuda_read(Device* device, Tensor source, float* destination)
{
  CudaDevice* const cuda   = cuda_of(device);
  const Block       all    = block_of(source);
  size_t            row    = 0;
  size_t            column = 0;
  while (row < all.rows) {
    const Block part = next_part(
      all, (size_t)STAGING_PIECES * STAGING_PIECE_FLOATS, &row, &column);
    const size_t count = part.rows * part.columns;
    // Over what was staged for writing: the stream copies that out before.
    if (!cuda_check(
          device,
          copy_part(part, cuda->staging, cudaMemcpyDeviceToHost, cuda->stream),
          "read") ||
        !cuda_check(device, cudaStreamSynchronize(cuda->stream), "read")) {
      return;
    }
    cuda->piece      = 0;
    cuda->piece_used = 0;
    memcpy(destination, cuda->staging, count * sizeof(float));
    destination += count;
  }
}

// --- Fill and copy ---------------------------------------------------------
// Kernels of our own: in a recording they start sooner than the driver's
// copies, and small strided ones are faster.

#define MOVE_THREADS 256u

// A tensor as a kernel walks it: in units of T, rows * columns of them.
template<typename T>
static __global__ void
__launch_bounds__(MOVE_THREADS)
  fill(T* x, size_t stride, uint32_t columns, size_t count, T value)
{
  const size_t step = (size_t)gridDim.x * MOVE_THREADS;
  for (size_t i = (size_t)blockIdx.x * MOVE_THREADS + threadIdx.x; i < count;
       i += step) {
    const size_t r                  = stride == columns ? 0 : i / columns;
    x[r * stride + i - r * columns] = value;
  }
}

template<typename T>
static __global__ void
__launch_bounds__(MOVE_THREADS) copy(const T* from,
                                     size_t   from_stride,
                                     T*       to,
                                     size_t   to_stride,
                                     uint32_t columns,
                                     size_t   count)
{
  const bool   packed = from_stride == columns && to_stride == columns;
  const size_t step   = (size_t)gridDim.x * MOVE_THREADS;
  for (size_t i = (size_t)blockIdx.x * MOVE_THREADS + threadIdx.x; i < count;
       i += step) {
    const size_t r        = packed ? 0 : i / columns;
    const size_t c        = i - r * columns;
    to[r * to_stride + c] = from[r * from_stride + c];
  }
}

void
cuda_fill(Device* device, Tensor x, float value)
{
  CudaDevice* const cuda  = cuda_of(device);
  const size_t      count = (size_t)x.rows * x.columns;
  // One row lies as packed as any.
  const size_t stride = is_packed(x) ? x.columns : x.stride;
  if (by_four(x)) {
    LAUNCH((fill<float4>),
           cuda_grid(cuda, count / 4, MOVE_THREADS),
           MOVE_THREADS,
           0,
           cuda->stream,
           (float4*)x.data,
           stride / 4,
           x.columns / 4,
           count / 4,
           make_float4(value, value, value, value));
  } else {
    LAUNCH((fill<float>),
           cuda_grid(cuda, count, MOVE_THREADS),
           MOVE_THREADS,
           0,
           cuda->stream,
           x.data,
           stride,
           x.columns,
           count,
           value);
  }
  cuda_launched(device, "fill");
}

void
cuda_copy(Device* device, Tensor source, Tensor destination)
{
  CudaDevice* const cuda  = cuda_of(device);
  const size_t      count = (size_t)source.rows * source.columns;
  const size_t      from  = is_packed(source) ? source.columns : source.stride;
  const size_t      to =
    is_packed(destination) ? destination.columns : destination.stride;
  if (by_four(source) && by_four(destination)) {
    LAUNCH((copy<float4>),
           cuda_grid(cuda, count / 4, MOVE_THREADS),
           MOVE_THREADS,
           0,
           cuda->stream,
           (const float4*)source.data,
           from / 4,
           (float4*)destination.data,
           to / 4,
           source.columns / 4,
           count / 4);
  } else {
    LAUNCH((copy<float>),
           cuda_grid(cuda, count, MOVE_THREADS),
           MOVE_THREADS,
           0,
           cuda->stream,
           source.data,
           from,
           destination.data,
           to,
           source.columns,
           count);
  }
  cuda_launched(device, "copy");
}

// --- Recordings ------------------------------------------------------------

// Ends the capture whatever became of it, so that the stream works again.
static bool
capture(CudaDevice* cuda, RecordedOps ops, void* context, cudaGraph_t* graph)
{
  Device* const device = &cuda->base;
  *graph               = NULL;
  // Relaxed: a kernel that is met for the first time is loaded meanwhile, which
  // the stricter modes may take for a fault.
  if (!cuda_check(
        device,
        cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeRelaxed),
        "record")) {
    return false;
  }
  ops(context);
  const cudaError_t ended = cudaStreamEndCapture(cuda->stream, graph);
  return cuda_check(device, ended, "record") &&
         device->error.status == STATUS_OK;
}

// *out is a cudaGraphExec_t.
Status
cuda_record(Device*     device,
            RecordedOps ops,
            void*       context,
            void**      out,
            Error*      error)
{
  CudaDevice* const cuda = cuda_of(device);
  *out                   = NULL;
  if (device->error.status != STATUS_OK) {
    return device_status(device, error);
  }
  cudaGraph_t     graph      = NULL;
  cudaGraphExec_t executable = NULL;
  const bool      recorded =
    capture(cuda, ops, context, &graph) &&
    cuda_check(device, cudaGraphInstantiate(&executable, graph, 0), "record") &&
    cuda_check(device, cudaGraphUpload(executable, cuda->stream), "record");
  if (graph) {
    (void)cudaGraphDestroy(graph);
  }
  if (!recorded) {
    if (executable) {
      (void)cudaGraphExecDestroy(executable);
    }
    return device_status(device, error);
  }
  *out = executable;
  return STATUS_OK;
}

void
cuda_replay(Device* device, void* recording)
{
  CudaDevice* const cuda = cuda_of(device);
  cuda_check(device,
             cudaGraphLaunch((cudaGraphExec_t)recording, cuda->stream),
             "replay");
}

void
cuda_forget(Device* device, void* recording)
{
  (void)cuda_of(device);
  cuda_check(
    device, cudaGraphExecDestroy((cudaGraphExec_t)recording), "forget");
}
