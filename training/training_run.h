// What every training subcommand of meander-train does: its command line, the
// run directory, the loop, signals, saving and resuming. What is trained is
// behind TrainingRun. Main thread.
//
// The run directory:
//   checkpoint.safetensors  the averaged weights, ready to play
//   state.safetensors       all that --resume needs, written at the same steps
//   log.csv                 run_log.h
// Each is replaced whole, so a kill at any moment loses at most the steps since
// the last save, and a resumed run ends with the same bytes as an unbroken one.
#pragma once

#include "dataset.h"
#include "optimiser.h"
#include "run_log.h"
#include "shuffle.h"

// All calls get `trainer`.
typedef struct {
  const char*         command; // "vae"
  const char*         product; // "a VAE", for --help
  const char*         unit;    // of a batch: "windows"
  const RecipeFormat* format;
  void*               recipe;  // begins with a RunRecipe; holds the defaults
  const RunColumn*    columns; // of the log
  size_t              column_count;
  void*               trainer;
  Optimiser*          optimiser; // the trainer's, as is
  const char** teacher_path;     // where --teacher goes; NULL: no such option
  Shuffle*     shuffle;

  // From `recipe`, once it is final. After a failure, close() is still owed.
  Status (*open)(void*          trainer,
                 const void*    recipe,
                 const Dataset* dataset,
                 const char*    device,
                 uint32_t       thread_count,
                 Error*         error);
  void (*close)(void* trainer);
  Status (*step)(void* trainer, Error* error);
  // After optimiser_check(): all steps are done. Fills values[column_count] for
  // the `steps` done in `seconds` since the last report.
  Status (*report)(void*    trainer,
                   uint32_t steps,
                   double   seconds,
                   double*  values,
                   Error*   error);
  // Digest of the teacher in use, NULL where none; may be NULL itself.
  const char* (*teacher_digest)(const void* trainer);
  // Writes checkpoint.safetensors, then state.safetensors.
  Status (*save)(void* trainer, const char* directory, Error* error);
} TrainingRun;

// Exit codes: 0 done or stopped by a signal with all saved, 1 failure, 2 usage.
int training_run_main(int argc, char** argv, const TrainingRun* run);
