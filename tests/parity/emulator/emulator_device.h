// The device half: qualifiers, thread indices, barriers, warp functions and
// atomics. Only code that runs within a kernel calls these.
//
// Stricter than a GPU, on purpose:
//  - a shuffle whose mask names a lane that has exited or never existed, or
//    that reads from a lane outside its mask, is a fault;
//  - __syncthreads() reached from two different lines at once is a fault;
//  - __activemask() is all lanes of the warp that have not exited.
#pragma once

#include "emulator_launch.h"

#include <cstring>
#include <type_traits>

// --- Qualifiers -----------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
// Blocks run one after another, so one copy does. In a section of its own it
// is filled with NaN before each block (not in templates: GCC ignores it
// there). ASan would not guard it there.
#if defined(__SANITIZE_ADDRESS__) || defined(EMULATOR_PLAIN_SHARED)
#define __shared__ static
#else
#define __shared__ static __attribute__((section("emulated_shared")))
#endif

void* emulated_dynamic_shared_bytes();

// name: the launch's shared_bytes, at a multiple of 16 bytes.
#define DYNAMIC_SHARED(type, name)                                             \
  type* const name = static_cast<type*>(emulated_dynamic_shared_bytes())

// --- Threads --------------------------------------------------------------

extern uint3         threadIdx;
extern uint3         blockIdx;
extern dim3          blockDim;
extern dim3          gridDim;
static constexpr int warpSize = 32;

// Where in the source a thread waits.
struct EmulatedSite {
  const char* file;
  int         line;
};

// How many threads of the block, the exited ones left out, passed true.
int emulated_barrier(bool predicate, EmulatedSite site);

static inline void
__syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE())
{
  emulated_barrier(true, { file, line });
}

static inline int
__syncthreads_count(int         predicate,
                    const char* file = __builtin_FILE(),
                    int         line = __builtin_LINE())
{
  return emulated_barrier(predicate != 0, { file, line });
}

static inline int
__syncthreads_or(int         predicate,
                 const char* file = __builtin_FILE(),
                 int         line = __builtin_LINE())
{
  return emulated_barrier(predicate != 0, { file, line }) != 0;
}

static inline int
__syncthreads_and(int         predicate,
                  const char* file = __builtin_FILE(),
                  int         line = __builtin_LINE())
{
  return emulated_barrier(predicate == 0, { file, line }) == 0;
}

static inline void
__threadfence()
{
}

static inline void
__threadfence_block()
{
}

[[noreturn]] void emulated_trap(EmulatedSite site);

[[noreturn]] static inline void
__trap(const char* file = __builtin_FILE(), int line = __builtin_LINE())
{
  emulated_trap({ file, line });
}

// --- Warps ----------------------------------------------------------------

enum class EmulatedWarp { sync, ballot, shuffle };

// Meets the lanes of the mask. A shuffle returns the value of lane `source`; a
// ballot the mask of the lanes whose value is not 0.
uint64_t emulated_warp(EmulatedWarp kind,
                       unsigned     mask,
                       uint64_t     value,
                       unsigned     source,
                       EmulatedSite site);
unsigned emulated_lane();
unsigned __activemask();

static inline void
__syncwarp(unsigned    mask = 0xffffffffu,
           const char* file = __builtin_FILE(),
           int         line = __builtin_LINE())
{
  emulated_warp(EmulatedWarp::sync, mask, 0, 0, { file, line });
}

static inline unsigned
__ballot_sync(unsigned    mask,
              int         predicate,
              const char* file = __builtin_FILE(),
              int         line = __builtin_LINE())
{
  return (unsigned)emulated_warp(
    EmulatedWarp::ballot, mask, predicate != 0, 0, { file, line });
}

static inline int
__any_sync(unsigned    mask,
           int         predicate,
           const char* file = __builtin_FILE(),
           int         line = __builtin_LINE())
{
  return __ballot_sync(mask, predicate, file, line) != 0;
}

static inline int
__all_sync(unsigned    mask,
           int         predicate,
           const char* file = __builtin_FILE(),
           int         line = __builtin_LINE())
{
  return __ballot_sync(mask, !predicate, file, line) == 0;
}

template<typename T>
static inline T
emulated_shuffle(unsigned mask, T value, unsigned source, EmulatedSite site)
{
  static_assert(std::is_arithmetic<T>::value && sizeof(T) >= 4,
                "CUDA shuffles int, unsigned, long long, float and double");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = emulated_warp(EmulatedWarp::shuffle, mask, bits, source, site);
  memcpy(&value, &bits, sizeof value);
  return value;
}

