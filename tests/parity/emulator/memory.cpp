// The emulator's memory: device allocations between pages that cannot be
// touched, pinned host memory, and copies that are checked against both.
#include "emulator_internal.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace {

const size_t        DEVICE_BYTES = (size_t)4 << 30;
const size_t        ALIGNMENT    = 256;
const unsigned char CANARY       = 0xa5;

// EMULATOR_MEMORY.
size_t
limit_at_start()
{
  const char* const value = getenv("EMULATOR_MEMORY");
  return value ? strtoull(value, nullptr, 10) : DEVICE_BYTES;
}

struct Allocation {
  size_t bytes;
  char*  region; // with the pages around
  size_t region_bytes;
};

struct Memory {
  std::map<const char*, Allocation> device;
  std::map<const char*, size_t>     pinned;
  size_t                            used  = 0;
  size_t                            limit = limit_at_start();
  int                               key   = -2; // -2: not asked for, -1: none
};

Memory&
memory()
{
  static Memory* const state = new Memory;
  return *state;
}

size_t
round_up(size_t bytes, size_t multiple)
{
  return (bytes + multiple - 1) / multiple * multiple;
}

// The allocation that begins at or before the pointer.
template<typename Map>
typename Map::const_iterator
before(const Map& map, const void* pointer)
{
  auto it = map.upper_bound(static_cast<const char*>(pointer));
  return it == map.begin() ? map.end() : --it;
}

// The key that forbids host code to touch device memory, or -1.
int
protection_key()
{
  Memory& m = memory();
  if (m.key == -2) {
    m.key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
  }
  return m.key;
}

thread_local int touching = 0;

// The bytes next to an allocation that nothing may write.
void
guard(const char* data, size_t bytes, bool on)
{
  char* const end  = const_cast<char*>(data) + bytes;
  char* const last = const_cast<char*>(data) + round_up(bytes, ALIGNMENT);
#ifdef __SANITIZE_ADDRESS__
  if (on) {
    ASAN_POISON_MEMORY_REGION(data - ALIGNMENT, ALIGNMENT);
    ASAN_POISON_MEMORY_REGION(end, (size_t)(last - end));
  } else {
    ASAN_UNPOISON_MEMORY_REGION(data - ALIGNMENT, ALIGNMENT);
    ASAN_UNPOISON_MEMORY_REGION(end, (size_t)(last - end));
  }
#else
  if (on) {
    memset(const_cast<char*>(data) - ALIGNMENT, CANARY, ALIGNMENT);
    memset(end, CANARY, (size_t)(last - end));
  }
#endif
}

#ifndef __SANITIZE_ADDRESS__
bool
all_canary(const char* begin, size_t bytes)
{
  for (size_t i = 0; i < bytes; i++) {
    if ((unsigned char)begin[i] != CANARY) {
      return false;
    }
  }
  return true;
}
#endif

} // namespace

DeviceMemory::DeviceMemory()
{
  touching++;
  if (protection_key() > 0) {
    pkey_set(protection_key(), 0); // a signal may have closed it since
  }
}

DeviceMemory::~DeviceMemory()
{
  if (--touching == 0 && protection_key() > 0) {
    pkey_set(protection_key(), PKEY_DISABLE_ACCESS);
  }
}

bool
on_device(const void* pointer, size_t bytes)
{
  const auto it = before(memory().device, pointer);
  if (it == memory().device.end()) {
    return false;
  }
  const size_t offset = (size_t)(static_cast<const char*>(pointer) - it->first);
  return offset <= it->second.bytes && bytes <= it->second.bytes - offset;
}

bool
touches_device(const void* pointer, size_t bytes)
{
  const char* const end = static_cast<const char*>(pointer) + bytes;
  const auto        it  = before(memory().device, bytes ? end - 1 : end);
  return it != memory().device.end() &&
         it->first + it->second.bytes > static_cast<const char*>(pointer);
}

bool
pinned(const void* pointer, size_t bytes)
{
  const auto it = before(memory().pinned, pointer);
  if (it == memory().pinned.end()) {
    return false;
  }
  const size_t offset = (size_t)(static_cast<const char*>(pointer) - it->first);
  return offset <= it->second && bytes <= it->second - offset;
}

void
check_canaries(const char* after)
{
#ifdef __SANITIZE_ADDRESS__
  (void)after;
#else
  const DeviceMemory touch;
  for (const auto& [data, allocation] : memory().device) {
    const size_t bytes = allocation.bytes;
    if (!all_canary(data - ALIGNMENT, ALIGNMENT) ||
        !all_canary(data + bytes, round_up(bytes, ALIGNMENT) - bytes)) {
      fault(cudaErrorIllegalAddress,
            "%s wrote next to an allocation of %zu bytes",
            after,
            bytes);
      guard(data, bytes, true);
    }
  }
#endif
}

size_t
device_bytes()
{
  return memory().limit;
}

// --- Allocations ----------------------------------------------------------

