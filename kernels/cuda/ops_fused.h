// The fused ops of sampling on CUDA: ops_fused.cu and ops_attention.cu. Only
// kernels/cuda/*.cu include this.
#pragma once

#include "cuda.h"

void cuda_norm_affine(Device* device,
                      Tensor  x,
                      Tensor  index,
                      Tensor  modulation,
                      Tensor  weight,
                      Tensor  packed,
                      Tensor  bias,
                      bool    gelu,
                      Tensor  scratch,
                      Tensor  y);
void cuda_affine_gated(Device* device,
                       Tensor  input,
                       Tensor  weight,
                       Tensor  packed,
                       Tensor  bias,
                       Tensor  index,
                       Tensor  gate,
                       Tensor  scratch,
                       Tensor  x);
void cuda_attend(Device*  device,
                 uint32_t sequences,
                 uint32_t heads,
                 Tensor   qkv,
                 Tensor   position,
                 Tensor   cosines,
                 Tensor   sines,
                 uint32_t before,
                 Tensor   seen,
                 Tensor   probabilities,
                 Tensor   out);
