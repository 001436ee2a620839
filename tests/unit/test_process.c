// live/process against random notes, spans, sink refusals and endings: the
// invariants of DESIGN.md hold whatever happens, and where nothing goes wrong
// the output equals that of a naive reference, message for message.
#include "live/process_setup.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOTES_MAX 3000u
#define OUTPUT_MAX (2 * NOTES_MAX)

typedef struct {
  uint64_t frame;
  uint8_t  message[3];
} Output;

// A sink that checks what it is given and may refuse.
typedef struct {
  Rng      rng;
  uint32_t refuse_percent;
  uint64_t span_start;
  uint32_t span_frames;
  uint32_t last_offset;
  bool     on_at_last_offset;
  uint32_t span_messages;
  bool     sounding[16][128];
  Output   output[OUTPUT_MAX];
  uint32_t count;
  uint32_t refused_ons;
} Sink;

typedef struct {
  Process     process;
  Sink        sink;
  StampedNote notes[NOTES_MAX];
  uint32_t    note_count;
  uint32_t    pushed;
  uint64_t    frame;
} World;

static bool
is_on(const uint8_t message[3])
{
  return (message[0] & 0xf0) == 0x90;
}

static bool
take(void*          handle,
     MidiOut        port,
     uint32_t       offset,
     const uint8_t* message,
     uint32_t       size)
{
  assert_int_equal(port, MIDI_OUT_NOTES);
  assert_int_equal(size, 3);
  Sink* const sink = handle;
  assert_true(offset < sink->span_frames);
  assert_true(offset >= sink->last_offset); // invariant 2
  if (rng_below(&sink->rng, 100) < sink->refuse_percent) {
    sink->refused_ons += is_on(message);
    return false;
  }
  if (offset > sink->last_offset) {
    sink->on_at_last_offset = false;
  }
  sink->last_offset    = offset;
  bool* const sounding = &sink->sounding[message[0] & 15][message[1]];
  if (is_on(message)) {
    assert_false(*sounding); // invariant 1
    assert_in_range(message[2], 1, 127);
    sink->on_at_last_offset = true;
  } else {
    assert_int_equal(message[0] & 0xf0, 0x80);
    assert_true(*sounding);
    // Offs before ons; not where a refusal made an off late.
    assert_true(!sink->on_at_last_offset || sink->refuse_percent);
  }
  *sounding = is_on(message);
  assert_true(++sink->span_messages <= PERIOD_EVENTS_MAX);
  assert_true(sink->count < OUTPUT_MAX);
  Output* const output = &sink->output[sink->count++];
  output->frame        = sink->span_start + offset;
  memcpy(output->message, message, 3);
  return true;
}

static World*
make_world(uint64_t seed, uint32_t refuse_percent)
{
  World* const world = aligned_alloc(alignof(World), sizeof *world);
  Error        error;
  assert_non_null(world);
  memset(world, 0, sizeof *world);
  assert_int_equal(process_init(&world->process, &error), STATUS_OK);
  process_connect(&world->process);
  world->sink.rng            = rng_make(seed, RNG_USE_TEST, 1);
  world->sink.refuse_percent = refuse_percent;
  return world;
}

static void
free_world(World* world)
{
  process_free(&world->process);
  free(world);
}

// Notes crowd on few keys and frames, so that everything collides.
static void
make_notes(World* world, Rng* rng, uint32_t count)
{
  uint64_t       frame = 500;
  const uint32_t keys  = 1 + rng_below(rng, 60);
  const uint32_t gap   = 1 + rng_below(rng, 800);
  for (uint32_t i = 0; i < count; ++i) {
    frame += rng_below(rng, 3) ? rng_below(rng, gap) : 0;
    world->notes[i] = (StampedNote){
      .on_frame  = frame,
      .off_frame = frame + 1 + rng_below(rng, 20 * gap),
      .pitch     = (uint8_t)(30 + rng_below(rng, keys)),
      .velocity  = (uint8_t)(1 + rng_below(rng, 127)),
      .channel   = (uint8_t)rng_below(rng, 2),
    };
  }
  world->note_count = count;
}

