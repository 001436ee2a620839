// Changes that meet other changes, faults and a full ring: no cluster, no
// silence that does not end, nothing of before.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "worker_world.h"

#include <math.h>

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

static void
finish(World* world)
{
  const ProcessCounters* const counters = &world->process.counters;
  atomic_store(&world->process.end_requested, true);
  play(world, &heard, 3);
  atomic_store(&world->model.stalled, false);
  assert_true(worker_stop(&world->worker));
  assert_int_equal(heard.offs, heard.ons);
  expect_none_late(world);
  assert_int_equal(atomic_load(&counters->dropped), 0);
  assert_int_equal(atomic_load(&counters->doubled), 0);
  assert_false(atomic_load(&world->worker.failed));
  free_world(world);
}

static World*
begin_with(ModelKind kind, float step_s, bool fallback)
{
  World* const world = make_world_of(kind, step_s, -1, fallback);
  memset(&heard, 0, sizeof heard);
  world->model.pitch = 60;
  start(world);
  play(world, &heard, 30);
  assert_true(heard.ons > 0);
  return world;
}

// The transport moves while it rolls, as process would find it.
static void
relocate(World* world, double beat)
{
  const BeatTime time = { .rolling       = true,
                          .start_frame   = heard.span,
                          .map           = { heard.span, beat, 120 },
                          .beats_per_bar = 4,
                          .breaks        = ++world->process.breaks,
                          .break_frame   = heard.span };
  process_end_notes(&world->process, heard.span, true);
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
}

// What is frozen comes in its own time, whatever happens to the beat.
static void
test_frozen(void** state)
{
  (void)state;
  World* const world = begin_with(MODEL_VAE, 0.03f, false);
  ask_param(world, PARAM_LOOP_BEATS, 1);
  play(world, &heard, 100);
  ask_param(world, PARAM_FREEZE, 1);
  play(world, &heard, 50);
  const double tempos[] = { 0.25, 4, 1 };
  for (int i = 0; i < 3; ++i) {
    ask_param(world, PARAM_TEMPO, tempos[i]);
    play(world, &heard, 10);
    heard.gap_max = 0;
    play(world, &heard, 800);
    assert_in_range(heard.gap_max, 1, (uint64_t)(0.2 * 48000));
  }
  const double beats[] = { 1000, 8 };
  for (int i = 0; i < 2; ++i) {
    relocate(world, beats[i]);
    play(world, &heard, 20);
    heard.gap_max        = 0;
    const uint32_t count = heard.ons;
    play(world, &heard, 400);
    assert_in_range(heard.gap_max, 1, (uint64_t)(0.2 * 48000));
    assert_in_range(heard.ons - count, 100, 160);
  }
  ask_param(world, PARAM_FREEZE, 0);
  play(world, &heard, 30);
  // Frozen soon after beats were counted anew: what is there since then, in as
  // many beats as it has.
  for (int i = 0; i < 2; ++i) {
    relocate(world, beats[i] + 400);
    play(world, &heard, 60);
    ask_param(world, PARAM_LOOP_BEATS, 32);
    ask_param(world, PARAM_FREEZE, 1);
    play(world, &heard, 20);
    const uint32_t count = heard.ons;
    heard.gap_max        = 0;
    play(world, &heard, 500);
    assert_in_range(heard.gap_max, 1, 48000 / 2);
    assert_in_range(heard.ons - count, 70, 180);
    ask_param(world, PARAM_FREEZE, 0);
    play(world, &heard, 30);
  }
  finish(world);
}

// The pitches of what sounds from note `first` on never go back: what was
// played is not played again.
static void
expect_onwards(uint32_t first)
{
  for (uint32_t i = first; i < heard.ons; ++i) {
    assert_true(heard.pitches[i] >= heard.pitches[i - 1]);
  }
}

