// GELU within kernels, as the CPU has it. Only kernels/cuda/*.cu include this.
#pragma once

#include "elementwise.h"

#define GELU_SLOPE 0.79788456080286536f // sqrt(2/pi)
#define GELU_CUBE 0.044715f

__device__ static inline float
gelu_tanh(float x)
{
  return device_tanh(GELU_SLOPE * x * (1.0f + GELU_CUBE * x * x));
}

__device__ static inline float
gelu_of(float x)
{
  return 0.5f * x * (1.0f + gelu_tanh(x));
}
