// What control asks for while a worker plays, on fake models in real time: it
// is heard within the committed horizon and the time of a window, nothing is
// lost, late or doubled, and what was planned before is replaced.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "worker_world.h"

// Spans of 10 ms until a change must be heard: the committed one, the lead of
// 20 ms and a period, the worker's turn; then a note's step.
#define HEARD_WITHIN_SPANS 9

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

static void
finish(World* world, Heard* heard)
{
  const ProcessCounters* const counters = &world->process.counters;
  atomic_store(&world->process.end_requested, true);
  play(world, heard, 3);
  assert_true(worker_stop(&world->worker));
  assert_int_equal(heard->offs, heard->ons);
  expect_none_late(world);
  assert_int_equal(atomic_load(&counters->dropped), 0);
  assert_int_equal(atomic_load(&counters->doubled), 0);
  assert_int_equal(atomic_load(&counters->reports_lost), 0);
  assert_int_equal(atomic_load(&world->worker.planner.told_lost), 0);
  assert_false(atomic_load(&world->worker.failed));
  free_world(world);
}

static void
drain_takes(World* world)
{
  static PlanStep step;
  while (planner_read_step(&world->worker.planner, &step)) {
  }
}

static World*
begin(ModelKind kind, float step_s, Heard* heard)
{
  World* const world = make_world_of(kind, step_s, -1, false);
  memset(heard, 0, sizeof *heard);
  world->model.pitch = 60;
  start(world);
  play(world, heard, 30);
  assert_true(heard->ons > 0);
  return world;
}

// All notes from `first` on sound like that.
static void
expect_pitch(const Heard* heard, uint32_t first, uint8_t pitch)
{
  assert_true(heard->ons > first);
  for (uint32_t i = first; i < heard->ons; ++i) {
    assert_int_equal(heard->pitches[i], pitch);
  }
}

// Only stamps: a knob that is turned all the time.
static void
test_stamps_change_at_once(void** state)
{
  (void)state;
  static Heard heard;
  World* const world = begin(MODEL_VAE, 0.02f, &heard);
  for (int i = 1; i <= 20; ++i) {
    const int up = i % 2 ? 7 : -5;
    ask_param(world, PARAM_TRANSPOSE, up);
    play(world, &heard, HEARD_WITHIN_SPANS);
    const uint32_t first = heard.ons;
    play(world, &heard, 5);
    expect_pitch(&heard, first, (uint8_t)(60 + up));
    drain_takes(world);
  }
  assert_true(atomic_load(&world->worker.counters.changes) >= 20);
  finish(world, &heard);
}

// Who looks at the plan sees what is then played, whatever changed it.
static void
test_plan_is_shown(void** state)
{
  (void)state;
  static Heard   heard;
  static uint8_t shown[8192];
  World* const   world = begin(MODEL_VAE, 0.02f, &heard);
  uint64_t       next  = 0;
  world->model.pitch   = 0; // by the window
  for (int i = 1; i <= 30; ++i) {
    StampedNote note;
    ask_param(world, PARAM_TRANSPOSE, i % 3);
    ask_param(world, PARAM_TEMPERATURE, 0.5 + 0.1 * (i % 4)); // other notes
    play(world, &heard, 12);
    while (planner_read_note(&world->worker.planner, &note)) {
      assert_true(note.number <= next && note.number < sizeof shown);
      shown[note.number] = note.pitch;
      next               = note.number + 1;
    }
    assert_true(next > heard.ons);
    assert_memory_equal(shown, heard.pitches, heard.ons);
    drain_takes(world);
  }
  assert_true(heard.ons > 100);
  finish(world, &heard);
}