// Music goes on where it was when its own beat takes over, when a start comes
// without a stop, and when a clock goes away, long after it began.
static void
test_goes_on_after_a_break(void** state)
{
  (void)state;
  World* const world = begin_with(MODEL_VAE, 0.05f, false);
  world->model.pitch = 0; // by the window
  ask_param(world, PARAM_TEMPERATURE, 0.9);
  play(world, &heard, 100);
  BeatTime time    = { .is_free = true, .rolling = true };
  uint32_t first   = heard.ons;
  time.breaks      = ++world->process.breaks;
  time.break_frame = heard.span;
  process_end_notes(&world->process, heard.span, true);
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  play(world, &heard, 100);
  expect_onwards(first);
  // Stops and is told so together with the next start.
  first            = heard.ons;
  time.is_free     = false;
  time.breaks      = world->process.breaks += 2;
  time.break_frame = heard.span;
  time.map         = (BeatMap){ heard.span, 0, 120 };
  process_end_notes(&world->process, heard.span, true);
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  play(world, &heard, 100);
  expect_onwards(first);
  // The clock goes away: nothing breaks.
  time.rolling = false;
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  play(world, &heard, 100);
  first = heard.ons;
  play(world, &heard, 30);
  assert_int_equal(heard.ons, first);
  time.rolling = true;
  time.map     = (BeatMap){ heard.span, 40, 120 };
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  play(world, &heard, 100);
  assert_true(heard.ons > first + 10);
  expect_onwards(first);
  assert_int_equal(atomic_load(&world->process.counters.spans_starved), 0);
  finish(world);
}

static void
ask_phrase(World* world)
{
  WorkerCommand phrase = { .kind = COMMAND_PHRASE, .count = 3 };
  for (int i = 0; i < 3; ++i) {
    phrase.notes[i] = (NoteEvent){ (uint8_t)(64 + i), 0.5f, 0.2f, 0.2f };
  }
  ask(world, phrase);
}

// The windows of the plan as it was told, by their first notes.
static struct {
  uint64_t number;
  uint64_t window; // the model's
  bool     other;
} told[1024];
static size_t told_count;

static void
read_windows(World* world)
{
  static PlanStep step;
  while (planner_read_step(&world->worker.planner, &step)) {
    if (step.kind != PLAN_WINDOW) {
      continue;
    }
    while (told_count && told[told_count - 1].number >= step.number) {
      --told_count;
    }
    assert_true(told_count < sizeof told / sizeof *told);
    told[told_count].number  = step.number;
    told[told_count].window  = step.job.request.first_window;
    told[told_count++].other = !strcmp(step.digest, "fake-diffusion");
  }
}

static World*
begin_listening(bool fallback)
{
  World* const world = begin_with(MODEL_VAE, 0.02f, fallback);
  ask_param(world, PARAM_LISTEN, LISTEN_RESPOND);
  ask(world, (WorkerCommand){ .kind = COMMAND_PHRASE_BEGINS });
  play(world, &heard, 60);
  return world;
}

static void
stop_transport(World* world, BeatTime* time)
{
  *time = (BeatTime){ .start_frame = heard.span,
                      .breaks      = ++world->process.breaks,
                      .break_frame = heard.span };
  process_end_notes(&world->process, heard.span, true);
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = *time });
}

static void
start_transport(World* world, BeatTime* time)
{
  time->rolling     = true;
  time->map         = (BeatMap){ heard.span, 0, 120 };
  time->break_frame = heard.span;
  time->breaks      = ++world->process.breaks;
  ask(world, (WorkerCommand){ .kind = COMMAND_TIME, .time = *time });
}

// The transport stops while a model that is to be compared makes its first
// window: when it rolls that window is still the one that sounded, once more.
static void
test_stop_during_a_comparison(void** state)
{
  (void)state;
  World* const world = begin_with(MODEL_VAE, 0.02f, true);
  Model* const other = &world->fallback;
  BeatTime     time;
  size_t       i         = 0;
  world->worker.fallback = NULL; // it is the other one
  fake_model_init(other, MODEL_DIFFUSION);
  other->step_s = 0.02f;
  told_count    = 0;
  atomic_store(&other->call_us, 150000);
  read_windows(world);
  ask(world,
      (WorkerCommand){ .kind = COMMAND_MODEL, .model = other, .again = true });
  for (int k = 0; k < 100 && !atomic_load(&other->calls_under_way); ++k) {
    play(world, &heard, 1);
  }
  assert_int_equal(atomic_load(&other->calls_under_way), 1);
  stop_transport(world, &time);
  play(world, &heard, 100);
  atomic_store(&other->call_us, 0);
  start_transport(world, &time);
  play(world, &heard, 100);
  read_windows(world);
  while (i < told_count && !told[i].other) {
    ++i;
  }
  assert_in_range(i, 1, told_count - 2);
  assert_int_equal(told[i].window, told[i - 1].window);
  assert_int_equal(told[i + 1].window, told[i].window + 1);
  finish(world);
}

