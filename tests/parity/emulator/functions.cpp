// What the emulator knows of kernels before they run: the shared memory that
// each may ask for, and whether the shape of a launch is one a GPU takes.
#include "emulator_internal.h"

#include <map>

namespace {

const size_t SHARED_BYTES     = 48u << 10;
const size_t SHARED_BYTES_MAX = 227u << 10;

// By cudaFuncSetAttribute().
std::map<const void*, size_t>&
asked()
{
  static auto* const bytes = new std::map<const void*, size_t>;
  return *bytes;
}

size_t
shared_bytes_max(const void* function)
{
  const auto it = asked().find(function);
  return it == asked().end() ? SHARED_BYTES : it->second;
}

} // namespace

cudaError_t
cudaFuncSetAttribute(const void*       function,
                     cudaFuncAttribute attribute,
                     int               value)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) {
    return gate.end(cudaSuccess);
  }
  if (!function) {
    return gate.end(cudaErrorInvalidDeviceFunction);
  }
  if (value < 0 || (size_t)value > SHARED_BYTES_MAX ||
      attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) {
    return gate.end(cudaErrorInvalidValue);
  }
  asked()[function] = (size_t)value;
  return gate.end(cudaSuccess);
}

cudaError_t
cudaOccupancyMaxActiveBlocksPerMultiprocessor(int*        blocks,
                                              const void* function,
                                              int         block_size,
                                              size_t      shared_bytes)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  if (!function || block_size < 1) {
    return gate.end(cudaErrorInvalidValue);
  }
  const size_t by_threads = block_size > 1024 ? 0 : 2048u / (size_t)block_size;
  const size_t by_shared  = (228u << 10) / (shared_bytes + 1024);
  const bool   allowed    = shared_bytes <= shared_bytes_max(function);
  const size_t most       = by_threads < by_shared ? by_threads : by_shared;
  *blocks                 = !allowed ? 0 : most < 32 ? (int)most : 32;
  return gate.end(cudaSuccess);
}

// --- Launches -------------------------------------------------------------

static cudaError_t
check_shape(const EmulatedLaunch& l)
{
  const dim3   g       = l.grid;
  const dim3   b       = l.block;
  const size_t threads = (size_t)b.x * b.y * b.z;
  if (!threads || threads > 1024 || b.x > 1024 || b.y > 1024 || b.z > 64 ||
      !g.x || !g.y || !g.z || g.x > 2147483647u || g.y > 65535u ||
      g.z > 65535u) {
    return cudaErrorInvalidConfiguration;
  }
  return l.shared_bytes > shared_bytes_max(l.function) ? cudaErrorInvalidValue
                                                       : cudaSuccess;
}

void
emulated_launch(cudaStream_t stream, EmulatedLaunch launch)
{
  Gate gate;
  if (!gate) {
    return;
  }
  const cudaError_t error = check_shape(launch);
  gate.end(error != cudaSuccess
             ? error
             : submit(stream, Asked::plain, [launch = std::move(launch)] {
                 run_launch(launch);
               }));
}
