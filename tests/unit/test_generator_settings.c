// live/generator: what it asks the model for where settings are left to it, and
// what it refuses.
#include "generator_fixture.h"

static void
test_steps(void** state)
{
  (void)state;
  Model  model  = diffusion();
  Params params = params_of(GENERATOR_PRIOR);
  for (int typed = 0; typed < 2; ++typed) {
    Generator generator;
    NoteEvent out[WINDOW_NOTES];
    generator_init(&generator, &model, &params, 3);
    next(&generator, &model, out);
    assert_int_equal(model.asked.steps, typed ? 50 : 20);
    params.value[PARAM_STEPS] = 50;
  }
}

// Left to the model, the sampler is the one that needs the fewest steps, where
// the model and eta allow it.
static void
test_sampler(void** state)
{
  (void)state;
  static const struct {
    const char* typed;
    double      eta;
    uint32_t    student_steps;
    SamplerKind asked;
  } cases[] = {
    { "auto", 0.0, 0, SAMPLER_DPM },  { "auto", 0.3, 0, SAMPLER_DDIM },
    { "auto", 0.0, 4, SAMPLER_DDIM }, { "ddim", 0.0, 0, SAMPLER_DDIM },
    { "ddpm", 0.0, 0, SAMPLER_DDPM }, { "dpm++", 0.0, 0, SAMPLER_DPM },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    Model     model  = diffusion();
    Params    params = params_of(GENERATOR_PRIOR);
    Generator generator;
    NoteEvent out[WINDOW_NOTES];
    Error     error;
    assert_true(params_is_auto(&params, PARAM_SAMPLER));
    assert_int_equal(
      params_set_text(&params, PARAM_SAMPLER, cases[i].typed, &error), 0);
    params.value[PARAM_ETA] = cases[i].eta;
    model.student_steps     = cases[i].student_steps;
    assert_int_equal(params_check(&params, &error), STATUS_OK);
    assert_int_equal(generator_check(&model, &params, &error), STATUS_OK);
    generator_init(&generator, &model, &params, 3);
    next(&generator, &model, out);
    assert_int_equal(model.asked.sampler, cases[i].asked);
    assert_true(model.asked.eta == (float)cases[i].eta);
  }
}

