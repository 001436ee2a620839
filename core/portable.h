// Functions that one source gives to the CPU and to GPUs alike: inline, in
// headers, of C that is also C++. What they compute is then the same everywhere
// up to rounding.
#pragma once

#ifdef __CUDACC__
#define PORTABLE static __host__ __device__ inline
#else
#define PORTABLE static inline
#endif
