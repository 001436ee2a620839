// Training of the VAE: the state of a run, one step of it, and what is saved.
#include "vae_trainer.h"

#include "encoding.h"
#include "rng.h"
#include "run_state.h"
#include "vae_checkpoint.h"

#include <stdlib.h>
#include <string.h>

// Windows of one forward and backward pass: enough rows for full-speed
// products; on the CPU few enough that activations stay near the caches.
#define CPU_CHUNK_WINDOWS 256u
#define GPU_CHUNK_WINDOWS RECIPE_BATCH_MAX
// A step's first, middle and last pass, or its only one, and some room.
#define RECORDED_PASSES 8u
// Enough for a covariance of a few hundred dimensions.
#define PRIOR_WINDOWS 4096u

static Status
open_source(VaeTrainer* t, Error* error)
{
  Device* const device = t->optimiser.devices[0];
  Status        status =
    draw_source_notes(device, t->dataset, &t->source.notes, error);
  t->rule = draw_source_rule(&t->recipe.run, t->dataset);
  return status == STATUS_OK
           ? draw_source_windows(device, t->dataset, &t->source.units, error)
           : status;
}

static void pass_ops(void* lane, const void* key);

static Status
open_lane(VaeTrainer* t, uint32_t i, Error* error)
{
  VaeLane* const lane   = &t->lanes[i];
  Device* const  device = t->optimiser.devices[i];
  lane->trainer         = t;
  lane->number          = i;
  replay_open(&lane->passes, device, RECORDED_PASSES, pass_ops, lane);
  Status status =
    tensor_allocate(device, 1, DRAW_NOW_FLOATS, &lane->now, error);
  if (status == STATUS_OK) {
    status = vae_create(device,
                        &t->recipe.sizes,
                        t->chunk,
                        true,
                        t->lanes[0].vae,
                        &lane->vae,
                        error);
  }
  if (status == STATUS_OK) {
    t->optimiser.gradients[i] = vae_gradients(lane->vae);
  }
  return status;
}

