// What the emulator's files share among themselves. All of it is under one
// lock, held by a gate for the length of a runtime call.
#pragma once

#include "emulator_control.h"
#include "emulator_launch.h"
#include "emulator_runtime.h"

#include <mutex>
#include <vector>

using Work = std::function<void()>;

// --- Calls (runtime.cpp) --------------------------------------------------

enum class Need { nothing, driver, device };

// Stands at the head of each runtime call: takes the lock, counts the call,
// and tells if it must fail at once.
class Gate {
public:
  explicit Gate(Need need = Need::device);
  explicit operator bool() const
  {
    return error_ == cudaSuccess;
  }
  cudaError_t
  error() const
  {
    return error_;
  }
  // What the call returns, remembered for cudaGetLastError().
  cudaError_t end(cudaError_t error);

private:
  std::lock_guard<std::recursive_mutex> lock_;
  cudaError_t                           error_;
};

// A release: takes the lock, is not counted, and does its work in any case.
class Release {
public:
  Release();
  cudaError_t end(cudaError_t error);

private:
  std::lock_guard<std::recursive_mutex> lock_;
};

// A kernel's fault: said on stderr, and the device is lost until
// emulator_heal().
__attribute__((format(printf, 2, 3))) void fault(cudaError_t error,
                                                 const char* format,
                                                 ...);
cudaError_t lost(); // the error that sticks, or cudaSuccess
void        count_wait();
void        count_handle(int change);

// --- Memory (memory.cpp) --------------------------------------------------

bool on_device(const void* pointer, size_t bytes); // all within one allocation
bool touches_device(const void* pointer, size_t bytes); // any of it
bool pinned(const void* pointer, size_t bytes);
void check_canaries(const char* after);
size_t device_bytes();

// While one lives, this thread may touch device memory.
class DeviceMemory {
public:
  DeviceMemory();
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&)            = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
};

// --- Streams (streams.cpp) ------------------------------------------------

enum class Asked { graph, plain, write, event }; // as EmulatorCounts has it

void count_asked(Asked asked); // (runtime.cpp)
// Runs the work now, or puts it in the stream's queue or capture. `pageable`:
// the work touches pageable host memory, and the host waits.
cudaError_t submit(cudaStream_t stream,
                   Asked        asked,
                   Work         work,
                   bool         pageable = false);
void        flush_all(); // does what waits in the streams
// A call that a capture by this thread, or a global one, forbids.
cudaError_t forbidden_in_capture();
void        set_lazy(bool lazy);
cudaGraph_t new_graph(std::vector<Work> work); // (graphs.cpp)

// --- Threads (launch.cpp) -------------------------------------------------

void run_launch(const EmulatedLaunch& launch);
void set_seed(uint64_t seed);