// Puts what the ring has room for; `until`: only notes that begin before.
static void
push_notes(World* world, uint64_t until)
{
  while (world->pushed < world->note_count &&
         world->notes[world->pushed].on_frame < until &&
         ring_push(&world->process.notes, &world->notes[world->pushed])) {
    ++world->pushed;
  }
  ring_commit(&world->process.notes);
  atomic_store(&world->process.planned_until,
               world->pushed < world->note_count
                 ? world->notes[world->pushed].on_frame
                 : UINT64_MAX);
}

static void
run_span(World* world, uint32_t frames)
{
  Sink* const sink        = &world->sink;
  sink->span_start        = world->frame;
  sink->span_frames       = frames;
  sink->last_offset       = 0;
  sink->span_messages     = 0;
  sink->on_at_last_offset = false;
  const MidiSink midi     = { .write = take, .handle = sink };
  process_span(&world->process,
               &(BackendSpan){ .frame        = world->frame,
                               .frame_count  = frames,
                               .freewheeling = false,
                               .sink         = &midi });
  world->frame += frames;
  assert_int_equal(atomic_load(&world->process.processed_until), world->frame);
}

static uint32_t
random_span(Rng* rng)
{
  return PERIOD_FRAMES_MIN << rng_below(rng, 10);
}

static uint32_t
count_ons(const Sink* sink)
{
  uint32_t ons = 0;
  for (uint32_t i = 0; i < sink->count; ++i) {
    ons += is_on(sink->output[i].message);
  }
  return ons;
}

static void
assert_silent(const Sink* sink)
{
  for (int channel = 0; channel < 16; ++channel) {
    for (int pitch = 0; pitch < 128; ++pitch) {
      assert_false(sink->sounding[channel][pitch]);
    }
  }
}

// What was reported is what the sink took, in order.
static void
assert_reports(World* world)
{
  PlayedEvent event;
  uint32_t    count = 0;
  while (process_read_played(&world->process, &event)) {
    assert_true(count < world->sink.count);
    const Output* const output = &world->sink.output[count++];
    assert_int_equal(event.frame, output->frame);
    assert_memory_equal(event.message, output->message, 3);
  }
  assert_int_equal(count, world->sink.count);
}

// Every note that was given is accounted for.
static void
assert_counted(const World* world, uint32_t given)
{
  const ProcessCounters* const counters = &world->process.counters;
  const uint64_t               notes    = atomic_load(&counters->notes);
  assert_int_equal(notes, count_ons(&world->sink));
  assert_int_equal(
    notes + atomic_load(&counters->late) + atomic_load(&counters->dropped) +
      atomic_load(&counters->doubled) + atomic_load(&counters->replaced),
    given);
  assert_int_equal(atomic_load(&counters->reports_lost), 0);
}

// --- The naive reference: each note's off is at its own end, or where the same
// key is next pressed; then all is sorted by frame, offs first. ---------------

typedef struct {
  uint64_t frame;
  uint32_t order; // offs before ons, then as they were made
  uint8_t  message[3];
} Expected;

static int
compare_expected(const void* a, const void* b)
{
  const Expected* const x = a;
  const Expected* const y = b;
  if (x->frame != y->frame) {
    return x->frame < y->frame ? -1 : 1;
  }
  return x->order < y->order ? -1 : x->order > y->order;
}

static uint64_t
end_of(const World* world, uint32_t index)
{
  const StampedNote* const note = &world->notes[index];
  for (uint32_t i = index + 1; i < world->note_count; ++i) {
    const StampedNote* const later = &world->notes[i];
    if (later->pitch == note->pitch && later->channel == note->channel) {
      return later->on_frame < note->off_frame ? later->on_frame
                                               : note->off_frame;
    }
  }
  return note->off_frame;
}

