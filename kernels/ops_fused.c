// The fused ops of sampling: their shape check, and their parts one by one on a
// device that does not join them. Called by the thread of the Device.
#include "check.h"
#include "compose.h"

// RUN() where the device has the op, else its parts.
#define RUN_OR_COMPOSE(op, rule, ...)                                          \
  do {                                                                         \
    if (!check(device, (rule), #op, #rule)) {                                  \
      return;                                                                  \
    }                                                                          \
    if (device->ops->op) {                                                     \
      device->ops->op(device, __VA_ARGS__);                                    \
    } else {                                                                   \
      compose_##op(device, __VA_ARGS__);                                       \
    }                                                                          \
  } while (0)

void
op_norm_affine(Device* device,
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
  RUN_OR_COMPOSE(norm_affine,
                 same(x, x) && is(index, x.rows, 1) &&
                   is(modulation, modulation.rows, 2 * x.columns) &&
                   is(y, x.rows, y.columns) &&
                   is(weight, y.columns, x.columns) && is(bias, 1, y.columns) &&
                   is(scratch, x.rows, 2 * x.columns + 1),
                 x,
                 index,
                 modulation,
                 weight,
                 packed,
                 bias,
                 gelu,
                 scratch,
                 y);
}

void
op_affine_gated(Device* device,
                Tensor  input,
                Tensor  weight,
                Tensor  packed,
                Tensor  bias,
                Tensor  index,
                Tensor  gate,
                Tensor  scratch,
                Tensor  x)
{
  RUN_OR_COMPOSE(affine_gated,
                 same(x, scratch) && is(input, x.rows, input.columns) &&
                   is(weight, x.columns, input.columns) &&
                   is(bias, 1, x.columns) && is(index, x.rows, 1) &&
                   is(gate, gate.rows, x.columns),
                 input,
                 weight,
                 packed,
                 bias,
                 index,
                 gate,
                 scratch,
                 x);
}

// What attention over remembered keys asks of the shapes.
static bool
attend_fits(uint32_t sequences,
            uint32_t heads,
            Tensor   qkv,
            Tensor   cosines,
            uint32_t before,
            Tensor   seen,
            Tensor   probabilities,
            Tensor   out)
{
  if (!sequences || !heads || out.rows % sequences ||
      before > ATTENTION_KEYS_MAX) {
    return false;
  }
  const uint32_t keys = before + out.rows / sequences;
  return keys <= ATTENTION_KEYS_MAX && same(out, out) &&
         is(qkv, out.rows, 3 * out.columns) &&
         out.columns == 2 * heads * cosines.columns &&
         (uint64_t)heads * out.rows <= UINT32_MAX &&
         (uint64_t)sequences * keys <= UINT32_MAX &&
         is(seen, sequences * keys, 2 * out.columns) &&
         is(probabilities, heads * out.rows, keys);
}

void
op_attend(Device*  device,
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
  RUN_OR_COMPOSE(
    attend,
    attend_fits(
      sequences, heads, qkv, cosines, before, seen, probabilities, out) &&
      is(position, out.rows, 1) && same(cosines, sines),
    sequences,
    heads,
    qkv,
    position,
    cosines,
    sines,
    before,
    seen,
    probabilities,
    out);
}
