// Training of the VAE: the state of a run and one step of it. The command line
// and the run directory are in vae_command.c.
#include "trainer_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Windows of one forward and backward pass: enough rows for full-speed
// products, few enough that activations stay near the caches.
#define CHUNK_WINDOWS 256u

static Status
open_lane(Lane* lane, const Trainer* t, const Vae* owner, Error* error)
{
  const uint32_t share =
    (t->recipe.batch + t->recipe.lanes - 1) / t->recipe.lanes;
  const uint32_t chunk = share < CHUNK_WINDOWS ? share : CHUNK_WINDOWS;
  const size_t   rows  = (size_t)WINDOW_NOTES * chunk;
  lane->chunk          = chunk;
  lane->pitch          = malloc(rows * sizeof(float));
  lane->channels       = malloc(rows * CHANNEL_COUNT * sizeof(float));
  lane->force          = malloc(rows * sizeof(float));
  if (!lane->pitch || !lane->channels || !lane->force) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a training lane");
  }
  const Status status = device_open_cpu(NULL, &lane->device, error);
  return status == STATUS_OK ? vae_create(lane->device,
                                          &t->recipe.sizes,
                                          chunk,
                                          true,
                                          owner,
                                          &lane->vae,
                                          error)
                             : status;
}

static Status
open_lanes(Trainer* t, Error* error)
{
  Status status = STATUS_OK;
  for (uint32_t i = 0; i < t->recipe.lanes && status == STATUS_OK; ++i) {
    status = open_lane(&t->lanes[i], t, i ? t->lanes[0].vae : NULL, error);
  }
  if (status == STATUS_OK) {
    status = vae_initialise(t->lanes[0].vae, t->recipe.seed, error);
  }
  return status;
}

