// The host half: the CUDA 13 runtime calls that the emulator knows, with their
// values and signatures. Errors follow CUDA: a bad argument is returned and
// remembered once, a kernel's fault sticks (emulator_control.h).
#pragma once

#include <cstddef>
#include <cstdint>

// --- Types and constants --------------------------------------------------

enum cudaError_t {
  cudaSuccess                       = 0,
  cudaErrorInvalidValue             = 1,
  cudaErrorMemoryAllocation         = 2,
  cudaErrorInitializationError      = 3,
  cudaErrorInvalidConfiguration     = 9,
  cudaErrorInvalidPitchValue        = 12,
  cudaErrorInvalidSymbol            = 13,
  cudaErrorInvalidHostPointer       = 16,
  cudaErrorInvalidDevicePointer     = 17,
  cudaErrorInvalidMemcpyDirection   = 21,
  cudaErrorInsufficientDriver       = 35,
  cudaErrorDevicesUnavailable       = 46,
  cudaErrorInvalidDeviceFunction    = 98,
  cudaErrorNoDevice                 = 100,
  cudaErrorInvalidDevice            = 101,
  cudaErrorNoKernelImageForDevice   = 209,
  cudaErrorECCUncorrectable         = 214,
  cudaErrorUnsupportedPtxVersion    = 222,
  cudaErrorInvalidResourceHandle    = 400,
  cudaErrorIllegalState             = 401,
  cudaErrorNotReady                 = 600,
  cudaErrorIllegalAddress           = 700,
  cudaErrorLaunchOutOfResources     = 701,
  cudaErrorLaunchTimeout            = 702,
  cudaErrorAssert                   = 710,
  cudaErrorMisalignedAddress        = 716,
  cudaErrorLaunchFailure            = 719,
  cudaErrorNotPermitted             = 800,
  cudaErrorNotSupported             = 801,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaErrorStreamCaptureMerge       = 902,
  cudaErrorStreamCaptureUnmatched   = 903,
  cudaErrorStreamCaptureUnjoined    = 904,
  cudaErrorStreamCaptureIsolation   = 905,
  cudaErrorStreamCaptureImplicit    = 906,
  cudaErrorCapturedEvent            = 907,
  cudaErrorStreamCaptureWrongThread = 908,
  cudaErrorUnknown                  = 999
};

enum cudaMemcpyKind {
  cudaMemcpyHostToHost     = 0,
  cudaMemcpyHostToDevice   = 1,
  cudaMemcpyDeviceToHost   = 2,
  cudaMemcpyDeviceToDevice = 3,
  cudaMemcpyDefault        = 4
};

enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal      = 0,
  cudaStreamCaptureModeThreadLocal = 1,
  cudaStreamCaptureModeRelaxed     = 2
};

enum cudaStreamCaptureStatus {
  cudaStreamCaptureStatusNone        = 0,
  cudaStreamCaptureStatusActive      = 1,
  cudaStreamCaptureStatusInvalidated = 2
};

enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize    = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9
};

enum cudaDeviceAttr {
  cudaDevAttrMaxThreadsPerBlock               = 1,
  cudaDevAttrMaxBlockDimX                     = 2,
  cudaDevAttrMaxBlockDimY                     = 3,
  cudaDevAttrMaxBlockDimZ                     = 4,
  cudaDevAttrMaxGridDimX                      = 5,
  cudaDevAttrMaxGridDimY                      = 6,
  cudaDevAttrMaxGridDimZ                      = 7,
  cudaDevAttrMaxSharedMemoryPerBlock          = 8,
  cudaDevAttrWarpSize                         = 10,
  cudaDevAttrMaxRegistersPerBlock             = 12,
  cudaDevAttrMultiProcessorCount              = 16,
  cudaDevAttrIntegrated                       = 18,
  cudaDevAttrConcurrentKernels                = 31,
  cudaDevAttrL2CacheSize                      = 38,
  cudaDevAttrMaxThreadsPerMultiProcessor      = 39,
  cudaDevAttrUnifiedAddressing                = 41,
  cudaDevAttrComputeCapabilityMajor           = 75,
  cudaDevAttrComputeCapabilityMinor           = 76,
  cudaDevAttrStreamPrioritiesSupported        = 78,
  cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
  cudaDevAttrCooperativeLaunch                = 95,
  cudaDevAttrMaxSharedMemoryPerBlockOptin     = 97
};

#define cudaHostAllocDefault 0x00u
#define cudaHostAllocPortable 0x01u
#define cudaHostAllocMapped 0x02u
#define cudaHostAllocWriteCombined 0x04u
#define cudaStreamDefault 0x00u
#define cudaStreamNonBlocking 0x01u
#define cudaEventDefault 0x00u
#define cudaEventBlockingSync 0x01u
#define cudaEventDisableTiming 0x02u
#define cudaDeviceScheduleAuto 0x00u
#define cudaDeviceScheduleSpin 0x01u
#define cudaDeviceScheduleYield 0x02u
#define cudaDeviceScheduleBlockingSync 0x04u
#define cudaGraphInstantiateFlagUpload 2u
#define CUDART_VERSION 13000

typedef struct EmulatedStream*    cudaStream_t;
typedef struct EmulatedEvent*     cudaEvent_t;
typedef struct EmulatedGraph*     cudaGraph_t;
typedef struct EmulatedGraphExec* cudaGraphExec_t;

