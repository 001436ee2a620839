// live/sampling: what a model is made ready for before it is asked.
#include "generator_fixture.h"
#include "live/deadline.h"
#include "live/sampling.h"

static void
run(Sampling* sampling, const GeneratorJob* job)
{
  const Sampled* sampled;
  sampling_give(sampling, job);
  while (!(sampled = sampling_take(sampling))) {
    sampling_wait(sampling, 0.1);
  }
  assert_int_equal(sampled->status, STATUS_OK);
}

static void
give_next(Sampling* sampling, Generator* generator)
{
  GeneratorJob job;
  NoteEvent    notes[WINDOW_NOTES] = { 0 };
  generator_prepare(generator, &job);
  run(sampling, &job);
  generator_accept(generator, &job, notes);
}

static void
check_prepared(const Model* model, uint32_t i, uint32_t before, uint32_t steps)
{
  assert_true(i < model->prepared_count);
  assert_int_equal(model->prepared[i].before, before);
  assert_int_equal(model->prepared[i].steps, steps);
}

// All contexts with the first window; fewer steps only once a form comes again,
// one number of them a window.
static void
test_forms_to_come(void** state)
{
  (void)state;
  static const uint32_t fewer[] = { 15, 10, 7, 5, 4 };
  Model                 model   = diffusion();
  Params                params  = params_of(GENERATOR_CONTINUE);
  Generator             generator;
  Sampling*             sampling;
  params.value[PARAM_CONTEXT] = 20;
  generator_init(&generator, &model, &params, 1);
  assert_int_equal(sampling_start(&model, &sampling, NULL), STATUS_OK);
  for (uint32_t i = 0; i < 4; ++i) { // with 0, 8, 16 and 20 notes
    give_next(sampling, &generator);
    assert_int_equal(model.prepared_count, 4);
  }
  check_prepared(&model, 0, 0, 20);
  check_prepared(&model, 1, 8, 20);
  check_prepared(&model, 2, 16, 20);
  check_prepared(&model, 3, 20, 20);
  for (uint32_t i = 0; i < 5; ++i) {
    give_next(sampling, &generator);
    assert_int_equal(model.prepared_count, 5 + i);
    check_prepared(&model, 4 + i, 20, fewer[i]);
  }
  give_next(sampling, &generator);
  assert_int_equal(model.prepared_count, 9);
  assert_true(sampling_stop(sampling, 5));
}

// While time is short nothing is prepared but what is asked for.
static void
test_no_time(void** state)
{
  (void)state;
  Model        model  = diffusion();
  const Params params = params_of(GENERATOR_WALK);
  Generator    generator;
  GeneratorJob job;
  Sampling*    sampling;
  generator_init(&generator, &model, &params, 1);
  generator_prepare(&generator, &job);
  job.request.steps = 7;
  assert_int_equal(sampling_start(&model, &sampling, NULL), STATUS_OK);
  for (uint32_t i = 0; i < 3; ++i) {
    run(sampling, &job);
  }
  assert_int_equal(model.prepared_count, 1);
  check_prepared(&model, 0, 0, 7);
  assert_true(sampling_stop(sampling, 5));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_forms_to_come),
    cmocka_unit_test(test_no_time),
  };
  return cmocka_run_group_tests_name("sampling", tests, NULL, NULL);
}
