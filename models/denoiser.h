// The networks of the diffusion model: note tokens in, a head's columns for
// each out. What tokens and head mean is diffusion.h's. Two kinds behind one
// interface: a transformer (adaLN; clean notes attend only to clean notes, so
// that their keys and values are computed once a window) and the reference
// system's LSTM encoder and decoder with memory overwrite. Forward, backward,
// on any device; the thread of the Device; all memory is taken at creation.
// Passes and sampling only call ops, so that they can be recorded.
//
// Rows are sequence-major: note i of sequence s is row s * notes + i.
#pragma once

#include "caps.h"
#include "parameter.h"

typedef enum { DENOISER_TRANSFORMER, DENOISER_LSTM } DenoiserKind;
extern const char* const denoiser_names[]; // "transformer", "lstm", NULL

typedef struct {
  DenoiserKind kind;
  uint32_t     width;      // transformer: of a token; LSTM: of a hidden state
  uint32_t     layers;     // transformer: blocks; LSTM: of encoder and decoder
  uint32_t     heads;      // transformer
  uint32_t     bottleneck; // LSTM: what the encoder hands to the decoder
  uint32_t     time_width; // of the noise level's embedding
  uint32_t     input;      // columns of a token
  uint32_t     output;     // columns of the head
} DenoiserSizes;

#define DENOISER_WIDTH_MAX 1024u
#define DENOISER_LAYERS_MAX 16u
#define DENOISER_HEADS_MAX 32u
#define DENOISER_PARAMETERS_MAX 256u
#define DENOISER_TIME_FEATURES 64u

typedef struct Denoiser Denoiser;

Status denoiser_check_sizes(const DenoiserSizes* sizes, Error* error);
// Fills table[DENOISER_PARAMETERS_MAX] and *count; returns the floats of the
// flat tensor.
size_t denoiser_parameters(const DenoiserSizes* sizes,
                           Parameter*           table,
                           uint32_t*            count);

// `rows_max`: notes of one call at most; `sequences_max`: sequences. `training`
// adds gradients and what the backward pass keeps. `owner`: whose weights are
// used (read only), or NULL for its own, zero-filled.
Status denoiser_create(Device*              device,
                       const DenoiserSizes* sizes,
                       uint32_t             rows_max,
                       uint32_t             sequences_max,
                       bool                 training,
                       const Denoiser*      owner,
                       Denoiser**           out,
                       Error*               error);
void   denoiser_free(Denoiser* denoiser);

// For a denoiser that samples and whose weights stay as they are now: copies
// them into the order that few rows are fastest with (tensor_pack).
Status denoiser_pack(Denoiser* denoiser, Error* error);

Tensor denoiser_weights(const Denoiser* denoiser);   // flat [1, N]
Tensor denoiser_gradients(const Denoiser* denoiser); // flat [1, N], training
Status denoiser_initialise(Denoiser* denoiser, uint64_t seed, Error* error);

// S sequences of `notes` tokens, R = S * notes rows.
typedef struct {
  uint32_t sequences;
  uint32_t notes;    // 1 .. SEQUENCE_NOTES
  Tensor   tokens;   // [R, input]
  Tensor   position; // [R, 1]: place in the sequence, below SEQUENCE_NOTES; an
                     // LSTM's notes, clean ones of denoiser_context() included,
                     // leave none out
  Tensor level;      // [R, 1]: each token's row of `time`
  Tensor time;       // [M, DENOISER_TIME_FEATURES], M <= sequences_max + 1; or
                     // empty, sampling: all have row `known` of the levels
                     // that denoiser_levels() was told (`level` is 0 then)
  Tensor   allowed;  // [R, notes]: which tokens each may attend to; {0}: all
  uint32_t known;
} DenoiserInput;

// head[R, output]. Keeps what the backward pass needs: a transformer that
// samples has no memory for it.
void denoiser_forward(Denoiser*            denoiser,
                      const DenoiserInput* input,
                      Tensor               head);
// Of the last forward pass; adds to the gradients.
void denoiser_backward(Denoiser*            denoiser,
                       const DenoiserInput* input,
                       Tensor               dhead);

// Sampling, not training: remembers clean notes (input->notes may be 0: none)
// that every later denoiser_step() sees, until the next denoiser_context(). The
// same number of sequences in both; together at most SEQUENCE_NOTES notes.
// Equal up to rounding to denoiser_forward() over all the notes with the clean
// ones hidden from nothing and seeing only each other. allowed is not used.
void denoiser_context(Denoiser* denoiser, const DenoiserInput* input);
// In both, time has at most DENOISER_LEVELS_MAX rows.
// Sampling: what follows from noise levels alone, time[M,
// DENOISER_TIME_FEATURES], is computed for many steps at once and remembered
// until the next call. M <= DENOISER_LEVELS_MAX.
#define DENOISER_LEVELS_MAX 32u
void denoiser_levels(Denoiser* denoiser, Tensor time);
void denoiser_step(Denoiser* denoiser, const DenoiserInput* input, Tensor head);
