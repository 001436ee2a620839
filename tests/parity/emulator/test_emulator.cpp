// The emulator against what CUDA promises: kernels with barriers and shuffles
// right and wrong, captures, copies, injected failures, products.
// EMULATED_BENCH in the environment: how many threads it runs a second, and
// nothing else.
#include "cuda_emulator.h"

#include "sample.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#define CHECK(x)                                                               \
  do {                                                                         \
    if (!(x)) {                                                                \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                  \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)
#define GOOD(call) CHECK((call) == cudaSuccess)

// --- Kernels --------------------------------------------------------------

__global__ void
add_one(float* x, int n)
{
  const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) {
    x[i] += 1.0f;
  }
}

__global__ void
sum_block(const float* x, float* out, int rounds)
{
  __shared__ float tree[256];
  const unsigned   self = threadIdx.x;
  for (int round = 0; round < rounds; round++) {
    tree[self] = x[blockIdx.x * blockDim.x + self];
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
      if (self < half) {
        tree[self] += tree[self + half];
      }
      __syncthreads();
    }
    if (self == 0) {
      out[blockIdx.x] = tree[0];
    }
    __syncthreads();
  }
}

// Right only if thread 0 runs first.
__global__ void
missing_barrier(float* out)
{
  __shared__ float first;
  if (threadIdx.x == 0) {
    first = 5.0f;
  }
  out[threadIdx.x] = first;
}

__global__ void
early_exit(int* out)
{
  if (threadIdx.x >= 40) {
    return;
  }
  const int count  = __syncthreads_count(threadIdx.x % 2 == 0);
  out[threadIdx.x] = count;
}

__global__ void
divergent_barrier(int* out)
{
  if (threadIdx.x < 32) {
    __syncthreads();
    out[0] = 1;
  } else {
    __syncthreads();
    out[1] = 1;
  }
}

// Half of a warp waits for all of it, the other half at a barrier.
__global__ void
deadlock()
{
  if (threadIdx.x < 16) {
    __syncwarp();
  } else {
    __syncthreads();
  }
}

__global__ void
shuffles(int* out)
{
  const int      lane = (int)(threadIdx.x % 32);
  const unsigned all  = 0xffffffffu;
  int*           row  = out + threadIdx.x * 8;
  row[0]              = __shfl_sync(all, lane, 3);
  row[1]              = __shfl_sync(all, lane, lane + 1, 8);
  row[2]              = __shfl_up_sync(all, lane, 1);
  row[3]              = __shfl_down_sync(all, lane, 2, 16);
  row[4]              = (int)__ballot_sync(all, lane % 3 == 0);
  row[5] = __any_sync(all, lane == 31) + 2 * __all_sync(all, lane < 31);
  row[6] = 0;
  if (lane < 8) {
    double sum = lane;
    for (int o = 4; o > 0; o /= 2) {
      sum += __shfl_xor_sync(0xffu, sum, o);
    }
    row[6] = (int)sum;
  }
  __syncwarp();
  row[7] = __popc(__activemask());
}

__global__ void
exited_lane(int* out)
{
  if (threadIdx.x != 7) {
    out[0] = __shfl_down_sync(0xffffffffu, 1, 1);
  }
}

__global__ void
outside_mask()
{
  if (threadIdx.x < 8) {
    __shfl_down_sync(0xffu, 1, 1, 32);
  }
}

__global__ void
atomics(float* sum, unsigned* most, int* count, int* last)
{
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(sum, 0.5);
  atomicMax(most, i);
  if (atomicAdd(count, 1) == (int)(gridDim.x * blockDim.x) - 1) {
    atomicExch(last, 1);
  }
}

