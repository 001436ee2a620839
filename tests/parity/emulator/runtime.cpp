// The emulator's state of the whole: errors, injected failures, counts, and
// what the device says of itself.
#include "emulator_internal.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct Runtime {
  std::recursive_mutex lock;
  cudaError_t          sticky  = cudaSuccess;
  int                  fail_in = 0; // calls until the injected failure; 0: none
  cudaError_t          fail_with = cudaSuccess;
  uint64_t             calls     = 0;
  EmulatorCounts       counts    = {};
  int                  handles   = 0;
  bool                 print     = true;
  std::string          report;
};

Runtime&
runtime()
{
  static Runtime* const state = new Runtime; // outlives all destructors
  return *state;
}

thread_local cudaError_t last = cudaSuccess;

bool
sticks(cudaError_t error)
{
  return (error >= 700 && error < 800) || error == cudaErrorECCUncorrectable ||
         error == cudaErrorUnknown;
}

// What the machine lacks.
cudaError_t
missing(Need need)
{
  const char* const devices = getenv("EMULATOR_DEVICES");
  if (!devices || need == Need::nothing) {
    return cudaSuccess;
  }
  if (!strcmp(devices, "none")) {
    return cudaErrorInsufficientDriver;
  }
  if (need == Need::device && !strcmp(devices, "0")) {
    return cudaErrorNoDevice;
  }
  return cudaSuccess;
}

} // namespace

// --- Gates ----------------------------------------------------------------

Gate::Gate(Need need)
  : lock_(runtime().lock)
  , error_(cudaSuccess)
{
  Runtime& r = runtime();
  r.calls++;
  if (r.fail_in > 0 && --r.fail_in == 0) {
    error_ = r.fail_with;
    if (sticks(error_)) {
      r.sticky = error_;
    }
  } else if (need != Need::nothing && r.sticky != cudaSuccess) {
    error_ = r.sticky;
  } else {
    error_ = missing(need);
  }
  if (error_ != cudaSuccess) {
    last = error_;
  }
}

cudaError_t
Gate::end(cudaError_t error)
{
  const cudaError_t sticky = runtime().sticky;
  if (sticky != cudaSuccess) {
    error = sticky;
  }
  if (error != cudaSuccess && error != cudaErrorNotReady) {
    last = error;
  }
  return error;
}

Release::Release()
  : lock_(runtime().lock)
{
}

cudaError_t
Release::end(cudaError_t error)
{
  if (runtime().sticky != cudaSuccess) {
    error = runtime().sticky;
  }
  if (error != cudaSuccess) {
    last = error;
  }
  return error;
}

void
fault(cudaError_t error, const char* format, ...)
{
  Runtime& r = runtime();
  char     text[500];
  va_list  arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (r.print) {
    fprintf(stderr, "emulator: %s\n", text);
  }
  if (r.sticky == cudaSuccess) {
    r.sticky = error;
    r.report = text;
  }
}

cudaError_t
lost()
{
  return runtime().sticky;
}

void
count_asked(Asked asked)
{
  EmulatorCounts& counts = runtime().counts;
  counts.graphs += asked == Asked::graph;
  counts.plain += asked == Asked::plain;
  counts.writes += asked == Asked::write;
}

void
count_wait()
{
  runtime().counts.waits++;
}

void
count_handle(int change)
{
  runtime().handles += change;
}

// --- Control --------------------------------------------------------------

void
emulator_fail_after(int calls, int error)
{
  const Release hold;
  runtime().fail_in   = calls;
  runtime().fail_with = (cudaError_t)error;
}

void
emulator_heal(void)
{
  const Release hold;
  Runtime&      r = runtime();
  r.fail_in       = 0;
  r.sticky        = cudaSuccess;
  r.report.clear();
  last = cudaSuccess;
}

uint64_t
emulator_calls(void)
{
  const Release hold;
  return runtime().calls;
}

EmulatorCounts
emulator_counts(void)
{
  const Release hold;
  return runtime().counts;
}

unsigned
emulator_handles(void)
{
  const Release hold;
  return (unsigned)runtime().handles;
}

void
emulator_seed(uint64_t seed)
{
  const Release hold;
  set_seed(seed);
}

void
emulator_lazy(bool lazy)
{
  const Release hold;
  set_lazy(lazy);
}

const char*
emulator_report(void)
{
  const Release hold;
  return runtime().report.c_str();
}

void
emulator_print(bool print)
{
  const Release hold;
  runtime().print = print;
}

// --- Errors ---------------------------------------------------------------