// Tempo and density stretch what is left of a step; the rest of the time is
// kept: no burst, no hole.
static void
test_tempo(void** state)
{
  (void)state;
  static Heard heard;
  World* const world    = begin(MODEL_VAE, 0.05f, &heard);
  const double tempos[] = { 2, 0.5, 4, 1 };
  for (int i = 0; i < 4; ++i) {
    ask_param(world, PARAM_TEMPO, tempos[i]);
    play(world, &heard, HEARD_WITHIN_SPANS);
    const uint32_t before = heard.ons;
    heard.gap_max         = 0;
    play(world, &heard, 100);
    assert_in_range(heard.ons - before,
                    (uint32_t)(20 * tempos[i]) - 1,
                    (uint32_t)(20 * tempos[i]) + 1);
    drain_takes(world);
  }
  ask_param(world, PARAM_BPM, 240);
  ask_param(world, PARAM_DENSITY, 2);
  play(world, &heard, HEARD_WITHIN_SPANS);
  const uint32_t before = heard.ons;
  play(world, &heard, 100);
  assert_in_range(heard.ons - before, 79, 81);
  finish(world, &heard);
}

// Other notes: a point in latent space, heard after one window's time.
static void
test_notes_change(void** state)
{
  (void)state;
  static Heard heard;
  World* const world = begin(MODEL_DIFFUSION, 0.02f, &heard);
  atomic_store(&world->model.call_us, 5000);
  for (int i = 0; i < 10; ++i) {
    const uint64_t windows = atomic_load(&world->worker.counters.changes);
    world->model.pitch     = (uint8_t)(50 + i);
    ask_param(world, PARAM_TEMPERATURE, 0.1 * i);
    play(world, &heard, HEARD_WITHIN_SPANS + 4);
    const uint32_t first = heard.ons;
    play(world, &heard, 10);
    expect_pitch(&heard, first, (uint8_t)(50 + i));
    float        z[FAKE_LATENT];
    const double asked = (double)fake_model_last(&world->model, z);
    assert_true(fabs(asked - 0.1 * i) < 1e-6);
    assert_int_equal(atomic_load(&world->worker.counters.changes), windows + 1);
    drain_takes(world);
  }
  finish(world, &heard);
}

static void
test_go_to_a_point(void** state)
{
  (void)state;
  static Heard  heard;
  World* const  world   = begin(MODEL_VAE, 0.02f, &heard);
  WorkerCommand command = { .kind = COMMAND_GO };
  command.point.size    = FAKE_LATENT;
  for (uint32_t i = 0; i < FAKE_LATENT; ++i) {
    command.point.z[i] = 0.25f * (float)i;
  }
  ask_param(world, PARAM_HOLD, 1);
  ask(world, command);
  play(world, &heard, 40);
  float z[FAKE_LATENT];
  fake_model_last(&world->model, z);
  assert_memory_equal(z, command.point.z, sizeof z);
  command.point.size = 3; // of another model: not followed
  command.point.z[0] = 9;
  ask(world, command);
  play(world, &heard, 40);
  fake_model_last(&world->model, z);
  assert_true(z[0] < 9);
  finish(world, &heard);
}

// A model is swapped with a phrase; 200 times, now and then to compare.
static void
test_swap_models(void** state)
{
  (void)state;
  static Heard heard;
  World* const world = begin(MODEL_VAE, 0.01f, &heard);
  Model*       other = &world->fallback;
  uint32_t     swaps = 0;
  fake_model_init(other, MODEL_DIFFUSION);
  other->step_s = 0.01f;
  other->pitch  = 72;
  for (int i = 0; i < 200; ++i) {
    ask(world,
        (WorkerCommand){
          .kind = COMMAND_MODEL, .model = other, .again = i % 3 == 0 });
    Model* retired = NULL;
    for (int k = 0; k < 100 && !retired; ++k) {
      play(world, &heard, 1);
      retired = worker_take_retired(&world->worker);
    }
    assert_non_null(retired);
    other = retired;
    ++swaps;
    drain_takes(world);
    memset(heard.pitches, 0, heard.ons);
    heard.ons -= heard.ons - heard.offs; // counts only what still sounds
    heard.ons = heard.offs = 0;
    for (int p = 0; p < 128; ++p) {
      heard.ons += (uint32_t)heard.sounding[p];
    }
  }
  assert_int_equal(swaps, 200);
  finish(world, &heard);
}