template<typename T, int factor>
__global__ void
reverse(T* x, float4 by)
{
  DYNAMIC_SHARED(T, copy);
  CHECK(copy[threadIdx.x] != copy[threadIdx.x]); // NaN before it is written
  copy[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = copy[blockDim.x - 1 - threadIdx.x] * (T)(factor * by.y);
}

__global__ void
poisoned(int* good)
{
  __shared__ float once[2];
  if (threadIdx.x == 0) {
    atomicAdd(good, once[0] != once[0]);
  }
  __syncthreads();
  once[threadIdx.x] = 1.0f;
}

__global__ void
indices(int* out)
{
  const dim3     d = blockDim;
  const unsigned t = threadIdx.x + d.x * (threadIdx.y + d.y * threadIdx.z);
  const unsigned b =
    blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[b * d.x * d.y * d.z + t] += (int)(b * 1000 + t);
}

__global__ __attribute__((no_sanitize("undefined"))) void
write_at(float* x, long long i)
{
  x[i] = 1.0f;
}

__global__ __attribute__((no_sanitize("undefined"))) void
divide(int* x)
{
  x[0] = 7 / x[1];
}

// --- Helpers --------------------------------------------------------------

template<typename T>
struct Array {
  T*     data = nullptr;
  size_t count;

  explicit Array(size_t n, T value = T())
    : count(n)
  {
    GOOD(cudaMalloc(&data, n * sizeof(T)));
    const std::vector<T> values(n, value);
    GOOD(
      cudaMemcpy(data, values.data(), n * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~Array()
  {
    cudaFree(data);
  }
  std::vector<T>
  read() const
  {
    std::vector<T> values(count);
    GOOD(cudaMemcpy(
      values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }
};

// The kernel before this has failed so; the device is healed.
static void
expect_fault(cudaError_t error, const char* said)
{
  CHECK(cudaGetLastError() == error);
  CHECK(cudaDeviceSynchronize() == error); // it sticks
  CHECK(std::string(emulator_report()).find(said) != std::string::npos);
  emulator_heal();
  GOOD(cudaDeviceSynchronize());
}

// --- Tests ----------------------------------------------------------------

static void
test_barriers()
{
  const unsigned blocks = 5;
  Array<float>   x(blocks * 256, 0.25f);
  Array<float>   out(blocks);
  LAUNCH(sum_block, blocks, 256, 0, 0, x.data, out.data, 3);
  GOOD(cudaGetLastError());
  for (const float sum : out.read()) {
    CHECK(sum == 64.0f);
  }
  Array<int> counts(40);
  LAUNCH(early_exit, 1, 64, 0, 0, counts.data);
  for (const int count : counts.read()) {
    CHECK(count == 20);
  }
  // Each thread runs once, with its own indices.
  Array<int> order(4 * 3 * 2 * 60);
  LAUNCH(indices, dim3(4, 3, 2), dim3(5, 4, 3), 0, 0, order.data);
  const std::vector<int> found = order.read();
  for (int i = 0; i < (int)found.size(); i++) {
    CHECK(found[(size_t)i] == i / 60 * 1000 + i % 60);
  }
}

static bool
all_five(uint64_t seed)
{
  emulator_seed(seed);
  Array<float> out(64);
  LAUNCH(missing_barrier, 1, 64, 0, 0, out.data);
  bool good = true;
  for (const float x : out.read()) {
    good = good && x == 5.0f;
  }
  emulator_seed(1);
  return good;
}

static void
test_order()
{
  CHECK(all_five(0));        // hides the bug
#ifndef __SANITIZE_ADDRESS__ // where the last value stays in shared memory
  CHECK(!all_five(1));
  CHECK(!all_five(2));
#endif
}

static void
test_deadlocks()
{
  Array<int> out(64);
  LAUNCH(divergent_barrier, 1, 64, 0, 0, out.data);
  expect_fault(cudaErrorLaunchFailure, "divergent barrier");
  LAUNCH(deadlock, 3, 32, 0, 0);
  expect_fault(cudaErrorLaunchTimeout, "16 threads at a barrier");
  LAUNCH(exited_lane, 1, 32, 0, 0, out.data);
  expect_fault(cudaErrorLaunchFailure, "has exited");
  LAUNCH(exited_lane, 1, 5, 0, 0, out.data);
  expect_fault(cudaErrorLaunchFailure, "does not have");
  LAUNCH(outside_mask, 1, 32, 0, 0);
  expect_fault(cudaErrorLaunchFailure, "outside its mask");
  test_barriers(); // all is well after it
}

static void
test_warps()
{
  Array<int> out(64 * 8);
  LAUNCH(shuffles, 1, 64, 0, 0, out.data);
  const std::vector<int> all = out.read();
  for (int i = 0; i < 64; i++) {
    const int* const row  = &all[(size_t)i * 8];
    const int        lane = i % 32;
    CHECK(row[0] == 3);
    CHECK(row[1] == lane / 8 * 8 + (lane + 1) % 8);
    CHECK(row[2] == (lane ? lane - 1 : 0));
    CHECK(row[3] == (lane % 16 < 14 ? lane + 2 : lane));
    CHECK((unsigned)row[4] == 0x49249249u);
    CHECK(row[5] == 1);
    CHECK(row[6] == (lane < 8 ? 28 : 0));
    CHECK(row[7] >= 1 && row[7] <= 32);
  }
  Array<float>    sum(1);
  Array<unsigned> most(1);
  Array<int>      count(1);
  Array<int>      last(1);
  LAUNCH(atomics, 7, 33, 0, 0, sum.data, most.data, count.data, last.data);
  CHECK(sum.read()[0] == 115.5f && most.read()[0] == 230);
  CHECK(count.read()[0] == 231 && last.read()[0] == 1);
}

static void
test_shared()
{
  Array<float> x(32, 2.0f);
  LAUNCH((reverse<float, 3>),
         1,
         32,
         32 * sizeof(float),
         nullptr,
         x.data,
         make_float4(0, 2, 0, 0));
  CHECK(x.read()[7] == 12.0f);
  CHECK(cudaGetLastError() == cudaSuccess);
  const size_t bytes = 100u << 10;
  LAUNCH((reverse<float, 3>), 1, 32, bytes, 0, x.data, float4{});
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaSuccess); // it did not stick
  GOOD(cudaFuncSetAttribute((reverse<float, 3>),
                            cudaFuncAttributeMaxDynamicSharedMemorySize,
                            (int)bytes));
  LAUNCH((reverse<float, 3>), 1, 32, bytes, 0, x.data, float4{});
  GOOD(cudaGetLastError());
  LAUNCH(add_one, 1, 1025, 0, 0, x.data, 1);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  LAUNCH(add_one, 0, 32, 0, 0, x.data, 1);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
#ifndef __SANITIZE_ADDRESS__
  Array<int> good(1);
  LAUNCH(poisoned, 9, 2, 0, 0, good.data);
  CHECK(good.read()[0] == 9);
#endif
}

static void
test_capture()
{
  Array<float>    x(100, 0.0f);
  cudaStream_t    stream = nullptr;
  cudaGraph_t     graph  = nullptr;
  cudaGraphExec_t run    = nullptr;
  float*          host   = nullptr;
  GOOD(cudaMallocHost(&host, 100 * sizeof(float)));
  GOOD(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, -1));
  GOOD(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  int n = 50;
  LAUNCH(add_one, 1, 100, 0, stream, x.data, n);
  n = 100;
  LAUNCH(add_one, 1, 100, 0, stream, x.data, n);
  n = 0; // what was captured stays
  GOOD(cudaMemcpyAsync(
    host, x.data, 100 * sizeof(float), cudaMemcpyDeviceToHost, stream));
  GOOD(cudaStreamEndCapture(stream, &graph));
  CHECK(host[0] != host[0]); // not run: still poison
  GOOD(cudaGraphInstantiate(&run, graph));
  GOOD(cudaGraphDestroy(graph));
  for (int i = 1; i <= 3; i++) {
    GOOD(cudaGraphLaunch(run, stream));
    GOOD(cudaStreamSynchronize(stream));
    CHECK(host[49] == 2.0f * (float)i && host[50] == (float)i);
  }
  GOOD(cudaGraphExecDestroy(run));
  // What a capture does not take, and how it ends then.
  float pageable = 0.0f;
  for (int what = 0; what < 4; what++) {
    const cudaError_t refused = cudaErrorStreamCaptureUnsupported;
    void*             pointer = nullptr;
    GOOD(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CHECK((what == 0   ? cudaStreamSynchronize(stream)
           : what == 1 ? cudaMalloc(&pointer, 4)
           : what == 2
             ? cudaDeviceSynchronize()
             : cudaMemcpyAsync(
                 &pageable, x.data, 4, cudaMemcpyDeviceToHost, stream)) ==
          refused);
    CHECK(cudaStreamEndCapture(stream, &graph) ==
          cudaErrorStreamCaptureInvalidated);
    CHECK(!graph && cudaGetLastError() != cudaSuccess);
  }
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorIllegalState);
  cudaGetLastError();
  GOOD(cudaStreamDestroy(stream));
  GOOD(cudaFreeHost(host));
}

// In a lazy stream the host sees nothing before it synchronises.
static void
test_lazy()
{
  Array<float> x(10, 1.0f);
  float*       host   = nullptr;
  cudaStream_t stream = nullptr;
  cudaEvent_t  event  = nullptr;
  GOOD(cudaHostAlloc(&host, 10 * sizeof(float), cudaHostAllocDefault));
  GOOD(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  GOOD(cudaEventCreateWithFlags(&event, cudaEventDefault));
  emulator_lazy(true);
  LAUNCH(add_one, 1, 10, 0, stream, x.data, 10);
  GOOD(cudaMemcpyAsync(
    host, x.data, 10 * sizeof(float), cudaMemcpyDeviceToHost, stream));
  GOOD(cudaEventRecord(event, stream));
  CHECK(host[9] != host[9]);
  CHECK(cudaEventQuery(event) == cudaErrorNotReady);
  GOOD(cudaEventSynchronize(event));
  CHECK(host[9] == 2.0f);
  float ms = -1.0f;
  GOOD(cudaEventElapsedTime(&ms, event, event));
  CHECK(ms == 0.0f);
  emulator_lazy(false);
  GOOD(cudaEventDestroy(event));
  GOOD(cudaStreamDestroy(stream));
  GOOD(cudaFreeHost(host));
}

static void
test_copies()
{
  float        host[6] = { 1, 2, 3, 4, 5, 6 };
  Array<float> x(20, 0.0f);
  const size_t size = sizeof(float);
  GOOD(cudaMemcpy2DAsync(
    x.data + 1, 5 * size, host, 2 * size, 2 * size, 3, cudaMemcpyHostToDevice));
  std::vector<float> all = x.read();
  CHECK(all[1] == 1 && all[2] == 2 && all[3] == 0 && all[12] == 6);
  GOOD(cudaMemsetAsync(x.data + 18, 0, 2 * size));
  const auto to_host   = cudaMemcpyDeviceToHost;
  const auto to_device = cudaMemcpyHostToDevice;
  CHECK(cudaMemcpy(x.data + 18, host, 3 * size, to_device) ==
        cudaErrorInvalidValue);
  CHECK(cudaMemcpy(host, x.data - 1, size, to_host) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(host, x.data, size, to_device) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(x.data, nullptr, size, to_device) == cudaErrorInvalidValue);
  CHECK(
    cudaMemcpy2D(x.data, 5 * size, host, 2 * size, 2 * size, 5, to_device) ==
    cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(host, 0, size) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy2D(x.data, size, host, size, 2 * size, 2, to_device) ==
        cudaErrorInvalidPitchValue);
  CHECK(cudaFree(host) == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaSuccess);
}

// Kernels that write where they may not. ASan stops at these itself.
static void
test_bad_addresses()
{
#ifndef __SANITIZE_ADDRESS__
  Array<float> x(20, 0.0f);
  LAUNCH(write_at, 1, 1, 0, 0, x.data, 100ll);
  expect_fault(cudaErrorIllegalAddress, "write_at, block (0,0,0)");
  LAUNCH(write_at, 1, 1, 0, 0, x.data, 20ll);
  expect_fault(cudaErrorIllegalAddress, "next to an allocation of 80");
  LAUNCH(write_at, 1, 1, 0, 0, x.data, -1ll);
  expect_fault(cudaErrorIllegalAddress, "next to an allocation of 80");
  LAUNCH(write_at, 1, 1, 0, 0, nullptr, 0);
  expect_fault(cudaErrorIllegalAddress, "illegal address");
  Array<int> zeros(2);
  LAUNCH(divide, 1, 1, 0, 0, zeros.data);
  expect_fault(cudaErrorLaunchFailure, "division by zero");
  test_barriers();
#endif
}

// Each call of the sample fails in its turn; nothing is left behind.
static void
test_failures()
{
  float x[2 * 100];
  float y[2 * 100];
  for (int i = 0; i < 200; i++) {
    x[i] = (float)(i % 7);
  }
  const uint64_t before = emulator_calls();
  CHECK(sample_softmax(x, y, 2, 100, 0) == cudaSuccess);
  const int calls = (int)(emulator_calls() - before);
  CHECK(calls > 10);
  for (int i = 1; i <= calls; i++) {
    for (const cudaError_t error :
         { cudaErrorIllegalAddress, cudaErrorMemoryAllocation }) {
      emulator_fail_after(i, error);
      CHECK(sample_softmax(x, y, 2, 100, 0) == error);
      emulator_heal();
      CHECK(emulator_allocations() == 0 && emulator_handles() == 0);
    }
  }
  emulator_memory_limit(1000);
  CHECK(sample_softmax(x, y, 2, 100, 0) == cudaErrorMemoryAllocation);
  emulator_memory_limit(0);
  cudaGetLastError();
  setenv("EMULATOR_DEVICES", "0", 1);
  int count = 9;
  CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice && count == 0);
  CHECK(sample_softmax(x, y, 2, 100, 0) == cudaErrorNoDevice);
  unsetenv("EMULATOR_DEVICES");
  cudaGetLastError();
  GOOD(cudaGetDeviceCount(&count));
  CHECK(count == 1);
}

static void
test_sample()
{
  float x[3 * 100];
  float y[3][3 * 100];
  for (int i = 0; i < 300; i++) {
    x[i] = sinf((float)i);
  }
  for (int way = 0; way < 3; way++) {
    CHECK(sample_softmax(x, y[way], 3, 100, way) == cudaSuccess);
    float sum = 0.0f;
    for (int i = 100; i < 200; i++) {
      CHECK(fabsf(y[way][i] - y[0][i]) < 1e-6f);
      sum += y[way][i];
    }
    CHECK(fabsf(sum - 1.0f) < 1e-5f);
  }
}

// --- Products -------------------------------------------------------------

static float
element(const std::vector<float>& x, bool transposed, int stride, int i, int j)
{
  return transposed ? x[(size_t)(i * stride + j)] : x[(size_t)(j * stride + i)];
}

static std::vector<float>
numbers(size_t count)
{
  std::vector<float> x(count);
  for (float& each : x) {
    each = (float)rand() / (float)RAND_MAX - 0.5f;
  }
  return x;
}

static void
upload(float* to, const std::vector<float>& from)
{
  GOOD(cudaMemcpy(
    to, from.data(), from.size() * sizeof(float), cudaMemcpyHostToDevice));
}

static void
test_product(cublasHandle_t handle, bool ta, bool tb, bool tf32)
{
  const int    m = 7, n = 5, k = 11, stride = 13;
  const float  alpha = 1.5f;
  const float  beta  = 0.5f;
  const auto   a = numbers(13 * 13), b = numbers(13 * 13), c = numbers(13 * 13);
  Array<float> da(13 * 13), db(13 * 13), dc(13 * 13);
  upload(da.data, a);
  upload(db.data, b);
  upload(dc.data, c);
  CHECK(cublasGemmEx(handle,
                     ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                     tb ? CUBLAS_OP_T : CUBLAS_OP_N,
                     m,
                     n,
                     k,
                     &alpha,
                     da.data,
                     CUDA_R_32F,
                     stride,
                     db.data,
                     CUDA_R_32F,
                     stride,
                     &beta,
                     dc.data,
                     CUDA_R_32F,
                     stride,
                     tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS);
  const auto out   = dc.read();
  double     worst = 0.0;
  for (int j = 0; j < n; j++) {
    for (int i = 0; i < m; i++) {
      double sum = 0.0;
      for (int t = 0; t < k; t++) {
        sum += (double)element(a, ta, stride, i, t) *
               (double)element(b, tb, stride, t, j);
      }
      const size_t at = (size_t)(j * stride + i);
      worst = fmax(worst, fabs(out[at] - (alpha * sum + beta * (double)c[at])));
    }
    CHECK(out[(size_t)(j * stride + m)] == c[(size_t)(j * stride + m)]);
  }
  CHECK(tf32 ? worst > 1e-6 && worst < 5e-3 : worst < 1e-6);
}

static void
test_products()
{
  cublasHandle_t handle = nullptr;
  CHECK(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS);
  for (int i = 0; i < 8; i++) {
    test_product(handle, i & 1, i & 2, i & 4);
  }
  // A vector with strides, both ways.
  const float  one = 1.0f, zero = 0.0f;
  Array<float> a(6), x(6, 1.0f), y(6); // a: 2 rows, 3 columns
  upload(a.data, { 1, 2, 3, 4, 5, 6 });
  CHECK(cublasSgemv(handle,
                    CUBLAS_OP_N,
                    2,
                    3,
                    &one,
                    a.data,
                    2,
                    x.data,
                    2,
                    &zero,
                    y.data,
                    2) == CUBLAS_STATUS_SUCCESS);
  CHECK(y.read()[0] == 9 && y.read()[2] == 12);
  CHECK(cublasSgemv(handle,
                    CUBLAS_OP_T,
                    2,
                    3,
                    &one,
                    a.data,
                    2,
                    x.data,
                    1,
                    &zero,
                    y.data,
                    1) == CUBLAS_STATUS_SUCCESS);
  CHECK(y.read()[0] == 3 && y.read()[1] == 7 && y.read()[2] == 11);
  // Past the end of an operand.
  cublasSgemm(handle,
              CUBLAS_OP_N,
              CUBLAS_OP_N,
              2,
              2,
              4,
              &one,
              a.data,
              2,
              x.data,
              4,
              &zero,
              y.data,
              2);
  expect_fault(cudaErrorIllegalAddress, "not all in one device allocation");
  CHECK(cublasDestroy(handle) == CUBLAS_STATUS_SUCCESS);
}

// --- Speed ----------------------------------------------------------------

template<typename Body>
static void
time(const char* name, double threads, Body body)
{
  const auto begin = std::chrono::steady_clock::now();
  body();
  const std::chrono::duration<double> spent =
    std::chrono::steady_clock::now() - begin;
  printf(
    "%-32s %8.2f million threads/s\n", name, threads / spent.count() * 1e-6);
}

static void
bench()
{
  const unsigned blocks = 2000;
  Array<float>   x(blocks * 256, 1.0f);
  Array<float>   out(blocks);
  Array<int>     lanes(256 * 8);
  time("no barrier", 20.0 * blocks * 256, [&] {
    for (int i = 0; i < 20; i++) {
      LAUNCH(add_one, blocks, 256, 0, 0, x.data, (int)(blocks * 256));
    }
  });
  time("10 barriers", 2.0 * blocks * 256, [&] {
    for (int i = 0; i < 2; i++) {
      LAUNCH(sum_block, blocks, 256, 0, 0, x.data, out.data, 1);
    }
  });
  time("10 warp functions", 1.0 * blocks * 256, [&] {
    LAUNCH(shuffles, blocks, 256, 0, 0, lanes.data);
  });
  time("launches of one thread", 100000, [&] {
    for (int i = 0; i < 100000; i++) {
      LAUNCH(add_one, 1, 1, 0, 0, x.data, 1);
    }
  });
}

int
main()
{
  if (getenv("EMULATED_BENCH")) {
    bench();
    return 0;
  }
  emulator_lazy(false);
  emulator_print(getenv("EMULATOR_PRINT") != nullptr);
  test_barriers();
  test_order();
  test_deadlocks();
  test_warps();
  test_shared();
  test_capture();
  test_lazy();
  test_copies();
  test_bad_addresses();
  test_sample();
  test_failures();
  test_products();
  CHECK(emulator_allocations() == 0 && emulator_handles() == 0);
  puts("emulator: all tests passed");
  return 0;
}
