// What a model makes, as sets of windows or streams. Main thread (the Model's).
#pragma once

#include "sampler_spec.h"
#include "window_set.h"

typedef struct {
  Model*             model; // loaded for batches of any size
  const SamplerSpec* spec;  // NULL: a VAE, which has none
  float              temperature;
  uint64_t           seed;
} WindowMaker;

// `count` windows of numbers first .. first + count, of model_batch_max() at
// most; out[count][WINDOW_NOTES].
Status make_windows(const WindowMaker* maker,
                    uint64_t           first,
                    uint32_t           count,
                    NoteEvent*         out,
                    Error*             error);

// Independent windows, from number `first` on. *wall_s: what they took.
Status make_window_set(const WindowMaker* maker,
                       uint64_t           first,
                       uint32_t           count,
                       WindowSet*         out,
                       double*            wall_s,
                       Error*             error);

// Streams of SEQUENCE_NOTES notes, each window continuing all notes before it,
// as far back as the model looks.
Status make_stream_set(const WindowMaker* maker,
                       uint32_t           count,
                       WindowSet*         out,
                       double*            wall_s,
                       Error*             error);
