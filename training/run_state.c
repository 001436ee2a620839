// Saving and loading the state of a training run.
#include "run_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_TENSORS 4

void
run_path(const char* directory, const char* name, char path[RUN_PATH_BYTES])
{
  snprintf(path, RUN_PATH_BYTES, "%s/%s", directory, name);
}

void
run_state_texts(const Optimiser*    optimiser,
                const RecipeFormat* format,
                const Dataset*      dataset,
                const char*         teacher_digest,
                RunTexts*           out)
{
  recipe_print(format, optimiser->recipe, out->recipe);
  snprintf(out->step, sizeof out->step, "%u", optimiser->step);
  out->texts[0] = (CheckpointText){ "recipe", out->recipe };
  out->texts[1] = (CheckpointText){ "step", out->step };
  out->texts[2] = (CheckpointText){ "data_digest", dataset_digest(dataset) };
  out->texts[3] = (CheckpointText){ "teacher_digest", teacher_digest };
  out->count    = teacher_digest ? 4 : 3;
}

static void
list_tensors(const Optimiser* o,
             const char*      names[STATE_TENSORS],
             Tensor           tensors[STATE_TENSORS])
{
  const char* const all_names[] = {
    "weights", "average", "moment1", "moment2"
  };
  const Tensor all_tensors[] = {
    o->weights, o->average, o->moment1, o->moment2
  };
  memcpy(names, all_names, sizeof all_names);
  memcpy(tensors, all_tensors, sizeof all_tensors);
}

static uint32_t
weights_of(const Optimiser* o)
{
  return (uint32_t)parameters_weights(o->table, o->parameter_count);
}

Status
run_state_write(const Optimiser* o,
                const char*      directory,
                const RunTexts*  texts,
                Error*           error)
{
  const char* names[STATE_TENSORS];
  Tensor      tensors[STATE_TENSORS];
  list_tensors(o, names, tensors);
  const uint32_t total = weights_of(o);
  float* const   host  = malloc((size_t)total * STATE_TENSORS * sizeof *host);
  float* const   flat  = malloc((size_t)o->weights.columns * sizeof *flat);
  Status         status =
    host && flat
              ? STATUS_OK
              : error_set(
          error, STATUS_NO_MEMORY, "no memory to save %u weights", total);
  CheckpointTensor entries[STATE_TENSORS];
  for (int i = 0; i < STATE_TENSORS && status == STATUS_OK; ++i) {
    float* const packed = host + (size_t)i * total;
    tensor_read(o->devices[0], tensors[i], flat);
    parameters_pack(o->table, o->parameter_count, flat, packed);
    entries[i] = (CheckpointTensor){
      .dims = { total }, .dim_count = 1, .data = packed, .element_count = total
    };
    snprintf(entries[i].name, sizeof entries[i].name, "%s", names[i]);
  }
  char path[RUN_PATH_BYTES];
  run_path(directory, "state.safetensors", path);
  if (status == STATUS_OK) {
    status = checkpoint_write(
      path, texts->texts, texts->count, entries, STATE_TENSORS, error);
  }
  free(flat);
  free(host);
  return status;
}

static Status
open_state(const char* directory, Checkpoint** state, Error* error)
{
  char path[RUN_PATH_BYTES];
  run_path(directory, "state.safetensors", path);
  return checkpoint_open(path, state, error);
}

Status
run_state_recipe(const char*         directory,
                 const RecipeFormat* format,
                 void*               recipe,
                 Error*              error)
{
  Checkpoint* state;
  Status      status = open_state(directory, &state, error);
  if (status != STATUS_OK) {
    return status;
  }
  const char* const path = checkpoint_path(state);
  const char* const text = checkpoint_text(state, "recipe");
  status                 = text
                             ? recipe_read_text(path, text, format, recipe, error)
                             : error_set(error, STATUS_BAD_FILE, "%s: no recipe in it", path);
  checkpoint_close(state);
  return status;
}

static Status
load_tensors(Optimiser* o, const Checkpoint* state, Error* error)
{
  const char* names[STATE_TENSORS];
  Tensor      tensors[STATE_TENSORS];
  list_tensors(o, names, tensors);
  const uint32_t total = weights_of(o);
  float* const   flat  = calloc(o->weights.columns, sizeof *flat);
  Status         status =
    flat ? STATUS_OK
                 : error_set(
             error, STATUS_NO_MEMORY, "no memory to load %u weights", total);
  for (int i = 0; i < STATE_TENSORS && status == STATUS_OK; ++i) {
    const float* data;
    status = checkpoint_tensor(state, names[i], &total, 1, &data, error);
    if (status == STATUS_OK) {
      parameters_spread(o->table, o->parameter_count, data, flat);
      tensor_write(o->devices[0], tensors[i], flat);
    }
  }
  free(flat);
  return status == STATUS_OK ? device_status(o->devices[0], error) : status;
}

static Status
check_digest(const Checkpoint* state,
             const char*       key,
             const char*       digest,
             const char*       what,
             Error*            error)
{
  const char* const found = checkpoint_text(state, key);
  return found && !strcmp(found, digest)
           ? STATUS_OK
           : error_set(error,
                       STATUS_BAD_FILE,
                       "%s: this run was trained on another %s (%s, not %s)",
                       checkpoint_path(state),
                       what,
                       found ? found : "unknown",
                       digest);
}

Status
run_state_load(Optimiser*     o,
               const char*    directory,
               const Dataset* dataset,
               const char*    teacher_digest,
               Error*         error)
{
  Checkpoint* state;
  Status      status = open_state(directory, &state, error);
  if (status != STATUS_OK) {
    return status;
  }
  status = check_digest(
    state, "data_digest", dataset_digest(dataset), "data set", error);
  if (status == STATUS_OK && teacher_digest) {
    status =
      check_digest(state, "teacher_digest", teacher_digest, "teacher", error);
  }
  if (status == STATUS_OK) {
    status = checkpoint_get_u32(state, "step", 0, UINT32_MAX, &o->step, error);
  }
  if (status == STATUS_OK) {
    status = load_tensors(o, state, error);
  }
  checkpoint_close(state);
  return status;
}
