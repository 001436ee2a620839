// What the parts of `meander-train evaluate` share. Main thread.
#pragma once

#include "model_windows.h"
#include "table.h"

#define EVALUATION_MODELS_MAX 16u

typedef struct {
  const char* path;
  char        name[40]; // of its rows
  Model*      model;
  SamplerSpec specs[SAMPLER_SPECS_MAX]; // of a diffusion model, for windows
  uint32_t    spec_count;
  SamplerSpec stream_spec;
} EvaluatedModel;

typedef struct {
  const Dataset* data;
  EvaluatedModel models[EVALUATION_MODELS_MAX];
  uint32_t       model_count;
  uint32_t       windows; // of each source, at most
  uint32_t       streams; // likewise
  uint64_t       seed;    // of the first layer of the tables
  uint32_t       seeds;
  float          temperature; // of pitches
  bool           raw;         // not rounded (window_set_round())
} Evaluation;

// Windows of each source against windows of test pieces; table->columns is set.
Status evaluate_windows(const Evaluation* e, Table* table, Error* error);

// Streams of SEQUENCE_NOTES notes against such stretches of test pieces.
Status evaluate_streams(const Evaluation* e, Table* table, Error* error);

// Prints key=value lines of a VAE: reconstruction of `windows` test windows (0:
// all), and the spread of as many samples.
Status evaluate_reconstruction(const Evaluation*     e,
                               const EvaluatedModel* model,
                               uint64_t              windows,
                               Error*                error);

// The row of a model's windows by one spec (NULL: it has none).
void evaluation_row_name(const EvaluatedModel* model,
                         const SamplerSpec*    spec,
                         const char*           suffix,
                         char                  name[TABLE_NAME_BYTES]);
