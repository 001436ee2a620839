// What a pass of the diffusion model's training holds: slots of SEQUENCE_NOTES
// notes (draw_source.h), shuffled, augmented, cut to a pass's length, with the
// mask of given notes and the noise level of each. It is a pure function of
// (data set, recipe, step, pass). Any thread.
#pragma once

#include "diffusion_recipe.h"
#include "draw_source.h"
#include "shuffle.h"

// Which part of which step a pass is.
typedef struct {
  uint32_t step;
  uint32_t pass;       // of the step,
  uint32_t pass_count; // of so many
  uint64_t epoch;      // of the step
  uint64_t order;      // number of the step's first slot in the Shuffle
  uint32_t first;      // the pass's slots within the step
  uint32_t count;
} PassPlace;

// What the host knows of it; notes and masks are drawn on the device.
typedef struct {
  uint32_t  notes;     // of each sequence: 8, 16, 24 or 32, one for all
  uint32_t  sequences; // SEQUENCE_NOTES / notes in a slot
  bool      self_condition;
  uint64_t  first_sequence; // numbers the run's sequences
  uint32_t* t;              // [sequences]
  // Of a student's recipe: where each is to go, and in how many steps of the
  // teacher.
  uint32_t* next; // [sequences]
  uint32_t  substeps;
} SequencePass;

Status sequence_pass_create(SequencePass* pass, uint32_t chunk, Error* error);
void   sequence_pass_free(SequencePass* pass);

// Lengths (a quarter 8, an eighth 16, an eighth 24, half 32 notes) and
// self-conditioning (half) are spread evenly over the passes of a step, noise
// levels over all its sequences; only where each spread begins is drawn.
//
// With student_steps K the noise levels are those of the K steps, and the jumps
// one of them (3/8 of the passes), two (1/8), all (1/4), or at any level of any
// length up to one of them (1/4).
void sequence_pass_plan(const DiffusionRecipe* recipe,
                        const PassPlace*       place,
                        SequencePass*          out);

DrawRule sequence_rule(const DiffusionRecipe* recipe, const Dataset* dataset);
// What op_draw_sequences() is told of a pass's draws.
void sequence_pass_now(const DiffusionRecipe* recipe,
                       const PassPlace*       place,
                       float                  now[DRAW_NOW_FLOATS]);
