// The transformer's row-wise ops and the diffusion model's, in plain loops that
// the compiler vectorises. Compiled once for each instruction set; the thread
// of the Device.
#include "cpu/simd.h"

#include <math.h>
#include <string.h>

#define GELU_SLOPE 0.79788456080286536f // sqrt(2/pi)
#define GELU_CUBE 0.044715f

// The tanh in GELU. By tanh and not by the equal sigmoid: the sigmoid's
// smallest values times x are denormal, which costs the whole loop double.
static inline float
gelu_tanh(float x)
{
  return fast_tanh(GELU_SLOPE * x * (1.0f + GELU_CUBE * x * x));
}

void
VARIANT(gelu)(Device* device, Tensor x, Tensor y)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    const float* const xr = row(x, r);
    float* const       yr = row(y, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < x.columns; ++i) {
      yr[i] = 0.5f * xr[i] * (1.0f + gelu_tanh(xr[i]));
    }
  }
}

void
VARIANT(gelu_backward)(Device* device, Tensor x, Tensor dy, Tensor dx)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    const float* const xr  = row(x, r);
    const float* const dyr = row(dy, r);
    float* const       dxr = row(dx, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < x.columns; ++i) {
      const float v     = xr[i];
      const float t     = gelu_tanh(v);
      const float slope = GELU_SLOPE * (1.0f + 3.0f * GELU_CUBE * v * v);
      dxr[i] = dyr[i] * 0.5f * (1.0f + t + v * (1.0f - t * t) * slope);
    }
  }
}

void
VARIANT(modulated_norm)(Device* device,
                        Tensor  x,
                        Tensor  index,
                        Tensor  modulation,
                        Tensor  normal,
                        Tensor  inverse,
                        Tensor  y)
{
  (void)device;
  const uint32_t n = x.columns;
  for (uint32_t r = 0; r < x.rows; ++r) {
    const float* const xr = row(x, r);
    float* const       nr = row(normal, r);
    float* const       yr = row(y, r);
    const float* const shift =
      row(modulation, index_at(index, r, modulation.rows));
    const float* const scale = shift + n;
    const float        mean  = row_sum(xr, n) / (float)n;
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      nr[i] = xr[i] - mean;
    }
    const float variance = row_dot(nr, nr, n) / (float)n;
    const float factor   = 1.0f / sqrtf(variance + 1e-5f);
    *row(inverse, r)     = factor;
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      const float v = nr[i] * factor;
      nr[i]         = v;
      yr[i]         = v * (1.0f + scale[i]) + shift[i];
    }
  }
}

void
VARIANT(modulated_norm_backward)(Device* device,
                                 Tensor  index,
                                 Tensor  modulation,
                                 Tensor  normal,
                                 Tensor  inverse,
                                 Tensor  dy,
                                 Tensor  dx,
                                 Tensor  dmodulation)
{
  (void)device;
  const uint32_t n = dy.columns;
  for (uint32_t r = 0; r < dy.rows; ++r) {
    const uint32_t     m      = index_at(index, r, modulation.rows);
    const float* const scale  = row(modulation, m) + n;
    float* const       dshift = row(dmodulation, m);
    float* const       dscale = dshift + n;
    const float* const nr     = row(normal, r);
    const float* const dyr    = row(dy, r);
    float* const       dxr    = row(dx, r);
    const float        factor = *row(inverse, r);
    // The gradient of normal, dy * (1 + scale), loses its mean and its part
    // along normal: the norm is blind to both.
    Lanes    sum   = { 0 };
    Lanes    along = { 0 };
    uint32_t i     = 0;
    for (; i + LANES <= n; i += LANES) {
      const Lanes d = *lanes_in(dyr + i) * (1.0f + *lanes_in(scale + i));
      sum += d;
      along += d * *lanes_in(nr + i);
    }
    for (uint32_t j = 0; i + j < n; ++j) {
      const float d = dyr[i + j] * (1.0f + scale[i + j]);
      sum[j] += d;
      along[j] += d * nr[i + j];
    }
    const float mean  = lanes_total((const float*)&sum) / (float)n;
    const float slope = lanes_total((const float*)&along) / (float)n;
#pragma GCC ivdep
    for (i = 0; i < n; ++i) {
      const float d = dyr[i] * (1.0f + scale[i]);
      dxr[i] += factor * (d - mean - nr[i] * slope);
      dshift[i] += dyr[i];
      dscale[i] += dyr[i] * nr[i];
    }
  }
}

void
VARIANT(
  gated_add)(Device* device, Tensor branch, Tensor index, Tensor gate, Tensor x)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    const float* const b  = row(branch, r);
    const float* const g  = row(gate, index_at(index, r, gate.rows));
    float* const       xr = row(x, r);
#pragma GCC ivdep
    for (uint32_t i = 0; i < x.columns; ++i) {
      xr[i] += g[i] * b[i];
    }
  }
}