Status
trainer_open(Trainer*         t,
             const VaeRecipe* recipe,
             const Dataset*   dataset,
             uint32_t         thread_count,
             Error*           error)
{
  *t            = (Trainer){ .recipe = *recipe, .dataset = dataset };
  Status status = vae_check_sizes(&recipe->sizes, error);
  if (status == STATUS_OK) {
    status = shuffle_init(&t->shuffle, dataset, error);
  }
  if (status == STATUS_OK) {
    status = pool_create(thread_count, &t->pool, error);
  }
  if (status == STATUS_OK) {
    status = open_lanes(t, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  Device* const  device = t->lanes[0].device;
  const uint32_t total  = (uint32_t)vae_parameters(&recipe->sizes, t->table);
  Tensor* const  flat[] = { &t->average, &t->moment1, &t->moment2 };
  for (size_t i = 0; i < sizeof flat / sizeof *flat && status == STATUS_OK;
       ++i) {
    status = tensor_allocate(device, 1, total, flat[i], error);
  }
  if (status == STATUS_OK) {
    status =
      tensor_allocate(device, 1, 1 + recipe->lanes, &t->square_sums, error);
  }
  if (status == STATUS_OK) {
    status = latent_prior_create(&t->prior, recipe->sizes.latent, error);
  }
  if (status == STATUS_OK) {
    status = vae_create(
      device, &recipe->sizes, t->lanes[0].chunk, false, NULL, &t->judge, error);
  }
  if (status == STATUS_OK) {
    op_copy(device, vae_weights(t->lanes[0].vae), t->average);
    t->steps_per_epoch = (uint32_t)(t->shuffle.window_count / recipe->batch);
    t->steps_per_epoch = t->steps_per_epoch ? t->steps_per_epoch : 1;
  }
  return status;
}

void
trainer_close(Trainer* t)
{
  pool_free(t->pool);
  shuffle_free(&t->shuffle);
  latent_prior_free(&t->prior);
  vae_free(t->judge);
  if (t->lanes[0].device) {
    Device* const device = t->lanes[0].device;
    tensor_free(device, &t->average);
    tensor_free(device, &t->moment1);
    tensor_free(device, &t->moment2);
    tensor_free(device, &t->square_sums);
  }
  // Lane 0 last: the others use its weights.
  for (uint32_t i = t->recipe.lanes; i-- > 0;) {
    vae_free(t->lanes[i].vae);
    device_close(t->lanes[i].device);
    free(t->lanes[i].pitch);
    free(t->lanes[i].channels);
    free(t->lanes[i].force);
  }
}

// --- Schedules
// -----------------------------------------------------------------

static float
ramp(uint32_t step, uint32_t steps, float from, float to)
{
  return step >= steps ? to : from + (to - from) * (float)step / (float)steps;
}

static float
learning_rate(const VaeRecipe* r, uint32_t step)
{
  if (step < r->warmup_steps) {
    return r->learning_rate * (float)(step + 1) / (float)r->warmup_steps;
  }
  const float rest =
    r->steps > r->warmup_steps ? (float)(r->steps - r->warmup_steps) : 1.0f;
  const float done = fminf((float)(step - r->warmup_steps) / rest, 1.0f);
  return r->learning_rate *
         (0.02f + 0.98f * 0.5f * (1.0f + cosf(3.14159265f * done)));
}

Schedule
trainer_schedule(const Trainer* t)
{
  const VaeRecipe* const r = &t->recipe;
  return (Schedule){
    .learning_rate = learning_rate(r, t->step),
    .beta          = ramp(t->step, r->beta_steps, 0.0f, r->beta),
    .forcing =
      ramp(t->step, r->forcing_steps, r->forcing_start, r->forcing_end),
  };
}

// --- One step
// --------------------------------------------------------------------

// The part of `total` that is lane `i`'s.
static uint32_t
share_begin(const Trainer* t, uint32_t total, uint32_t i)
{
  return (uint32_t)((uint64_t)total * i / t->recipe.lanes);
}

static void
lane_gradient(void* context, uint32_t i)
{
  Trainer* const         t     = context;
  const VaeRecipe* const r     = &t->recipe;
  Lane* const            lane  = &t->lanes[i];
  const Schedule         now   = trainer_schedule(t);
  const uint32_t         end   = share_begin(t, r->batch, i + 1);
  const uint64_t         start = (uint64_t)t->step * r->batch;
  // Numbers run through an epoch's order; what does not fill a batch is left.
  const uint64_t epoch = t->step / t->steps_per_epoch;
  const uint64_t order = epoch * t->shuffle.window_count +
                         (uint64_t)(t->step % t->steps_per_epoch) * r->batch;

  lane->loss = (VaeLoss){ 0 };
  op_fill(lane->device, vae_gradients(lane->vae), 0.0f);
  for (uint32_t at = share_begin(t, r->batch, i); at < end;) {
    const uint32_t count = end - at < lane->chunk ? end - at : lane->chunk;
    batch_fill(t->dataset,
               &t->shuffle,
               r,
               order + at,
               count,
               now.forcing,
               lane->pitch,
               lane->channels,
               lane->force);
    const VaeBatch batch = {
      .count          = count,
      .pitch          = lane->pitch,
      .channels       = lane->channels,
      .force          = lane->force,
      .seed           = r->seed,
      .first_window   = start + at,
      .gradient_scale = 1.0f / (float)r->batch,
      .channel_weight = r->channel_weight,
      .beta           = now.beta,
      .free_nats      = r->free_bits * 0.69314718f,
    };
    vae_train_step(lane->vae, &batch, &lane->loss);
    at += count;
  }
}

// Sums a slice of all lanes' gradients into lane 0's, in lane order. The seam
// for several machines: reduce the flat gradient here.
static void
lane_reduce(void* context, uint32_t i)
{
  Trainer* const t      = context;
  Device* const  device = t->lanes[i].device;
  const uint32_t total  = t->average.columns;
  const uint32_t begin  = share_begin(t, total, i);
  const uint32_t count  = share_begin(t, total, i + 1) - begin;
  const Tensor   sum =
    tensor_columns(vae_gradients(t->lanes[0].vae), begin, count);
  for (uint32_t k = 1; k < t->recipe.lanes; ++k) {
    op_accumulate(device,
                  tensor_columns(vae_gradients(t->lanes[k].vae), begin, count),
                  sum);
  }
  op_square_sum(device, sum, 0.0f, tensor_columns(t->square_sums, 1 + i, 1));
}

static Tensor
view(const Trainer* t, Tensor flat, uint32_t p)
{
  return tensor_reshape(
    flat, t->table[p].offset, t->table[p].rows, t->table[p].columns);
}

static void
lane_update(void* context, uint32_t i)
{
  Trainer* const t      = context;
  Device* const  device = t->lanes[i].device;
  const Tensor   total  = tensor_columns(t->square_sums, 0, 1);
  const float    count  = (float)t->step;
  const float    decay =
    fminf(t->recipe.average_decay, (1.0f + count) / (10.0f + count));
  for (uint32_t p = i; p < VAE_PARAMETER_COUNT; p += t->recipe.lanes) {
    const OptimiserStep step = {
      .learning_rate = trainer_schedule(t).learning_rate,
      .beta1         = 0.9f,
      .beta2         = 0.999f,
      .epsilon       = 1e-6f,
      .weight_decay  = t->table[p].rows > 1 ? t->recipe.weight_decay : 0.0f,
      .clip_norm     = t->recipe.clip_norm,
      .step          = t->step + 1,
    };
    const Tensor weight = view(t, vae_weights(t->lanes[0].vae), p);
    op_lamb(device,
            &step,
            total,
            view(t, vae_gradients(t->lanes[0].vae), p),
            view(t, t->moment1, p),
            view(t, t->moment2, p),
            weight);
    op_moving_average(device, decay, weight, view(t, t->average, p));
  }
}

static void
add_loss(VaeLoss* sum, const VaeLoss* loss)
{
  sum->pitch_nats += loss->pitch_nats;
  sum->kl_nats += loss->kl_nats;
  for (int i = 0; i < CHANNEL_COUNT; ++i) {
    sum->squared_error[i] += loss->squared_error[i];
  }
}

Status
trainer_step(Trainer* t, VaeLoss* loss, float* gradient_norm, Error* error)
{
  const uint32_t lanes  = t->recipe.lanes;
  Device* const  device = t->lanes[0].device;
  shuffle_epoch(&t->shuffle, t->recipe.seed, t->step / t->steps_per_epoch);
  pool_run(t->pool, lane_gradient, t, lanes);
  pool_run(t->pool, lane_reduce, t, lanes);
  float        square_sum = 0.0f;
  float* const sums       = t->square_sums_host;
  tensor_read(device, t->square_sums, sums);
  for (uint32_t i = 0; i < lanes; ++i) {
    square_sum += sums[1 + i];
  }
  tensor_write(device, tensor_columns(t->square_sums, 0, 1), &square_sum);
  if (!isfinite(square_sum)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "step %u: the gradient is not finite; lower "
                     "learning_rate, or resume from the last save",
                     t->step);
  }
  pool_run(t->pool, lane_update, t, lanes);
  Status status = STATUS_OK;
  for (uint32_t i = 0; i < lanes && status == STATUS_OK; ++i) {
    add_loss(loss, &t->lanes[i].loss);
    status = device_status(t->lanes[i].device, error);
  }
  *gradient_norm = sqrtf(square_sum);
  ++t->step;
  return status;
}