const char*
cudaGetErrorName(cudaError_t error)
{
#define NAME(name)                                                             \
  case name:                                                                   \
    return #name
  switch (error) {
    NAME(cudaSuccess);
    NAME(cudaErrorInvalidValue);
    NAME(cudaErrorMemoryAllocation);
    NAME(cudaErrorInitializationError);
    NAME(cudaErrorInvalidConfiguration);
    NAME(cudaErrorInvalidPitchValue);
    NAME(cudaErrorInvalidSymbol);
    NAME(cudaErrorInvalidHostPointer);
    NAME(cudaErrorInvalidDevicePointer);
    NAME(cudaErrorInvalidMemcpyDirection);
    NAME(cudaErrorInsufficientDriver);
    NAME(cudaErrorDevicesUnavailable);
    NAME(cudaErrorInvalidDeviceFunction);
    NAME(cudaErrorNoDevice);
    NAME(cudaErrorInvalidDevice);
    NAME(cudaErrorNoKernelImageForDevice);
    NAME(cudaErrorECCUncorrectable);
    NAME(cudaErrorUnsupportedPtxVersion);
    NAME(cudaErrorInvalidResourceHandle);
    NAME(cudaErrorIllegalState);
    NAME(cudaErrorNotReady);
    NAME(cudaErrorIllegalAddress);
    NAME(cudaErrorLaunchOutOfResources);
    NAME(cudaErrorLaunchTimeout);
    NAME(cudaErrorAssert);
    NAME(cudaErrorMisalignedAddress);
    NAME(cudaErrorLaunchFailure);
    NAME(cudaErrorNotPermitted);
    NAME(cudaErrorNotSupported);
    NAME(cudaErrorStreamCaptureUnsupported);
    NAME(cudaErrorStreamCaptureInvalidated);
    NAME(cudaErrorStreamCaptureMerge);
    NAME(cudaErrorStreamCaptureUnmatched);
    NAME(cudaErrorStreamCaptureUnjoined);
    NAME(cudaErrorStreamCaptureIsolation);
    NAME(cudaErrorStreamCaptureImplicit);
    NAME(cudaErrorCapturedEvent);
    NAME(cudaErrorStreamCaptureWrongThread);
    NAME(cudaErrorUnknown);
  }
#undef NAME
  return "unrecognized error code";
}

const char*
cudaGetErrorString(cudaError_t error)
{
  return error == cudaSuccess ? "no error" : cudaGetErrorName(error);
}

cudaError_t
cudaGetLastError(void)
{
  const Release     hold;
  const cudaError_t error = cudaPeekAtLastError();
  last                    = cudaSuccess;
  return error;
}

cudaError_t
cudaPeekAtLastError(void)
{
  const Release hold;
  return lost() != cudaSuccess ? lost() : last;
}

// --- Devices --------------------------------------------------------------

cudaError_t
cudaGetDeviceCount(int* count)
{
  Gate gate;
  *count = gate ? 1 : 0;
  return gate.error();
}

cudaError_t
cudaSetDevice(int device)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  return gate.end(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t
cudaGetDevice(int* device)
{
  Gate gate;
  *device = 0;
  return gate.error();
}

cudaError_t
cudaSetDeviceFlags(unsigned int flags)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  return gate.end(flags <= 0xffu ? cudaSuccess : cudaErrorInvalidValue);
}

// How ops cut their work, and which kernel they take, follows from it.
static int
multiprocessors()
{
  const char* const value = getenv("EMULATOR_MULTIPROCESSORS");
  const int         count = value ? atoi(value) : 0;
  return count > 0 ? count : 4;
}

cudaError_t
cudaGetDeviceProperties(cudaDeviceProp* properties, int device)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  if (device != 0) {
    return gate.end(cudaErrorInvalidDevice);
  }
  *properties = {};
  snprintf(properties->name, sizeof properties->name, "emulated");
  properties->totalGlobalMem              = device_bytes();
  properties->sharedMemPerBlock           = 48u << 10;
  properties->regsPerBlock                = 65536;
  properties->warpSize                    = 32;
  properties->maxThreadsPerBlock          = 1024;
  properties->maxThreadsDim[0]            = 1024;
  properties->maxThreadsDim[1]            = 1024;
  properties->maxThreadsDim[2]            = 64;
  properties->maxGridSize[0]              = 2147483647;
  properties->maxGridSize[1]              = 65535;
  properties->maxGridSize[2]              = 65535;
  properties->major                       = 9;
  properties->multiProcessorCount         = multiprocessors();
  properties->concurrentKernels           = 1;
  properties->unifiedAddressing           = 1;
  properties->l2CacheSize                 = 1 << 20;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->streamPrioritiesSupported   = 1;
  properties->sharedMemPerMultiprocessor  = 228u << 10;
  properties->sharedMemPerBlockOptin      = 227u << 10;
  return gate.end(cudaSuccess);
}

static int
attribute(cudaDeviceAttr which)
{
  switch (which) {
    case cudaDevAttrMaxThreadsPerBlock:
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY:
      return 1024;
    case cudaDevAttrMaxBlockDimZ:
      return 64;
    case cudaDevAttrMaxGridDimX:
      return 2147483647;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
      return 65535;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      return 48 << 10;
    case cudaDevAttrWarpSize:
      return 32;
    case cudaDevAttrMaxRegistersPerBlock:
      return 65536;
    case cudaDevAttrMultiProcessorCount:
      return multiprocessors();
    case cudaDevAttrIntegrated:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrComputeCapabilityMinor:
      return 0;
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrStreamPrioritiesSupported:
      return 1;
    case cudaDevAttrL2CacheSize:
      return 1 << 20;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      return 2048;
    case cudaDevAttrComputeCapabilityMajor:
      return 9;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      return 228 << 10;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return 227 << 10;
  }
  return -1;
}

cudaError_t
cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int device)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  *value = attribute(which);
  return gate.end(device != 0   ? cudaErrorInvalidDevice
                  : *value >= 0 ? cudaSuccess
                                : cudaErrorInvalidValue);
}

cudaError_t
cudaDriverGetVersion(int* version)
{
  Gate gate(Need::nothing);
  *version = missing(Need::driver) == cudaSuccess ? CUDART_VERSION : 0;
  return gate.error();
}

cudaError_t
cudaRuntimeGetVersion(int* version)
{
  Gate gate(Need::nothing);
  *version = CUDART_VERSION;
  return gate.error();
}

cudaError_t
cudaDeviceGetStreamPriorityRange(int* least, int* greatest)
{
  Gate gate;
  *least    = 0;
  *greatest = -5;
  return gate.error();
}
