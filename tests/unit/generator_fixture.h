// What the tests of live/generator share: a fake model, and what it is asked.
#pragma once

#include "fake_model.h"
#include "live/generator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline Params
params_of(GeneratorMode mode)
{
  Params params                   = params_standard();
  params.value[PARAM_MODE]        = mode;
  params.value[PARAM_LEG_WINDOWS] = 5;
  params.value[PARAM_TEMPERATURE] = 0.5;
  return params;
}

static inline Model
diffusion(void)
{
  Model model;
  fake_model_init(&model, MODEL_DIFFUSION);
  return model;
}

static inline void
next(Generator* generator, Model* model, NoteEvent out[WINDOW_NOTES])
{
  Error error;
  assert_int_equal(generator_next(generator, model, out, &error), STATUS_OK);
}
