// What the worker's tests share: a worker on fake models, a process that plays
// what it plans to a cable, and what must hold at its other end. Include after
// cmocka.h.
#pragma once

#include "clock.h"
#include "fake_model.h"
#include "live/process_setup.h"
#include "live/worker.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  Model   model;
  Model   fallback;
  Process process;
  Worker  worker;
} World;

static inline World*
make_world_of(ModelKind kind, float step_s, double seconds, bool fallback)
{
  World* const world = aligned_alloc(alignof(World), sizeof *world);
  Error        error;
  assert_non_null(world);
  memset(world, 0, sizeof *world);
  fake_model_init(&world->model, kind);
  fake_model_init(&world->fallback, MODEL_VAE);
  world->model.step_s    = step_s;
  world->fallback.step_s = step_s;
  world->fallback.pitch  = 100;
  assert_int_equal(process_init(&world->process, &error), STATUS_OK);
  process_connect(&world->process);
  const WorkerSetup setup = { .model    = &world->model,
                              .fallback = fallback ? &world->fallback : NULL,
                              .params   = params_standard(),
                              .seed     = 5,
                              .seconds  = seconds };
  assert_int_equal(worker_init(&world->worker, &world->process, &setup, &error),
                   STATUS_OK);
  return world;
}

static inline World*
make_world(float step_s, double seconds)
{
  return make_world_of(MODEL_VAE, step_s, seconds, false);
}

static inline void
free_world(World* world)
{
  worker_free(&world->worker);
  process_free(&world->process);
  free(world);
}

// What the other end of the cable hears.
typedef struct {
  uint64_t span; // frame
  uint64_t last_on;
  uint64_t gap_max; // between a note-on and the next, in frames
  uint32_t ons, offs;
  uint8_t  pitches[8192];      // of the note-ons
  int      sounding[16 * 128]; // by channel and key
} Heard;

static inline bool
take(void*          handle,
     MidiOut        port,
     uint32_t       offset,
     const uint8_t* message,
     uint32_t       size)
{
  assert_int_equal(port, MIDI_OUT_NOTES);
  assert_int_equal(size, 3);
  Heard* const heard  = handle;
  int* const sounding = &heard->sounding[(message[0] & 15) * 128 + message[1]];
  if ((message[0] & 0xf0) != 0x90) {
    ++heard->offs;
    assert_int_equal((*sounding)--, 1);
    return true;
  }
  const uint64_t frame = heard->span + offset;
  const uint64_t gap   = heard->ons ? frame - heard->last_on : 0;
  heard->gap_max       = gap > heard->gap_max ? gap : heard->gap_max;
  heard->last_on       = frame;
  assert_int_equal((*sounding)++, 0);
  assert_true(heard->ons < sizeof heard->pitches);
  heard->pitches[heard->ons++] = message[1];
  return true;
}

// Plays `spans` spans of 10 ms at `speed` times that of real time.
static inline void
play_at(World* world, Heard* heard, int spans, int speed)
{
  const MidiSink sink = { .write = take, .handle = heard };
  int64_t        due  = clock_now_ns();
  for (int i = 0; i < spans; ++i) {
    process_span(&world->process,
                 &(BackendSpan){ .frame        = heard->span,
                                 .frame_count  = 480,
                                 .freewheeling = false,
                                 .sink         = &sink });
    heard->span += 480;
    due += 10000000 / speed;
    clock_sleep_until_ns(due);
  }
}

static inline void
play(World* world, Heard* heard, int spans)
{
  play_at(world, heard, spans, 4);
}

static inline void
start(World* world)
{
  Error error;
  assert_int_equal(worker_prime(&world->worker, NULL, &error), STATUS_OK);
  assert_int_equal(worker_start(&world->worker, 48000, &error), STATUS_OK);
}

// A sanitizer on a busy machine is held to no time.
static inline bool
is_slow(void)
{
  return getenv("SLOW") != NULL;
}

static inline void
expect_none_late(const World* world)
{
  const uint64_t late = atomic_load(&world->process.counters.late);
  if (late && !is_slow()) {
    fail_msg("%u notes late", (unsigned)late);
  }
}

// Whatever happened: no period without a plan, nothing late, each note ended,
// and never a longer rest than the notes themselves explain.
static inline void
expect_no_silence(const World* world, const Heard* heard, double gap_s)
{
  const ProcessCounters* const counters = &world->process.counters;
  assert_int_equal(atomic_load(&counters->spans_starved), 0);
  expect_none_late(world);
  assert_int_equal(atomic_load(&counters->dropped), 0);
  assert_int_equal(heard->offs, heard->ons);
  if ((double)heard->gap_max / 48000 > gap_s) {
    fail_msg("%.2f s of silence", (double)heard->gap_max / 48000);
  }
  assert_false(atomic_load(&world->worker.failed));
}

// The windows that the model made are all there, once each, in order: those of
// a stall too, only later. Returns how many there are; notes of the fallback
// (pitch 100) and repeated ones stand between.
static inline uint32_t
expect_all_windows(const Heard* heard, bool repeats)
{
  uint32_t window = 0;
  for (uint32_t i = 0; i + 7 < heard->ons; i += WINDOW_NOTES) {
    const uint8_t pitch = heard->pitches[i];
    if (pitch == 30 + window % 60) {
      ++window;
    } else {
      assert_true(pitch == 100 || repeats);
    }
    assert_true(repeats || pitch == heard->pitches[i + 7]);
  }
  return window;
}
