// The LSTM VAE over windows of WINDOW_NOTES events: a bidirectional LSTM
// encoder to a Gaussian latent, and an autoregressive LSTM decoder whose state
// is overwritten from the latent after every step (RESEARCH.md: "memory
// overwrite module"). Forward, backward and free running, on any device.
//
// A Vae belongs to the thread of its Device; all memory is taken at creation.
// Ops report through device_status().
#pragma once

#include "caps.h"
#include "encoding.h"
#include "latent_prior.h"
#include "parameter.h"

#include <stddef.h>

typedef struct {
  uint32_t pitch_embedding; // width of the pitch embedding
  uint32_t encoder_hidden;  // of each direction
  uint32_t latent;
  uint32_t decoder_hidden;
} VaeSizes;

#define VAE_SIZE_MAX 1024u // of any of the sizes

#define VAE_PARAMETER_COUNT 20

typedef struct Vae Vae;

Status vae_check_sizes(const VaeSizes* sizes, Error* error);
// Fills parameters[VAE_PARAMETER_COUNT]; returns the floats of the flat tensor.
size_t vae_parameters(const VaeSizes* sizes, Parameter* parameters);

// `batch_max`: windows of one call at most. `training` adds gradients and what
// the backward pass keeps. `owner`: whose weights are used (read only, so that
// several devices' Vaes can share them), or NULL for its own, zero-filled.
Status vae_create(Device*         device,
                  const VaeSizes* sizes,
                  uint32_t        batch_max,
                  bool            training,
                  const Vae*      owner,
                  Vae**           out,
                  Error*          error);
void   vae_free(Vae* vae);

Tensor vae_weights(const Vae* vae);   // flat [1, N]
Tensor vae_gradients(const Vae* vae); // flat [1, N], of a training Vae
// Uniform in +-1/sqrt(fan in), embedding in +-1, forget biases 1.
Status vae_initialise(Vae* vae, uint64_t seed, Error* error);

// --- Use -------------------------------------------------------------------

// Host arrays are time-major: pitch[WINDOW_NOTES][count], channels
// [WINDOW_NOTES][count][CHANNEL_COUNT].

// mean[count][latent] of the posterior.
void vae_encode(Vae*         vae,
                uint32_t     count,
                const float* pitch,
                const float* channels,
                float*       mean);

// Where vae_decode()'s latents are taken from then on, instead of the network's
// own space: z = mean + factor x (latent_prior.h), on the device. Before the
// first decoding.
Status vae_set_prior(Vae* vae, const LatentPrior* prior, Error* error);

// Free running from latents z[count][latent]: each step is fed what the last
// one chose. Row r draws its pitches from rng stream (seed, RNG_USE_TOKENS,
// first_window + r), one block a note. pitch_bias[ENCODING_PITCHES] is added to
// the pitch logits; NULL: none.
void vae_decode(Vae*         vae,
                uint32_t     count,
                const float* z,
                float        temperature,
                const float* pitch_bias,
                uint64_t     seed,
                uint64_t     first_window,
                float*       pitch,
                float*       channels);

// --- Training ----------------------------------------------------------------

// Where a step's windows go, by ops or tensor_write(), before the step.
typedef struct {
  Tensor pitch;    // [WINDOW_NOTES * count, 1], time-major
  Tensor channels; // [WINDOW_NOTES * count, CHANNEL_COUNT]
  Tensor force;    // [WINDOW_NOTES * count, 1]: 1 feeds the true previous note
                   // (teacher forcing), 0 the decoder's own
} VaeNotes;
// Of the next vae_learn() of that count, and until another call.
VaeNotes vae_notes(Vae* vae, uint32_t count);

// What the ops of a forward and backward pass, and so a recording of them,
// depend on. No padding: it can be part of a key (replay.h).
typedef struct {
  uint32_t count;          // windows
  float    gradient_scale; // 1 / windows of the whole batch
  float    channel_weight; // of the squared errors
  float    free_nats;      // KL a window that costs nothing
} VaePass;

// With what changes from pass to pass.
typedef struct {
  VaePass  pass;
  uint64_t seed; // noise: row r has stream first_window + r
  uint64_t first_window;
  float    beta; // of the KL term
} VaeBatch;

typedef struct {
  double pitch_nats;                   // cross-entropy, summed over notes
  double squared_error[CHANNEL_COUNT]; // summed over notes
  double kl_nats;                      // summed over windows
} VaeLoss;

// Before the pass: writes what its ops find in tensors.
void vae_write_batch(Vae* vae, const VaeBatch* batch);
// Ops alone: forward and backward over the windows in vae_notes(); adds to
// vae_gradients() and to the loss that vae_take_loss() takes. The gradient is
// that of gradient_scale * sum over windows of [cross-entropy + channel_weight
// * squared error + beta * max(KL - free_nats, 0)].
void vae_learn(Vae* vae, const VaePass* pass);
// Adds what the passes since the last call came to, up to float rounding of
// their sum. Waits for the device.
void vae_take_loss(Vae* vae, VaeLoss* loss);