// The transport stops while the answer is being made: it comes when it rolls.
static void
test_stop_during_an_answer(void** state)
{
  (void)state;
  World* const world = begin_listening(false);
  BeatTime     time;
  atomic_store(&world->model.stalled, true);
  ask_phrase(world);
  play(world, &heard, 20);
  stop_transport(world, &time);
  play(world, &heard, 20);
  atomic_store(&world->model.stalled, false);
  play(world, &heard, 20);
  const uint32_t count = heard.ons;
  start_transport(world, &time);
  play(world, &heard, 60);
  assert_true(heard.ons > count + 5);
  assert_int_equal(atomic_load(&world->model.encoded), 2);
  finish(world);
}

// And while a point is being gone to.
static void
test_stop_during_a_recall(void** state)
{
  (void)state;
  World* const  world   = begin_with(MODEL_VAE, 0.02f, false);
  WorkerCommand command = { .kind = COMMAND_GO };
  BeatTime      time;
  command.point.size = FAKE_LATENT;
  for (uint32_t i = 0; i < FAKE_LATENT; ++i) {
    command.point.z[i] = 0.25f * (float)i;
  }
  ask_param(world, PARAM_HOLD, 1);
  play(world, &heard, 20);
  atomic_store(&world->model.stalled, true);
  ask(world, command);
  play(world, &heard, 20);
  stop_transport(world, &time);
  play(world, &heard, 20);
  atomic_store(&world->model.stalled, false);
  start_transport(world, &time);
  play(world, &heard, 60);
  float z[FAKE_LATENT];
  fake_model_last(&world->model, z);
  assert_memory_equal(z, command.point.z, sizeof z);
  finish(world);
}

// The model fails over its answer, or was gone before: what stands in for it
// plays on.
static void
test_no_model_to_answer(void** state)
{
  (void)state;
  for (int gone = 0; gone < 2; ++gone) {
    for (int fallback = 0; fallback < 2; ++fallback) {
      World* const world = begin_with(MODEL_VAE, 0.02f, fallback);
      if (gone) {
        atomic_store(&world->model.fail_at, 0);
        play(world, &heard, 400);
        assert_true(atomic_load(&world->worker.model_fault.failed));
      }
      ask_param(world, PARAM_LISTEN, LISTEN_RESPOND);
      ask(world, (WorkerCommand){ .kind = COMMAND_PHRASE_BEGINS });
      play(world, &heard, 60);
      const uint32_t count = heard.ons;
      atomic_store(&world->model.fail_at, 0);
      ask_phrase(world);
      play(world, &heard, 60);
      assert_true(heard.ons > count + 5);
      assert_int_equal(heard.pitches[heard.ons - 1], fallback ? 100 : 60);
      finish(world);
    }
  }
}

// What is frozen goes on while a player plays; the answer comes after it.
static void
test_listening_while_frozen(void** state)
{
  (void)state;
  World* const world = begin_with(MODEL_VAE, 0.03f, false);
  play(world, &heard, 60);
  ask_param(world, PARAM_LISTEN, LISTEN_RESPOND);
  ask_param(world, PARAM_FREEZE, 1);
  play(world, &heard, 30);
  ask(world, (WorkerCommand){ .kind = COMMAND_PHRASE_BEGINS });
  play(world, &heard, 50);
  ask_phrase(world);
  world->model.pitch   = 80;
  const uint32_t count = heard.ons;
  play(world, &heard, 100);
  assert_true(heard.ons > count + 20);
  assert_int_equal(heard.pitches[heard.ons - 1], 60);
  ask_param(world, PARAM_FREEZE, 0);
  play(world, &heard, 60);
  assert_int_equal(heard.pitches[heard.ons - 1], 80);
  assert_int_equal(atomic_load(&world->model.encoded), 1);
  finish(world);
}

