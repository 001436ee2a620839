// The table of ops, and most of their loops; products, attention, LSTM and
// transformer have files of their own. Compiled once for each instruction set
// (CPU_VARIANT names the table); portable is the specification. The thread of
// the Device.
#include "cpu/simd.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void
fill(Device* device, Tensor x, float value)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    float* const xr = row(x, r);
    for (uint32_t i = 0; i < x.columns; ++i) {
      xr[i] = value;
    }
  }
}

static void
broadcast_row(Device* device, Tensor bias, Tensor y)
{
  (void)device;
  for (uint32_t r = 0; r < y.rows; ++r) {
    memcpy(row(y, r), bias.data, y.columns * sizeof(float));
  }
}

static void
sum_rows(Device* device, Tensor x, float beta, Tensor out)
{
  (void)device;
  float* const restrict o = out.data;
  for (uint32_t i = 0; i < x.columns; ++i) {
    o[i] = beta == 0.0f ? 0.0f : beta * o[i];
  }
  for (uint32_t r = 0; r < x.rows; ++r) {
    const float* const restrict xr = row(x, r);
    for (uint32_t i = 0; i < x.columns; ++i) {
      o[i] += xr[i];
    }
  }
}

static void
tanh_forward(Device* device, Tensor x, Tensor y)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    const float* const xr = row(x, r);
    float* const       yr = row(y, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < x.columns; ++i) {
      yr[i] = fast_tanh(xr[i]);
    }
  }
}

static void
tanh_backward(Device* device, Tensor y, Tensor dy, Tensor dx)
{
  (void)device;
  for (uint32_t r = 0; r < y.rows; ++r) {
    const float* const yr  = row(y, r);
    const float* const dyr = row(dy, r);
    float* const       dxr = row(dx, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < y.columns; ++i) {
      dxr[i] = dyr[i] * (1.0f - yr[i] * yr[i]);
    }
  }
}

static void
accumulate(Device* device, Tensor x, Tensor y)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    const float* const xr = row(x, r);
    float* const       yr = row(y, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < x.columns; ++i) {
      yr[i] += xr[i];
    }
  }
}

static void
gather(Device* device, Tensor table, Tensor index, Tensor out)
{
  (void)device;
  for (uint32_t r = 0; r < out.rows; ++r) {
    memcpy(row(out, r),
           row(table, index_at(index, r, table.rows)),
           out.columns * sizeof(float));
  }
}

static void
scatter_add(Device* device, Tensor index, Tensor dout, Tensor dtable)
{
  (void)device;
  for (uint32_t r = 0; r < dout.rows; ++r) {
    const float* const restrict d = row(dout, r);
    float* const restrict t = row(dtable, index_at(index, r, dtable.rows));
    for (uint32_t i = 0; i < dout.columns; ++i) {
      t[i] += d[i];
    }
  }
}

static uint32_t
sample_row(const float* logits,
           uint32_t     count,
           float        temperature,
           float        uniform)
{
  const float top = row_max(logits, count);
  if (temperature == 0.0f) {
    uint32_t i = 0;
    while (i + 1 < count && logits[i] != top) {
      ++i;
    }
    return i;
  }
  const float scale = 1.0f / temperature;
  float       total = 0.0f;
  for (uint32_t i = 0; i < count; ++i) {
    total += fast_exp((logits[i] - top) * scale);
  }
  const float target = uniform * total;
  float       sum    = 0.0f;
  for (uint32_t i = 0; i < count; ++i) {
    sum += fast_exp((logits[i] - top) * scale);
    if (sum > target) {
      return i;
    }
  }
  return count - 1;
}

static void
sample(Device* device,
       Tensor  logits,
       Tensor  temperature,
       Tensor  uniform,
       Tensor  index)
{
  (void)device;
  for (uint32_t r = 0; r < logits.rows; ++r) {
    *row(index, r) = (float)sample_row(
      row(logits, r), logits.columns, temperature.data[0], *row(uniform, r));
  }
}

static void
select_rows(Device* device, Tensor choice, Tensor a, Tensor b, Tensor out)
{
  (void)device;
  for (uint32_t r = 0; r < out.rows; ++r) {
    memmove(row(out, r),
            *row(choice, r) != 0.0f ? row(a, r) : row(b, r),
            out.columns * sizeof(float));
  }
}

static void
cross_entropy(Device* device,
              Tensor  logits,
              Tensor  target,
              float   scale,
              Tensor  loss,
              Tensor  dlogits)
{
  (void)device;
  const uint32_t n = logits.columns;
  for (uint32_t r = 0; r < logits.rows; ++r) {
    const float* const x    = row(logits, r);
    float* const       d    = row(dlogits, r);
    const uint32_t     want = index_at(target, r, n);
    const float        top  = row_max(x, n);
    const float        held = x[want] - top;
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      d[i] = fast_exp(x[i] - top);
    }
    const float total  = row_sum(d, n);
    const float factor = scale / total;
    for (uint32_t i = 0; i < n; ++i) {
      d[i] *= factor;
    }
    d[want] -= scale;
    *row(loss, r) = logf(total) - held;
  }
}

