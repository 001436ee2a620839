// The training of a diffusion model: the state of a run, one step of it, and
// its held-out figures. A step is a pure function of (data set, recipe, state);
// lanes are parts of the batch (optimiser.h). Main thread; lanes run in the
// Pool.
#pragma once

#include "optimiser.h"
#include "replay.h"
#include "sequence_batch.h"

typedef struct DiffusionTrainer DiffusionTrainer;

typedef struct {
  DiffusionTrainer* trainer;
  uint32_t          number;
  Diffusion*        diffusion; // lane 0 owns the weights
  Diffusion*        teacher;   // likewise; NULL: nothing is distilled
  SequencePass      pass;
  Tensor            now;    // [1, DRAW_NOW_FLOATS]
  Replay            passes; // recorded
  // Since they were last taken: what was read before held-out figures, and the
  // notes that passed through, given ones included.
  DiffusionLoss loss;
  uint64_t      notes;
} DiffusionLane;

struct DiffusionTrainer {
  DiffusionRecipe recipe;
  const Dataset*  dataset;
  Shuffle         shuffle;
  Optimiser       optimiser;
  DrawRule        rule;
  DrawSource      source; // of all lanes: those of the CPU share its memory
  uint32_t        chunk;  // slots of one pass
  DiffusionLane   lanes[RECIPE_LANES_MAX];
  Parameter       table[DENOISER_PARAMETERS_MAX];
  uint32_t        lane_passes;        // of a step and lane, at most
  char            teacher_digest[24]; // empty: none
  // Validation.
  DiffusionRecipe judge_recipe;
  DrawRule        judge_rule;
  DrawSource      judge_source; // without units where no test piece has notes
                                // for one; its notes are those of `source`
  DiffusionLoss* judge_losses;  // of each pass
  Tensor         kept;          // the weights, while the average is judged
};

// `teacher_path`: the checkpoint to distil, which is also where the weights
// begin; NULL where the recipe has no student_steps. After a failure,
// diffusion_trainer_close() is still owed.
Status diffusion_trainer_open(DiffusionTrainer*      trainer,
                              const DiffusionRecipe* recipe,
                              const char*            teacher_path,
                              const Dataset*         dataset,
                              const char*            device,
                              uint32_t               thread_count,
                              Error*                 error);
// Digest of the teacher's checkpoint, or NULL.
const char* diffusion_trainer_teacher(const DiffusionTrainer* trainer);
void        diffusion_trainer_close(DiffusionTrainer* trainer);

// One step, which waits for no GPU.
Status diffusion_trainer_step(DiffusionTrainer* trainer, Error* error);
// Adds the sums over the batches since the last call, and the notes that they
// took; waits for the device.
void diffusion_trainer_take_loss(DiffusionTrainer* trainer,
                                 DiffusionLoss*    loss,
                                 uint64_t*         notes);

// The averaged weights' loss on a fixed set of held-out sequences, masks, noise
// levels and noise, the same for every recipe: what runs are compared by.
// loss->notes is 0 where no test piece has SEQUENCE_NOTES notes.
Status diffusion_trainer_validate(DiffusionTrainer* trainer,
                                  DiffusionLoss*    loss,
                                  Error*            error);

// The run directory's two files (training_run.h).
Status diffusion_trainer_save(DiffusionTrainer* trainer,
                              const char*       directory,
                              Error*            error);
