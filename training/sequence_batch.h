// Sequences of a data set for the diffusion model: slots of SEQUENCE_NOTES
// notes, shuffled, augmented, cut to a pass's length, with the mask of given
// notes and the noise level of each. What a pass holds is a pure function of
// (data set, recipe, step, pass). Any thread.
#pragma once

#include "dataset.h"
#include "diffusion_recipe.h"
#include "shuffle.h"

// A place of SEQUENCE_NOTES notes in one piece, which may be moved by `low` to
// `high` notes.
typedef struct {
  uint64_t first_note; // in the data set's stream
  int8_t   low;        // -SEQUENCE_NOTES / 2 .. 0
  int8_t   high;       // 0 .. SEQUENCE_NOTES / 2
} Slot;

// The slots of one side of the split: as many in a piece as fit, evenly spread
// from its first note to its last, so that each note is in one slot on average.
// Pieces of less than SEQUENCE_NOTES notes have none.
typedef struct {
  const Dataset* dataset;
  Slot*          slots;
  uint64_t       count;
} SlotTable;

Status slot_table_init(SlotTable*     table,
                       const Dataset* dataset,
                       bool           test,
                       Error*         error);
void   slot_table_free(SlotTable* table);

// Which part of which step a pass is.
typedef struct {
  uint32_t step;
  uint32_t pass;       // of the step,
  uint32_t pass_count; // of so many
  uint64_t order;      // number of the step's first slot in the Shuffle
  uint32_t first;      // the pass's slots within the step
  uint32_t count;
} PassPlace;

// Rows are sequence-major, as DiffusionBatch has them.
typedef struct {
  uint32_t  notes;     // of each sequence: 8, 16, 24 or 32, one for all
  uint32_t  sequences; // SEQUENCE_NOTES / notes in a slot
  bool      self_condition;
  uint64_t  first_sequence; // numbers the run's sequences
  float*    pitch;          // [rows]
  float*    channels;       // [rows][CHANNEL_COUNT]
  float*    clean;          // [rows]
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
// Masks, by the recipe's shares: all but the last WINDOW_NOTES given
// (continuation), a prefix of random length, all but WINDOW_NOTES or a random
// number of notes in a row (infill), or none. At least one note is not given.
//
// With student_steps K the noise levels are those of the K steps, and the jumps
// one of them (3/8 of the passes), two (1/8), all (1/4), or at any level of any
// length up to one of them (1/4).
void sequence_pass_fill(const SlotTable*       table,
                        const Shuffle*         shuffle,
                        const DiffusionRecipe* recipe,
                        const PassPlace*       place,
                        SequencePass*          out);
