// What was asked for once is done, whatever is turned next: points that are
// gone to, answers, comparisons; on fake models in real time.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "worker_world.h"

static Heard heard;

static void
ask(World* world, WorkerCommand command)
{
  assert_true(worker_command(&world->worker, &command));
}

static void
ask_param(World* world, ParamId id, double value)
{
  ask(world,
      (WorkerCommand){ .kind = COMMAND_PARAM, .param = id, .value = value });
}

static World*
begin_with(ModelKind kind, float step_s, bool fallback)
{
  World* const world = make_world_of(kind, step_s, -1, fallback);
  memset(&heard, 0, sizeof heard);
  start(world);
  play(world, &heard, 40);
  return world;
}

static World*
begin(ModelKind kind, float step_s)
{
  return begin_with(kind, step_s, false);
}

static void
stop(World* world)
{
  atomic_store(&world->process.end_requested, true);
  play(world, &heard, 3);
  atomic_store(&world->model.stalled, false);
  assert_true(worker_stop(&world->worker));
  assert_int_equal(heard.offs, heard.ons);
  expect_none_late(world);
}

static void
finish(World* world)
{
  stop(world);
  free_world(world);
}

static WorkerCommand
go_to(float first)
{
  WorkerCommand command = { .kind = COMMAND_GO, .point.size = FAKE_LATENT };
  for (uint32_t i = 0; i < FAKE_LATENT; ++i) {
    command.point.z[i] = first + 0.05f * (float)i;
  }
  return command;
}

static void
expect_z(World* world, const float* z)
{
  float last[FAKE_LATENT];
  fake_model_last(&world->model, last);
  assert_memory_equal(last, z, sizeof last);
}

// Sparse notes: the window of the point has not begun when the next knob is
// turned, once or all the time.
static void
test_then_a_knob(void** state)
{
  (void)state;
  World* const world = begin(MODEL_VAE, 0.8f);
  ask_param(world, PARAM_HOLD, 1);
  for (int i = 0; i < 24; ++i) {
    const WorkerCommand command = go_to(0.1f * (float)i);
    play(world, &heard, 10 + 3 * (i % 7));
    ask(world, command);
    for (int k = 0; k <= i % 3; ++k) {
      play(world, &heard, 2 + 3 * (i % 6));
      ask_param(world, PARAM_TEMPERATURE, 0.1 + 0.01 * i + 0.001 * k);
    }
    play(world, &heard, 30);
    expect_z(world, command.point.z);
  }
  finish(world);
}

// An answer, too.
static void
test_answer_then_a_knob(void** state)
{
  (void)state;
  World* const world = begin(MODEL_VAE, 0.8f);
  float        z[FAKE_LATENT];
  Error        error;
  ask_param(world, PARAM_HOLD, 1);
  ask_param(world, PARAM_LISTEN, LISTEN_SEED);
  for (int i = 0; i < 10; ++i) {
    WorkerCommand phrase = { .kind = COMMAND_PHRASE, .count = 8 };
    for (int k = 0; k < 8; ++k) {
      phrase.notes[k] = (NoteEvent){ (uint8_t)(40 + i), 0.5f, 0.2f, 0.2f };
    }
    play(world, &heard, 10 + 3 * (i % 7));
    ask(world, phrase);
    play(world, &heard, 2 + 3 * (i % 6));
    ask_param(world, PARAM_TEMPERATURE, 0.1 + 0.01 * i);
    play(world, &heard, 30);
    model_encode(&world->model, phrase.notes, 1, z, &error);
    expect_z(world, z);
  }
  finish(world);
}

// A point is heard in every mode: bridge makes its phrase before another.
static void
test_bridge(void** state)
{
  (void)state;
  World* const        world   = begin(MODEL_DIFFUSION, 0.05f);
  const WorkerCommand command = go_to(0.3f);
  ask_param(world, PARAM_MODE, GENERATOR_BRIDGE);
  play(world, &heard, 30);
  atomic_store(&world->model.stalled, true);
  play(world, &heard, 2);
  ask(world, command);
  play(world, &heard, 10);
  atomic_store(&world->model.stalled, false);
  play(world, &heard, 10);
  stop(world);
  assert_true(world->worker.generator.state.set_out);
  assert_memory_equal(world->worker.generator.state.origin,
                      command.point.z,
                      FAKE_LATENT * sizeof(float));
  free_world(world);
}

