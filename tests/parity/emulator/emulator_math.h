// CUDA's vector types, bit casts and arithmetic functions. The approximate ones
// (__expf, rsqrtf, ...) are computed exactly rounded or nearly so: a tolerance
// that holds here is not thereby shown to hold on a GPU.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <math.h>

// --- Vectors --------------------------------------------------------------

#define EMULATED_VECTORS(type, name, align2, align4)                           \
  struct alignas(align2) name##2                                               \
  {                                                                            \
    type x, y;                                                                 \
  };                                                                           \
  struct alignas(align4) name##4                                               \
  {                                                                            \
    type x, y, z, w;                                                           \
  };                                                                           \
  static inline name##2 make_##name##2(type x, type y)                         \
  {                                                                            \
    return { x, y };                                                           \
  }                                                                            \
  static inline name##4 make_##name##4(type x, type y, type z, type w)         \
  {                                                                            \
    return { x, y, z, w };                                                     \
  }

EMULATED_VECTORS(float, float, 8, 16)
EMULATED_VECTORS(int, int, 8, 16)
EMULATED_VECTORS(unsigned int, uint, 8, 16)
EMULATED_VECTORS(unsigned char, uchar, 2, 4)
EMULATED_VECTORS(unsigned short, ushort, 4, 8)
EMULATED_VECTORS(double, double, 16, 16)

struct float3 {
  float x, y, z;
};

struct int3 {
  int x, y, z;
};

static inline float3
make_float3(float x, float y, float z)
{
  return { x, y, z };
}

static inline int3
make_int3(int x, int y, int z)
{
  return { x, y, z };
}

// --- Bits -----------------------------------------------------------------

template<typename To, typename From>
static inline To
emulated_cast(From from)
{
  static_assert(sizeof(To) == sizeof(From), "a cast of bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

static inline unsigned
__float_as_uint(float x)
{
  return emulated_cast<unsigned>(x);
}

static inline float
__uint_as_float(unsigned x)
{
  return emulated_cast<float>(x);
}

static inline int
__float_as_int(float x)
{
  return emulated_cast<int>(x);
}

static inline float
__int_as_float(int x)
{
  return emulated_cast<float>(x);
}

static inline unsigned
__umulhi(unsigned x, unsigned y)
{
  return (unsigned)(((uint64_t)x * y) >> 32);
}

static inline unsigned long long
__umul64hi(unsigned long long x, unsigned long long y)
{
  return (unsigned long long)(((unsigned __int128)x * y) >> 64);
}

static inline int
__popc(unsigned x)
{
  return __builtin_popcount(x);
}

static inline int
__popcll(unsigned long long x)
{
  return __builtin_popcountll(x);
}

static inline int
__clz(int x)
{
  return x ? __builtin_clz((unsigned)x) : 32;
}

static inline int
__ffs(int x)
{
  return __builtin_ffs(x);
}

static inline unsigned
__brev(unsigned x)
{
  unsigned reversed = 0;
  for (int bit = 0; bit < 32; bit++) {
    reversed = reversed << 1 | ((x >> bit) & 1u);
  }
  return reversed;
}

static inline unsigned
__funnelshift_l(unsigned low, unsigned high, unsigned shift)
{
  return (unsigned)(((uint64_t)high << 32 | low) << (shift & 31u) >> 32);
}

static inline unsigned
__funnelshift_r(unsigned low, unsigned high, unsigned shift)
{
  return (unsigned)(((uint64_t)high << 32 | low) >> (shift & 31u));
}

// --- Loads ----------------------------------------------------------------

template<typename T>
static inline T
__ldg(const T* address)
{
  return *address;
}

template<typename T>
static inline T
__ldcg(const T* address)
{
  return *address;
}

template<typename T>
static inline T
__ldcs(const T* address)
{
  return *address;
}

template<typename T>
static inline void
__stcs(T* address, T value)
{
  *address = value;
}

// --- Numbers --------------------------------------------------------------

#define EMULATED_MINMAX(type, a, b)                                            \
  static inline type min(a x, b y)                                             \
  {                                                                            \
    return (type)x < (type)y ? (type)x : (type)y;                              \
  }                                                                            \
  static inline type max(a x, b y)                                             \
  {                                                                            \
    return (type)x < (type)y ? (type)y : (type)x;                              \
  }

EMULATED_MINMAX(int, int, int)
EMULATED_MINMAX(unsigned, unsigned, unsigned)
EMULATED_MINMAX(unsigned, int, unsigned)
EMULATED_MINMAX(unsigned, unsigned, int)
EMULATED_MINMAX(long, long, long)
EMULATED_MINMAX(unsigned long, unsigned long, unsigned long)
EMULATED_MINMAX(long long, long long, long long)
EMULATED_MINMAX(unsigned long long, unsigned long long, unsigned long long)

// As in CUDA: of a number and a NaN, the number.
static inline float
min(float x, float y)
{
  return fminf(x, y);
}

static inline float
max(float x, float y)
{
  return fmaxf(x, y);
}

static inline double
min(double x, double y)
{
  return fmin(x, y);
}

static inline double
max(double x, double y)
{
  return fmax(x, y);
}

static inline float
rsqrtf(float x)
{
  return (float)(1.0 / sqrt((double)x));
}

static inline void
sincospif(float x, float* sine, float* cosine)
{
  const double angle = fmod((double)x, 2.0) * M_PI;
  *sine              = (float)sin(angle);
  *cosine            = (float)cos(angle);
}

static inline float
sinpif(float x)
{
  return (float)sin(fmod((double)x, 2.0) * M_PI);
}

static inline float
cospif(float x)
{
  return (float)cos(fmod((double)x, 2.0) * M_PI);
}

static inline float
normcdff(float x)
{
  return (float)(0.5 * erfc(-(double)x * M_SQRT1_2));
}

static inline float
__saturatef(float x)
{
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; // NaN to 0
}

static inline float
__fdividef(float x, float y)
{
  return x / y;
}

// glibc declares some of these names for itself, hence macros.
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __powf(x, y) powf(x, y)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __tanhf(x) tanhf(x)
#define __sincosf(x, sine, cosine) sincosf(x, sine, cosine)
#define __frcp_rn(x) (1.0f / (float)(x))
#define __fsqrt_rn(x) sqrtf(x)
#define __frsqrt_rn(x) rsqrtf(x)
#define __fmaf_rn(x, y, z) fmaf(x, y, z)

static inline float
__fdiv_rn(float x, float y)
{
  return x / y;
}

// Compiled with -ffp-contract=off these are never fused.
static inline float
__fadd_rn(float x, float y)
{
  return x + y;
}

static inline float
__fsub_rn(float x, float y)
{
  return x - y;
}

static inline float
__fmul_rn(float x, float y)
{
  return x * y;
}

static inline int
__float2int_rn(float x)
{
  return (int)rintf(x);
}

static inline int
__float2int_rz(float x)
{
  return (int)x;
}

static inline int
__float2int_rd(float x)
{
  return (int)floorf(x);
}

static inline unsigned
__float2uint_rn(float x)
{
  return (unsigned)rintf(x);
}

static inline float
__int2float_rn(int x)
{
  return (float)x;
}

static inline float
__uint2float_rn(unsigned x)
{
  return (float)x;
}

static inline long long
clock64()
{
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000000000LL + now.tv_nsec;
}