// Compares as sets a frame: the order of offs at one frame is free.
static void
assert_equals_reference(const World* world)
{
  Expected* const expected = calloc(OUTPUT_MAX, sizeof *expected);
  Expected* const got      = calloc(OUTPUT_MAX, sizeof *got);
  uint32_t        count    = 0;
  for (uint32_t i = 0; i < world->note_count; ++i) {
    const StampedNote* const n   = &world->notes[i];
    const uint32_t           key = n->channel * 128u + n->pitch;
    expected[count++]            = (Expected){
                 end_of(world, i), key, { (uint8_t)(0x80 | n->channel), n->pitch, 64 }
    };
    expected[count++] =
      (Expected){ n->on_frame,
                  10000 + key,
                  { (uint8_t)(0x90 | n->channel), n->pitch, n->velocity } };
  }
  assert_int_equal(world->sink.count, count);
  for (uint32_t i = 0; i < count; ++i) {
    const Output* const out = &world->sink.output[i];
    got[i].frame            = out->frame;
    got[i].order            = (is_on(out->message) ? 10000u : 0u) +
                   (out->message[0] & 15u) * 128u + out->message[1];
    memcpy(got[i].message, out->message, 3);
  }
  qsort(expected, count, sizeof *expected, compare_expected);
  qsort(got, count, sizeof *got, compare_expected);
  for (uint32_t i = 0; i < count; ++i) {
    assert_int_equal(got[i].frame, expected[i].frame);
    assert_memory_equal(got[i].message, expected[i].message, 3);
  }
  free(expected);
  free(got);
}

// Two notes of one key at one frame have no order that a listener could hear:
// the reference leaves them out.
static void
remove_twins(World* world)
{
  uint32_t kept = 0;
  for (uint32_t i = 0; i < world->note_count; ++i) {
    bool twin = false;
    for (uint32_t k = kept; k-- > 0;) {
      const StampedNote* const other = &world->notes[k];
      if (other->on_frame != world->notes[i].on_frame) {
        break;
      }
      twin |= other->pitch == world->notes[i].pitch &&
              other->channel == world->notes[i].channel;
    }
    if (!twin) {
      world->notes[kept++] = world->notes[i];
    }
  }
  world->note_count = kept;
}

static void
test_equals_reference(void** state)
{
  (void)state;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Rng          rng   = rng_make(seed, RNG_USE_TEST, 0);
    World* const world = make_world(seed, 0);
    // So few that no period is full.
    make_notes(world, &rng, 1 + rng_below(&rng, 240));
    remove_twins(world);
    while (world->pushed < world->note_count || world->process.active_count ||
           ring_read_space(&world->process.notes)) {
      push_notes(world, UINT64_MAX);
      run_span(world, random_span(&rng));
    }
    assert_equals_reference(world);
    assert_counted(world, world->note_count);
    assert_reports(world);
    assert_int_equal(atomic_load(&world->process.counters.late), 0);
    assert_int_equal(atomic_load(&world->process.counters.dropped), 0);
    free_world(world);
  }
}

// Notes come late, the sink refuses, spans are skipped, the end comes when it
// comes.
static void
test_invariants_whatever_happens(void** state)
{
  (void)state;
  uint64_t late = 0, dropped = 0, retried = 0, retriggered = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Rng          rng   = rng_make(seed, RNG_USE_TEST, 0);
    World* const world = make_world(seed, rng_below(&rng, 2) * 30);
    make_notes(world, &rng, 1 + rng_below(&rng, NOTES_MAX));
    const uint64_t ahead = rng_below(&rng, 20000);
    const uint64_t end   = rng_below(&rng, 400000);
    while (world->frame < end) {
      const uint64_t now   = world->frame;
      const bool     stall = !rng_below(&rng, 8);
      if (!stall) {
        push_notes(world, now + ahead);
      }
      run_span(world, random_span(&rng));
      if (!rng_below(&rng, 20)) {
        world->frame += rng_below(&rng, 10000); // an xrun
      }
    }
    const uint32_t left = ring_read_space(&world->process.notes);
    atomic_store(&world->process.end_requested, true);
    for (int i = 0; i < 200 && !atomic_load(&world->process.ended); ++i) {
      run_span(world, random_span(&rng));
    }
    assert_true(atomic_load(&world->process.ended));
    const uint32_t count = world->sink.count;
    run_span(world, 8192);
    assert_int_equal(world->sink.count, count); // stays quiet
    assert_silent(&world->sink);
    assert_counted(world, world->pushed - left);
    assert_reports(world);
    late += atomic_load(&world->process.counters.late);
    dropped += atomic_load(&world->process.counters.dropped);
    retried += atomic_load(&world->process.counters.offs_retried);
    retriggered += atomic_load(&world->process.counters.retriggered);
    free_world(world);
  }
  // The test went where it claims to go.
  assert_true(late > 100 && dropped > 100 && retried > 100 &&
              retriggered > 100);
}

