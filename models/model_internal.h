// What one kind of model must offer behind model.h. Only models/model*.c.
#pragma once

#include "checkpoint.h"
#include "encoding.h"
#include "kernels.h"
#include "model.h"

#include <stdatomic.h>

typedef struct {
  const char* name; // metadata "kind"
  ModelKind   kind;
  // Makes model->own from the file, on model->device, and sets the Model's
  // figures below.
  Status (*load)(Model* model, const Checkpoint* checkpoint, Error* error);
  void (*release)(Model* model);
  // The request was checked against the figures.
  Status (*generate)(Model*              model,
                     const ModelRequest* request,
                     NoteEvent*          out,
                     Error*              error);
  // See model_prepare(); NULL: nothing is to be done.
  bool (*prepare)(Model* model, const ModelRequest* request);
  // Of 1 .. batch_max windows; NULL: this kind has no latent of notes.
  Status (*encode)(Model*           model,
                   const NoteEvent* events,
                   uint32_t         count,
                   float*           z,
                   Error*           error);
} ModelClass;

struct Model {
  const ModelClass* class;
  void*         own; // VaeModel or DiffusionModel
  Device*       device;
  char          why[DEVICE_WHY_BYTES]; // this device
  Model*        spare;                 // on the CPU; NULL where this one is
  Error         fault;                 // of the GPU, before `lost` is set
  atomic_bool   lost;                  // the spare has taken over
  EncodingStats stats;
  uint32_t      batch_max;
  uint32_t      latent_size;
  uint32_t      active_latents;
  uint32_t      steps_max;
  uint32_t      steps_default;
  uint32_t      student_steps;
  uint32_t      context_max;
  char          digest[24];
};

extern const ModelClass model_class_vae;
extern const ModelClass model_class_diffusion;

// bias[ENCODING_PITCHES]: 0, or below where the pitch's class should be rare.
void model_pitch_bias(const ModelRequest* request, float* bias);
