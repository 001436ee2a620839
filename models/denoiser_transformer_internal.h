// The transformer denoiser's parts: denoiser_transformer.c (weights and memory)
// and denoiser_transformer_passes.c (forward, backward, sampling). R rows, D
// the width, M noise levels, W the width of their embedding.
#pragma once

#include "denoiser_internal.h"

#define MLP_TIMES 4u

enum {
  TOKEN_WEIGHT, // [D, input]
  TOKEN_BIAS,   // [1, D]
  POSITION,     // [SEQUENCE_NOTES, D]
  TIME_WEIGHT,  // [W, DENOISER_TIME_FEATURES]
  TIME_BIAS,    // [1, W]
  FINAL_WEIGHT, // [2D, W]: shift and scale before the head
  FINAL_BIAS,   // [1, 2D]
  HEAD_WEIGHT,  // [output, D]
  HEAD_BIAS,    // [1, output]
  FIRST_LAYER,
};
// Of each layer, from FIRST_LAYER on.
enum {
  MODULATION_WEIGHT, // [6D, W]: shift, scale, gate of both branches
  MODULATION_BIAS,   // [1, 6D]
  QKV_WEIGHT,        // [3D, D]
  QKV_BIAS,          // [1, 3D]
  OUT_WEIGHT,        // [D, D]
  OUT_BIAS,          // [1, D]
  UP_WEIGHT,         // [4D, D]
  UP_BIAS,           // [1, 4D]
  DOWN_WEIGHT,       // [D, 4D]
  DOWN_BIAS,         // [1, D]
  LAYER_PARAMETERS,
};
_Static_assert(FIRST_LAYER + DENOISER_LAYERS_MAX * LAYER_PARAMETERS <=
                 DENOISER_PARAMETERS_MAX,
               "the table holds the deepest network");

// What the backward pass needs of a block's branch.
typedef struct {
  Tensor normal;  // [R, D]
  Tensor inverse; // [R, 1]
  Tensor input;   // [R, D] after the modulated norm
  Tensor out;     // [R, D] before the gate
} Branch;

typedef struct {
  Tensor qkv;           // [R, 3D]
  Tensor probabilities; // [S * heads * notes, keys]
  Tensor mixed;         // [R, D] what attention gathers
  Tensor active;        // [R, 4D]
  // Training; sampling's fused ops need no more.
  Tensor modulation; // [M, 6D]
  Branch attention;
  Branch mlp;
  Tensor up; // [R, 4D]
} Layer;

typedef struct {
  Tensor memory;
  Tensor cache_memory;
  Layer  layer[DENOISER_LAYERS_MAX]; // all the same one when not training

  Tensor cosines, sines; // [SEQUENCE_NOTES, D / heads / 2]: rotary positions

  Tensor x;     // [R, D] the residual stream
  Tensor place; // [R, D] what is added to it for a note's position

  // Training.
  Tensor time_pre; // [M, W]
  Tensor time;     // [M, W]
  Tensor final;    // [M, 2D]
  Branch last;
  Tensor dx, dbranch, dmixed; // [R, D]
  Tensor dqkv;                // [R, 3D]
  Tensor dup;                 // [R, 4D]
  Tensor dmodulation;         // [M, 6D]
  Tensor dtime;               // [M, W]

  // Sampling: keys and values side by side.
  Tensor scratch;                    // [R, 2D + 1] of the fused ops
  Tensor clean[DENOISER_LAYERS_MAX]; // [S * clean_notes, 2D]
  Tensor seen[DENOISER_LAYERS_MAX];  // [S * (clean_notes + notes), 2D]
  // Of denoiser_levels().
  Tensor   levels_memory;
  Tensor   known_time_pre, known_time; // [LEVELS_MAX, W]
  Tensor   known[DENOISER_LAYERS_MAX]; // [LEVELS_MAX, 6D]
  Tensor   known_final;                // [LEVELS_MAX, 2D]
  uint32_t clean_notes;
  uint32_t seen_notes; // for which `seen` holds the clean part; 0: not yet
} Transformer;

typedef struct {
  uint32_t rows;
  uint32_t levels;
  uint32_t scores; // rows of all heads' attention
  uint32_t keys;
} Shape;

// Lays the tensors out for a call of that shape; returns the floats used.
size_t transformer_lay_out(const Denoiser* denoiser,
                           Transformer*    transformer,
                           Shape           shape);
// Views of layer after layer's store of `rows` keys and values, from the
// `first`-th store on.
void transformer_lay_out_store(const Denoiser* denoiser,
                               Transformer*    transformer,
                               Tensor*         store,
                               size_t          first,
                               uint32_t        rows);

void transformer_forward(Denoiser*            denoiser,
                         const DenoiserInput* input,
                         Tensor               head);
void transformer_backward(Denoiser*            denoiser,
                          const DenoiserInput* input,
                          Tensor               dhead);
void transformer_levels(Denoiser* denoiser, Tensor time);
void transformer_context(Denoiser* denoiser, const DenoiserInput* input);
void transformer_step(Denoiser*            denoiser,
                      const DenoiserInput* input,
                      Tensor               head);
