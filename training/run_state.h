// state.safetensors of a run directory: all that a run needs to go on (weights,
// their average, both moments, the step) with the recipe and the data set's
// digest. The same texts go into the checkpoints as provenance. In the file
// weights follow one another without gaps. Main thread.
#pragma once

#include "checkpoint.h"
#include "dataset.h"
#include "optimiser.h"

#define RUN_PATH_BYTES 1024u
#define RUN_TEXTS_MAX 4

typedef struct {
  char           recipe[RECIPE_TEXT_BYTES];
  char           step[16];
  CheckpointText texts[RUN_TEXTS_MAX]; // point into this struct
  size_t         count;
} RunTexts;

void run_path(const char* directory,
              const char* name,
              char        path[RUN_PATH_BYTES]);

// `teacher_digest`: of the checkpoint that is distilled; NULL: none.
void run_state_texts(const Optimiser*    optimiser,
                     const RecipeFormat* format,
                     const Dataset*      dataset,
                     const char*         teacher_digest,
                     RunTexts*           out);

// Write it last: a kill before it leaves a state that makes the checkpoint
// again, never a finished state beside an older checkpoint.
Status run_state_write(const Optimiser* optimiser,
                       const char*      directory,
                       const RunTexts*  texts,
                       Error*           error);
// Reads the recipe of DIRECTORY/state.safetensors, then (into an Optimiser
// bound by that recipe) its tensors and step. Refuses another data set, and
// another teacher.
Status run_state_recipe(const char*         directory,
                        const RecipeFormat* format,
                        void*               recipe,
                        Error*              error);
Status run_state_load(Optimiser*     optimiser,
                      const char*    directory,
                      const Dataset* dataset,
                      const char*    teacher_digest,
                      Error*         error);
