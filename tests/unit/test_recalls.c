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
begin(ModelKind kind, float step_s)
{
  World* const world = make_world_of(kind, step_s, -1, false);
  memset(&heard, 0, sizeof heard);
  start(world);
  play(world, &heard, 40);
  return world;
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
    cmocka_unit_test(test_comparison_is_not_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