void
VARIANT(gated_add_backward)(Device* device,
                            Tensor  branch,
                            Tensor  index,
                            Tensor  gate,
                            Tensor  dx,
                            Tensor  dbranch,
                            Tensor  dgate)
{
  (void)device;
  for (uint32_t r = 0; r < dx.rows; ++r) {
    const uint32_t     m   = index_at(index, r, gate.rows);
    const float* const b   = row(branch, r);
    const float* const g   = row(gate, m);
    const float* const dxr = row(dx, r);
    float* const       db  = row(dbranch, r);
    float* const       dg  = row(dgate, m);
#pragma GCC ivdep
    for (uint32_t i = 0; i < dx.columns; ++i) {
      const float d = dxr[i];
      dg[i] += b[i] * d;
      db[i] = g[i] * d;
    }
  }
}

static inline void
combine_row(float        a,
            const float* x,
            float        b,
            const float* y,
            float*       out,
            uint32_t     count)
{
#pragma GCC ivdep
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = a * x[i] + b * y[i];
  }
}

void
VARIANT(
  combine)(Device* device, float a, Tensor x, float b, Tensor y, Tensor out)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    combine_row(a, row(x, r), b, row(y, r), row(out, r), x.columns);
  }
}

void
VARIANT(combine_rows)(Device* device,
                      Tensor  a,
                      Tensor  x,
                      Tensor  b,
                      Tensor  y,
                      Tensor  out)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    combine_row(
      *row(a, r), row(x, r), *row(b, r), row(y, r), row(out, r), x.columns);
  }
}

void
VARIANT(rotate)(Device*  device,
                uint32_t heads,
                Tensor   position,
                Tensor   cosines,
                Tensor   sines,
                bool     back,
                Tensor   x)
{
  (void)device;
  const uint32_t half = cosines.columns;
  const float    sign = back ? -1.0f : 1.0f;
  for (uint32_t r = 0; r < x.rows; ++r) {
    const uint32_t     place = index_at(position, r, cosines.rows);
    const float* const c     = row(cosines, place);
    const float* const s     = row(sines, place);
    for (uint32_t h = 0; h < heads; ++h) {
      float* const a = row(x, r) + (size_t)2 * h * half;
      float* const b = a + half;
#pragma GCC ivdep
      for (uint32_t i = 0; i < half; ++i) {
        const float ai = a[i];
        const float bi = b[i];
        a[i]           = ai * c[i] - sign * s[i] * bi;
        b[i]           = bi * c[i] + sign * s[i] * ai;
      }
    }
  }
}

void
VARIANT(clamp)(Device* device, float low, float high, Tensor x)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    float* const xr = row(x, r);
    for (uint32_t i = 0; i < x.columns; ++i) {
      const float at_least = xr[i] > low ? xr[i] : low;
      xr[i]                = at_least < high ? at_least : high;
    }
  }
}

void
VARIANT(scale_rows)(Device* device, Tensor factor, Tensor x)
{
  (void)device;
  for (uint32_t r = 0; r < x.rows; ++r) {
    const float  f  = *row(factor, r);
    float* const xr = row(x, r);
    for (uint32_t i = 0; i < x.columns; ++i) {
      xr[i] *= f;
    }
  }
}

// out = exp(scale * (x - top)), out may be x; returns the sum.
static inline float
exponentials(const float* x, float top, float scale, float* out, uint32_t count)
{
#pragma GCC ivdep
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = fast_exp((x[i] - top) * scale);
  }
  return row_sum(out, count);
}

void
VARIANT(softmax)(Device* device,
                 Tensor  logits,
                 Tensor  temperature,
                 Tensor  probabilities)
{
  (void)device;
  const uint32_t n    = logits.columns;
  const float    told = temperature.data[0];
  for (uint32_t r = 0; r < logits.rows; ++r) {
    const float* const x   = row(logits, r);
    float* const       p   = row(probabilities, r);
    const float        top = row_max(x, n);
    if (told == 0.0f) {
      uint32_t best = 0;
      while (best + 1 < n && x[best] != top) {
        ++best;
      }
      memset(p, 0, n * sizeof *p);
      p[best] = 1.0f;
      continue;
    }
    const float factor = 1.0f / exponentials(x, top, 1.0f / told, p, n);
    for (uint32_t i = 0; i < n; ++i) {
      p[i] *= factor;
    }
  }
}

void
VARIANT(soft_cross_entropy)(Device* device,
                            Tensor  logits,
                            Tensor  target,
                            Tensor  weight,
                            float   scale,
                            Tensor  loss,
                            Tensor  dlogits)
{
  (void)device;
  const uint32_t n = logits.columns;
  for (uint32_t r = 0; r < logits.rows; ++r) {
    const float* const x = row(logits, r);
    const float* const t = row(target, r);
    float* const       d = row(dlogits, r);
    const float        w = *row(weight, r);
    if (w == 0.0f) { // whatever the logits, NaN included
      memset(d, 0, n * sizeof *d);
      *row(loss, r) = 0.0f;
      continue;
    }
    const float top  = row_max(x, n);
    float       held = 0.0f;
    for (uint32_t i = 0; i < n; ++i) {
      held += t[i] * (x[i] - top);
    }
    const float total  = exponentials(x, top, 1.0f, d, n);
    const float factor = 1.0f / total;
    *row(loss, r)      = w * (logf(total) - held);
#pragma GCC ivdep
    for (uint32_t i = 0; i < n; ++i) {
      d[i] = w * scale * (d[i] * factor - t[i]);
    }
  }
}
