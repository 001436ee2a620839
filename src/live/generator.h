// Decides what comes next: one window of notes after another, each a pure
// function of seed, mode, its number and the notes before it. The thread that
// plans (the worker, or whoever runs it synchronously).
//
// Deciding and sampling are apart, so that sampling may take its time in a
// thread of its own: generator_prepare() writes down all that a window needs,
// generator_run() samples it, generator_accept() takes what came of it.
#pragma once

#include "live/params.h"
#include "model.h"

#include <stdbool.h>
#include <stdint.h>

// One window to be sampled; complete in itself.
typedef struct {
  ModelRequest request;     // without its pointers
  uint32_t     steps_full;  // what request.steps is when there is time
  uint32_t     steps_least; // with fewer, what stands in sounds better
  bool         is_anchor;   // of a bridge: kept, not played next
  float        z[MODEL_LATENT_MAX];
  NoteEvent    given[CONTEXT_NOTES_MAX]; // before, then after
  bool         has_phrase;
  NoteEvent    phrase[WINDOW_NOTES];
} GeneratorJob;

typedef struct {
  const Model*  model; // not owned; only what any thread may ask of it
  GeneratorMode mode;
  float         walk_step; // 0..1
  uint32_t      leg_windows;
  float         strength; // of mutate
  uint32_t      context;  // notes given before each window at most
  ModelRequest  request;  // what all windows have in common
  uint64_t      seed;
  uint64_t      window; // the number of the next one
  uint32_t      latent_size;
  float         z[MODEL_LATENT_MAX]; // the next window's latent

  NoteEvent history[CONTEXT_NOTES_MAX]; // the last notes played, as sampled
  uint32_t  history_count;
  NoteEvent phrase[WINDOW_NOTES]; // what mutate varies, where a bridge leads
  bool      has_phrase;
} Generator;

// Notes that the last window of a bridge is given after it: the phrase it leads
// to.
#define GENERATOR_BRIDGE_AFTER WINDOW_NOTES

// The mode that the parameters ask for, or else the one that suits the model.
GeneratorMode generator_mode(const Model* model, const Params* params);

// STATUS_BAD_ARGUMENT, STATUS_UNSUPPORTED: the parameters ask for what `model`
// cannot do; the line names the parameter.
Status generator_check(const Model* model, const Params* params, Error* error);

// Of parameters that generator_check() took.
void generator_init(Generator*    generator,
                    const Model*  model,
                    const Params* params,
                    uint64_t      seed);

// Begins from notes that were not generated: continue goes on from the last,
// mutate varies and bridge leaves the first WINDOW_NOTES (`count` or more). Of
// a scale each takes the nearest note.
void generator_begin_from(Generator*       generator,
                          const NoteEvent* notes,
                          uint32_t         count);

// The next window's job. Each that is prepared must be accepted (or be the
// last).
void generator_prepare(Generator* generator, GeneratorJob* job);

// The thread that owns `model`.
Status generator_run(Model*              model,
                     const GeneratorJob* job,
                     NoteEvent           out[WINDOW_NOTES],
                     Error*              error);

// Takes the window sampled for `job`. False: there is nothing to play yet,
// prepare another; else `events` is what to play next.
bool generator_accept(Generator*          generator,
                      const GeneratorJob* job,
                      NoteEvent           events[WINDOW_NOTES]);

// Notes that were played though this generator did not make them.
void generator_heard(Generator*       generator,
                     const NoteEvent* events,
                     uint32_t         count);

// All three at once, with a `model` that the caller owns.
Status generator_next(Generator* generator,
                      Model*     model,
                      NoteEvent  out[WINDOW_NOTES],
                      Error*     error);

// From a (t = 0) to b (t = 1) along the great circle; out may be neither.
void slerp(const float* a, const float* b, uint32_t size, float t, float* out);