cudaError_t
cudaMalloc(void** pointer, size_t bytes)
{
  Gate gate;
  *pointer = nullptr;
  if (!gate) {
    return gate.error();
  }
  const cudaError_t forbidden = forbidden_in_capture();
  if (forbidden != cudaSuccess || !bytes) {
    return gate.end(forbidden);
  }
  Memory& m = memory();
  if (bytes > m.limit || m.used > m.limit - bytes) {
    return gate.end(cudaErrorMemoryAllocation);
  }
  const size_t page  = (size_t)sysconf(_SC_PAGESIZE);
  const size_t inner = round_up(round_up(bytes, ALIGNMENT) + ALIGNMENT, page);
  const size_t outer = inner + 2 * page;
  void* const  region =
    mmap(nullptr, outer, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (region == MAP_FAILED) {
    return gate.end(cudaErrorMemoryAllocation);
  }
  char* const first = static_cast<char*>(region) + page;
  const int   key   = protection_key();
  const int   mode  = PROT_READ | PROT_WRITE;
  if (key > 0 ? pkey_mprotect(first, inner, mode, key)
              : mprotect(first, inner, mode)) {
    munmap(region, outer);
    return gate.end(cudaErrorMemoryAllocation);
  }
  char* const        data = first + inner - round_up(bytes, ALIGNMENT);
  const DeviceMemory touch;
  memset(data, 0xff, bytes);
  guard(data, bytes, true);
  m.device[data] = { bytes, static_cast<char*>(region), outer };
  m.used += bytes;
  *pointer = data;
  return gate.end(cudaSuccess);
}

cudaError_t
cudaFree(void* pointer)
{
  Release release;
  if (!pointer) {
    return release.end(cudaSuccess);
  }
  const cudaError_t forbidden = forbidden_in_capture();
  if (forbidden != cudaSuccess) {
    return release.end(forbidden);
  }
  count_wait();
  flush_all();
  check_canaries("something");
  Memory&    m  = memory();
  const auto it = m.device.find(static_cast<char*>(pointer));
  if (it == m.device.end()) {
    return release.end(cudaErrorInvalidValue);
  }
  guard(it->first, it->second.bytes, false);
  m.used -= it->second.bytes;
  munmap(it->second.region, it->second.region_bytes);
  m.device.erase(it);
  return release.end(cudaSuccess);
}

cudaError_t
cudaHostAlloc(void** pointer, size_t bytes, unsigned int flags)
{
  Gate gate;
  *pointer = nullptr;
  if (!gate) {
    return gate.error();
  }
  if (flags > 7u) {
    return gate.end(cudaErrorInvalidValue);
  }
  const cudaError_t forbidden = forbidden_in_capture();
  if (forbidden != cudaSuccess || !bytes) {
    return gate.end(forbidden);
  }
  void* data = nullptr;
  if (posix_memalign(&data, ALIGNMENT, bytes)) {
    return gate.end(cudaErrorMemoryAllocation);
  }
  memset(data, 0xff, bytes);
  memory().pinned[static_cast<char*>(data)] = bytes;
  *pointer                                  = data;
  return gate.end(cudaSuccess);
}

cudaError_t
cudaMallocHost(void** pointer, size_t bytes, unsigned int flags)
{
  return cudaHostAlloc(pointer, bytes, flags);
}

cudaError_t
cudaFreeHost(void* pointer)
{
  Release release;
  if (!pointer) {
    return release.end(cudaSuccess);
  }
  const cudaError_t forbidden = forbidden_in_capture();
  if (forbidden != cudaSuccess) {
    return release.end(forbidden);
  }
  flush_all();
  if (!memory().pinned.erase(static_cast<char*>(pointer))) {
    return release.end(cudaErrorInvalidValue);
  }
  free(pointer);
  return release.end(cudaSuccess);
}

cudaError_t
cudaMemGetInfo(size_t* free, size_t* total)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  *total = memory().limit;
  *free  = *total > memory().used ? *total - memory().used : 0;
  return gate.end(cudaSuccess);
}

void
emulator_memory_limit(size_t bytes)
{
  const Release hold;
  memory().limit = bytes ? bytes : DEVICE_BYTES;
}

size_t
emulator_memory_used(void)
{
  const Release hold;
  return memory().used;
}

unsigned
emulator_allocations(void)
{
  const Release hold;
  return (unsigned)(memory().device.size() + memory().pinned.size());
}

// --- Copies ---------------------------------------------------------------

