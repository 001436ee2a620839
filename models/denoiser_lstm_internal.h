// The LSTM denoiser's parts, shared by denoiser_lstm.c and
// denoiser_lstm_passes.c.
#pragma once

#include "denoiser_internal.h"

// I = input, K = time_width, W = width, B = bottleneck, L = layers. After these
// come three weights a chain, then two a decoder layer for its overwrite.
enum {
  TIME_WEIGHT,       // [K, DENOISER_TIME_FEATURES]
  TIME_BIAS,         // [1, K]
  LEVEL_WEIGHT,      // [K, K]
  LEVEL_BIAS,        // [1, K]
  START_WEIGHT,      // [3L * 2W, K]: (h, c) of each chain before its first step
  START_BIAS,        // [1, 3L * 2W]
  BOTTLENECK_WEIGHT, // [B, 2W]
  BOTTLENECK_BIAS,   // [1, B]
  HEAD_WEIGHT,       // [output, W]
  HEAD_BIAS,         // [1, output]
  FIRST_CHAIN,
};
enum {
  CHAIN_INPUT,     // [4W, columns it reads]
  CHAIN_RECURRENT, // [4W, W]
  CHAIN_BIAS,      // [1, 4W]
  CHAIN_PARAMETERS,
};
enum {
  OVERWRITE_WEIGHT, // [6W, B]
  OVERWRITE_BIAS,   // [1, 6W]
  OVERWRITE_PARAMETERS,
};
#define CHAINS_MAX (3u * DENOISER_LAYERS_MAX)
_Static_assert(FIRST_CHAIN + CHAIN_PARAMETERS * CHAINS_MAX +
                   OVERWRITE_PARAMETERS * DENOISER_LAYERS_MAX <=
                 DENOISER_PARAMETERS_MAX,
               "the table has room");

// One LSTM reading the sequence in one direction. R rows, time-major.
typedef struct {
  bool   reverse;
  Tensor start;  // [S, 2W]: h, c before the first step
  Tensor dstart; // its gradient; in the backward pass, the state's at each step
  Tensor in;     // [R, columns it reads]
  Tensor gates;  // [R, 4W]
  Tensor h, c;   // [R, W] as the cell left them
  // The decoder's only:
  Tensor left;      // [R, 2W]: h and c above
  Tensor pre;       // [R, 6W]
  Tensor keep, add; // [R, 2W]
  Tensor state;     // [R, 2W]: h, c as the cell finds them, overwritten
} Chain;

// Chains 0 .. 2L - 1 are the encoder's (layer l: 2l forward, 2l + 1 backward),
// then come the decoder's.
typedef struct {
  Denoiser*     denoiser;
  Device*       device;
  DenoiserSizes sizes;
  uint32_t      rows_max;
  uint32_t      sequences; // S, of the current call
  uint32_t      notes;     // T; R = S * T

  Tensor memory; // [1, ...]: every tensor below
  // Of the same place whatever S and T.
  Tensor   numbers;        // [rows_max, 1]: 0, 1, 2 ..
  Tensor   ones;           // [rows_max, 1]
  Tensor   given;          // [rows_max, I + K]: rows of the clean notes,
  Tensor   given_position; // [rows_max, 1]: their positions; sampling
  uint32_t given_sequences;
  uint32_t given_notes;
  // Of more levels than any call has.
  Tensor middle; // [.., K]: of the noise level's embedding
  Tensor level;  // [.., K]: the embeddings

  Tensor position; // [R, 1]: of `rows`
  Tensor place;    // [R, 1]: the time-major row of each row of `rows`
  Tensor order;    // [R, 1]: the row of `rows` at each time-major row
  Tensor stride;   // [S, 1]: S, rows from one time to the next
  Tensor rows;     // [R, I + K]: token, embedding of its level; those of the
                   // clean notes of all sequences, then of the others, both
                   // sequence-major
  Tensor x;        // the same, time-major
  Tensor sum;      // [S, K]: of a sequence's embeddings
  Tensor start;    // [S, chains * 2W]
  Tensor hidden[DENOISER_LAYERS_MAX]; // [R, 2W] of the encoder
  Tensor bottleneck;                  // [R, B]
  Tensor head;                        // [R, output]
  Chain  chain[CHAINS_MAX];

  // Training.
  Tensor dhead;        // [R, output]
  Tensor dhidden[2];   // [R, 2W]: of one layer's output, and of the next's
  Tensor dgates;       // [R, 4W]
  Tensor dkeep, dadd;  // [R, 2W]
  Tensor dpre;         // [R, 6W]
  Tensor dbottleneck;  // [R, B]
  Tensor dstart;       // [S, chains * 2W]
  Tensor dsum;         // [S, K]
  Tensor dembedding;   // [R, K]: of x's last columns
  Tensor row_of_level; // [R, 1], time-major
  Tensor dlevel;       // [sequences_max + 1, K]
  Tensor dmiddle;      // [sequences_max + 1, K]
} Lstm;

static inline uint32_t
chains_of(const DenoiserSizes* sizes)
{
  return 3 * sizes->layers;
}

// Where the weights of chain `i` and of decoder layer `l`'s overwrite begin.
static inline uint32_t
chain_parameter(uint32_t i)
{
  return FIRST_CHAIN + CHAIN_PARAMETERS * i;
}

static inline uint32_t
overwrite_parameter(const DenoiserSizes* sizes, uint32_t l)
{
  return chain_parameter(chains_of(sizes)) + OVERWRITE_PARAMETERS * l;
}

// Rows of step t.
static inline Tensor
at_step(const Lstm* lstm, Tensor sequence, uint32_t t)
{
  return tensor_rows(sequence, t * lstm->sequences, lstm->sequences);
}

// The embeddings of all rows of `time`.
void lstm_embed_levels(Lstm* lstm, Tensor time);
// rows = token, embedding of its noise level.
void lstm_embed_notes(Lstm* lstm, const DenoiserInput* input, Tensor rows);
// rows -> head.
void lstm_network_forward(Lstm* lstm);
// dhead -> gradients of all weights.
void lstm_network_backward(Lstm* lstm, const DenoiserInput* input);