// More note-ons in one period than it may hold: the rest is dropped, counted,
// and every note still ends.
static void
test_period_cap(void** state)
{
  (void)state;
  World* const world = make_world(1, 0);
  world->note_count  = 2000;
  for (uint32_t i = 0; i < world->note_count; ++i) {
    world->notes[i] = (StampedNote){ .on_frame  = 10 + i / 200,
                                     .off_frame = 9000,
                                     .pitch     = (uint8_t)(i % 128),
                                     .velocity  = 64,
                                     .channel   = (uint8_t)(i / 128 % 16) };
  }
  push_notes(world, UINT64_MAX);
  run_span(world, 8192);
  assert_int_equal(count_ons(&world->sink), ACTIVE_NOTES_MAX);
  assert_int_equal(atomic_load(&world->process.counters.dropped),
                   world->note_count - ACTIVE_NOTES_MAX);
  run_span(world, 8192);
  assert_silent(&world->sink);
  assert_counted(world, world->note_count);
  free_world(world);
}

// The server died: the session clock goes on where it stood, though the new
// server's starts at another frame, and what sounded ends first.
static void
test_reconnect(void** state)
{
  (void)state;
  for (int back = 0; back < 2; ++back) {
    World* const world = make_world(1, 0);
    world->notes[0]    = (StampedNote){
         .on_frame = 100, .off_frame = 5000, .pitch = 60, .velocity = 64
    };
    world->notes[1] = (StampedNote){
      .on_frame = 1200, .off_frame = 1400, .pitch = 62, .velocity = 64
    };
    world->note_count = 2;
    push_notes(world, UINT64_MAX);
    run_span(world, 1024);
    process_connect(&world->process);
    // From the new server's view; the session's next frame is 1024.
    const uint64_t frame          = back ? 64 : 700000;
    world->sink.span_start        = 1024;
    world->sink.span_frames       = 512;
    world->sink.last_offset       = 0;
    world->sink.on_at_last_offset = false;
    const MidiSink midi           = { .write = take, .handle = &world->sink };
    process_span(&world->process,
                 &(BackendSpan){ .frame        = frame,
                                 .frame_count  = 512,
                                 .freewheeling = false,
                                 .sink         = &midi });
    assert_silent(&world->sink);
    assert_int_equal(world->sink.count, 4);
    assert_int_equal(world->sink.output[1].frame, 1024);
    assert_int_equal(world->sink.output[2].frame, 1200);
    assert_reports(world);
    free_world(world);
  }
}

// A clock that goes back: no frame is lived twice.
static void
test_clock_set_back(void** state)
{
  (void)state;
  World* const world = make_world(1, 0);
  world->notes[0]    = (StampedNote){
       .on_frame = 100, .off_frame = 600, .pitch = 60, .velocity = 64
  };
  world->notes[1] = (StampedNote){
    .on_frame = 520, .off_frame = 540, .pitch = 62, .velocity = 64
  };
  world->note_count = 2;
  push_notes(world, UINT64_MAX);
  run_span(world, 512);
  const MidiSink midi = { .write = take, .handle = &world->sink };
  process_span(
    &world->process,
    &(BackendSpan){
      .frame = 0, .frame_count = 512, .freewheeling = false, .sink = &midi });
  assert_int_equal(world->sink.count, 1);
  world->frame = 256; // overlaps by half
  run_span(world, 512);
  assert_int_equal(world->sink.count, 4);
  assert_int_equal(world->sink.output[1].frame, 520);
  free_world(world);
}

