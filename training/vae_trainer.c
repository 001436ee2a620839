// Training of the VAE: the state of a run, one step of it, and what is saved.
#include "vae_trainer.h"

#include "encoding.h"
#include "rng.h"
#include "run_state.h"
#include "vae_checkpoint.h"

#include <stdlib.h>

// Windows of one forward and backward pass: enough rows for full-speed
// products, few enough that activations stay near the caches.
#define CHUNK_WINDOWS 256u
// Enough for a covariance of a few hundred dimensions.
#define PRIOR_WINDOWS 4096u

static Status
open_lane(VaeTrainer* t, uint32_t i, Error* error)
{
  VaeLane* const         lane  = &t->lanes[i];
  const RunRecipe* const run   = &t->recipe.run;
  const uint32_t         share = (run->batch + run->lanes - 1) / run->lanes;
  const uint32_t         chunk = share < CHUNK_WINDOWS ? share : CHUNK_WINDOWS;
  const size_t           rows  = (size_t)WINDOW_NOTES * chunk;
  lane->chunk                  = chunk;
  lane->pitch                  = malloc(rows * sizeof(float));
  lane->channels               = malloc(rows * CHANNEL_COUNT * sizeof(float));
  lane->force                  = malloc(rows * sizeof(float));
  if (!lane->pitch || !lane->channels || !lane->force) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a training lane");
  }
  const Status status = vae_create(t->optimiser.devices[i],
                                   &t->recipe.sizes,
                                   chunk,
                                   true,
                                   t->lanes[0].vae,
                                   &lane->vae,
                                   error);
  if (status == STATUS_OK) {
    t->optimiser.gradients[i] = vae_gradients(lane->vae);
  }
  return status;
}

static Status
open_lanes(VaeTrainer* t, Error* error)
{
  Status status = STATUS_OK;
  for (uint32_t i = 0; i < t->recipe.run.lanes && status == STATUS_OK; ++i) {
    status = open_lane(t, i, error);
  }
  if (status == STATUS_OK) {
    status = vae_initialise(t->lanes[0].vae, t->recipe.run.seed, error);
  }
  return status;
}