// Windows that were made before the music began do not come after a change.
static void
test_change_while_counting_in(void** state)
{
  (void)state;
  World* const world = make_world(0.02f, -1);
  world->model.pitch = 60;
  memset(&heard, 0, sizeof heard);
  world->worker.params.value[PARAM_COUNT_IN] = 1;
  start(world);
  assert_true(world->worker.primed_count > 2);
  play(world, &heard, 30);
  world->model.pitch = 61;
  ask_param(world, PARAM_TEMPERATURE, 0.9);
  play(world, &heard, 270);
  assert_true(heard.ons > 3 * WINDOW_NOTES);
  for (uint32_t i = 0; i < heard.ons; ++i) {
    assert_int_equal(heard.pitches[i], 61);
  }
  finish(world);
}

// A bar of four beats at 120 is counted in where the transport starts, not
// where it moves while it rolls, as in a DAW's loop.
static void
test_count_in(void** state)
{
  (void)state;
  World* const world = begin_with(MODEL_VAE, 0.05f, false);
  BeatTime     time;
  ask_param(world, PARAM_COUNT_IN, 1);
  stop_transport(world, &time);
  play(world, &heard, 20);
  uint32_t count      = heard.ons;
  time.beats_per_bar  = 4;
  time.start_frame    = heard.span;
  const uint64_t from = heard.span;
  start_transport(world, &time);
  play(world, &heard, 190);
  assert_int_equal(heard.ons, count);
  play(world, &heard, 30);
  assert_true(heard.ons > count + 2);
  assert_true(heard.last_on >= from + 2 * 48000);
  for (int pass = 0; pass < 3; ++pass) {
    relocate(world, 0);
    count = heard.ons;
    play(world, &heard, 40);
    assert_true(heard.ons > count + 3);
  }
  finish(world);
}

static void
drain(World* world)
{
  static PlanStep step;
  PlayedEvent     event;
  while (planner_read_step(&world->worker.planner, &step)) {
  }
  while (process_read_played(&world->process, &event)) {
  }
  heard.ons = heard.offs = 0;
  for (int i = 0; i < 16 * 128; ++i) {
    heard.ons += (uint32_t)heard.sounding[i];
  }
}

// 800 notes a second, and knobs that never rest.
static void
test_dense(void** state)
{
  (void)state;
  World* const  world  = make_world(0.05f, -1);
  Params* const params = &world->worker.params;
  world->model.pitch   = 0;
  memset(&heard, 0, sizeof heard);
  params->value[PARAM_TEMPO]   = 4;
  params->value[PARAM_DENSITY] = 4;
  params->value[PARAM_BPM]     = 300;
  start(world);
  for (int i = 0; i < 60; ++i) {
    ask_param(world, PARAM_DYNAMICS, i % 2 ? 0.5 : 1);
    play_at(world, &heard, 4, 2);
    drain(world);
  }
  assert_true(atomic_load(&world->worker.counters.changes) > 40);
  assert_int_equal(atomic_load(&world->worker.counters.repeated), 0);
  atomic_store(&world->process.end_requested, true);
  play(world, &heard, 3);
  assert_true(worker_stop(&world->worker));
  // All windows are in the plan: the ring held every version of it.
  assert_true(world->worker.planner.next + 2 * WINDOW_NOTES >=
              world->worker.generator.state.window * WINDOW_NOTES);
  finish(world);
}