// All points are told whenever one is stored: the phrase between two others is
// not torn. It is where one of these two is stored anew.
static void
test_points_that_stay(void** state)
{
  (void)state;
  World* const  world = begin(MODEL_VAE, 0.1f);
  WorkerCommand points[3];
  for (uint32_t i = 0; i < 3; ++i) {
    points[i]      = go_to(0.2f * (float)i);
    points[i].kind = COMMAND_POINT;
    points[i].slot = i + 1;
    ask(world, points[i]);
  }
  ask_param(world, PARAM_FROM_POINT, 1);
  ask_param(world, PARAM_TO_POINT, 2);
  ask_param(world, PARAM_MODE, GENERATOR_INTERPOLATE);
  play(world, &heard, 60);
  const uint64_t changes = atomic_load(&world->worker.counters.changes);
  points[2].point.z[0] += 0.5f;
  for (uint32_t i = 0; i < 3; ++i) {
    ask(world, points[i]);
  }
  play(world, &heard, 60);
  assert_int_equal(atomic_load(&world->worker.counters.changes), changes);
  points[1].point.z[0] += 0.5f;
  ask(world, points[1]);
  play(world, &heard, 60);
  assert_true(atomic_load(&world->worker.counters.changes) > changes);
  finish(world);
}

// While a call of the model does not end, its stand-in obeys.
static void
test_fallback_obeys(void** state)
{
  (void)state;
  World* const world = begin_with(MODEL_DIFFUSION, 0.05f, true);
  float        z[FAKE_LATENT];
  ask_param(world, PARAM_TEMPERATURE, 0.25);
  play(world, &heard, 40);
  atomic_store(&world->model.stalled, true);
  play(world, &heard, 400);
  assert_true(atomic_load(&world->worker.counters.fallback_model) > 0);
  assert_float_equal(fake_model_last(&world->fallback, z), 0.25, 1e-6);
  ask_param(world, PARAM_TEMPERATURE, 0.75);
  play(world, &heard, 400);
  assert_float_equal(fake_model_last(&world->fallback, z), 0.75, 1e-6);
  finish(world);
}

// A comparison that the transport breaks off is still one when it goes on: the
// same window by the other model.
static void
test_comparison_is_not_lost(void** state)
{
  (void)state;
  World* const world = begin(MODEL_VAE, 0.1f);
  Model        other;
  fake_model_init(&other, MODEL_VAE);
  atomic_store(&other.stalled, true);
  play(world, &heard, 100);
  ask(world,
      (WorkerCommand){ .kind = COMMAND_MODEL, .model = &other, .again = true });
  play(world, &heard, 20);
  // One that was heard.
  const uint64_t window = fake_model_window(&other);
  assert_non_null(
    memchr(heard.pitches, fake_model_pitch(&other, window), heard.ons));
  BeatTime time = { .start_frame = heard.span,
                    .breaks      = ++world->process.breaks,
                    .break_frame = heard.span };
  process_end_notes(&world->process, heard.span, true);
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  play(world, &heard, 20);
  atomic_store(&other.stalled, false);
  time.rolling     = true;
  time.map         = (BeatMap){ heard.span, 0, 120 };
  time.break_frame = heard.span;
  time.breaks      = ++world->process.breaks;
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  const uint32_t count = heard.ons;
  play(world, &heard, 60);
  assert_true(heard.ons > count + 4);
  // It has the window's number, so its key.
  assert_int_equal(heard.pitches[count], fake_model_pitch(&other, window));
  finish(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_then_a_knob),
    cmocka_unit_test(test_answer_then_a_knob),
    cmocka_unit_test(test_bridge),
    cmocka_unit_test(test_points_that_stay),
    cmocka_unit_test(test_fallback_obeys),
    cmocka_unit_test(test_comparison_is_not_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
