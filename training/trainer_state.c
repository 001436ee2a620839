// Saving and loading the state of a training run.
#include "trainer_state.h"

#include "encoding.h"
#include "rng.h"
#include "vae_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 1024u
#define STATE_TENSORS 4
// Enough for a covariance of a few hundred dimensions.
#define PRIOR_WINDOWS 4096u

static void
path_in(const char* directory, const char* name, char path[PATH_BYTES])
{
  snprintf(path, PATH_BYTES, "%s/%s", directory, name);
}

static void
list_tensors(const Trainer* t,
             const char*    names[STATE_TENSORS],
             Tensor         tensors[STATE_TENSORS])
{
  const char* const all_names[] = {
    "weights", "average", "moment1", "moment2"
  };
  const Tensor all_tensors[] = {
    vae_weights(t->lanes[0].vae), t->average, t->moment1, t->moment2
  };
  memcpy(names, all_names, sizeof all_names);
  memcpy(tensors, all_tensors, sizeof all_tensors);
}

static Status
write_state(const Trainer*        t,
            const char*           directory,
            float*                host,
            const CheckpointText* texts,
            size_t                text_count,
            Error*                error)
{
  const char* names[STATE_TENSORS];
  Tensor      tensors[STATE_TENSORS];
  list_tensors(t, names, tensors);
  const uint32_t   total = t->average.columns;
  CheckpointTensor entries[STATE_TENSORS];
  for (int i = 0; i < STATE_TENSORS; ++i) {
    tensor_read(t->lanes[0].device, tensors[i], host + (size_t)i * total);
    entries[i] = (CheckpointTensor){ .dims          = { total },
                                     .dim_count     = 1,
                                     .data          = host + (size_t)i * total,
                                     .element_count = total };
    snprintf(entries[i].name, sizeof entries[i].name, "%s", names[i]);
  }
  char path[PATH_BYTES];
  path_in(directory, "state.safetensors", path);
  return checkpoint_write(
    path, texts, text_count, entries, STATE_TENSORS, error);
}

// Means of PRIOR_WINDOWS training windows, drawn anew for each step,
// unaugmented, encoded with the averaged weights. means[PRIOR_WINDOWS][Z].
static void
encode_windows(Trainer* t, float* means)
{
  Lane* const    lane  = &t->lanes[0];
  const uint32_t total = (uint32_t)t->shuffle.window_count;
  Rng            rng   = rng_make(t->recipe.seed, RNG_USE_PRIOR, t->step);
  op_copy(lane->device, t->average, vae_weights(t->judge));
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
fit_prior(Trainer* t, Error* error)
{
  float* const means =
    malloc((size_t)PRIOR_WINDOWS * t->prior.size * sizeof *means);
  if (!means) {
    return error_set(error, STATUS_NO_MEMORY, "no memory to fit the prior");
  }
  encode_windows(t, means);
  Status status = device_status(t->lanes[0].device, error);
  if (status == STATUS_OK) {
    status = latent_prior_fit(
      &t->prior, means, PRIOR_WINDOWS, t->recipe.prior_spread, error);
  }
  free(means);
  return status;
}

Status
trainer_save(Trainer* t, const char* directory, Error* error)
{
  Status status = fit_prior(t, error);
  if (status != STATUS_OK) {
    return status;
  }
  const size_t total = t->average.columns;
  float* const host  = malloc(total * STATE_TENSORS * sizeof *host);
  if (!host) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory to save %zu weights", total);
  }
  char recipe[RECIPE_TEXT_BYTES];
  char step[16];
  recipe_print(&t->recipe, recipe);
  snprintf(step, sizeof step, "%u", t->step);
  const CheckpointText texts[] = {
    { "recipe", recipe },
    { "step", step },
    { "data_digest", dataset_digest(t->dataset) },
  };
  const size_t text_count = sizeof texts / sizeof *texts;

  // The state last: a kill in between leaves a state that makes the checkpoint
  // again, never a finished state beside an older checkpoint.
  char path[PATH_BYTES];
  path_in(directory, "checkpoint.safetensors", path);
  tensor_read(t->lanes[0].device, t->average, host);
  status = vae_checkpoint_write(path,
                                &t->recipe.sizes,
                                dataset_stats(t->dataset),
                                host,
                                &t->prior,
                                texts,
                                text_count,
                                error);
  if (status == STATUS_OK) {
    status = write_state(t, directory, host, texts, text_count, error);
  }
  free(host);
  return status;
}

static Status
open_state(const char* directory, Checkpoint** state, Error* error)
{
  char path[PATH_BYTES];
  path_in(directory, "state.safetensors", path);
  return checkpoint_open(path, state, error);
}

Status
trainer_read_recipe(const char* directory, VaeRecipe* recipe, Error* error)
{
  Checkpoint* state;
  Status      status = open_state(directory, &state, error);
  if (status != STATUS_OK) {
    return status;
  }
  const char* const text = checkpoint_text(state, "recipe");
  status = text ? recipe_read_text(checkpoint_path(state), text, recipe, error)
                : error_set(error,
                            STATUS_BAD_FILE,
                            "%s: no recipe in it",
                            checkpoint_path(state));
  checkpoint_close(state);
  return status;
}

static Status
load_tensors(Trainer* t, const Checkpoint* state, Error* error)
{
  const char* names[STATE_TENSORS];
  Tensor      tensors[STATE_TENSORS];
  list_tensors(t, names, tensors);
  const uint32_t total = t->average.columns;
  for (int i = 0; i < STATE_TENSORS; ++i) {
    const float* data;
    const Status status =
      checkpoint_tensor(state, names[i], &total, 1, &data, error);
    if (status != STATUS_OK) {
      return status;
    }
    tensor_write(t->lanes[0].device, tensors[i], data);
  }
  return device_status(t->lanes[0].device, error);
}

Status
trainer_load(Trainer* t, const char* directory, Error* error)
{
  Checkpoint* state;
  Status      status = open_state(directory, &state, error);
  if (status != STATUS_OK) {
    return status;
  }
  const char* const digest = checkpoint_text(state, "data_digest");
  if (!digest || strcmp(digest, dataset_digest(t->dataset)) != 0) {
    status =
      error_set(error,
                STATUS_BAD_FILE,
                "%s: this run was trained on another data set (%s, not %s)",
                checkpoint_path(state),
                digest ? digest : "unknown",
                dataset_digest(t->dataset));
  }
  if (status == STATUS_OK) {
    status = checkpoint_get_u32(state, "step", 0, UINT32_MAX, &t->step, error);
  }
  if (status == STATUS_OK) {
    status = load_tensors(t, state, error);
  }
  checkpoint_close(state);
  return status;
}
