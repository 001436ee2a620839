// Sums over a whole tensor, and LAMB and AdamW. Compiled once for each
// instruction set; the thread of the Device.
#include "cpu/simd.h"

#include <math.h>

void
VARIANT(sum)(Device* device, Tensor x, float beta, Tensor out)
{
  (void)device;
  double total = 0.0;
  for (uint32_t r = 0; r < x.rows; ++r) {
    const float* const xr = row(x, r);
    for (uint32_t i = 0; i < x.columns; ++i) {
      total += (double)xr[i];
    }
  }
  out.data[0] =
    (float)(total + (beta == 0.0f ? 0.0 : (double)beta * (double)out.data[0]));
}

static double
squares(const float* x, uint32_t count)
{
  return (double)row_dot(x, x, count);
}

void
VARIANT(square_sum)(Device* device, Tensor x, float beta, Tensor out)
{
  (void)device;
  double total = 0.0;
  for (uint32_t r = 0; r < x.rows; ++r) {
    total += squares(row(x, r), x.columns);
  }
  out.data[0] = (float)total + (beta == 0.0f ? 0.0f : beta * out.data[0]);
}

// One segment's part of the tables.
typedef struct {
  uint32_t count;
  float*   gradient;
  float*   moment1;
  float*   moment2;
  float*   weight;
  float*   average;
} Segment;

static Segment
segment_of(const OptimiserTables* t, const OptimiserSegment* s)
{
  return (Segment){ .count    = s->count,
                    .gradient = t->gradient.data + s->first,
                    .moment1  = t->moment1.data + s->first,
                    .moment2  = t->moment2.data + s->first,
                    .weight   = t->weight.data + s->first,
                    .average  = t->average.data + s->first };
}

// Adam's update with decay, written over the gradient (which is spent).
static void
adam_update(const OptimiserRule* rule,
            const float*         now,
            float                decay,
            float                clip,
            const Segment*       s)
{
  const float        b1 = rule->beta1;
  const float        b2 = rule->beta2;
  const float        c1 = 1.0f / now[OPTIMISER_NOW_CORRECTION1];
  const float        c2 = 1.0f / now[OPTIMISER_NOW_CORRECTION2];
  float* const       g  = s->gradient;
  float* const       m  = s->moment1;
  float* const       v  = s->moment2;
  const float* const w  = s->weight;
#pragma GCC ivdep
  for (uint32_t i = 0; i < s->count; ++i) {
    const float gi = g[i] * clip;
    m[i]           = b1 * m[i] + (1.0f - b1) * gi;
    v[i]           = b2 * v[i] + (1.0f - b2) * gi * gi;
    g[i] = (m[i] * c1) / (sqrtf(v[i] * c2) + rule->epsilon) + decay * w[i];
  }
}

// weight -= rate * update; the average follows.
static void
descend(float rate, float keep, const Segment* s)
{
  const float* const u = s->gradient;
  float* const       w = s->weight;
  float* const       a = s->average;
#pragma GCC ivdep
  for (uint32_t i = 0; i < s->count; ++i) {
    w[i] -= rate * u[i];
    a[i] = keep * a[i] + (1.0f - keep) * w[i];
  }
}

// phi(x) = x; a zero norm (a fresh bias, no gradient) means plain Adam.
static float
trust_ratio(const Segment* s)
{
  const double weight_norm = sqrt(squares(s->weight, s->count));
  const double update_norm = sqrt(squares(s->gradient, s->count));
  return weight_norm > 0.0 && update_norm > 0.0
           ? (float)(weight_norm / update_norm)
           : 1.0f;
}

void
VARIANT(optimise)(Device*                 device,
                  const OptimiserRule*    rule,
                  const OptimiserSegment* segments,
                  uint32_t                count,
                  Tensor                  now_tensor,
                  Tensor                  square_sum,
                  const OptimiserTables*  tables)
{
  (void)device;
  const float* const now  = now_tensor.data;
  const float        norm = sqrtf(square_sum.data[0]);
  if (!isfinite(norm)) {
    return;
  }
  const float clip = rule->clip_norm > 0.0f && norm > rule->clip_norm
                       ? rule->clip_norm / norm
                       : 1.0f;
  for (uint32_t i = 0; i < count; ++i) {
    const Segment s     = segment_of(tables, &segments[i]);
    const float   decay = segments[i].decays ? rule->weight_decay : 0.0f;
    adam_update(rule, now, decay, clip, &s);
    const float trust = rule->kind == OPTIMISER_LAMB ? trust_ratio(&s) : 1.0f;
    descend(now[OPTIMISER_NOW_RATE] * trust, now[OPTIMISER_NOW_AVERAGE], &s);
  }
}
