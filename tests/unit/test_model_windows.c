// Windows and streams from a model of the test's own, whose notes show what it
// was asked.
#include "model_windows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define CONTEXT 16u // less than a stream has before its last window

struct Model {
  uint32_t     count; // windows made
  uint64_t     numbers[2048];
  uint64_t     highest; // number of a window
  ModelRequest asked;   // last
};

ModelKind
model_kind(const Model* model)
{
  (void)model;
  return MODEL_DIFFUSION;
}

uint32_t
model_batch_max(const Model* model)
{
  (void)model;
  return MODEL_BATCH_CPU;
}

uint32_t
model_latent_size(const Model* model)
{
  (void)model;
  return 1;
}

uint32_t
model_context_max(const Model* model)
{
  (void)model;
  return CONTEXT;
}

// The latent is the window's number.
void
model_sample_prior(const Model* model,
                   uint64_t     seed,
                   uint64_t     first_window,
                   uint32_t     count,
                   float*       z)
{
  (void)model;
  (void)seed;
  for (uint32_t i = 0; i < count; ++i) {
    z[i] = (float)((first_window + i) & 0xffffffff);
  }
}

// Notes that go up by one key from the last given, or from a key that the
// latent says; their velocity is how many were given.
Status
model_generate(Model*              model,
               const ModelRequest* request,
               NoteEvent*          out,
               Error*              error)
{
  (void)error;
  assert_true(request->count >= 1 && request->count <= MODEL_BATCH_MAX);
  assert_true(!request->before == !request->given);
  for (uint32_t i = 0; i < request->count; ++i) {
    const NoteEvent* const given =
      request->before ? request->given + (size_t)i * request->before : NULL;
    const uint8_t start = given ? given[request->before - 1].pitch
                                : (uint8_t)(1 + (int)request->z[i] % 90);
    if (given) {
      assert_int_equal(given[0].pitch, start - (request->before - 1));
    }
    for (uint32_t k = 0; k < WINDOW_NOTES; ++k) {
      out[(size_t)i * WINDOW_NOTES + k] = (NoteEvent){
        .pitch    = (uint8_t)(start + (given ? 1 : 0) + k),
        .velocity = (float)request->before,
      };
    }
  }
  for (uint32_t i = 0; i < request->count; ++i) {
    model->numbers[model->count + i] = request->first_window + i;
  }
  model->count += request->count;
  model->asked          = *request;
  const uint64_t number = request->first_window + request->count - 1;
  model->highest        = number > model->highest ? number : model->highest;
  return STATUS_OK;
}

static void
test_windows_are_numbered_through(void** state)
{
  (void)state;
  Model             model = { 0 };
  const SamplerSpec spec  = { "ddim-7@0.5", SAMPLER_DPM, 7, 0.5f, false };
  const WindowMaker maker = { &model, &spec, 0.8f, 5 };
  WindowSet         set;
  double            wall_s;
  Error             error;
  assert_int_equal(make_window_set(&maker, 1000, 300, &set, &wall_s, &error),
                   STATUS_OK);
  assert_true(wall_s >= 0.0);
  assert_int_equal(model.count, 300);
  assert_int_equal(model.highest, 1299);
  assert_true(model.asked.sampler == SAMPLER_DPM && model.asked.steps == 7);
  assert_true(model.asked.eta == 0.5f && model.asked.temperature == 0.8f);
  assert_int_equal(model.asked.seed, 5);
  for (uint32_t i = 0; i < 300; ++i) {
    assert_int_equal(set.events[(size_t)i * WINDOW_NOTES].pitch,
                     1 + (1000 + i) % 90);
    assert_int_equal(set.half[i], i % 2);
    assert_int_equal(set.piece[i], WINDOW_SET_NO_PIECE);
  }
  window_set_free(&set);
}

static void
test_streams_go_on_from_their_own_notes(void** state)
{
  (void)state;
  Model             model = { 0 };
  const WindowMaker maker = { &model, NULL, 1.0f, 1 };
  WindowSet         set;
  double            wall_s;
  Error             error;
  assert_int_equal(make_stream_set(&maker, 300, &set, &wall_s, &error),
                   STATUS_OK);
  assert_int_equal(set.count, 300);
  assert_int_equal(set.notes, SEQUENCE_NOTES);
  assert_int_equal(model.count, 300 * SEQUENCE_NOTES / WINDOW_NOTES);
  for (uint32_t i = 0; i < model.count; ++i) { // none has another's noise
    for (uint32_t k = 0; k < i; ++k) {
      assert_true(model.numbers[i] != model.numbers[k]);
    }
  }
  for (uint32_t i = 0; i < 300; ++i) {
    const NoteEvent* const stream = set.events + (size_t)i * SEQUENCE_NOTES;
    for (uint32_t k = 0; k < SEQUENCE_NOTES; ++k) {
      const uint32_t before = k / WINDOW_NOTES * WINDOW_NOTES;
      assert_int_equal(stream[k].pitch, 1 + i % 90 + k);
      assert_true(stream[k].velocity ==
                  (float)(before < CONTEXT ? before : CONTEXT));
    }
  }
  window_set_free(&set);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_windows_are_numbered_through),
    cmocka_unit_test(test_streams_go_on_from_their_own_notes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
