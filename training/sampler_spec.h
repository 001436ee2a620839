// How windows are drawn from a diffusion model, as the user writes it:
// "ddim-20", "dpm++-10", "ddpm-1000", "ddim-20@0.5" (eta), "student-4" (a
// distilled model's own way, DDIM with eta 0). Pure; any thread.
#pragma once

#include "model.h"

#define SAMPLER_SPECS_MAX 16u
#define SAMPLER_SPEC_BYTES 32u

typedef struct {
  char        name[SAMPLER_SPEC_BYTES]; // as written
  SamplerKind sampler;
  uint32_t    steps; // 0: not given, the model's default
  float       eta;
  bool        student; // for distilled models only
} SamplerSpec;

// NAME[-STEPS][@ETA]. STATUS_BAD_ARGUMENT says what is wrong with `text`.
Status sampler_spec_parse(const char* text, SamplerSpec* out, Error* error);

// A list with commas, of SAMPLER_SPECS_MAX at most.
Status sampler_specs_parse(const char*  text,
                           SamplerSpec* out,
                           uint32_t*    count,
                           Error*       error);
