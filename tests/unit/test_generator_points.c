// live/generator on a fake model: what a point that is gone to, and points that
// a path leads between, make the model be asked in each mode.
#include "generator_fixture.h"

#define LATENT FAKE_LATENT

static LatentPoint
make_point(float first)
{
  LatentPoint point = { .size = LATENT };
  for (uint32_t i = 0; i < LATENT; ++i) {
    point.z[i] = first + 0.1f * (float)i;
  }
  return point;
}

// A generator that has played some windows, in the middle of a leg.
static Generator
make(Model* model, Params* params, GeneratorMode mode, int windows)
{
  Generator generator;
  NoteEvent out[WINDOW_NOTES];
  *params = params_of(mode);
  generator_init(&generator, model, params, 3);
  for (int i = 0; i < windows; ++i) {
    next(&generator, model, out);
  }
  return generator;
}

static void
expect_z(const Model* model, const float* z)
{
  for (uint32_t i = 0; i < LATENT; ++i) {
    assert_true(fabsf(model->z[i] - z[i]) < 1e-5f);
  }
}

static bool
is_at(const Model* model, const float* z)
{
  return !memcmp(model->z, z, sizeof model->z);
}

// The window after is of the point and nothing else, in each mode.
static void
test_go_to(void** state)
{
  (void)state;
  const LatentPoint point = make_point(-1);
  for (int mode = GENERATOR_PRIOR; mode <= GENERATOR_MUTATE; ++mode) {
    Model     model = diffusion();
    Params    params;
    NoteEvent out[WINDOW_NOTES];
    Generator generator = make(&model, &params, (GeneratorMode)mode, 7);
    assert_true(generator_go_to(&generator, &point));
    next(&generator, &model, out);
    assert_true(is_at(&model, point.z));
    assert_int_equal(model.asked.before, 0);
    assert_null(model.asked.phrase);
    const uint64_t window = generator.state.window;
    next(&generator, &model, out);
    assert_false(is_at(&model, point.z));
    assert_int_equal(generator.state.window, window + 1);
  }
  Model       model = diffusion();
  Params      params;
  Generator   generator = make(&model, &params, GENERATOR_WALK, 2);
  LatentPoint other     = point;
  other.size            = LATENT - 1;
  assert_false(generator_go_to(&generator, &other));
  other.size = 0;
  assert_false(generator_go_to(&generator, &other));
}

// Continue goes on from what the point made, mutate varies it.
static void
test_goes_on_from_it(void** state)
{
  (void)state;
  const LatentPoint point = make_point(-1);
  Model             model = diffusion();
  Params            params;
  NoteEvent         played[5][WINDOW_NOTES];
  Generator         generator = make(&model, &params, GENERATOR_CONTINUE, 7);
  generator_go_to(&generator, &point);
  for (uint32_t i = 0; i < 5; ++i) {
    const uint32_t known = i * WINDOW_NOTES;
    next(&generator, &model, played[i]);
    assert_int_equal(model.asked.before, known < 24 ? known : 24);
    const uint32_t from = i > 3 ? i - 3 : 0;
    assert_memory_equal(
      model.given, played[from], model.asked.before * sizeof *model.given);
  }
  generator = make(&model, &params, GENERATOR_MUTATE, 7);
  generator_go_to(&generator, &point);
  next(&generator, &model, played[0]);
  next(&generator, &model, played[1]);
  assert_non_null(model.asked.phrase);
  assert_memory_equal(model.phrase, played[0], sizeof model.phrase);
}

