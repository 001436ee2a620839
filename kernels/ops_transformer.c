// The shape check of the transformer's and the diffusion model's ops. Called by
// the thread of the Device.
#include "check.h"

void
op_gelu(Device* device, Tensor x, Tensor y)
{
  RUN(gelu, same(x, y), x, y);
}

void
op_gelu_backward(Device* device, Tensor x, Tensor dy, Tensor dx)
{
  RUN(gelu_backward, same(x, dy) && same(x, dx), x, dy, dx);
}

void
op_modulated_norm(Device* device,
                  Tensor  x,
                  Tensor  index,
                  Tensor  modulation,
                  Tensor  normal,
                  Tensor  inverse,
                  Tensor  y)
{
  RUN(modulated_norm,
      same(x, normal) && same(x, y) && is(index, x.rows, 1) &&
        is(inverse, x.rows, 1) &&
        is(modulation, modulation.rows, 2 * x.columns),
      x,
      index,
      modulation,
      normal,
      inverse,
      y);
}

void
op_modulated_norm_backward(Device* device,
                           Tensor  index,
                           Tensor  modulation,
                           Tensor  normal,
                           Tensor  inverse,
                           Tensor  dy,
                           Tensor  dx,
                           Tensor  dmodulation)
{
  RUN(modulated_norm_backward,
      same(dy, normal) && same(dy, dx) && is(index, dy.rows, 1) &&
        is(inverse, dy.rows, 1) &&
        is(modulation, modulation.rows, 2 * dy.columns) &&
        same(modulation, dmodulation),
      index,
      modulation,
      normal,
      inverse,
      dy,
      dx,
      dmodulation);
}

void
op_gated_add(Device* device, Tensor branch, Tensor index, Tensor gate, Tensor x)
{
  RUN(gated_add,
      same(branch, x) && is(index, x.rows, 1) && is(gate, gate.rows, x.columns),
      branch,
      index,
      gate,
      x);
}

void
op_gated_add_backward(Device* device,
                      Tensor  branch,
                      Tensor  index,
                      Tensor  gate,
                      Tensor  dx,
                      Tensor  dbranch,
                      Tensor  dgate)
{
  RUN(gated_add_backward,
      same(branch, dx) && same(branch, dbranch) && is(index, dx.rows, 1) &&
        is(gate, gate.rows, dx.columns) && same(gate, dgate),
      branch,
      index,
      gate,
      dx,
      dbranch,
      dgate);
}

// What both passes of attention ask of the shapes they share.
static bool
attention_fits(uint32_t sequences,
               uint32_t heads,
               Tensor   q,
               Tensor   k,
               Tensor   v,
               Tensor   probabilities)
{
  if (!sequences || !heads || q.rows % sequences || k.rows % sequences ||
      q.columns % heads) {
    return false;
  }
  const uint32_t keys = k.rows / sequences;
  return same(q, q) && same(k, v) && k.columns == q.columns &&
         keys <= ATTENTION_KEYS_MAX && (uint64_t)heads * q.rows <= UINT32_MAX &&
         is(probabilities, heads * q.rows, keys);
}

void
op_attention(Device*  device,
             uint32_t sequences,
             uint32_t heads,
             Tensor   q,
             Tensor   k,
             Tensor   v,
             Tensor   allowed,
             Tensor   probabilities,
             Tensor   out)
{
  RUN(attention,
      attention_fits(sequences, heads, q, k, v, probabilities) &&
        same(q, out) &&
        (!allowed.data || is(allowed, q.rows, probabilities.columns)),
      sequences,
      heads,
      q,
      k,
      v,
      allowed,
      probabilities,
      out);
}

void
op_attention_backward(Device*  device,
                      uint32_t sequences,
                      uint32_t heads,
                      Tensor   q,
                      Tensor   k,
                      Tensor   v,
                      Tensor   probabilities,
                      Tensor   dout,
                      Tensor   dq,
                      Tensor   dk,
                      Tensor   dv)
{
  RUN(attention_backward,
      attention_fits(sequences, heads, q, k, v, probabilities) &&
        same(q, dout) && same(q, dq) && same(k, dk) && same(k, dv),
      sequences,
      heads,
      q,
      k,
      v,
      probabilities,
      dout,
      dq,
      dk,
      dv);
}

void
op_combine(Device* device, float a, Tensor x, float b, Tensor y, Tensor out)
{
  RUN(combine, same(x, y) && same(x, out), a, x, b, y, out);
}

// One factor stands in for those of all rows.
static Tensor
factor_of_rows(Tensor factor, Tensor x)
{
  if (is(factor, 1, 1)) {
    factor.rows   = x.rows;
    factor.stride = 0;
  }
  return factor;
}

static bool
is_factor(Tensor factor, Tensor x)
{
  return is(factor, 1, 1) || is(factor, x.rows, 1);
}

void
op_combine_rows(Device* device,
                Tensor  a,
                Tensor  x,
                Tensor  b,
                Tensor  y,
                Tensor  out)
{
  RUN(combine_rows,
      same(x, y) && same(x, out) && is_factor(a, x) && is_factor(b, x),
      factor_of_rows(a, x),
      x,
      factor_of_rows(b, x),
      y,
      out);
}

void
op_rotate(Device*  device,
          uint32_t heads,
          Tensor   position,
          Tensor   cosines,
          Tensor   sines,
          bool     back,
          Tensor   x)
{
  RUN(rotate,
      same(x, x) && is(position, x.rows, 1) && same(cosines, sines) &&
        heads > 0 && x.columns == 2 * heads * cosines.columns,
      heads,
      position,
      cosines,
      sines,
      back,
      x);
}

void
op_clamp(Device* device, float low, float high, Tensor x)
{
  RUN(clamp, same(x, x) && low <= high, low, high, x);
}

void
op_scale_rows(Device* device, Tensor factor, Tensor x)
{
  RUN(scale_rows, same(x, x) && is(factor, x.rows, 1), factor, x);
}

void
op_softmax(Device* device,
           Tensor  logits,
           Tensor  temperature,
           Tensor  probabilities)
{
  RUN(softmax,
      same(logits, probabilities) && is(temperature, 1, 1),
      logits,
      temperature,
      probabilities);
}

void
op_soft_cross_entropy(Device* device,
                      Tensor  logits,
                      Tensor  target,
                      Tensor  weight,
                      float   scale,
                      Tensor  loss,
                      Tensor  dlogits)
{
  RUN(soft_cross_entropy,
      same(logits, target) && same(logits, dlogits) &&
        is(weight, logits.rows, 1) && is(loss, logits.rows, 1),
      logits,
      target,
      weight,
      scale,
      loss,
      dlogits);
}