Status
vae_trainer_open(VaeTrainer*      t,
                 const VaeRecipe* recipe,
                 const Dataset*   dataset,
                 uint32_t         thread_count,
                 Error*           error)
{
  *t            = (VaeTrainer){ .recipe = *recipe, .dataset = dataset };
  Status status = vae_check_sizes(&recipe->sizes, error);
  if (status == STATUS_OK) {
    status = shuffle_init(&t->shuffle,
                          dataset_window_count(dataset, false),
                          recipe->run.batch,
                          "windows",
                          error);
  }
  if (status == STATUS_OK) {
    status = optimiser_open(&t->optimiser, &t->recipe.run, thread_count, error);
  }
  if (status == STATUS_OK) {
    status = open_lanes(t, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  vae_parameters(&recipe->sizes, t->table);
  status = optimiser_bind(&t->optimiser,
                          t->table,
                          VAE_PARAMETER_COUNT,
                          vae_weights(t->lanes[0].vae),
                          error);
  if (status == STATUS_OK) {
    status = latent_prior_create(&t->prior, recipe->sizes.latent, error);
  }
  if (status == STATUS_OK) {
    status = vae_create(t->optimiser.devices[0],
                        &recipe->sizes,
                        t->lanes[0].chunk,
                        false,
                        NULL,
                        &t->judge,
                        error);
  }
  return status;
}

void
vae_trainer_close(VaeTrainer* t)
{
  shuffle_free(&t->shuffle);
  latent_prior_free(&t->prior);
  vae_free(t->judge);
  // Lane 0 last: the others use its weights.
  for (uint32_t i = t->recipe.run.lanes; i-- > 0;) {
    vae_free(t->lanes[i].vae);
    free(t->lanes[i].pitch);
    free(t->lanes[i].channels);
    free(t->lanes[i].force);
  }
  optimiser_close(&t->optimiser);
}

static float
ramp(uint32_t step, uint32_t steps, float from, float to)
{
  return step >= steps ? to : from + (to - from) * (float)step / (float)steps;
}

VaeSchedule
vae_trainer_schedule(const VaeTrainer* t)
{
  const VaeRecipe* const r    = &t->recipe;
  const uint32_t         step = t->optimiser.step;
  return (VaeSchedule){
    .learning_rate = optimiser_rate(&t->optimiser),
    .beta          = ramp(step, r->beta_steps, 0.0f, r->beta),
    .forcing = ramp(step, r->forcing_steps, r->forcing_start, r->forcing_end),
  };
}

static void
lane_gradient(void* context, uint32_t i)
{
  VaeTrainer* const      t    = context;
  const VaeRecipe* const r    = &t->recipe;
  const uint32_t         all  = r->run.batch;
  VaeLane* const         lane = &t->lanes[i];
  const VaeSchedule      now  = vae_trainer_schedule(t);
  const uint32_t         end = optimiser_share_begin(&t->optimiser, all, i + 1);
  const uint64_t         start = (uint64_t)t->optimiser.step * all;
  const uint64_t         order = shuffle_first(&t->shuffle, t->optimiser.step);

  lane->loss = (VaeLoss){ 0 };
  op_fill(t->optimiser.devices[i], vae_gradients(lane->vae), 0.0f);
  for (uint32_t at = optimiser_share_begin(&t->optimiser, all, i); at < end;) {
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
      .seed           = r->run.seed,
      .first_window   = start + at,
      .gradient_scale = 1.0f / (float)all,
      .channel_weight = r->channel_weight,
      .beta           = now.beta,
      .free_nats      = r->free_bits * 0.69314718f,
    };
    vae_train_step(lane->vae, &batch, &lane->loss);
    at += count;
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
vae_trainer_step(VaeTrainer* t,
                 VaeLoss*    loss,
                 float*      gradient_norm,
                 Error*      error)
{
  shuffle_epoch(&t->shuffle,
                t->recipe.run.seed,
                t->optimiser.step / t->shuffle.steps_per_epoch);
  optimiser_run(&t->optimiser, lane_gradient, t);
  const Status status = optimiser_step(&t->optimiser, gradient_norm, error);
  for (uint32_t i = 0; i < t->recipe.run.lanes && status == STATUS_OK; ++i) {
    add_loss(loss, &t->lanes[i].loss);
  }
  return status;
}

// --- Saving ------------------------------------------------------------------

// Means of PRIOR_WINDOWS training windows, drawn anew for each step,
// unaugmented, encoded with the averaged weights. means[PRIOR_WINDOWS][Z].
static void
encode_windows(VaeTrainer* t, float* means)
{
  VaeLane* const lane   = &t->lanes[0];
  Device* const  device = t->optimiser.devices[0];
  const uint32_t total  = (uint32_t)t->shuffle.count;
  Rng rng = rng_make(t->recipe.run.seed, RNG_USE_PRIOR, t->optimiser.step);
  op_copy(device, t->optimiser.average, vae_weights(t->judge));
  for (uint32_t first = 0; first < PRIOR_WINDOWS; first += lane->chunk) {
    const uint32_t left  = PRIOR_WINDOWS - first;
    const uint32_t count = left < lane->chunk ? left : lane->chunk;
    for (uint32_t b = 0; b < count; ++b) {
      NoteEvent      window[WINDOW_NOTES];
      const uint32_t index = rng_below(&rng, total);
      const uint32_t shift = rng_below(&rng, WINDOW_NOTES);
      dataset_window(t->dataset, false, index, shift, window);
      for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
        const size_t row = (size_t)i * count + b;
        encode_event(dataset_stats(t->dataset),
                     window[i],
                     &lane->pitch[row],
                     lane->channels + row * CHANNEL_COUNT);
      }
    }
    vae_encode(t->judge,
               count,
               lane->pitch,
               lane->channels,
               means + (size_t)first * t->prior.size);
  }
}

static Status
fit_prior(VaeTrainer* t, Error* error)
{
  float* const means =
    malloc((size_t)PRIOR_WINDOWS * t->prior.size * sizeof *means);
  if (!means) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to fit the prior");
  }
  encode_windows(t, means);
  Status status = device_status(t->optimiser.devices[0], error);
  if (status == STATUS_OK) {
    status = latent_prior_fit(
      &t->prior, means, PRIOR_WINDOWS, t->recipe.prior_spread, error);
  }
  free(means);
  return status;
}

Status
vae_trainer_save(VaeTrainer* t, const char* directory, Error* error)
{
  const Optimiser* const o      = &t->optimiser;
  Status                 status = fit_prior(t, error);
  if (status != STATUS_OK) {
    return status;
  }
  float* const host = malloc(o->average.columns * sizeof *host);
  if (!host) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to save the weights");
  }
  RunTexts texts;
  run_state_texts(o, &vae_recipe_format, t->dataset, NULL, &texts);
  char path[RUN_PATH_BYTES];
  run_path(directory, "checkpoint.safetensors", path);
  tensor_read(o->devices[0], o->average, host);
  status = vae_checkpoint_write(path,
                                &t->recipe.sizes,
                                dataset_stats(t->dataset),
                                host,
                                &t->prior,
                                texts.texts,
                                texts.count,
                                error);
  free(host);
  return status == STATUS_OK ? run_state_write(o, directory, &texts, error)
                             : status;
}