// The ring is full of a plan that was stamped anew again and again when other
// notes are asked for: they wait for room, and none is lost.
static void
test_dense_splices(void** state)
{
  (void)state;
  World* const   world   = make_world(0.05f, -1);
  Params* const  params  = &world->worker.params;
  Process* const process = &world->process;
  double         fullest = 0;
  world->model.pitch     = 0;
  memset(&heard, 0, sizeof heard);
  params->value[PARAM_TEMPO]   = 4;
  params->value[PARAM_DENSITY] = 4;
  params->value[PARAM_BPM]     = 300;
  start(world);
  for (int i = 0; i < 10; ++i) {
    for (int k = 0; k < 300 && ring_read_space(&process->notes) < 1400; ++k) {
      play_at(world, &heard, 1, 2);
      drain(world);
    }
    for (int k = 0; k < 4; ++k) {
      ask_param(world, PARAM_DYNAMICS, k % 2 ? 0.5 : 1);
      play_at(world, &heard, 1, 2);
    }
    fullest = fmax(fullest, ring_read_space(&process->notes));
    ask_param(world, PARAM_TEMPERATURE, i % 2 ? 0.8 : 0.9);
    play_at(world, &heard, 2, 2);
    drain(world);
  }
  if (fullest < STAMPED_RING_NOTES) {
    print_message("PART: too slow to fill the ring: %.0f notes\n", fullest);
  }
  const double temperature = world->worker.params.value[PARAM_TEMPERATURE];
  play_at(world, &heard, 20, 2);
  float z[FAKE_LATENT];
  assert_float_equal(
    fake_model_last(&world->model, z), temperature, 1e-6); // it was obeyed
  assert_int_equal(atomic_load(&world->worker.planner.unsent), 0);
  finish(world);
}

// Each model that fails is told of, not only the first.
static void
test_each_failure_is_told(void** state)
{
  (void)state;
  World* const            world = begin_with(MODEL_DIFFUSION, 0.05f, true);
  const ModelFault* const fault = &world->worker.model_fault;
  Model                   second;
  fake_model_init(&second, MODEL_DIFFUSION);
  second.step_s = 0.05f;
  atomic_store(&world->model.fail_at, 0);
  play(world, &heard, 200);
  assert_int_equal(atomic_load(&fault->count), 1);
  atomic_store(&second.fail_at, 0);
  ask(world, (WorkerCommand){ .kind = COMMAND_MODEL, .model = &second });
  play(world, &heard, 200);
  assert_int_equal(atomic_load(&fault->count), 2);
  assert_true(atomic_load(&fault->failed));
  finish(world);
}

// As the worker changes the plan while process waits for it, and has more to
// change before it reaches as far as process wants.
static void*
change_twice(void* context)
{
  Process* const process = context;
  for (uint64_t epoch = 1; epoch <= 2; ++epoch) {
    while (!atomic_load(&process->committed_until)) {
      clock_sleep_ns(100000);
    }
    atomic_store(&process->cut, (uint64_t)48000 << 16 | epoch);
    for (int i = 0; i < 1000 && atomic_load(&process->epoch_seen) != epoch;
         ++i) {
      clock_sleep_ns(1000000);
    }
  }
  atomic_store(&process->planned_until, UINT64_MAX);
  return NULL;
}

static void
test_changes_while_freewheeling(void** state)
{
  (void)state;
  World* const   world = make_world(0.02f, -1);
  const MidiSink sink  = { .write = take, .handle = &heard };
  pthread_t      thread;
  memset(&heard, 0, sizeof heard);
  assert_int_equal(pthread_create(&thread, NULL, change_twice, &world->process),
                   0);
  const double start_s = clock_now_s();
  process_span(
    &world->process,
    &(BackendSpan){ .frame_count = 480, .freewheeling = true, .sink = &sink });
  assert_true(clock_now_s() - start_s < 0.9);
  pthread_join(thread, NULL);
  worker_stop(&world->worker);
  free_world(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_frozen),
    cmocka_unit_test(test_goes_on_after_a_break),
    cmocka_unit_test(test_stop_during_a_comparison),
    cmocka_unit_test(test_stop_during_an_answer),
    cmocka_unit_test(test_stop_during_a_recall),
    cmocka_unit_test(test_no_model_to_answer),
    cmocka_unit_test(test_listening_while_frozen),
    cmocka_unit_test(test_change_while_counting_in),
    cmocka_unit_test(test_count_in),
    cmocka_unit_test(test_changes_while_freewheeling),
    cmocka_unit_test(test_dense),
    cmocka_unit_test(test_dense_splices),
    cmocka_unit_test(test_each_failure_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
