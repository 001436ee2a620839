// What the files that are compiled once for each instruction set share: the
// table's entries outside ops_simd.c, and inline arithmetic. Only kernels/cpu/.
#pragma once

#include "cpu/cpu.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
// A function of this variant: gelu -> gelu_avx2.
#define VARIANT(name) JOIN(name##_, CPU_VARIANT)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

// exp to about 2 ulp, branch-free so that loops vectorise: x = n ln2 + r, and a
// degree-6 polynomial for e^r (the coefficients of Cephes expf).
static inline float
fast_exp(float x)
{
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  // Adding 1.5 * 2^23 rounds to the nearest whole number.
  const float n = (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  const float p =
    ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r +
      4.1665795894e-2f) *
       r +
     1.6666665459e-1f) *
      r +
    5.0000001201e-1f;
  const union {
    int32_t bits;
    float   value;
  } scale = { .bits = ((int32_t)n + 127) * (1 << 23) };
  return (p * r * r + r + 1.0f) * scale.value;
}

static inline float
sigmoid(float x)
{
  return 1.0f / (1.0f + fast_exp(-x));
}

static inline float
fast_tanh(float x)
{
  return 1.0f - 2.0f / (fast_exp(2.0f * x) + 1.0f);
}

static inline float*
row(Tensor x, uint32_t r)
{
  return x.data + (size_t)r * x.stride;
}

// Sums run in eight lanes, so that the order of additions (and so the rounding)
// is the same in every variant. A value of eight lanes, at any address:
#define LANES 8
typedef float Lanes
  __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

static inline const Lanes*
lanes_in(const float* x)
{
  return (const Lanes*)x;
}

static inline Lanes*
lanes_of(float* x)
{
  return (Lanes*)x;
}

static inline float
lanes_total(const float lane[LANES])
{
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
         ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static inline float
row_sum(const float* x, uint32_t count)
{
  Lanes    sum = { 0 };
  uint32_t i   = 0;
  for (; i + LANES <= count; i += LANES) {
    sum += *lanes_in(x + i);
  }
  for (uint32_t j = 0; i + j < count; ++j) {
    sum[j] += x[i + j];
  }
  return lanes_total((const float*)&sum);
}

static inline float
row_dot(const float* x, const float* y, uint32_t count)
{
  Lanes    sum = { 0 };
  uint32_t i   = 0;
  for (; i + LANES <= count; i += LANES) {
    sum += *lanes_in(x + i) * *lanes_in(y + i);
  }
  for (uint32_t j = 0; i + j < count; ++j) {
    sum[j] += x[i + j] * y[i + j];
  }
  return lanes_total((const float*)&sum);
}

static inline float
row_max(const float* x, uint32_t count)
{
  float best = x[0];
  for (uint32_t i = 1; i < count; ++i) {
    best = x[i] > best ? x[i] : best;
  }
  return best;
}

// A whole-number index from a float tensor, kept inside the table.
static inline uint32_t
index_at(Tensor index, uint32_t r, uint32_t end)
{
  const float value = *row(index, r);
  if (!(value >= 0.0f)) {
    return 0;
  }
  const uint32_t i = value < (float)end ? (uint32_t)value : end - 1;
  return i;
}

// --- Entries of the table that live in other files

Status VARIANT(pack)(Device*, Tensor weight, Tensor* packed, Error* error);
void   VARIANT(affine)(Device*,
                     Tensor x,
                     Tensor weight,
                     Tensor packed,
                     Tensor bias,
                     Tensor y);
void   VARIANT(
  lstm_cell)(Device*, Tensor gates, Tensor c_prev, Tensor c, Tensor h);
void VARIANT(lstm_cell_backward)(Device*,
                                 Tensor gates,
                                 Tensor c_prev,
                                 Tensor c,
                                 Tensor dh,
                                 Tensor dc,
                                 Tensor dgates);
void VARIANT(overwrite_gates)(Device*, Tensor pre, Tensor keep, Tensor add);
void VARIANT(overwrite_gates_backward)(Device*,
                                       Tensor pre,
                                       Tensor dkeep,
                                       Tensor dadd,
                                       Tensor dpre);
void VARIANT(
  overwrite)(Device*, Tensor state, Tensor keep, Tensor add, Tensor out);
void VARIANT(overwrite_backward)(Device*,
                                 Tensor state,
                                 Tensor keep,
                                 Tensor dout,
                                 Tensor dstate,
                                 Tensor dkeep,
                                 Tensor dadd);
void VARIANT(gelu)(Device*, Tensor x, Tensor y);
void VARIANT(gelu_backward)(Device*, Tensor x, Tensor dy, Tensor dx);
void VARIANT(modulated_norm)(Device*,
                             Tensor x,
                             Tensor index,
                             Tensor modulation,
                             Tensor normal,
                             Tensor inverse,
                             Tensor y);
void VARIANT(modulated_norm_backward)(Device*,
                                      Tensor index,
                                      Tensor modulation,
                                      Tensor normal,
                                      Tensor inverse,
                                      Tensor dy,
                                      Tensor dx,
                                      Tensor dmodulation);
void VARIANT(
  gated_add)(Device*, Tensor branch, Tensor index, Tensor gate, Tensor x);
void VARIANT(gated_add_backward)(Device*,
                                 Tensor branch,
                                 Tensor index,
                                 Tensor gate,
                                 Tensor dx,
                                 Tensor dbranch,
                                 Tensor dgate);
void VARIANT(attention)(Device*,
                        uint32_t sequences,
                        uint32_t heads,
                        Tensor   q,
                        Tensor   k,
                        Tensor   v,
                        Tensor   allowed,
                        Tensor   probabilities,
                        Tensor   out);
void VARIANT(attention_backward)(Device*,
                                 uint32_t sequences,
                                 uint32_t heads,
                                 Tensor   q,
                                 Tensor   k,
                                 Tensor   v,
                                 Tensor   probabilities,
                                 Tensor   dout,
                                 Tensor   dq,
                                 Tensor   dk,
                                 Tensor   dv);
void VARIANT(
  combine)(Device*, float a, Tensor x, float b, Tensor y, Tensor out);
void VARIANT(
  combine_rows)(Device*, Tensor a, Tensor x, Tensor b, Tensor y, Tensor out);
void VARIANT(rotate)(Device*,
                     uint32_t heads,
                     Tensor   position,
                     Tensor   cosines,
                     Tensor   sines,
                     bool     back,
                     Tensor   x);
void VARIANT(clamp)(Device*, float low, float high, Tensor x);
void VARIANT(scale_rows)(Device*, Tensor factor, Tensor x);
void VARIANT(softmax)(Device*,
                      Tensor logits,
                      Tensor temperature,
                      Tensor probabilities);
void VARIANT(soft_cross_entropy)(Device*,
                                 Tensor logits,
                                 Tensor target,
                                 Tensor weight,
                                 float  scale,
                                 Tensor loss,
                                 Tensor dlogits);
void VARIANT(sum)(Device*, Tensor x, float beta, Tensor out);
void VARIANT(square_sum)(Device*, Tensor x, float beta, Tensor out);
void VARIANT(optimise)(Device*,
                       const OptimiserRule*    rule,
                       const OptimiserSegment* segments,
                       uint32_t                count,
                       Tensor                  now,
                       Tensor                  square_sum,
                       const OptimiserTables*  tables);
