// Lanes, the sum of their gradients, and the step that follows from it.
#include "optimiser.h"

#include <math.h>

// The cells of square_sums.
enum {
  SUM_STEP,  // of the whole gradient of the last step
  SUM_SINCE, // of all steps since the last check: not finite if one was not
  SUM_LANES, // of each lane's slice
};

// A GPU has one lane: cutting a batch for threads is a matter of the CPU.
Status
optimiser_open(Optimiser*       o,
               const RunRecipe* recipe,
               const char*      device,
               uint32_t         thread_count,
               Error*           error)
{
  *o            = (Optimiser){ .recipe = recipe, .lanes = recipe->lanes };
  Status status = device_open(device, &o->devices[0], o->device_text, error);
  if (status != STATUS_OK) {
    return status;
  }
  if (device_is_gpu(o->devices[0])) {
    o->lanes     = 1;
    thread_count = 1;
  } else if (o->lanes > recipe->batch) {
    o->lanes = recipe->batch;
  }
  for (uint32_t i = 1; i < o->lanes && status == STATUS_OK; ++i) {
    status = device_open_cpu(NULL, &o->devices[i], error);
  }
  return status == STATUS_OK ? pool_create(thread_count, &o->pool, error)
                             : status;
}

uint32_t
optimiser_chunk(const Optimiser* o, uint32_t cpu_chunk, uint32_t gpu_chunk)
{
  const uint32_t most  = device_is_gpu(o->devices[0]) ? gpu_chunk : cpu_chunk;
  const uint32_t share = (o->recipe->batch + o->lanes - 1) / o->lanes;
  return share < most ? share : most;
}

static void
share_segments(Optimiser* o)
{
  const uint32_t lanes = o->lanes;
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
      tensor_allocate(device, 1, SUM_LANES + o->lanes, &o->square_sums, error);
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
  return (uint32_t)((uint64_t)total * lane / o->lanes);
}

void
optimiser_run(Optimiser* o, PoolJob job, void* context)
{
  pool_run(o->pool, job, context, o->lanes);
}

static Tensor
slice_of(const Optimiser* o, Tensor flat, uint32_t i)
{
  const uint32_t begin = optimiser_share_begin(o, flat.columns, i);
  const uint32_t end   = optimiser_share_begin(o, flat.columns, i + 1);
  return tensor_columns(flat, begin, end - begin);
}

static Tensor
sum_cell(const Optimiser* o, uint32_t cell)
{
  return tensor_columns(o->square_sums, cell, 1);
}

// Sums a slice of all lanes' gradients into lane 0's, in lane order.
static void
lane_reduce(void* context, uint32_t i)
{
  Optimiser* const o   = context;
  const Tensor     sum = slice_of(o, o->gradients[0], i);
  for (uint32_t k = 1; k < o->lanes; ++k) {
    op_accumulate(o->devices[i], slice_of(o, o->gradients[k], i), sum);
  }
}

static void
lane_square(void* context, uint32_t i)
{
  Optimiser* const o = context;
  op_square_sum(o->devices[i],
                slice_of(o, o->gradients[0], i),
                0.0f,
                sum_cell(o, SUM_LANES + i));
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
              sum_cell(o, SUM_STEP),
              &tables);
}

static Status
lanes_status(const Optimiser* o, Error* error)
{
  Status status = STATUS_OK;
  for (uint32_t i = 0; i < o->lanes && status == STATUS_OK; ++i) {
    status = device_status(o->devices[i], error);
  }
  return status;
}

// --- A step ------------------------------------------------------------------

// Whether nothing but the only lane's ops stands between gradient and update.
static bool
is_alone(const Optimiser* o)
{
  return o->lanes == 1 && !o->reduce;
}

OptimiserPart
optimiser_part(const Optimiser* o,
               uint32_t         lane,
               uint32_t         first,
               uint32_t         count)
{
  const uint32_t batch = o->recipe->batch;
  const uint32_t begin = optimiser_share_begin(o, batch, lane);
  const uint32_t end   = optimiser_share_begin(o, batch, lane + 1);
  return (OptimiserPart){ .clears  = first == begin,
                          .updates = is_alone(o) && first + count == end };
}

void
optimiser_begin(Optimiser* o, uint32_t lane, OptimiserPart part)
{
  if (part.clears) {
    op_fill(o->devices[lane], o->gradients[lane], 0.0f);
  }
}

// From the squares of all slices to that of the whole gradient.
static void
add_squares(Optimiser* o)
{
  op_sum(o->devices[0],
         tensor_columns(o->square_sums, SUM_LANES, o->lanes),
         0.0f,
         sum_cell(o, SUM_STEP));
  op_sum(o->devices[0], sum_cell(o, SUM_STEP), 1.0f, sum_cell(o, SUM_SINCE));
}

void
optimiser_end(Optimiser* o, OptimiserPart part)
{
  if (part.updates) {
    lane_square(o, 0);
    add_squares(o);
    lane_update(o, 0);
  }
}

// The update of several lanes or runs.
static void
update_together(Optimiser* o)
{
  optimiser_run(o, lane_reduce, o);
  if (o->reduce) {
    o->reduce(o->reduce_context, o->devices[0], o->gradients[0]);
  }
  optimiser_run(o, lane_square, o);
  add_squares(o);
  optimiser_run(o, lane_update, o);
}

Status
optimiser_step(Optimiser* o, PoolJob passes, void* context, Error* error)
{
  write_now(o);
  optimiser_run(o, passes, context);
  if (!is_alone(o)) {
    update_together(o);
  }
  ++o->step;
  ++o->unchecked_steps;
  return lanes_status(o, error);
}

Status
optimiser_check(Optimiser* o, Error* error)
{
  Device* const  device          = o->devices[0];
  const uint32_t first           = o->step - o->unchecked_steps + 1;
  float          sums[SUM_LANES] = { 0 };
  tensor_read(device, tensor_columns(o->square_sums, 0, SUM_LANES), sums);
  op_fill(device, sum_cell(o, SUM_SINCE), 0.0f);
  o->unchecked_steps  = 0;
  o->gradient_norm    = sqrtf(sums[SUM_STEP]);
  const Status status = lanes_status(o, error);
  if (status == STATUS_OK && !isfinite(sums[SUM_SINCE])) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "steps %u to %u: a gradient is not finite (what it would "
                     "have changed is as it was); lower learning_rate, or "
                     "resume from the last save",
                     first,
                     o->step);
  }
  return status;
}
