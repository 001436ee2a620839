// What the fused ops of sampling are made of: the same results from the ops
// that they join, for devices without kernels of their own and for shapes where
// those gain nothing. Only kernels/; the thread of the Device.
#pragma once

#include "kernels.h"

static inline void
compose_norm_affine(Device* device,
                    Tensor  x,
                    Tensor  index,
                    Tensor  modulation,
                    Tensor  weight,
                    Tensor  packed,
                    Tensor  bias,
                    bool    gelu,
                    Tensor  scratch,
                    Tensor  y)
{
  const uint32_t d     = x.columns;
  const Tensor   input = tensor_columns(scratch, d, d);
  op_modulated_norm(device,
                    x,
                    index,
                    modulation,
                    tensor_columns(scratch, 0, d),
                    tensor_columns(scratch, 2 * d, 1),
                    input);
  op_affine(device, input, weight, packed, bias, y);
  if (gelu) {
    op_gelu(device, y, y);
  }
}

static inline void
compose_affine_gated(Device* device,
                     Tensor  input,
                     Tensor  weight,
                     Tensor  packed,
                     Tensor  bias,
                     Tensor  index,
                     Tensor  gate,
                     Tensor  scratch,
                     Tensor  x)
{
  op_affine(device, input, weight, packed, bias, scratch);
  op_gated_add(device, scratch, index, gate, x);
}

static inline void
compose_attend(Device*  device,
               uint32_t sequences,
               uint32_t heads,
               Tensor   qkv,
               Tensor   position,
               Tensor   cosines,
               Tensor   sines,
               uint32_t before,
               Tensor   seen,
               Tensor   probabilities,
               Tensor   out)
{
  const uint32_t d     = out.columns;
  const uint32_t notes = out.rows / sequences;
  const Tensor   own   = tensor_columns(qkv, d, 2 * d);
  const Tensor   all   = { 0, 0, 0, 0 };
  // Queries and keys are rows of 2 x heads heads.
  op_rotate(device,
            2 * heads,
            position,
            cosines,
            sines,
            false,
            tensor_columns(qkv, 0, 2 * d));
  for (uint32_t s = 0; s < sequences; ++s) {
    op_copy(device,
            tensor_rows(own, s * notes, notes),
            tensor_rows(seen, s * (before + notes) + before, notes));
  }
  op_attention(device,
               sequences,
               heads,
               tensor_columns(qkv, 0, d),
               tensor_columns(seen, 0, d),
               tensor_columns(seen, d, d),
               all,
               probabilities,
               out);
}