namespace {

struct Plane {
  char*       destination;
  size_t      destination_pitch;
  const char* source;
  size_t      source_pitch;
  bool        fill; // with `value`; there is no source
  int         value;
  size_t      width;
  size_t      height;
};

size_t
extent(size_t pitch, size_t width, size_t height)
{
  return width && height ? pitch * (height - 1) + width : 0;
}

// Whether the bytes may stand on that side of a copy.
bool
fits(const void* pointer, size_t bytes, bool device)
{
  if (device) {
    return on_device(pointer, bytes);
  }
  return pointer && !touches_device(pointer, bytes) &&
         (pinned(pointer, bytes) || !pinned(pointer, 1));
}

void
copy_plane(const Plane& p)
{
  for (size_t row = 0; row < p.height; row++) {
    char* const to = p.destination + row * p.destination_pitch;
    if (p.fill) {
      memset(to, p.value, p.width);
    } else {
      memmove(to, p.source + row * p.source_pitch, p.width);
    }
  }
}

cudaError_t
start(const Plane&   p,
      cudaMemcpyKind kind,
      cudaStream_t   stream,
      bool           synchronous)
{
  if ((unsigned)kind > cudaMemcpyDefault) {
    return cudaErrorInvalidMemcpyDirection;
  }
  if (p.destination_pitch < p.width || (!p.fill && p.source_pitch < p.width)) {
    return cudaErrorInvalidPitchValue;
  }
  const size_t to_bytes   = extent(p.destination_pitch, p.width, p.height);
  const size_t from_bytes = extent(p.source_pitch, p.width, p.height);
  if (!to_bytes) {
    return cudaSuccess;
  }
  const bool guess = kind == cudaMemcpyDefault;
  const bool to =
    guess ? touches_device(p.destination, to_bytes)
          : kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from =
    guess ? touches_device(p.source, from_bytes)
          : kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (!fits(p.destination, to_bytes, to) ||
      (!p.fill && !fits(p.source, from_bytes, from))) {
    return cudaErrorInvalidValue;
  }
  const bool pageable = (!to && !pinned(p.destination, to_bytes)) ||
                        (!p.fill && !from && !pinned(p.source, from_bytes));
  if (synchronous) {
    flush_all();
  }
  return submit(
    stream,
    to && !from && !p.fill ? Asked::write : Asked::plain,
    [p, to, to_bytes, from, from_bytes] {
      // It may have been freed since it was recorded.
      if ((to && !on_device(p.destination, to_bytes)) ||
          (!p.fill && from && !on_device(p.source, from_bytes))) {
        fault(cudaErrorIllegalAddress, "a copy of freed memory");
        return;
      }
      const DeviceMemory touch;
      copy_plane(p);
    },
    pageable || synchronous);
}

cudaError_t
copy(const Plane&   p,
     cudaMemcpyKind kind,
     cudaStream_t   stream,
     bool           synchronous = false)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  const cudaError_t forbidden =
    synchronous ? forbidden_in_capture() : cudaSuccess;
  return gate.end(
    forbidden != cudaSuccess ? forbidden : start(p, kind, stream, synchronous));
}

Plane
plane(void*       destination,
      size_t      destination_pitch,
      const void* source,
      size_t      source_pitch,
      size_t      width,
      size_t      height)
{
  return { static_cast<char*>(destination),
           destination_pitch,
           static_cast<const char*>(source),
           source_pitch,
           false,
           0,
           width,
           height };
}

} // namespace

cudaError_t
cudaMemcpy(void*          destination,
           const void*    source,
           size_t         bytes,
           cudaMemcpyKind kind)
{
  return cudaMemcpy2D(destination, bytes, source, bytes, bytes, 1, kind);
}

cudaError_t
cudaMemcpyAsync(void*          destination,
                const void*    source,
                size_t         bytes,
                cudaMemcpyKind kind,
                cudaStream_t   stream)
{
  return cudaMemcpy2DAsync(
    destination, bytes, source, bytes, bytes, 1, kind, stream);
}

cudaError_t
cudaMemcpy2D(void*          destination,
             size_t         destination_pitch,
             const void*    source,
             size_t         source_pitch,
             size_t         width,
             size_t         height,
             cudaMemcpyKind kind)
{
  return copy(
    plane(destination, destination_pitch, source, source_pitch, width, height),
    kind,
    nullptr,
    true);
}

cudaError_t
cudaMemcpy2DAsync(void*          destination,
                  size_t         destination_pitch,
                  const void*    source,
                  size_t         source_pitch,
                  size_t         width,
                  size_t         height,
                  cudaMemcpyKind kind,
                  cudaStream_t   stream)
{
  return copy(
    plane(destination, destination_pitch, source, source_pitch, width, height),
    kind,
    stream);
}

cudaError_t
cudaMemset(void* destination, int value, size_t bytes)
{
  return cudaMemsetAsync(destination, value, bytes, nullptr);
}

cudaError_t
cudaMemsetAsync(void* destination, int value, size_t bytes, cudaStream_t stream)
{
  return cudaMemset2DAsync(destination, bytes, value, bytes, 1, stream);
}

cudaError_t
cudaMemset2DAsync(void*        destination,
                  size_t       pitch,
                  int          value,
                  size_t       width,
                  size_t       height,
                  cudaStream_t stream)
{
  Plane p = plane(destination, pitch, nullptr, 0, width, height);
  p.fill  = true;
  p.value = value;
  return copy(p, cudaMemcpyDeviceToDevice, stream);
}

cudaError_t
emulated_copy_symbol(void*        destination,
                     const void*  source,
                     size_t       bytes,
                     cudaStream_t stream)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  flush_all();
  return gate.end(submit(
    stream,
    Asked::plain,
    [destination, source, bytes] { memcpy(destination, source, bytes); },
    true));
}
