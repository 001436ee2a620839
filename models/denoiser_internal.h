// What one kind of denoiser must offer behind denoiser.h. Only
// models/denoiser*.c.
#pragma once

#include "affine.h"
#include "denoiser.h"

typedef struct {
  const char* name;
  // Fills the table's names, rows and columns; offsets are the caller's.
  void (*parameters)(const DenoiserSizes* sizes,
                     Parameter*           table,
                     uint32_t*            count);
  // Makes denoiser->own; the fields below are set, weights zero-filled.
  Status (*open)(Denoiser* denoiser, Error* error);
  void (*close)(Denoiser* denoiser);
  // What a uniform start in +-1/sqrt(fan in), biases 0, does not give. `host`
  // holds all weights.
  void (*initialise)(const Denoiser* denoiser, float* host);
  void (*forward)(Denoiser* denoiser, const DenoiserInput* input, Tensor head);
  void (*backward)(Denoiser*            denoiser,
                   const DenoiserInput* input,
                   Tensor               dhead);
  void (*levels)(Denoiser* denoiser, Tensor time);
  void (*context)(Denoiser* denoiser, const DenoiserInput* input);
  void (*step)(Denoiser* denoiser, const DenoiserInput* input, Tensor head);
} DenoiserClass;

struct Denoiser {
  const DenoiserClass* class;
  void*         own;
  Device*       device;
  DenoiserSizes sizes;
  uint32_t      rows_max;
  uint32_t      sequences_max;
  bool          training;
  bool          owns_weights;
  Tensor        weights;   // [1, N]
  Tensor        gradients; // [1, N], training
  Parameter     table[DENOISER_PARAMETERS_MAX];
  uint32_t      parameter_count;
  Tensor        p[DENOISER_PARAMETERS_MAX];      // views of the weights
  Tensor        g[DENOISER_PARAMETERS_MAX];      // and of the gradients
  Tensor        packed[DENOISER_PARAMETERS_MAX]; // see denoiser_pack()
};

extern const DenoiserClass denoiser_transformer;
extern const DenoiserClass denoiser_lstm;

// y = x weight^T + bias, of the table's entries.
static inline void
denoiser_affine(const Denoiser* denoiser,
                uint32_t        weight,
                uint32_t        bias,
                Tensor          x,
                Tensor          y)
{
  op_affine(denoiser->device,
            x,
            denoiser->p[weight],
            denoiser->packed[weight],
            denoiser->p[bias],
            y);
}
