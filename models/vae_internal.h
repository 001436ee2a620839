// The VAE's parts, shared by vae.c, vae_encoder.c and vae_decoder.c. B is the
// batch, T = WINDOW_NOTES, R = T * B rows time-major, E the embedding, He and H
// the hidden sizes, Z the latent.
#pragma once

#include "affine.h"
#include "replay.h"
#include "vae.h"

enum {
  PITCH_EMBEDDING,    // [128, E]
  FORWARD_INPUT,      // [4He, E+3]
  FORWARD_RECURRENT,  // [4He, He]
  FORWARD_BIAS,       // [1, 4He]
  BACKWARD_INPUT,     // the same for the other direction
  BACKWARD_RECURRENT, //
  BACKWARD_BIAS,      //
  LATENT_WEIGHT,      // [T * 2Z, 2He]: block t reads both hidden states at t
  LATENT_BIAS,        // [1, 2Z]
  DECODER_INPUT,      // [4H, E+3]: the previous note
  DECODER_RECURRENT,  // [4H, H]
  DECODER_LATENT,     // [T * 4H, Z]: block t is the latent's share at step t
  DECODER_BIAS,       // [1, T * 4H]
  STATE_WEIGHT,       // [2H, Z]: (h, c) before the first step
  STATE_BIAS,         // [1, 2H]
  OVERWRITE_WEIGHT,   // [6H, Z]
  OVERWRITE_BIAS,     // [1, 6H]
  PITCH_HEAD,         // [128, H]
  CHANNEL_HEAD,       // [3, H]
  HEAD_BIAS,          // [1, 128 + 3]
  PARAMETER_END,
};
_Static_assert(PARAMETER_END == VAE_PARAMETER_COUNT, "the table is complete");

#define STEPS ((uint32_t)WINDOW_NOTES)
#define HEAD_COLUMNS (ENCODING_PITCHES + CHANNEL_COUNT)

// One direction of the encoder, or its gradients.
typedef struct {
  Tensor gates; // [R, 4He]
  Tensor c;     // [R, He]
  Tensor dgates;
} EncoderDirection;

// The cells of a loss.
enum {
  VAE_SUM_PITCH,
  VAE_SUM_CHANNELS,
  VAE_SUM_KL = VAE_SUM_CHANNELS + CHANNEL_COUNT,
  VAE_SUMS,
};

struct Vae {
  Device*  device;
  VaeSizes sizes;
  uint32_t batch_max;
  uint32_t batch; // of the current call: every tensor below is cut to it
  bool     training;
  bool     owns_weights;
  Replay   decoding;
  Tensor   prior_factor; // [Z, Z], or empty: none
  Tensor   prior_mean;   // [1, Z]

  Tensor    weights;   // [1, N]
  Tensor    gradients; // [1, N]
  Tensor    p[VAE_PARAMETER_COUNT];
  Tensor    g[VAE_PARAMETER_COUNT];
  Parameter table[VAE_PARAMETER_COUNT];

  Tensor temperature; // [1, 1] of the pitches that are drawn; 1 in training
  Tensor sums;        // [1, VAE_SUMS]: losses since they were last taken

  Tensor memory; // [1, ...]: every tensor below

  // Both.
  Tensor pitch;    // [R, 1] true notes
  Tensor channels; // [R, 3]
  Tensor zero;     // [B, He], stays zero
  Tensor z;        // [B, Z]

  // Encoder.
  Tensor           x; // [R, E+3]
  EncoderDirection direction[2];
  Tensor           hidden; // [R, 2He]: forward, backward
  Tensor           stats;  // [B, 2Z]: mean, log variance

  // Decoder. Block 0 of `state` is before the first step; block t + 1 is after
  // step t and its overwrite.
  Tensor latent_gates; // [B, T * 4H]
  Tensor pre;          // [B, 6H]
  Tensor keep, add;    // [B, 2H]
  Tensor state;        // [(T+1)B, 2H]: h, c
  Tensor raw;          // [R, 2H]: h, c as the cell left them
  Tensor gates;        // [R, 4H]
  Tensor fed_pitch;    // [R, 1] the note fed to each step
  Tensor fed_channels; // [R, 3]
  Tensor fed;          // [R, E+3]
  Tensor head;         // [R, 128 + 3]
  Tensor chosen;       // [R, 1] the decoder's own pitches
  Tensor uniform;      // [B, 1]
  Tensor ones;         // [B, 1]
  Tensor key;          // [1, RNG_KEY_FLOATS]
  Tensor x_prior;      // [B, Z], see vae_set_prior()
  Tensor pitch_bias;   // [1, 128]

  // Training.
  Tensor force;       // [R, 1]
  Tensor noise;       // [B, Z]
  Tensor beta;        // [1, 1]
  Tensor loss;        // [R, 1]
  Tensor dhead;       // [R, 128 + 3]
  Tensor dhidden_top; // [R, H] from the heads
  Tensor dgates;      // [R, 4H]
  Tensor dstate;      // [B, 2H]
  Tensor draw;        // [B, 2H]
  Tensor dkeep, dadd; // [B, 2H]
  Tensor dpre;        // [B, 6H]
  Tensor dz;          // [B, Z]
  Tensor kl;          // [B, 1]
  Tensor dstats;      // [B, 2Z]
  Tensor dhidden;     // [R, 2He]
  Tensor dh, dc;      // [B, He]
  Tensor dx;          // [R, E+3]: of the encoder's or the decoder's input
};

// Rows of step t.
static inline Tensor
at_step(const Vae* vae, Tensor sequence, uint32_t t)
{
  return tensor_rows(sequence, t * vae->batch, vae->batch);
}

static inline Tensor
vae_pitch_logits(const Vae* vae, uint32_t t)
{
  return tensor_columns(at_step(vae, vae->head, t), 0, ENCODING_PITCHES);
}

static inline Tensor
vae_channel_head(const Vae* vae, uint32_t t)
{
  return tensor_columns(
    at_step(vae, vae->head, t), ENCODING_PITCHES, CHANNEL_COUNT);
}

// Lays every tensor out for that many windows, when the last call had others.
void vae_set_batch(Vae* vae, uint32_t batch);
// Random numbers of rows from first_window on.
void vae_write_key(Vae* vae, uint64_t seed, uint64_t first_window);

// y = x weight^T + bias, of the table's entries.
static inline void
vae_affine(const Vae* vae, uint32_t weight, uint32_t bias, Tensor x, Tensor y)
{
  op_affine(vae->device, x, vae->p[weight], (Tensor){ 0 }, vae->p[bias], y);
}

// x[:, :E] = embedding of pitch, x[:, E:] = channels.
void vae_embed(Vae* vae, Tensor pitch, Tensor channels, Tensor x);
// The way back for dx[:, :E].
void vae_embed_backward(Vae* vae, Tensor pitch, Tensor dx);

void vae_encoder_forward(Vae* vae);  // pitch, channels -> stats
void vae_encoder_backward(Vae* vae); // dstats -> gradients

// z -> what does not change over the steps.
void vae_decoder_begin(Vae* vae);
// Step t: fed_pitch and fed_channels at t -> head at t, state after t.
void vae_decoder_step(Vae* vae, uint32_t t);
// What step 0 is fed.
void vae_decoder_feed_start(Vae* vae);
// Draws the pitches of step t from its logits at `temperature`.
void vae_decoder_choose(Vae* vae, uint32_t t);
// dhead -> gradients and dz.
void vae_decoder_backward(Vae* vae);