static void
squared_error(Device* device,
              Tensor  y,
              Tensor  target,
              float   scale,
              Tensor  loss,
              Tensor  dy)
{
  (void)device;
  for (uint32_t r = 0; r < y.rows; ++r) {
    const float* const yr  = row(y, r);
    const float* const tr  = row(target, r);
    float* const       dr  = row(dy, r);
    float              sum = 0.0f;
    for (uint32_t i = 0; i < y.columns; ++i) {
      const float error = yr[i] - tr[i];
      sum += error * error;
      dr[i] = scale * 2.0f * error;
    }
    *row(loss, r) = sum;
  }
}

static void
latent(Device* device, Tensor stats, Tensor noise, Tensor z)
{
  (void)device;
  const uint32_t n = z.columns;
  for (uint32_t r = 0; r < z.rows; ++r) {
    const float* const s = row(stats, r);
    const float* const e = row(noise, r);
    float* const       o = row(z, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      o[i] = s[i] + fast_exp(0.5f * s[n + i]) * e[i];
    }
  }
}

static void
latent_backward(Device* device,
                Tensor  stats,
                Tensor  noise,
                Tensor  dz,
                Tensor  beta,
                float   free_nats,
                Tensor  kl,
                Tensor  dstats)
{
  (void)device;
  const uint32_t n = dz.columns;
  for (uint32_t r = 0; r < dz.rows; ++r) {
    const float* const s   = row(stats, r);
    const float* const e   = row(noise, r);
    const float* const dzr = row(dz, r);
    float* const       d   = row(dstats, r);
    float              sum = 0.0f;
    for (uint32_t i = 0; i < n; ++i) {
      sum += s[i] * s[i] + fast_exp(s[n + i]) - 1.0f - s[n + i];
    }
    const float nats   = 0.5f * sum;
    const float weight = nats > free_nats ? beta.data[0] : 0.0f;
    *row(kl, r)        = nats;
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      const float sigma = fast_exp(0.5f * s[n + i]);
      d[i]              = dzr[i] + weight * s[i];
      d[n + i] =
        0.5f * (dzr[i] * e[i] * sigma + weight * (sigma * sigma - 1.0f));
    }
  }
}

const DeviceOps JOIN(cpu_ops_, CPU_VARIANT) = {
  .name     = "cpu " TEXT(CPU_VARIANT),
  .allocate = cpu_allocate,
  .release  = cpu_release,
  .write    = cpu_write,
  .read     = cpu_read,
  .close    = cpu_close,
  .fill     = fill,
  .copy     = cpu_copy,
  .matmul   = cpu_matmul,
#ifdef __AVX2__ // without registers for a tile BLAS wins always
  .pack = VARIANT(pack),
#endif
  .affine                   = VARIANT(affine),
  .broadcast_row            = broadcast_row,
  .sum_rows                 = sum_rows,
  .tanh                     = tanh_forward,
  .tanh_backward            = tanh_backward,
  .accumulate               = accumulate,
  .lstm_cell                = VARIANT(lstm_cell),
  .lstm_cell_backward       = VARIANT(lstm_cell_backward),
  .overwrite_gates          = VARIANT(overwrite_gates),
  .overwrite_gates_backward = VARIANT(overwrite_gates_backward),
  .overwrite                = VARIANT(overwrite),
  .overwrite_backward       = VARIANT(overwrite_backward),
  .gather                   = gather,
  .scatter_add              = scatter_add,
  .sample                   = sample,
  .select_rows              = select_rows,
  .cross_entropy            = cross_entropy,
  .squared_error            = squared_error,
  .latent                   = latent,
  .latent_backward          = latent_backward,
  .normals                  = cpu_normals,
  .uniforms                 = cpu_uniforms,
  .draw_windows             = cpu_draw_windows,
  .draw_sequences           = cpu_draw_sequences,
  .mask                     = cpu_mask,
  .sum                      = VARIANT(sum),
  .square_sum               = VARIANT(square_sum),
  .optimise                 = VARIANT(optimise),
  .gelu                     = VARIANT(gelu),
  .gelu_backward            = VARIANT(gelu_backward),
  .modulated_norm           = VARIANT(modulated_norm),
  .modulated_norm_backward  = VARIANT(modulated_norm_backward),
  .gated_add                = VARIANT(gated_add),
  .gated_add_backward       = VARIANT(gated_add_backward),
  .attention                = VARIANT(attention),
  .attention_backward       = VARIANT(attention_backward),
  .combine                  = VARIANT(combine),
  .combine_rows             = VARIANT(combine_rows),
  .rotate                   = VARIANT(rotate),
  .clamp                    = VARIANT(clamp),
  .scale_rows               = VARIANT(scale_rows),
  .softmax                  = VARIANT(softmax),
  .soft_cross_entropy       = VARIANT(soft_cross_entropy),
};
