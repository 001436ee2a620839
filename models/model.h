// One face for every kind of generative model: what the instrument and the
// offline program may ask of a checkpoint. A Model belongs to one thread at a
// time (the worker, once play has started) and takes all its memory at load.
#pragma once

#include "caps.h"
#include "music/note.h"
#include "status.h"

#include <stdint.h>

typedef struct Model Model;

// Windows decoded by one call of model_decode() at most.
#define MODEL_BATCH_MAX 256u
#define MODEL_LATENT_MAX 512u

// Loads a checkpoint of any kind this build knows. The error line names file,
// tensor and reason. `batch_windows_max` (1..MODEL_BATCH_MAX) sizes its memory.
Status model_load(const char* path,
                  uint32_t    batch_windows_max,
                  Model**     out,
                  Error*      error);
void   model_free(Model* model);

const char* model_kind(const Model* model); // "vae"
uint32_t    model_latent_size(const Model* model);
// Short hex digest of the file's bytes, for provenance.
const char* model_digest(const Model* model);

// Latents, here and in what uses a Model, are in the space in which the prior
// is standard normal (latent_prior.h maps it to the network's own).

// Dimensions in which the network's prior moves, of model_latent_size().
uint32_t model_active_latents(const Model* model);

// Draws `count` latents z[count][latent_size] from the prior. Window i uses rng
// stream (seed, first_window + i).
void model_sample_prior(const Model* model,
                        uint64_t     seed,
                        uint64_t     first_window,
                        uint32_t     count,
                        float*       z);

// Decodes latents z[count][latent_size] to windows out[count][WINDOW_NOTES],
// clamped to range. temperature 0 takes the likeliest pitch; 1 samples the
// model's distribution. A pure function of its arguments: window i uses rng
// stream (seed, first_window + i), so that batches of any size agree up to
// rounding.
Status model_decode(Model*       model,
                    const float* z,
                    uint32_t     count,
                    float        temperature,
                    uint64_t     seed,
                    uint64_t     first_window,
                    NoteEvent*   out,
                    Error*       error);

// Encodes windows events[count][WINDOW_NOTES] to posterior means
// z[count][latent_size].
Status model_encode(Model*           model,
                    const NoteEvent* events,
                    uint32_t         count,
                    float*           z,
                    Error*           error);
