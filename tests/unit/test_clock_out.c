// live/clock_out: ticks lie on the beat through changes of tempo, start comes
// with a whole beat, stop where it stands still, jumps or is switched off; what
// beat_follower makes of it is the beat itself.
#include "control/beat_follower.h"
#include "live/clock_out.h"
#include "live/process_setup.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define RATE_HZ 48000u

typedef struct {
  ClockOut     clock;
  BeatFollower follower;
  uint64_t     frame;
  uint32_t     counts[256];
  uint64_t     first[256]; // frame of the first of each kind since forgotten
} World;

static World
make_world(void)
{
  World world;
  memset(&world, 0, sizeof world);
  beat_follower_init(&world.follower, RATE_HZ, SYNC_MIDI);
  return world;
}

static void
run(World* world, uint64_t frames)
{
  const uint64_t end  = world->frame + frames;
  uint64_t       last = world->frame;
  uint64_t       at;
  while ((at = clock_out_next(&world->clock)) < end) {
    assert_true(at >= last); // time never goes back
    last                   = at;
    const uint8_t    byte  = clock_out_take(&world->clock);
    const HeardEvent event = { .kind  = HEARD_MIDI,
                               .frame = at,
                               .midi  = { .message = { byte } } };
    if (!world->counts[byte]++) {
      world->first[byte] = at;
    }
    beat_follower_hear(&world->follower, &event);
  }
  world->frame = end;
}

static void
mark(World* world, double beat, double bpm, bool rolling)
{
  const BeatMark here = { .frame          = world->frame,
                          .map            = { world->frame, beat, bpm },
                          .sample_rate_hz = RATE_HZ,
                          .rolling        = rolling };
  clock_out_mark(&world->clock, &here);
}

static void
forget(World* world)
{
  memset(world->counts, 0, sizeof world->counts);
}

static void
test_follows_the_beat(void** state)
{
  (void)state;
  World world = make_world();
  clock_out_switch(&world.clock, 0, true);
  run(&world, RATE_HZ);
  assert_int_equal(world.counts[0xf8], 0); // no beat is known
  mark(&world, 0.5, 120, true);
  run(&world, 10 * RATE_HZ);
  assert_int_equal(world.counts[0xfa], 1);
  assert_int_equal(world.first[0xfa], RATE_HZ + RATE_HZ / 4);
  assert_in_range(world.counts[0xf8], 9.75 * 48, 9.75 * 48 + 1);
  assert_true(fabs(beat_follower_bpm(&world.follower) - 120) < 0.1);
  // Another tempo at the same beat: no tick is lost or doubled.
  const double beat = 0.5 + 20;
  forget(&world);
  mark(&world, beat, 90, true);
  run(&world, 8 * RATE_HZ);
  assert_int_equal(world.counts[0xfa] + world.counts[0xfc], 0);
  assert_in_range(world.counts[0xf8], 12 * 24 - 1, 12 * 24 + 1);
  assert_true(fabs(beat_follower_bpm(&world.follower) - 90) < 0.1);
}

static void
test_stops(void** state)
{
  (void)state;
  World world = make_world();
  clock_out_switch(&world.clock, 0, true);
  mark(&world, 0, 120, true);
  run(&world, RATE_HZ);
  forget(&world);
  mark(&world, 2, 120, false);
  run(&world, RATE_HZ);
  assert_int_equal(world.counts[0xfc], 1);
  assert_int_equal(world.first[0xfc], RATE_HZ);
  assert_int_equal(world.counts[0xf8], 0);
  mark(&world, 16, 120, true);
  run(&world, RATE_HZ);
  assert_int_equal(world.counts[0xfa], 1);
  assert_in_range(world.counts[0xf8], 48, 49);
  // A jump.
  forget(&world);
  mark(&world, 4.25, 120, true);
  run(&world, RATE_HZ);
  assert_int_equal(world.counts[0xfc], 1);
  assert_int_equal(world.counts[0xfa], 1);
  assert_true(world.first[0xfa] > world.first[0xfc]);
  // Switched off, and on.
  forget(&world);
  clock_out_switch(&world.clock, world.frame, false);
  run(&world, RATE_HZ);
  assert_int_equal(world.counts[0xfc], 1);
  assert_int_equal(world.counts[0xf8], 0);
  clock_out_switch(&world.clock, world.frame, true);
  run(&world, RATE_HZ);
  assert_int_equal(world.counts[0xfa], 1);
}

typedef struct {
  uint64_t span;
  uint32_t last_offset;
  uint32_t notes, ticks, starts, stops;
  uint64_t tick_at; // the last one's frame
} Heard;

static bool
hear(void*          handle,
     MidiOut        port,
     uint32_t       offset,
     const uint8_t* message,
     uint32_t       size)
{
  Heard* const heard = handle;
  assert_int_equal(port, MIDI_OUT_NOTES);
  assert_true(offset >= heard->last_offset);
  heard->last_offset = offset;
  if (size == 3) {
    ++heard->notes;
    return true;
  }
  assert_int_equal(size, 1);
  heard->starts += *message == 0xfa;
  heard->stops += *message == 0xfc;
  if (*message == 0xf8) {
    assert_int_equal(heard->span + offset, heard->ticks++ * 1000);
  }
  return true;
}

// Between notes, in spans of any length, to the frame; stop comes with the end.
static void
test_in_process(void** state)
{
  (void)state;
  static Process process;
  Heard          heard = { 0 };
  Error          error;
  const MidiSink sink = { .write = hear, .handle = &heard };
  const BeatMark here = { .map            = { 0, 0, 120 },
                          .sample_rate_hz = RATE_HZ,
                          .rolling        = true };
  assert_int_equal(process_init(&process, &error), STATUS_OK);
  process_connect(&process);
  assert_true(ring_push(&process.beats, &here));
  ring_commit(&process.beats);
  atomic_store(&process.clock_out, true);
  for (uint32_t i = 0; i < 200; ++i) {
    const StampedNote note = { .on_frame  = 333 * i,
                               .off_frame = 333 * i + 300,
                               .pitch     = (uint8_t)(30 + i % 60),
                               .velocity  = 64 };
    assert_true(ring_push(&process.notes, &note));
  }
  ring_commit(&process.notes);
  atomic_store(&process.planned_until, UINT64_MAX);
  uint64_t ended = 0;
  for (uint32_t i = 0; i < 400; ++i) {
    const uint32_t count = 16 + i * 37 % 500;
    heard.last_offset    = 0;
    // Somewhere in the span the plan is stamped anew, on the same beat.
    const BeatMark again = { .frame          = heard.span + i * 53 % count,
                             .map            = here.map,
                             .sample_rate_hz = RATE_HZ,
                             .rolling        = true };
    assert_true(ring_push(&process.beats, &again));
    ring_commit(&process.beats);
    if (i == 350) {
      atomic_store(&process.end_requested, true);
      ended = heard.span;
    }
    process_span(&process,
                 &(BackendSpan){
                   .frame = heard.span, .frame_count = count, .sink = &sink });
    heard.span += count;
  }
  assert_int_equal(heard.starts, 1);
  assert_int_equal(heard.stops, 1);
  assert_int_equal(heard.notes, 400);
  assert_int_equal(heard.ticks, (ended + 999) / 1000); // not one is left out
  process_free(&process);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_follows_the_beat),
    cmocka_unit_test(test_stops),
    cmocka_unit_test(test_in_process),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