// As few steps as still sound well are run, not only asked for.
static void
test_least_steps(void** state)
{
  (void)state;
  const struct {
    GeneratorMode mode;
    double        strength;
    uint32_t      steps, student, least;
  } cases[] = {
    { GENERATOR_PRIOR, 0.4, 20, 0, 4 },  { GENERATOR_PRIOR, 0.4, 4, 0, 4 },
    { GENERATOR_PRIOR, 0.4, 2, 0, 2 },   { GENERATOR_PRIOR, 0.4, 8, 8, 1 },
    { GENERATOR_MUTATE, 0.4, 20, 0, 8 }, { GENERATOR_MUTATE, 0.25, 20, 0, 13 },
    { GENERATOR_MUTATE, 1, 20, 0, 4 },   { GENERATOR_MUTATE, 0.05, 20, 0, 20 },
    { GENERATOR_MUTATE, 0.4, 4, 4, 1 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    static GeneratorJob job;
    Model               model  = diffusion();
    Params              params = params_of(cases[i].mode);
    Generator           generator;
    NoteEvent           out[WINDOW_NOTES];
    model.student_steps                 = cases[i].student;
    params.value[PARAM_STEPS]           = cases[i].steps;
    params.value[PARAM_MUTATE_STRENGTH] = cases[i].strength;
    generator_init(&generator, &model, &params, 3);
    next(&generator, &model, out); // the first mutation is of nothing
    generator_prepare(&generator, &job);
    assert_int_equal(job.steps_full, cases[i].steps);
    assert_int_equal(job.steps_least, cases[i].least);
  }
}

static void
expect_refused(const Model*  model,
               GeneratorMode mode,
               ParamId       id,
               double        value,
               const char*   says)
{
  Params params    = params_of(mode);
  params.value[id] = value;
  Error error;
  assert_int_not_equal(generator_check(model, &params, &error), STATUS_OK);
  if (!strstr(error.text, says)) {
    fail_msg("no '%s' in '%s'", says, error.text);
  }
}

static void
test_what_a_model_cannot_do(void** state)
{
  (void)state;
  Model        vae, model = diffusion();
  const Params plain = params_of(GENERATOR_WALK);
  Error        error;
  fake_model_init(&vae, MODEL_VAE);
  assert_int_equal(generator_check(&vae, &plain, &error), STATUS_OK);
  for (int mode = GENERATOR_CONTINUE; mode <= GENERATOR_BRIDGE; ++mode) {
    expect_refused(&vae, (GeneratorMode)mode, PARAM_MODE, mode, "vae");
  }
  expect_refused(&vae, GENERATOR_WALK, PARAM_STEPS, 1, "steps 1 ");
  expect_refused(&vae, GENERATOR_WALK, PARAM_CONTEXT, 0, "context 0 ");
  expect_refused(&vae, GENERATOR_WALK, PARAM_ETA, 0.5, "eta 0.5 ");
  expect_refused(&vae, GENERATOR_WALK, PARAM_SAMPLER, 0, "sampler ddpm ");
  expect_refused(&model, GENERATOR_WALK, PARAM_STEPS, 1001, "1000 steps");
  expect_refused(&model, GENERATOR_BRIDGE, PARAM_CONTEXT, 17, "at most 16");
  model.context_max = 10;
  expect_refused(&model, GENERATOR_CONTINUE, PARAM_CONTEXT, 11, "at most 10");
  model.context_max = 7;
  expect_refused(&model, GENERATOR_BRIDGE, PARAM_WALK_STEP, 0, "bridge");
}

// A student takes no other sampler than its own; in any number of steps.
static void
test_what_a_student_cannot_do(void** state)
{
  (void)state;
  Model  model  = diffusion();
  Params params = params_of(GENERATOR_WALK);
  Error  error;
  model.student_steps = 4;
  for (int steps = 1; steps <= 8; steps *= 2) {
    params.value[PARAM_STEPS] = steps;
    assert_int_equal(generator_check(&model, &params, &error), STATUS_OK);
  }
  expect_refused(
    &model, GENERATOR_WALK, PARAM_SAMPLER, SAMPLER_DDPM, "--sampler ddim");
  expect_refused(
    &model, GENERATOR_WALK, PARAM_SAMPLER, SAMPLER_DPM, "--sampler ddim");
  expect_refused(&model, GENERATOR_WALK, PARAM_ETA, 0.1, "--eta 0");
}

// Left to the model, the mode is the one that suits it, and all that goes with
// it.
static void
test_mode_auto(void** state)
{
  (void)state;
  const ModelKind kinds[] = { MODEL_VAE, MODEL_DIFFUSION };
  for (int i = 0; i < 2; ++i) {
    Model  model;
    Params params = params_standard();
    Error  error;
    fake_model_init(&model, kinds[i]);
    const GeneratorMode suits = i ? GENERATOR_CONTINUE : GENERATOR_WALK;
    assert_int_equal(generator_mode(&model, &params), suits);
    assert_int_equal(generator_check(&model, &params, &error), STATUS_OK);
    Generator chosen, named;
    generator_init(&chosen, &model, &params, 3);
    params.value[PARAM_MODE] = suits;
    generator_init(&named, &model, &params, 3);
    assert_memory_equal(&chosen, &named, sizeof chosen);
    params.value[PARAM_MODE] = GENERATOR_PRIOR;
    assert_int_equal(generator_mode(&model, &params), GENERATOR_PRIOR);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_steps),
    cmocka_unit_test(test_sampler),
    cmocka_unit_test(test_least_steps),
    cmocka_unit_test(test_what_a_model_cannot_do),
    cmocka_unit_test(test_what_a_student_cannot_do),
    cmocka_unit_test(test_mode_auto),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
