// A session in which control asks for anything at any time, on fake models, is
// made again from the lines about it: every message at its frame.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "plan_text.h"
#include "regenerate.h"
#include "rng.h"
#include "worker_world.h"

#define EVENTS_MAX 20000u
#define LINES_MAX 8000u

typedef struct {
  PlayedEvent events[EVENTS_MAX];
  uint32_t    count;
} Played;

typedef struct {
  uint64_t number;
  bool     starts;
  char*    text;
} Said;

typedef struct {
  World*         world;
  Model*         spare; // the other model
  Heard          heard;
  Rng            rng;
  Played         played;
  PlanTextWriter writer;
  Said           lines[LINES_MAX];
  uint32_t       line_count;
} Session;

static void
read_all(Session* s)
{
  static PlanStep step;
  PlayedEvent     event;
  while (process_read_played(&s->world->process, &event)) {
    assert_true(s->played.count < EVENTS_MAX);
    s->played.events[s->played.count++] = event;
  }
  while (planner_read_step(&s->world->worker.planner, &step)) {
    char        text[RECORD_LINE_BYTES_MAX];
    Said* const line = &s->lines[s->line_count++];
    assert_true(s->line_count < LINES_MAX);
    plan_text_write(&s->writer, &step, text, &line->starts);
    line->number = step.number;
    line->text   = strdup(text);
  }
  Model* const retired = worker_take_retired(&s->world->worker);
  s->spare             = retired ? retired : s->spare;
}

static void
ask(Session* s, WorkerCommand command)
{
  assert_true(worker_command(&s->world->worker, &command));
}

static void
ask_param(Session* s)
{
  const ParamId ids[] = {
    PARAM_TEMPO,        PARAM_DENSITY,        PARAM_TRANSPOSE,
    PARAM_TEMPERATURE,  PARAM_WALK_STEP,      PARAM_DYNAMICS,
    PARAM_QUANTISE,     PARAM_SWING,          PARAM_BPM,
    PARAM_SCALE,        PARAM_LATENCY,        PARAM_MUTE,
    PARAM_HOLD,         PARAM_PULL,           PARAM_FREEZE,
    PARAM_MODE,         PARAM_SCALE_STRENGTH, PARAM_CHANNEL,
    PARAM_REGISTER_LOW, PARAM_LOOP_BEATS,     PARAM_POSITION,
    PARAM_LEG_WINDOWS
  };
  const ParamId id     = ids[rng_below(&s->rng, sizeof ids / sizeof *ids)];
  Params        params = params_standard();
  params_set_share(&params, id, (double)rng_uniform(&s->rng));
  if (id == PARAM_MUTE) {
    params.value[id] = rng_below(&s->rng, 4) == 0; // rather not
  }
  ask(s,
      (WorkerCommand){
        .kind = COMMAND_PARAM, .param = id, .value = params.value[id] });
}

static void
ask_go(Session* s)
{
  WorkerCommand command = { .kind = COMMAND_GO, .point.size = FAKE_LATENT };
  rng_normals(&s->rng, command.point.z, FAKE_LATENT);
  ask(s, command);
}

static void
ask_model(Session* s)
{
  if (s->spare) {
    ask(s,
        (WorkerCommand){ .kind  = COMMAND_MODEL,
                         .model = s->spare,
                         .again = rng_below(&s->rng, 2) });
    s->spare = NULL;
  }
}

static void
ask_phrase(Session* s)
{
  WorkerCommand listen = { .kind  = COMMAND_PARAM,
                           .param = PARAM_LISTEN,
                           .value = 1 + rng_below(&s->rng, 3) };
  WorkerCommand phrase = { .kind  = COMMAND_PHRASE,
                           .count = 1 + rng_below(&s->rng, 20) };
  for (uint32_t i = 0; i < phrase.count; ++i) {
    phrase.notes[i] = (NoteEvent){
      (uint8_t)(40 + rng_below(&s->rng, 40)), rng_uniform(&s->rng), 0.1f, 0.2f
    };
  }
  ask(s, listen);
  if (listen.value == LISTEN_RESPOND) {
    ask(s, (WorkerCommand){ .kind = COMMAND_PHRASE_BEGINS });
    play(s->world, &s->heard, 1 + (int)rng_below(&s->rng, 30));
  }
  ask(s, phrase);
}

