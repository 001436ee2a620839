// A source as kernels/cuda has them, for nvcc and for the emulator: launches,
// both kinds of shared memory, barriers, shuffles, vectors and a graph.
#ifdef MEANDER_EMULATED
#include "cuda_emulator.h"
#else
#include <cuda_runtime.h>
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                 \
  kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)
#define DYNAMIC_SHARED(type, name)                                             \
  extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[];        \
  type* const name = reinterpret_cast<type*>(dynamic_shared_bytes)
#endif

#include "sample.h"

__constant__ float scale[2];

template<int lanes>
static __device__ __forceinline__ float
warp_sum(float x)
{
#pragma unroll
  for (int offset = lanes / 2; offset > 0; offset /= 2) {
    x += __shfl_xor_sync(0xffffffffu, x, offset, lanes);
  }
  return x;
}

static __device__ float
block_sum(float x)
{
  __shared__ float partial[32];
  const unsigned   warp = threadIdx.x / warpSize;
  x                     = warp_sum<32>(x);
  if (threadIdx.x % warpSize == 0) {
    partial[warp] = x;
  }
  __syncthreads();
  x = threadIdx.x < blockDim.x / warpSize ? partial[threadIdx.x % 32] : 0.0f;
  if (warp == 0) {
    x = warp_sum<32>(x);
    if (threadIdx.x == 0) {
      partial[0] = x;
    }
  }
  __syncthreads();
  x = partial[0];
  __syncthreads();
  return x;
}

template<int threads, bool fast>
__global__ void
__launch_bounds__(threads)
  softmax(const float* __restrict__ x, float* __restrict__ y, int columns)
{
  const int   column = (int)threadIdx.x;
  const int   at     = (int)blockIdx.x * columns + column;
  const float mine   = column < columns ? __ldg(x + at) * scale[0] : 0.0f;
  float       power  = 0.0f;
  if (column < columns) {
    power = fast ? __expf(mine) : expf(mine);
  }
  const float sum = block_sum(power);
  if (column < columns) {
    y[at] = __fdividef(power, sum);
  }
}

__global__ void
softmax_tree(const float* x, float* y, int columns)
{
  DYNAMIC_SHARED(float, tree);
  const unsigned self  = threadIdx.x;
  const bool     used  = (int)self < columns;
  const int      at    = (int)blockIdx.x * columns + (int)self;
  const float    power = used ? expf(x[at] * scale[0]) : 0.0f;
  tree[self]           = power;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (self < half) {
      tree[self] += tree[self + half];
    }
    __syncthreads();
  }
  if (used) {
    y[at] = power / tree[0];
  }
}

static void
launch(int way, float* x, float* y, int rows, int columns, cudaStream_t stream)
{
  const dim3 grid((unsigned)rows);
  if (way == 0) {
    LAUNCH((softmax<128, false>), grid, 128, 0, stream, x, y, columns);
  } else if (way == 1) {
    LAUNCH((softmax<128, true>), grid, 128, 0, stream, x, y, columns);
  } else {
    LAUNCH(softmax_tree, grid, 128, 128 * sizeof(float), stream, x, y, columns);
  }
}

#define TRY(call)                                                              \
  do {                                                                         \
    if (error == cudaSuccess) {                                                \
      error = (call);                                                          \
    }                                                                          \
  } while (0)

int
sample_softmax(const float* x, float* y, int rows, int columns, int way)
{
  const size_t    bytes      = sizeof(float) * (size_t)rows * (size_t)columns;
  const float     factors[2] = { 1.0f, 0.0f };
  cudaError_t     error      = cudaSuccess;
  float*          dx         = nullptr;
  float*          dy         = nullptr;
  cudaStream_t    stream     = nullptr;
  cudaGraph_t     graph      = nullptr;
  cudaGraphExec_t executable = nullptr;
  TRY(cudaMemcpyToSymbol(scale, factors, sizeof factors));
  TRY(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  TRY(cudaMalloc(&dx, bytes));
  TRY(cudaMalloc(&dy, bytes));
  TRY(cudaMemcpyAsync(dx, x, bytes, cudaMemcpyHostToDevice, stream));
  TRY(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  if (error == cudaSuccess) {
    launch(way, dx, dy, rows, columns, stream);
    TRY(cudaGetLastError());
    const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
    TRY(ended);
  }
  TRY(cudaGraphInstantiate(&executable, graph, 0));
  TRY(cudaGraphLaunch(executable, stream));
  TRY(cudaMemcpyAsync(y, dy, bytes, cudaMemcpyDeviceToHost, stream));
  TRY(cudaStreamSynchronize(stream));
  if (executable) {
    cudaGraphExecDestroy(executable);
  }
  if (graph) {
    cudaGraphDestroy(graph);
  }
  cudaFree(dx);
  cudaFree(dy);
  if (stream) {
    cudaStreamDestroy(stream);
  }
  return error;
}