struct cudaDeviceProp {
  char   name[256];
  size_t totalGlobalMem;
  size_t sharedMemPerBlock;
  int    regsPerBlock;
  int    warpSize;
  int    maxThreadsPerBlock;
  int    maxThreadsDim[3];
  int    maxGridSize[3];
  int    major;
  int    minor;
  int    multiProcessorCount;
  int    integrated;
  int    concurrentKernels;
  int    pciBusID;
  int    pciDeviceID;
  int    pciDomainID;
  int    unifiedAddressing;
  int    l2CacheSize;
  int    maxThreadsPerMultiProcessor;
  int    streamPrioritiesSupported;
  size_t sharedMemPerMultiprocessor;
  size_t sharedMemPerBlockOptin;
  int    cooperativeLaunch;
};

// --- Errors and devices ---------------------------------------------------

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDeviceFlags(unsigned int flags);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDeviceGetAttribute(int*           value,
                                   cudaDeviceAttr which,
                                   int            device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest);

// --- Memory ---------------------------------------------------------------
// Device memory is filled with 0xff bytes (NaN), ends at a page that cannot be
// touched, and, where the CPU has protection keys, cannot be touched by host
// code at all.

cudaError_t cudaMalloc(void** pointer, size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned int flags);
cudaError_t cudaMallocHost(void**       pointer,
                           size_t       bytes,
                           unsigned int flags = 0);
cudaError_t cudaFreeHost(void* pointer);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMemcpy(void*          destination,
                       const void*    source,
                       size_t         bytes,
                       cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void*          destination,
                            const void*    source,
                            size_t         bytes,
                            cudaMemcpyKind kind,
                            cudaStream_t   stream = nullptr);
cudaError_t cudaMemcpy2D(void*          destination,
                         size_t         destination_pitch,
                         const void*    source,
                         size_t         source_pitch,
                         size_t         width,
                         size_t         height,
                         cudaMemcpyKind kind);
cudaError_t cudaMemcpy2DAsync(void*          destination,
                              size_t         destination_pitch,
                              const void*    source,
                              size_t         source_pitch,
                              size_t         width,
                              size_t         height,
                              cudaMemcpyKind kind,
                              cudaStream_t   stream = nullptr);
cudaError_t cudaMemset(void* destination, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void*        destination,
                            int          value,
                            size_t       bytes,
                            cudaStream_t stream = nullptr);
cudaError_t cudaMemset2DAsync(void*        destination,
                              size_t       pitch,
                              int          value,
                              size_t       width,
                              size_t       height,
                              cudaStream_t stream = nullptr);

template<typename T>
cudaError_t
cudaMalloc(T** pointer, size_t bytes)
{
  return cudaMalloc(reinterpret_cast<void**>(pointer), bytes);
}

template<typename T>
cudaError_t
cudaHostAlloc(T** pointer, size_t bytes, unsigned int flags)
{
  return cudaHostAlloc(reinterpret_cast<void**>(pointer), bytes, flags);
}

template<typename T>
cudaError_t
cudaMallocHost(T** pointer, size_t bytes, unsigned int flags = 0)
{
  return cudaMallocHost(reinterpret_cast<void**>(pointer), bytes, flags);
}

// __constant__ and __device__ variables are plain variables here.
cudaError_t emulated_copy_symbol(void*        destination,
                                 const void*  source,
                                 size_t       bytes,
                                 cudaStream_t stream);

template<typename T>
cudaError_t
cudaMemcpyToSymbol(T&             symbol,
                   const void*    source,
                   size_t         bytes,
                   size_t         offset = 0,
                   cudaMemcpyKind kind   = cudaMemcpyHostToDevice)
{
  if (kind != cudaMemcpyHostToDevice || offset > sizeof symbol ||
      bytes > sizeof symbol - offset) {
    return cudaErrorInvalidValue;
  }
  return emulated_copy_symbol(
    reinterpret_cast<char*>(&symbol) + offset, source, bytes, nullptr);
}

// --- Streams, events, graphs ----------------------------------------------

cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream,
                                         unsigned int  flags,
                                         int           priority);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream,
                                cudaEvent_t  event,
                                unsigned int flags = 0);

cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end);

cudaError_t cudaStreamBeginCapture(cudaStream_t          stream,
                                   cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaStreamIsCapturing(cudaStream_t             stream,
                                  cudaStreamCaptureStatus* status);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*   executable,
                                 cudaGraph_t        graph,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);

// --- Functions ------------------------------------------------------------

cudaError_t cudaFuncSetAttribute(const void*       function,
                                 cudaFuncAttribute attribute,
                                 int               value);
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int*        blocks,
                                                          const void* function,
                                                          int    block_size,
                                                          size_t shared_bytes);

template<typename... P>
cudaError_t
cudaFuncSetAttribute(void (*kernel)(P...),
                     cudaFuncAttribute attribute,
                     int               value)
{
  return cudaFuncSetAttribute(
    reinterpret_cast<const void*>(kernel), attribute, value);
}

template<typename... P>
cudaError_t
cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks,
                                              void (*kernel)(P...),
                                              int    block_size,
                                              size_t shared_bytes)
{
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks, reinterpret_cast<const void*>(kernel), block_size, shared_bytes);
}
