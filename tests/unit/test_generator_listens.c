// live/generator on a fake model: what either kind of model is asked when a
// player's phrase is heard.
#include "generator_fixture.h"

#define LATENT FAKE_LATENT

static void
number(NoteEvent* notes, uint32_t first, uint32_t count)
{
  for (uint32_t i = 0; i < count; ++i) {
    notes[i] = (NoteEvent){ (uint8_t)(first + i), 0.5f, 0.1f, 0.1f };
  }
}

// Four windows of model `kind` in its standard mode.
static Generator
make(Model* model, ModelKind kind, NoteEvent played[4 * WINDOW_NOTES])
{
  const Params params = params_standard();
  Generator    generator;
  fake_model_init(model, kind);
  generator_init(&generator, model, &params, 3);
  for (uint32_t i = 0; i < 4; ++i) {
    next(&generator, model, played + (size_t)i * WINDOW_NOTES);
  }
  return generator;
}

static void
hear(Generator* generator, Listen listen, uint32_t count)
{
  NoteEvent notes[40];
  number(notes, 41, count);
  generator_hear(generator, listen, notes, count);
}

static void
expect_pitches(const NoteEvent* notes, uint32_t count, uint8_t first)
{
  for (uint32_t i = 0; i < count; ++i) {
    assert_int_equal(notes[i].pitch, first + i);
  }
}

// Seed: it goes on from the phrase instead of its own notes.
static void
test_seed_diffusion(void** state)
{
  (void)state;
  Model     model;
  NoteEvent played[4 * WINDOW_NOTES], out[WINDOW_NOTES];
  Generator generator = make(&model, MODEL_DIFFUSION, played);
  hear(&generator, LISTEN_SEED, 10);
  next(&generator, &model, out);
  assert_int_equal(model.asked.before, 10);
  assert_int_equal(model.asked.after, 0);
  assert_null(model.asked.phrase);
  expect_pitches(model.given, 10, 41);
  hear(&generator, LISTEN_SEED, 30);
  next(&generator, &model, out);
  assert_int_equal(model.asked.before, CONTEXT_NOTES_MAX);
  expect_pitches(model.given, CONTEXT_NOTES_MAX, 41 + 30 - CONTEXT_NOTES_MAX);
  next(&generator, &model, out); // its own again
  assert_int_equal(model.given[CONTEXT_NOTES_MAX - 1].pitch,
                   fake_model_pitch(&model, 5));
}

// Follow: the window leads from the last notes to the phrase.
static void
test_follow_diffusion(void** state)
{
  (void)state;
  const uint32_t room = CONTEXT_NOTES_MAX - WINDOW_NOTES;
  Model          model;
  NoteEvent      played[4 * WINDOW_NOTES], out[WINDOW_NOTES];
  Generator      generator = make(&model, MODEL_DIFFUSION, played);
  assert_int_equal(model.asked.before, CONTEXT_NOTES_MAX); // of the last window
  hear(&generator, LISTEN_FOLLOW, 12);
  next(&generator, &model, out);
  assert_null(model.asked.phrase);
  assert_int_equal(model.asked.before, room);
  assert_int_equal(model.asked.after, WINDOW_NOTES);
  assert_memory_equal(
    model.given, played + 4 * WINDOW_NOTES - room, room * sizeof *played);
  expect_pitches(model.given + room, WINDOW_NOTES, 45);
  // Fewer notes than a window come again.
  hear(&generator, LISTEN_FOLLOW, 3);
  next(&generator, &model, out);
  expect_pitches(model.given + room, 3, 41);
  expect_pitches(model.given + room + 3, 3, 41);
  expect_pitches(model.given + room + 6, 2, 41);
  next(&generator, &model, out);
  assert_int_equal(model.asked.after, 0);
  assert_int_equal(model.asked.before, CONTEXT_NOTES_MAX);
}

// Where a model takes no notes after the window it is given a variation.
static void
test_follow_without_room(void** state)
{
  (void)state;
  Model     model;
  NoteEvent played[4 * WINDOW_NOTES], out[WINDOW_NOTES];
  Generator generator = make(&model, MODEL_DIFFUSION, played);
  model.context_max   = 4;
  hear(&generator, LISTEN_FOLLOW, 8);
  next(&generator, &model, out);
  assert_non_null(model.asked.phrase);
  expect_pitches(model.phrase, WINDOW_NOTES, 41);
}

static void
heard_z(Model* model, uint8_t first, float z[LATENT])
{
  NoteEvent notes[WINDOW_NOTES];
  Error     error;
  number(notes, first, WINDOW_NOTES);
  assert_int_equal(model_encode(model, notes, 1, z, &error), STATUS_OK);
}

static double
distance(const float* a, const float* b)
{
  double sum = 0;
  for (uint32_t i = 0; i < LATENT; ++i) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return sqrt(sum / LATENT);
}

// A VAE walks on from the phrase's point,
static void
test_seed_vae(void** state)
{
  (void)state;
  Model     model;
  NoteEvent played[4 * WINDOW_NOTES], out[WINDOW_NOTES];
  float     z[LATENT];
  Generator generator = make(&model, MODEL_VAE, played);
  heard_z(&model, 41, z);
  hear(&generator, LISTEN_SEED, 8);
  next(&generator, &model, out);
  assert_memory_equal(model.z, z, sizeof z);
  next(&generator, &model, out);
  assert_true(distance(model.z, z) > 0);
}

// or comes to it in four windows, nearer with each.
static void
test_follow_vae(void** state)
{
  (void)state;
  Model     model;
  NoteEvent played[4 * WINDOW_NOTES], out[WINDOW_NOTES];
  float     z[LATENT], before[LATENT];
  Generator generator = make(&model, MODEL_VAE, played);
  heard_z(&model, 41, z);
  memcpy(before, model.z, sizeof before);
  double far = distance(before, z);
  hear(&generator, LISTEN_FOLLOW, 8);
  for (int i = 0; i < 4; ++i) {
    next(&generator, &model, out);
    assert_true(i == 3 || !!memcmp(model.z, z, sizeof z));
  }
  assert_true(distance(model.z, z) < 1e-5);
  assert_true(far > 0.1);
  next(&generator, &model, out); // and walks on
  assert_true(distance(model.z, z) > 1e-3);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_seed_diffusion),
    cmocka_unit_test(test_follow_diffusion),
    cmocka_unit_test(test_follow_without_room),
    cmocka_unit_test(test_seed_vae),
    cmocka_unit_test(test_follow_vae),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
