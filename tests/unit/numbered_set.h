// A data set whose every note has its own number, and a small recipe without
// augmentation: what the tests of the diffusion model's training share. One
// thread.
#pragma once

#include "dataset_write.h"
#include "diffusion_recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NUMBERS 4096u // each note of the data set has its own
#define PIECES 9u
#define CHUNK 8u

static char     directory[] = "/tmp/meander-diffusion-XXXXXX";
static Dataset* dataset;

// Of the pieces, in the order of their names; every third is a test piece.
static const uint32_t lengths[PIECES] = {
  1000, 31, 500, 47, 48, 79, 32, 63, 40
};

static inline bool
is_test(uint32_t piece)
{
  return piece % 3 == 2;
}

// A piece's first number; numbers of different pieces do not follow each other.
static inline uint32_t
first_number(uint32_t piece)
{
  uint32_t number = 0;
  for (uint32_t p = 0; p < piece; ++p) {
    number += lengths[p] + 10;
  }
  return number;
}

// The number is in the step; the other fields have other periods.
static inline NoteEvent
note_of(uint32_t number)
{
  return (NoteEvent){
    .pitch      = (uint8_t)(50 + number % 7),
    .velocity   = velocity_from_midi((uint8_t)(50 + number % 40)),
    .step_s     = (float)(100 + number) * 50e-6f,
    .duration_s = number % 4 == 3 ? 0.7f : 0.3f,
  };
}

// All augmentation off.
static inline DiffusionRecipe
plain_recipe(void)
{
  DiffusionRecipe r     = diffusion_recipe_default();
  r.run.batch           = 4 * CHUNK;
  r.run.steps           = 6;
  r.run.warmup_steps    = 0;
  r.run.transpose       = 0;
  r.run.tempo_spread    = 0.0f;
  r.run.velocity_spread = 0.0f;
  r.chunk               = CHUNK;
  r.settings.net        = (DenoiserSizes){ .kind       = DENOISER_TRANSFORMER,
                                           .width      = 16,
                                           .layers     = 1,
                                           .heads      = 2,
                                           .bottleneck = 4,
                                           .time_width = 8 };
  Error error;
  assert_int_equal(diffusion_recipe_check(&r, &error), STATUS_OK);
  return r;
}

static inline int
set_up(void** state)
{
  (void)state;
  if (!mkdtemp(directory)) {
    return 1;
  }
  char path[64];
  snprintf(path, sizeof path, "%s/data", directory);
  DatasetWriter writer;
  bool          ok = !dataset_writer_open(&writer, path, NULL);
  for (uint32_t p = 0; p < PIECES && ok; ++p) {
    NoteEvent events[1000];
    char      name[24];
    snprintf(name, sizeof name, "p/%u.mid", p);
    for (uint32_t i = 0; i < lengths[p]; ++i) {
      events[i] = note_of(first_number(p) + i);
    }
    ok =
      !dataset_writer_add(&writer, name, is_test(p), events, lengths[p], NULL);
  }
  ok = ok && !dataset_writer_commit(&writer, NULL) &&
       !dataset_open(path, &dataset, NULL);
  unlink(path);
  return !ok;
}

static inline int
tear_down(void** state)
{
  (void)state;
  dataset_close(dataset);
  return rmdir(directory);
}
