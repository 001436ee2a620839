// Training recipes: the libconfig file of `--config`, read over a table of keys
// into a struct. Every key has a range or a list of words; an unknown key or a
// value out of range is refused with the file and line. Main thread.
#pragma once

#include "kernels.h"
#include "status.h"

#include <stddef.h>
#include <stdint.h>

// What every kind of run has. A recipe is a struct that begins with one.
typedef struct {
  uint32_t seed;
  uint32_t batch; // units a step, at most RECIPE_BATCH_MAX
  uint32_t lanes; // on the CPU: parts that a batch is cut into, one thread
                  // each; fixed by the recipe because it sets the order of sums
  uint32_t steps;

  OptimiserKind optimiser;
  float         learning_rate; // peak; linear warm-up, then cosine decay to 2 %
  uint32_t      warmup_steps;
  float         weight_decay; // of matrices; biases have none
  float         clip_norm;
  float average_decay; // of the exponential moving average that is saved

  uint32_t transpose;       // +- semitones, drawn for each window
  float    tempo_spread;    // +- share, of steps and durations
  float    velocity_spread; // +- share

  uint32_t save_steps; // a checkpoint every so many steps
} RunRecipe;

#define RECIPE_BATCH_MAX 4096u
#define RECIPE_LANES_MAX 64u

typedef enum { RECIPE_WHOLE, RECIPE_REAL, RECIPE_CHOICE } RecipeKeyKind;

typedef struct {
  const char*        name;
  RecipeKeyKind      kind; // uint32_t, float, an enum
  size_t             offset;
  double             low;
  double             high;
  const char* const* choices; // of an enum, in its order; NULL-terminated
} RecipeKey;

#define RECIPE_KEY_WHOLE(name, Struct, field, low, high)                       \
  {                                                                            \
    name, RECIPE_WHOLE, offsetof(Struct, field), low, high, NULL               \
  }
#define RECIPE_KEY_REAL(name, Struct, field, low, high)                        \
  {                                                                            \
    name, RECIPE_REAL, offsetof(Struct, field), low, high, NULL                \
  }
#define RECIPE_KEY_CHOICE(name, Struct, field, choices)                        \
  {                                                                            \
    name, RECIPE_CHOICE, offsetof(Struct, field), 0, 0, choices                \
  }

// The keys of a recipe beyond those of RunRecipe.
typedef struct {
  const RecipeKey* keys;
  size_t           count;
} RecipeFormat;

// Replaces the values that `path` gives.
Status recipe_read(const char*         path,
                   const RecipeFormat* format,
                   void*               recipe,
                   Error*              error);
// The same from text; `name` stands for the path in errors.
Status recipe_read_text(const char*         name,
                        const char*         text,
                        const RecipeFormat* format,
                        void*               recipe,
                        Error*              error);
// All of them as the text of such a file, for the run directory and for
// provenance. `text` of at least RECIPE_TEXT_BYTES.
#define RECIPE_TEXT_BYTES 4096u
void recipe_print(const RecipeFormat* format, const void* recipe, char* text);
