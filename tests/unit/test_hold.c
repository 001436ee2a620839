// What control asks of process while it plays: to be quiet for a while, and to
// show controllers something.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "live/process_setup.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define SPAN_FRAMES 480u

typedef struct {
  Process  process;
  uint64_t frame;
  uint32_t ons;
  int      sounding; // note-ons without an off
  bool     refuses;
} World;

static bool
take(void*          handle,
     MidiOut        port,
     uint32_t       offset,
     const uint8_t* message,
     uint32_t       size)
{
  World* const world = handle;
  (void)port;
  (void)offset;
  assert_int_equal(size, 3);
  if (world->refuses) {
    return false;
  }
  const uint8_t kind = message[0] & 0xf0;
  world->ons += kind == 0x90;
  world->sounding += (kind == 0x90) - (kind == 0x80);
  return true;
}

// A note of two spans begins in each span.
static World*
make_world(void)
{
  World* const world = aligned_alloc(alignof(World), sizeof *world);
  Error        error;
  assert_non_null(world);
  memset(world, 0, sizeof *world);
  assert_int_equal(process_init(&world->process, &error), STATUS_OK);
  process_connect(&world->process);
  for (uint32_t i = 0; i < 100; ++i) {
    const uint64_t    frame = i * SPAN_FRAMES + 100;
    const StampedNote note  = { .on_frame  = frame,
                                .off_frame = frame + 2 * SPAN_FRAMES,
                                .number    = i,
                                .pitch     = (uint8_t)(20 + i),
                                .velocity  = 80 };
    assert_true(ring_push(&world->process.notes, &note));
  }
  ring_commit(&world->process.notes);
  atomic_store(&world->process.planned_until, UINT64_MAX);
  return world;
}

// In each of which a key is pressed, too.
static void
run_spans(World* world, int count, uint8_t key)
{
  const MidiSink midi = { .write = take, .handle = world };
  for (int i = 0; i < count; ++i, world->frame += SPAN_FRAMES) {
    const MidiInput press = { 10, { 0x91, (uint8_t)(key + i), 90 }, 3 };
    process_span(&world->process,
                 &(BackendSpan){ .frame       = world->frame,
                                 .frame_count = SPAN_FRAMES,
                                 .inputs      = &press,
                                 .input_count = 1,
                                 .sink        = &midi });
  }
}

// Held, nothing sounds and nothing begins, echoes included; then it goes on.
static void
test_hold(void** state)
{
  (void)state;
  World* const   world   = make_world();
  Process* const process = &world->process;
  atomic_store(&process->echo, true);
  run_spans(world, 5, 1);
  assert_int_equal(world->ons, 10);
  assert_int_equal(world->sounding, 2 + 5); // echoes sound until released
  assert_false(atomic_load(&process->held));
  atomic_store(&process->hold_requested, true);
  run_spans(world, 1, 30);
  assert_true(atomic_load(&process->held));
  run_spans(world, 9, 40);
  assert_int_equal(world->sounding, 0);
  assert_int_equal(world->ons, 10);
  assert_false(atomic_load(&process->ended));
  atomic_store(&process->hold_requested, false);
  run_spans(world, 5, 60);
  assert_int_equal(world->ons, 20);
  assert_false(atomic_load(&process->held));
  assert_int_equal(atomic_load(&process->counters.late), 10);
  atomic_store(&process->end_requested, true);
  run_spans(world, 2, 80);
  assert_true(atomic_load(&process->ended));
  assert_int_equal(world->sounding, 0);
  process_free(process);
  free(world);
}

// What a controller was to be shown and is not is counted.
static void
test_feedback_lost(void** state)
{
  (void)state;
  World* const  world      = make_world();
  const uint8_t message[3] = { 0xb0, 7, 99 };
  uint32_t      sent       = 0;
  while (process_send_feedback(&world->process, message)) {
    ++sent;
  }
  assert_int_equal(sent, FEEDBACK_RING_EVENTS);
  world->refuses = true;
  run_spans(world, 1, 1);
  assert_int_equal(atomic_load(&world->process.counters.feedback_lost), sent);
  assert_true(process_send_feedback(&world->process, message));
  process_free(&world->process);
  free(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_hold),
    cmocka_unit_test(test_feedback_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
