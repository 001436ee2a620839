// Lanes, the sum of their gradients, and the step that follows from it.
#include "optimiser.h"

#include <math.h>

Status
optimiser_open(Optimiser*       o,
               const RunRecipe* recipe,
               uint32_t         thread_count,
               Error*           error)
{
  *o            = (Optimiser){ .recipe = recipe };
  Status status = pool_create(thread_count, &o->pool, error);
  for (uint32_t i = 0; i < recipe->lanes && status == STATUS_OK; ++i) {
    status = device_open_cpu(NULL, &o->devices[i], error);
  }
  return status;
}

static void
share_segments(Optimiser* o)
{
  const uint32_t lanes = o->recipe->lanes;
  for (uint32_t p = 0; p < o->parameter_count; ++p) {
    const Parameter* const entry = &o->table[p];
    const uint32_t         lane  = p % lanes;
    o->segments[lane][o->segment_counts[lane]++] =
      (OptimiserSegment){ .first  = (uint32_t)entry->offset,
                          .count  = entry->rows * entry->columns,
                          .decays = entry->rows > 1 };
  }
}

Status
optimiser_bind(Optimiser*       o,
               const Parameter* table,
               uint32_t         parameter_count,
               Tensor           weights,
               Error*           error)
{
  o->table             = table;
  o->parameter_count   = parameter_count;
  o->weights           = weights;
  Device* const device = o->devices[0];
  Tensor* const flat[] = { &o->average, &o->moment1, &o->moment2 };
  Status        status = STATUS_OK;
  for (size_t i = 0; i < sizeof flat / sizeof *flat && status == STATUS_OK;
       ++i) {
    status = tensor_allocate(device, 1, weights.columns, flat[i], error);
  }
  if (status == STATUS_OK) {
    status =
      tensor_allocate(device, 1, 1 + o->recipe->lanes, &o->square_sums, error);
  }
  if (status == STATUS_OK) {
    status = tensor_allocate(device, 1, OPTIMISER_NOW_FLOATS, &o->now, error);
  }
  if (status == STATUS_OK) {
    op_copy(device, weights, o->average);
  }
  share_segments(o);
  return status;
}

void
optimiser_close(Optimiser* o)
{
  pool_free(o->pool);
  if (o->devices[0]) {
    Device* const device = o->devices[0];
    tensor_free(device, &o->average);
    tensor_free(device, &o->moment1);
    tensor_free(device, &o->moment2);
    tensor_free(device, &o->square_sums);
    tensor_free(device, &o->now);
  }
  for (uint32_t i = 0; i < RECIPE_LANES_MAX; ++i) {
    device_close(o->devices[i]);
  }
}

float
optimiser_rate(const Optimiser* o)
{
  const RunRecipe* const r = o->recipe;
  if (o->step < r->warmup_steps) {
    return r->learning_rate * (float)(o->step + 1) / (float)r->warmup_steps;
  }
  const float rest =
    r->steps > r->warmup_steps ? (float)(r->steps - r->warmup_steps) : 1.0f;
  const float done = fminf((float)(o->step - r->warmup_steps) / rest, 1.0f);
  return r->learning_rate *
         (0.02f + 0.98f * 0.5f * (1.0f + cosf(3.14159265f * done)));
}

uint32_t
optimiser_share_begin(const Optimiser* o, uint32_t total, uint32_t lane)
{
  return (uint32_t)((uint64_t)total * lane / o->recipe->lanes);
}

void
optimiser_run(Optimiser* o, PoolJob job, void* context)
{
  pool_run(o->pool, job, context, o->recipe->lanes);
}

// Sums a slice of all lanes' gradients into lane 0's, in lane order. The seam
// for several machines: reduce the flat gradient here.
static void
lane_reduce(void* context, uint32_t i)
{
  Optimiser* const o      = context;
  Device* const    device = o->devices[i];
  const uint32_t   total  = o->weights.columns;
  const uint32_t   begin  = optimiser_share_begin(o, total, i);
  const uint32_t   count  = optimiser_share_begin(o, total, i + 1) - begin;
  const Tensor     sum    = tensor_columns(o->gradients[0], begin, count);
  for (uint32_t k = 1; k < o->recipe->lanes; ++k) {
    op_accumulate(device, tensor_columns(o->gradients[k], begin, count), sum);
  }
  op_square_sum(device, sum, 0.0f, tensor_columns(o->square_sums, 1 + i, 1));
}

// The constants of both papers.
static OptimiserRule
rule_of(const RunRecipe* r)
{
  return (OptimiserRule){
    .kind         = r->optimiser,
    .beta1        = 0.9f,
    .beta2        = 0.999f,
    .epsilon      = r->optimiser == OPTIMISER_LAMB ? 1e-6f : 1e-8f,
    .weight_decay = r->weight_decay,
    .clip_norm    = r->clip_norm,
  };
}

static void
write_now(Optimiser* o)
{
  const RunRecipe* const r     = o->recipe;
  const OptimiserRule    rule  = rule_of(r);
  const float            count = (float)o->step;
  float                  now[OPTIMISER_NOW_FLOATS];
  now[OPTIMISER_NOW_RATE]        = optimiser_rate(o);
  now[OPTIMISER_NOW_CORRECTION1] = 1.0f - powf(rule.beta1, count + 1.0f);
  now[OPTIMISER_NOW_CORRECTION2] = 1.0f - powf(rule.beta2, count + 1.0f);
  now[OPTIMISER_NOW_AVERAGE] =
    fminf(r->average_decay, (1.0f + count) / (10.0f + count));
  tensor_write(o->devices[0], o->now, now);
}

static void
lane_update(void* context, uint32_t i)
{
  Optimiser* const      o      = context;
  const OptimiserRule   rule   = rule_of(o->recipe);
  const OptimiserTables tables = { .gradient = o->gradients[0],
                                   .moment1  = o->moment1,
                                   .moment2  = o->moment2,
                                   .weight   = o->weights,
                                   .average  = o->average };
  op_optimise(o->devices[i],
              &rule,
              o->segments[i],
              o->segment_counts[i],
              o->now,
              tensor_columns(o->square_sums, 0, 1),
              &tables);
}

Status
optimiser_step(Optimiser* o, float* gradient_norm, Error* error)
{
  Device* const  device = o->devices[0];
  const uint32_t lanes  = o->recipe->lanes;
  optimiser_run(o, lane_reduce, o);
  float        square_sum = 0.0f;
  float* const sums       = o->square_sums_host;
  tensor_read(device, o->square_sums, sums);
  for (uint32_t i = 0; i < lanes; ++i) {
    square_sum += sums[1 + i];
  }
  tensor_write(device, tensor_columns(o->square_sums, 0, 1), &square_sum);
  Status status = STATUS_OK;
  for (uint32_t i = 0; i < lanes && status == STATUS_OK; ++i) {
    status = device_status(o->devices[i], error);
  }
  if (status == STATUS_OK && !isfinite(square_sum)) {
    status = error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "step %u: the gradient is not finite; lower "
                       "learning_rate, or resume from the last save",
                       o->step);
  }
  if (status != STATUS_OK) {
    return status;
  }
  write_now(o);
  optimiser_run(o, lane_update, o);
  for (uint32_t i = 0; i < lanes && status == STATUS_OK; ++i) {
    status = device_status(o->devices[i], error);
  }
  *gradient_norm = sqrtf(square_sum);
  ++o->step;
  return status;
}
