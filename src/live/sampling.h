// The sampling thread: owns the model and works on one window at a time, for as
// long as that takes. Nobody waits for it; what it makes is fetched when it is
// there. The functions are the worker's, but for start and stop.
#pragma once

#include "live/generator.h"
#include "status.h"

#include <stdbool.h>

typedef struct Sampling Sampling;

typedef struct {
  GeneratorJob job;
  NoteEvent    events[WINDOW_NOTES];
  double       seconds; // it took
  Status       status;
  Error        error;
} Sampled;

// Control thread. `model` belongs to the thread from here on.
Status sampling_start(Model* model, Sampling** out, Error* error);

// Control thread, when the worker has ended. False: the thread is still within
// a call of the model after `wait_s`; it is left to itself, and neither the
// model nor what it stands on may be freed or unloaded any more.
bool sampling_stop(Sampling* sampling, double wait_s);

// Whether a job was given whose result was not yet taken.
bool sampling_is_busy(const Sampling* sampling);
// When not busy: another model from the next job on. The old one belongs to the
// caller again.
void sampling_set_model(Sampling* sampling, Model* model);
// When not busy.
void sampling_give(Sampling* sampling, const GeneratorJob* job);
// NULL: nothing is ready. Else the result, valid until the next job is given;
// fetched once.
const Sampled* sampling_take(Sampling* sampling);
// Returns after `wait_s`, or earlier when a result came meanwhile.
void sampling_wait(Sampling* sampling, double wait_s);