// The transport stops, and starts somewhere else.
static void
ask_stop(Session* s)
{
  BeatTime time = { .start_frame = s->heard.span,
                    .breaks      = ++s->world->process.breaks,
                    .break_frame = s->heard.span };
  ask(s, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
  process_end_notes(&s->world->process, s->heard.span, true); // as it does
  play(s->world, &s->heard, 1 + (int)rng_below(&s->rng, 20));
  time.rolling       = true;
  time.start_frame   = s->heard.span;
  time.beats_per_bar = 4;
  time.map           = (BeatMap){ .frame = s->heard.span,
                                  .beat  = rng_below(&s->rng, 100),
                                  .bpm   = 60 + rng_below(&s->rng, 120) };
  ask(s, (WorkerCommand){ .kind = COMMAND_TIME, .time = time });
}

static void
perform(Session* s, int turns)
{
  for (int i = 0; i < turns; ++i) {
    switch (rng_below(&s->rng, 12)) {
      case 0:
        ask_go(s);
        break;
      case 1:
        ask_model(s);
        break;
      case 2:
        ask_phrase(s);
        break;
      case 3:
        ask_stop(s);
        break;
      default:
        ask_param(s);
    }
    play(s->world, &s->heard, (int)rng_below(&s->rng, 25));
    read_all(s);
  }
}

static Model*
find_model(void* context, const char* digest, Error* error)
{
  World* const world = context;
  (void)error;
  return strcmp(digest, model_digest(&world->model)) ? &world->fallback
                                                     : &world->model;
}

static void
hear_again(void* context, const PlayedEvent* event)
{
  Played* const played = context;
  assert_true(played->count < EVENTS_MAX);
  played->events[played->count++] = *event;
}

// Offs at the very end are the recording's own.
static void
expect_same(const Session* s, const Played* again, uint64_t first, uint64_t end)
{
  uint32_t k = 0;
  for (uint32_t i = 0; i < s->played.count; ++i) {
    const PlayedEvent* const was = &s->played.events[i];
    if (was->number < first || was->frame >= end) {
      continue;
    }
    while (k < again->count && again->events[k].number < first) {
      ++k;
    }
    assert_true(k < again->count);
    const PlayedEvent* const is = &again->events[k++];
    if (is->number != was->number || is->frame != was->frame ||
        memcmp(is->message, was->message, 3)) {
      print_message(
        "event %u of %u: was %llu@%llu %02x %u %u, is %llu@%llu %02x %u %u\n",
        i,
        s->played.count,
        (unsigned long long)was->number,
        (unsigned long long)was->frame,
        was->message[0],
        was->message[1],
        was->message[2],
        (unsigned long long)is->number,
        (unsigned long long)is->frame,
        is->message[0],
        is->message[1],
        is->message[2]);
      uint32_t last = s->line_count;
      while (last > 0 && s->lines[last - 1].number > was->number)
        --last;
      for (uint32_t l = last > 12 ? last - 12 : 0;
           l < s->line_count && l < last + 3;
           ++l) {
        print_message("  %llu: %.*s\n",
                      (unsigned long long)s->lines[l].number,
                      s->lines[l].text[0] == 'w' ? 20 : 400,
                      s->lines[l].text);
      }
      for (uint32_t e = i > 8 ? i - 8 : 0; e < i + 3; ++e)
        print_message("  played %llu@%llu %02x %u\n",
                      (unsigned long long)s->played.events[e].number,
                      (unsigned long long)s->played.events[e].frame,
                      s->played.events[e].message[0],
                      s->played.events[e].message[1]);
    }
    assert_int_equal(is->number, was->number);
    assert_int_equal(is->frame, was->frame);
    assert_memory_equal(is->message, was->message, 3);
  }
  while (k < again->count && again->events[k].frame >= end) {
    ++k;
  }
  assert_int_equal(k, again->count);
}

// From line `from` on, which starts.
static void
make_again(Session* s, uint32_t from, uint64_t end)
{
  static Played again;
  Regeneration* r;
  Error         error;
  again.count = 0;
  assert_int_equal(regeneration_open(find_model, s->world, &r, &error), 0);
  for (uint32_t i = from; i < s->line_count; ++i) {
    if (regeneration_line(r, s->lines[i].number, s->lines[i].text, &error)) {
      for (uint32_t k = from > 4 ? from - 4 : 0; k <= i; ++k)
        print_message("%u: %d %llu %.200s\n",
                      k,
                      s->lines[k].starts,
                      (unsigned long long)s->lines[k].number,
                      s->lines[k].text);
      fail_msg(
        "from %u line %u: %s\n%s", from, i, error.text, s->lines[i].text);
    }
  }
  assert_int_equal(regeneration_rate_hz(r), 48000);
  assert_int_equal(regeneration_play(r, end, hear_again, &again, &error), 0);
  expect_same(s, &again, s->lines[from].number, end);
  regeneration_free(r);
}

// Returns from how many lines it was made again.
static uint32_t
session(ModelKind kind, uint64_t seed)
{
  static Session s;
  memset(&s, 0, sizeof s);
  s.world                 = make_world_of(kind, 0.04f, -1, false);
  s.rng                   = rng_make(seed, RNG_USE_TEST, 0);
  s.spare                 = &s.world->fallback;
  s.world->fallback.pitch = 0;
  fake_model_init(s.spare, kind == MODEL_VAE ? MODEL_DIFFUSION : MODEL_VAE);
  plan_text_init(&s.writer, 48000, 0);
  start(s.world);
  play(s.world, &s.heard, 20);
  perform(&s, 90);
  assert_true(worker_stop(&s.world->worker));
  read_all(&s);
  // What came too late was never played, and is not made again.
  const bool punctual = !atomic_load(&s.world->process.counters.late) &&
                        !atomic_load(&s.world->worker.counters.repeated);
  assert_true(punctual || is_slow());
  assert_true(s.played.count > 50);
  // From each line that starts; what it replaced was never played.
  uint32_t starts = 0;
  for (uint32_t i = 0; i < s.line_count && punctual; ++i) {
    bool alone = s.lines[i].starts;
    for (uint32_t k = i + 1; k < s.line_count && alone; ++k) {
      alone = s.lines[k].number >= s.lines[i].number;
    }
    if (alone) {
      ++starts;
      make_again(&s, i, s.heard.span);
    }
  }
  assert_true(starts > 0 || !punctual);
  for (uint32_t i = 0; i < s.line_count; ++i) {
    free(s.lines[i].text);
  }
  free_world(s.world);
  return starts;
}

static void
test_any_session(void** state)
{
  (void)state;
  uint32_t starts = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    starts += session(seed % 2 ? MODEL_DIFFUSION : MODEL_VAE, seed);
  }
  assert_true(starts > 50 || is_slow());
}