// The last beat again and again; then on.
static void
test_freeze(void** state)
{
  (void)state;
  static Heard heard;
  World* const world = begin(MODEL_VAE, 0.03f, &heard);
  world->model.pitch = 0; // by the window
  ask_param(world, PARAM_LOOP_BEATS, 1);
  play(world, &heard, 150);
  ask_param(world, PARAM_FREEZE, 1);
  play(world, &heard, HEARD_WITHIN_SPANS);
  const uint32_t first = heard.ons;
  play(world, &heard, 300);
  uint32_t period = 0; // in notes: half a second of 30 ms
  for (uint32_t p = 15; p <= 18 && !period; ++p) {
    bool same = true;
    for (uint32_t i = first; i + p < heard.ons; ++i) {
      same = same && heard.pitches[i] == heard.pitches[i + p];
    }
    period = same ? p : 0;
  }
  assert_true(period > 0);
  ask_param(world, PARAM_FREEZE, 0);
  play(world, &heard, 60);
  const uint8_t last = heard.pitches[heard.ons - 1];
  for (uint32_t i = first; i < first + period; ++i) {
    assert_true(heard.pitches[i] != last);
  }
  finish(world, &heard);
}

// The transport stops and starts: silence from the very frame, then on.
static void
test_stop_and_start(void** state)
{
  (void)state;
  static Heard heard;
  World* const world = begin(MODEL_VAE, 0.02f, &heard);
  for (uint32_t i = 1; i <= 5; ++i) {
    // As process would find it.
    ++world->process.breaks;
    const BeatTime stopped = { .start_frame = heard.span,
                               .breaks      = i,
                               .break_frame = heard.span };
    ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = stopped });
    play(world, &heard, 10);
    const uint32_t count = heard.ons;
    play(world, &heard, 50);
    assert_int_equal(heard.ons, count);
    BeatTime rolls    = stopped;
    rolls.rolling     = true;
    rolls.start_frame = heard.span;
    rolls.map         = (BeatMap){ .frame = heard.span, .beat = 8, .bpm = 120 };
    rolls.beats_per_bar = 4;
    ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = rolls });
    play(world, &heard, 60);
    assert_in_range(heard.ons - count, 18, 30);
    drain_takes(world);
  }
  assert_int_equal(atomic_load(&world->process.counters.spans_starved), 0);
  finish(world, &heard);
}

// A player's phrase: silence while it is played, then an answer to it.
static void
test_respond(void** state)
{
  (void)state;
  static Heard heard;
  World* const world = begin(MODEL_VAE, 0.02f, &heard);
  ask_param(world, PARAM_LISTEN, LISTEN_RESPOND);
  ask(world, (WorkerCommand){ .kind = COMMAND_PHRASE_BEGINS });
  play(world, &heard, HEARD_WITHIN_SPANS);
  const uint32_t count = heard.ons;
  play(world, &heard, 50);
  ask_param(world, PARAM_TEMPERATURE, 0.7); // does not break the silence
  play(world, &heard, 50);
  assert_int_equal(heard.ons, count);
  WorkerCommand phrase = { .kind = COMMAND_PHRASE, .count = 3 };
  for (int i = 0; i < 3; ++i) {
    phrase.notes[i] = (NoteEvent){ (uint8_t)(64 + i), 0.5f, 0.2f, 0.2f };
  }
  world->model.pitch = 80;
  ask(world, phrase);
  play(world, &heard, HEARD_WITHIN_SPANS);
  assert_int_equal(atomic_load(&world->model.encoded), 1);
  play(world, &heard, 30);
  assert_true(heard.ons > count + 5);
  expect_pitch(&heard, count, 80);
  finish(world, &heard);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_stamps_change_at_once),
    cmocka_unit_test(test_plan_is_shown),
    cmocka_unit_test(test_tempo),
    cmocka_unit_test(test_notes_change),
    cmocka_unit_test(test_go_to_a_point),
    cmocka_unit_test(test_swap_models),
    cmocka_unit_test(test_freeze),
    cmocka_unit_test(test_stop_and_start),
    cmocka_unit_test(test_respond),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