// Interpolate sets out from it to where the leg led, in a leg of full length.
static void
test_interpolate_sets_out(void** state)
{
  (void)state;
  const LatentPoint point = make_point(-1);
  Model             model = diffusion();
  Params            params;
  NoteEvent         out[WINDOW_NOTES];
  Generator         generator = make(&model, &params, GENERATOR_INTERPOLATE, 7);
  float             end[LATENT], way[LATENT];
  model_sample_prior(&model, 3, 2, 1, end); // windows 5..9 are leg 1
  generator_go_to(&generator, &point);
  for (uint32_t i = 0; i < 5; ++i) {
    slerp(point.z, end, LATENT, (float)i / 5, way);
    next(&generator, &model, out);
    expect_z(&model, way);
  }
  next(&generator, &model, out);
  expect_z(&model, end);
  // Another point to set out from counts at once.
  generator_go_to(&generator, &point);
  next(&generator, &model, out);
  params.value[PARAM_FROM_POINT] = 4;
  generator_set(&generator, &model, &params);
  next(&generator, &model, out);
  assert_false(generator.state.set_out);
}

// A position that stands rests at the point until its knob is turned.
static void
test_position(void** state)
{
  (void)state;
  const LatentPoint points[2] = { make_point(-1), make_point(0.5f) };
  const LatentPoint gone_to   = make_point(2);
  Model             model     = diffusion();
  Params            params;
  NoteEvent         out[WINDOW_NOTES];
  Generator         generator = make(&model, &params, GENERATOR_INTERPOLATE, 7);
  float             way[LATENT];
  generator.points[2]            = points[0];
  generator.points[8]            = points[1];
  params.value[PARAM_FROM_POINT] = 3;
  params.value[PARAM_TO_POINT]   = 9;
  const double positions[]       = { 0, 1, 0.25 };
  for (int i = 0; i < 3; ++i) {
    params.value[PARAM_POSITION] = positions[i];
    generator_set(&generator, &model, &params);
    slerp(points[0].z, points[1].z, LATENT, (float)positions[i], way);
    for (int k = 0; k < 7; ++k) {
      next(&generator, &model, out);
      expect_z(&model, way);
    }
  }
  generator_go_to(&generator, &gone_to);
  for (int k = 0; k < 7; ++k) {
    params.value[PARAM_TEMPERATURE] = 0.1 * k; // is another knob
    generator_set(&generator, &model, &params);
    next(&generator, &model, out);
    assert_true(is_at(&model, gone_to.z));
  }
  params.value[PARAM_POSITION] = 0;
  generator_set(&generator, &model, &params);
  next(&generator, &model, out);
  expect_z(&model, points[0].z);
}

// A bridge leaves the phrase of the point, at once, for where its leg led.
static void
test_bridge_sets_out(void** state)
{
  (void)state;
  const LatentPoint   point = make_point(-1);
  static GeneratorJob job;
  Model               model = diffusion();
  Params              params;
  NoteEvent           first[WINDOW_NOTES], out[WINDOW_NOTES];
  Error               error;
  Generator           generator = make(&model, &params, GENERATOR_BRIDGE, 7);
  float               end[LATENT], way[LATENT];
  model_sample_prior(&model, 3, 2, 1, end);
  generator_go_to(&generator, &point);
  generator_prepare(&generator, &job);
  assert_int_equal(generator_run(&model, &job, first, &error), STATUS_OK);
  memcpy(out, first, sizeof out);
  assert_true(is_at(&model, point.z));
  assert_false(generator_accept(&generator, &job, out));
  next(&generator, &model, out);
  expect_z(&model, end);
  assert_memory_equal(out, first, sizeof out);
  for (uint32_t i = 1; i < 5; ++i) {
    next(&generator, &model, out);
    slerp(point.z, end, LATENT, (float)i / 5, way);
    expect_z(&model, way);
    assert_int_equal(model.asked.before, i < 3 ? 8 * i : 16);
  }
  assert_int_equal(model.asked.after, WINDOW_NOTES);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_go_to),
    cmocka_unit_test(test_goes_on_from_it),
    cmocka_unit_test(test_interpolate_sets_out),
    cmocka_unit_test(test_position),
    cmocka_unit_test(test_bridge_sets_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