// Control did not read for long, and what was lost told of a break: it hears of
// it as soon as there is room.
static void
test_heard_ring_full(void** state)
{
  (void)state;
  static MidiInput inputs[SPAN_INPUTS_MAX];
  World* const     world   = make_world(1, 0);
  Process* const   process = &world->process;
  const MidiSink   midi    = { .write = take, .handle = &world->sink };
  BackendSpan      span    = { .frame_count = 512,
                               .inputs      = inputs,
                               .input_count = SPAN_INPUTS_MAX,
                               .transport   = { .exists = true, .rolling = true },
                               .sink        = &midi };
  HeardEvent       event   = { .kind = HEARD_MIDI };
  for (uint32_t i = 0; i < SPAN_INPUTS_MAX; ++i) {
    inputs[i] = (MidiInput){ 0, { 0xb0, 1, 2 }, 3 };
  }
  atomic_store(&process->follow, SYNC_JACK);
  for (int i = 0; i < 9; ++i) {
    process_span(process, &span);
    span.frame += 512;
    span.transport.frame += 512;
  }
  span.transport.frame = 7; // moved
  process_span(process, &span);
  const uint64_t broke_at = span.frame;
  const uint64_t lost     = atomic_load(&process->counters.heard_lost);
  assert_true(lost > SPAN_INPUTS_MAX);
  while (process_read_heard(process, &event)) {
    assert_int_equal(event.breaks, 1); // of following it
  }
  span.input_count = 0;
  for (int i = 0; i < 3; ++i) {
    span.frame += 512;
    span.transport.frame += 512;
    process_span(process, &span);
  }
  assert_true(process_read_heard(process, &event));
  assert_int_equal(event.kind, HEARD_TRANSPORT);
  assert_int_equal(event.breaks, 2);
  assert_int_equal(event.broke_at, broke_at);
  assert_true(event.transport.rolling);
  assert_false(process_read_heard(process, &event)); // once
  assert_int_equal(atomic_load(&process->counters.heard_lost), lost);
  free_world(world);
}

// After an xrun the clock skips, the transport does not: control hears where
// the song is now, nothing breaks.
static void
test_skipped_clock(void** state)
{
  (void)state;
  World* const   world   = make_world(1, 0);
  Process* const process = &world->process;
  const MidiSink midi    = { .write = take, .handle = &world->sink };
  BackendSpan    span    = { .frame_count = 512,
                             .transport   = { .exists = true, .rolling = true },
                             .sink        = &midi };
  HeardEvent     event;
  atomic_store(&process->follow, SYNC_JACK);
  for (int i = 0; i < 20; ++i) {
    process_span(process, &span);
    while (process_read_heard(process, &event)) {
      assert_true(i == 0 || i == 7 || i == 14);
      assert_int_equal(event.kind, HEARD_TRANSPORT);
      assert_int_equal(event.frame, span.frame);
      assert_int_equal(event.transport.frame, 512 * i);
      assert_int_equal(event.breaks, 1); // of following it
    }
    span.frame += i == 6 ? 5 * 512 : i == 13 ? 700 : 512;
    span.transport.frame += 512;
  }
  assert_int_equal(process->breaks, 1);
  span.transport.rolling = false; // it stands: where it is said nothing new
  process_span(process, &span);
  assert_true(process_read_heard(process, &event));
  span.frame += 5 * 512;
  process_span(process, &span);
  assert_false(process_read_heard(process, &event));
  free_world(world);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_equals_reference),
    cmocka_unit_test(test_invariants_whatever_happens),
    cmocka_unit_test(test_period_cap),
    cmocka_unit_test(test_reconnect),
    cmocka_unit_test(test_clock_set_back),
    cmocka_unit_test(test_heard_ring_full),
    cmocka_unit_test(test_skipped_clock),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