static Status
open_lanes(VaeTrainer* t, Error* error)
{
  Status status = STATUS_OK;
  t->chunk =
    optimiser_chunk(&t->optimiser, CPU_CHUNK_WINDOWS, GPU_CHUNK_WINDOWS);
  for (uint32_t i = 0; i < t->optimiser.lanes && status == STATUS_OK; ++i) {
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
                 const char*      device,
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
    status = optimiser_open(
      &t->optimiser, &t->recipe.run, device, thread_count, error);
  }
  if (status == STATUS_OK) {
    status = open_source(t, error);
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
                        t->chunk,
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
  latent_prior_free(&t->prior);
  vae_free(t->judge);
  // Lane 0 last: the others use its weights.
  for (uint32_t i = t->optimiser.lanes; i-- > 0;) {
    replay_close(&t->lanes[i].passes);
    vae_free(t->lanes[i].vae);
    tensor_free(t->optimiser.devices[i], &t->lanes[i].now);
  }
  tensor_free(t->optimiser.devices[0], &t->source.notes);
  tensor_free(t->optimiser.devices[0], &t->source.units);
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

// --- One step ----------------------------------------------------------------

// What a recording of a pass was made for.
typedef struct {
  VaePass       pass;
  OptimiserPart part;
} PassKey;
_Static_assert(sizeof(PassKey) <= REPLAY_KEY_BYTES, "a key fits its slot");

static void
pass_ops(void* owner, const void* key_bytes)
{
  VaeLane* const    lane = owner;
  VaeTrainer* const t    = lane->trainer;
  PassKey           key;
  memcpy(&key, key_bytes, sizeof key);
  const VaeNotes notes = vae_notes(lane->vae, key.pass.count);
  optimiser_begin(&t->optimiser, lane->number, key.part);
  op_draw_windows(t->optimiser.devices[lane->number],
                  &t->rule,
                  &t->source,
                  lane->now,
                  notes.pitch,
                  notes.channels,
                  notes.force);
  vae_learn(lane->vae, &key.pass);
  optimiser_end(&t->optimiser, key.part);
}

// The draw of windows from number `first` of the run on.
static void
write_draw(VaeTrainer* t, VaeLane* lane, uint64_t first)
{
  float now[DRAW_NOW_FLOATS];
  draw_now(t->recipe.run.seed,
           first,
           shuffle_epoch(&t->shuffle, t->optimiser.step),
           vae_trainer_schedule(t).forcing,
           now);
  tensor_write(t->optimiser.devices[lane->number], lane->now, now);
}

static void
lane_passes(void* context, uint32_t i)
{
  VaeTrainer* const      t     = context;
  const VaeRecipe* const r     = &t->recipe;
  const Optimiser* const o     = &t->optimiser;
  const uint32_t         all   = r->run.batch;
  VaeLane* const         lane  = &t->lanes[i];
  const uint32_t         end   = optimiser_share_begin(o, all, i + 1);
  const uint64_t         start = (uint64_t)o->step * all;
  const uint64_t         order = shuffle_first(&t->shuffle, o->step);

  for (uint32_t at = optimiser_share_begin(o, all, i); at < end;) {
    const uint32_t count = end - at < t->chunk ? end - at : t->chunk;
    const VaeBatch batch = {
      .pass         = { .count          = count,
                        .gradient_scale = 1.0f / (float)all,
                        .channel_weight = r->channel_weight,
                        .free_nats      = r->free_bits * 0.69314718f },
      .seed         = r->run.seed,
      .first_window = start + at,
      .beta         = vae_trainer_schedule(t).beta,
    };
    const PassKey key = { batch.pass, optimiser_part(o, i, at, count) };
    write_draw(t, lane, order + at);
    vae_write_batch(lane->vae, &batch);
    replay_run(&lane->passes, &key, sizeof key);
    at += count;
  }
}

Status
vae_trainer_step(VaeTrainer* t, Error* error)
{
  return optimiser_step(&t->optimiser, lane_passes, t, error);
}

void
vae_trainer_take_loss(VaeTrainer* t, VaeLoss* loss)
{
  for (uint32_t i = 0; i < t->optimiser.lanes; ++i) {
    vae_take_loss(t->lanes[i].vae, loss);
  }
}

// --- Saving ------------------------------------------------------------------

// Means of PRIOR_WINDOWS training windows, drawn anew for each step,
// unaugmented, encoded with the averaged weights. means[PRIOR_WINDOWS][Z];
// notes: room for a chunk's.
static void
encode_windows(VaeTrainer* t, float* notes, float* means)
{
  float* const   pitch    = notes;
  float* const   channels = notes + (size_t)WINDOW_NOTES * t->chunk;
  Device* const  device   = t->optimiser.devices[0];
  const uint32_t total    = (uint32_t)t->shuffle.count;
  Rng rng = rng_make(t->recipe.run.seed, RNG_USE_PRIOR, t->optimiser.step);
  op_copy(device, t->optimiser.average, vae_weights(t->judge));
  for (uint32_t first = 0; first < PRIOR_WINDOWS; first += t->chunk) {
    const uint32_t left  = PRIOR_WINDOWS - first;
    const uint32_t count = left < t->chunk ? left : t->chunk;
    for (uint32_t b = 0; b < count; ++b) {
      NoteEvent      window[WINDOW_NOTES];
      const uint32_t index = rng_below(&rng, total);
      const uint32_t shift = rng_below(&rng, WINDOW_NOTES);
      dataset_window(t->dataset, false, index, shift, window);
      for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
        const size_t row = (size_t)i * count + b;
        encode_event(dataset_stats(t->dataset),
                     window[i],
                     &pitch[row],
                     channels + row * CHANNEL_COUNT);
      }
    }
    vae_encode(
      t->judge, count, pitch, channels, means + (size_t)first * t->prior.size);
  }
}

static Status
fit_prior(VaeTrainer* t, Error* error)
{
  const size_t of_notes = (size_t)WINDOW_NOTES * t->chunk * (1 + CHANNEL_COUNT);
  const size_t of_means = (size_t)PRIOR_WINDOWS * t->prior.size;
  float* const means    = malloc((of_means + of_notes) * sizeof *means);
  if (!means) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to fit the prior");
  }
  encode_windows(t, means + of_means, means);
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