template<typename T>
static inline T
__shfl_sync(unsigned    mask,
            T           value,
            int         lane,
            int         width = warpSize,
            const char* file  = __builtin_FILE(),
            int         line  = __builtin_LINE())
{
  const unsigned first  = emulated_lane() & ~(unsigned)(width - 1);
  const unsigned source = first + ((unsigned)lane & (unsigned)(width - 1));
  return emulated_shuffle(mask, value, source, { file, line });
}

template<typename T>
static inline T
__shfl_xor_sync(unsigned    mask,
                T           value,
                int         lanes,
                int         width = warpSize,
                const char* file  = __builtin_FILE(),
                int         line  = __builtin_LINE())
{
  const unsigned self   = emulated_lane();
  unsigned       source = self ^ (unsigned)lanes;
  // A lane of a later group is out of reach.
  if (source / (unsigned)width > self / (unsigned)width) {
    source = self;
  }
  return emulated_shuffle(mask, value, source, { file, line });
}

template<typename T>
static inline T
__shfl_down_sync(unsigned    mask,
                 T           value,
                 unsigned    delta,
                 int         width = warpSize,
                 const char* file  = __builtin_FILE(),
                 int         line  = __builtin_LINE())
{
  const unsigned self = emulated_lane();
  const bool inside = (self & (unsigned)(width - 1)) + delta < (unsigned)width;
  return emulated_shuffle(
    mask, value, inside ? self + delta : self, { file, line });
}

template<typename T>
static inline T
__shfl_up_sync(unsigned    mask,
               T           value,
               unsigned    delta,
               int         width = warpSize,
               const char* file  = __builtin_FILE(),
               int         line  = __builtin_LINE())
{
  const unsigned self   = emulated_lane();
  const bool     inside = (self & (unsigned)(width - 1)) >= delta;
  return emulated_shuffle(
    mask, value, inside ? self - delta : self, { file, line });
}

// --- Atomics --------------------------------------------------------------
// One thread runs at a time and changes only where it waits, so plain
// arithmetic is atomic. The types are those CUDA has each function for.

template<typename T, typename... U>
using EmulatedOneOf =
  std::enable_if_t<(std::is_same<T, U>::value || ...), std::common_type_t<T>>;
template<typename T>
using EmulatedInteger = EmulatedOneOf<T, int, unsigned, unsigned long long>;

template<typename T>
static inline T
atomicAdd(T* address,
          EmulatedOneOf<T, int, unsigned, unsigned long long, float, double> x)
{
  const T old = *address;
  if constexpr (std::is_same<T, int>::value) {
    *address = (int)((unsigned)old + (unsigned)x); // it wraps
  } else {
    *address = old + x;
  }
  return old;
}

template<typename T>
static inline T
atomicSub(T* address, EmulatedOneOf<T, int, unsigned> x)
{
  const T old = *address;
  *address    = (T)((unsigned)old - (unsigned)x);
  return old;
}

template<typename T>
static inline T
atomicMax(T* address, EmulatedInteger<T> x)
{
  const T old = *address;
  *address    = old > x ? old : x;
  return old;
}

template<typename T>
static inline T
atomicMin(T* address, EmulatedInteger<T> x)
{
  const T old = *address;
  *address    = old < x ? old : x;
  return old;
}

template<typename T>
static inline T
atomicOr(T* address, EmulatedInteger<T> x)
{
  const T old = *address;
  *address    = old | x;
  return old;
}

template<typename T>
static inline T
atomicAnd(T* address, EmulatedInteger<T> x)
{
  const T old = *address;
  *address    = old & x;
  return old;
}

template<typename T>
static inline T
atomicExch(T*                                                         address,
           EmulatedOneOf<T, int, unsigned, unsigned long long, float> x)
{
  const T old = *address;
  *address    = x;
  return old;
}

template<typename T>
static inline T
atomicCAS(T* address, EmulatedInteger<T> compare, EmulatedInteger<T> x)
{
  const T old = *address;
  if (old == compare) {
    *address = x;
  }
  return old;
}

static inline unsigned
atomicInc(unsigned* address, unsigned last)
{
  const unsigned old = *address;
  *address           = old >= last ? 0 : old + 1;
  return old;
}