static Said
write_window(PlanTextWriter* writer,
             World*          world,
             NoteEvent*      all,
             uint64_t        number,
             uint32_t        before)
{
  static PlanStep step;
  char            text[RECORD_LINE_BYTES_MAX];
  Said            line = { .number = number };
  memset(&step, 0, sizeof step);
  step.kind        = PLAN_WINDOW;
  step.number      = number;
  step.latent_size = FAKE_LATENT;
  step.params      = params_standard();
  step.stamps.map  = (BeatMap){ .bpm = 120 };
  step.job.request =
    (ModelRequest){ .count = 1, .steps = 1, .before = before, .seed = 1 };
  snprintf(step.digest, sizeof step.digest, "%s", model_digest(&world->model));
  memcpy(step.job.given, all + number - before, before * sizeof *all);
  for (uint32_t i = 0; i < WINDOW_NOTES; ++i) {
    all[number + i] =
      (NoteEvent){ (uint8_t)(40 + number % 7 + i), 0.5f, 0.1f, 0.1f };
  }
  memcpy(step.events, all + number, sizeof step.events);
  plan_text_write(writer, &step, text, &line.starts);
  line.text = strdup(text);
  return line;
}

// After a recall windows know few notes, then more: one that starts and reaches
// further back than the start before it can still be begun from.
static void
test_starts_after_a_recall(void** state)
{
  (void)state;
  static const struct {
    uint64_t number;
    uint32_t before;
  } windows[] = { { 0, 0 },   { 8, 8 },   { 16, 16 }, { 24, 24 },
                  { 32, 0 },  { 32, 24 }, { 32, 24 }, { 32, 24 },
                  { 40, 24 }, { 48, 16 }, { 56, 24 }, { 64, 24 } };
  enum { COUNT = sizeof windows / sizeof *windows };
  World* const   world = make_world_of(MODEL_DIFFUSION, 0.05f, -1, false);
  PlanTextWriter writer;
  NoteEvent      all[80];
  Said           lines[COUNT];
  uint32_t       starts = 0;
  plan_text_init(&writer, 48000, 0);
  for (int i = 0; i < COUNT; ++i) {
    lines[i] =
      write_window(&writer, world, all, windows[i].number, windows[i].before);
  }
  for (int from = 0; from < COUNT; ++from) {
    Regeneration* r;
    Error         error;
    starts += lines[from].starts;
    if (!lines[from].starts) {
      continue;
    }
    assert_int_equal(regeneration_open(find_model, world, &r, &error), 0);
    for (int i = from; i < COUNT; ++i) {
      if (regeneration_line(r, lines[i].number, lines[i].text, &error)) {
        fail_msg("from %d line %d: %s", from, i, error.text);
      }
    }
    regeneration_free(r);
  }
  assert_int_equal(starts, 3);
  for (int i = 0; i < COUNT; ++i) {
    free(lines[i].text);
  }
  free_world(world);
}

// Lines that nobody wrote are refused, and change nothing.
static void
test_hostile_lines(void** state)
{
  (void)state;
  World* const      world = make_world(0.05f, -1);
  const char* const bad[] = {
    "",
    "nonsense",
    "window z=00",
    "window model=0123456789012345678901234567890",
    "window steps=-1 z=prior:0",
    "window before=25",
    "window before=2 given=00",
    "window z=walk:2:0:1:1",
    "window z=walk:0.5:0:1:1", // from where?
    "window before=8 past=tail z=prior:0",
    "events notes=zz",
    "stamps at=nan",
    "stamps p.tempo=9",
    "stamps p.nothing=1",
    "stamps at",
    "break frame=x",
  };
  Regeneration* r;
  Error         error;
  assert_int_equal(regeneration_open(find_model, world, &r, &error), 0);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    if (!regeneration_line(r, 5, bad[i], &error)) {
      fail_msg("taken: %s", bad[i]);
    }
  }
  regeneration_free(r);
  free_world(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_any_session),
    cmocka_unit_test(test_starts_after_a_recall),
    cmocka_unit_test(test_hostile_lines),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
