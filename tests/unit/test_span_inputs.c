// backend/span_inputs: what a span gets of what came in, and what is counted
// when more came than it takes.
#include "backend/span_inputs.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRAMES 256u

static SpanInputs*
make_inputs(void)
{
  SpanInputs* const inputs = calloc(1, sizeof *inputs);
  assert_non_null(inputs);
  span_inputs_begin(inputs, FRAMES);
  return inputs;
}

static void
take(SpanInputs* inputs, uint32_t offset, const char* bytes, size_t size)
{
  span_inputs_take(inputs, offset, (const uint8_t*)bytes, size);
}

static void
assert_input(const SpanInputs* inputs,
             uint32_t          index,
             uint32_t          offset,
             uint8_t           status,
             uint8_t           data1,
             uint8_t           data2)
{
  const MidiInput* const input = &inputs->inputs[index];
  assert_true(index < inputs->count);
  assert_int_equal(input->offset_frames, offset);
  assert_int_equal(input->message[0], status);
  assert_int_equal(input->message[1], data1);
  assert_int_equal(input->message[2], data2);
  assert_int_equal(input->size_bytes, midi_message_bytes(status));
}

static void
test_running_status_over_spans(void** state)
{
  (void)state;
  SpanInputs* const inputs = make_inputs();
  take(inputs, 10, "\x90\x3c", 2);
  span_inputs_begin(inputs, FRAMES);
  take(inputs, 3, "\x40\xf8\x3d", 3);
  assert_int_equal(inputs->count, 2);
  assert_input(inputs, 0, 3, 0x90, 0x3c, 0x40);
  assert_input(inputs, 1, 3, 0xf8, 0, 0);
  span_inputs_begin(inputs, FRAMES);
  BackendSpan span = { 0 };
  span_inputs_give(inputs, &span);
  assert_int_equal(span.input_count, 0);
  take(inputs, 255, "\x41", 1);
  span_inputs_give(inputs, &span);
  assert_int_equal(span.input_count, 1);
  assert_ptr_equal(span.inputs, inputs->inputs);
  assert_input(inputs, 0, 255, 0x90, 0x3d, 0x41);
  assert_int_equal(atomic_load(&inputs->lost_count), 0);
  assert_int_equal(atomic_load(&inputs->stray_count), 0);
  free(inputs);
}

// What a server should never hand out, and may.
static void
test_odd_offsets(void** state)
{
  (void)state;
  SpanInputs* const inputs = make_inputs();
  take(inputs, 100, "\xf8", 1);
  take(inputs, 50, "\xf8", 1);         // back
  take(inputs, FRAMES, "\xf8", 1);     // beyond
  take(inputs, 0, "\xf8", 1);          // back again
  take(inputs, UINT32_MAX, "\xf8", 1); // far beyond
  take(inputs, 9, "", 0);              // nothing
  assert_int_equal(inputs->count, 5);
  static const uint32_t expected[] = { 100, 100, 255, 255, 255 };
  for (uint32_t i = 0; i < 5; ++i) {
    assert_input(inputs, i, expected[i], 0xf8, 0, 0);
  }
  // A span of no frames has only offset 0.
  span_inputs_begin(inputs, 0);
  take(inputs, 7, "\xfa", 1);
  assert_input(inputs, 0, 0, 0xfa, 0, 0);
  free(inputs);
}

static void
test_too_many_messages(void** state)
{
  (void)state;
  SpanInputs* const inputs = make_inputs();
  for (uint32_t i = 0; i < SPAN_INPUTS_MAX + 7; ++i) {
    take(inputs, i / 8, i ? "\x40\x7f" : "\xb0\x40\x7f", i ? 2 : 3);
  }
  assert_int_equal(inputs->count, SPAN_INPUTS_MAX);
  assert_int_equal(atomic_load(&inputs->lost_count), 7);
  // The stream itself went on: running status holds.
  span_inputs_begin(inputs, FRAMES);
  take(inputs, 5, "\x40\x00", 2);
  assert_input(inputs, 0, 5, 0xb0, 0x40, 0);
  span_inputs_lose(inputs, 3);
  assert_int_equal(atomic_load(&inputs->lost_count), 10);
  assert_int_equal(atomic_load(&inputs->stray_count), 0);
  free(inputs);
}

// SysEx without end: a span takes its share of bytes and no more; a real-time
// message within that share is heard; what follows the flood is right.
static void
test_sysex_flood(void** state)
{
  (void)state;
  static uint8_t    flood[4096];
  SpanInputs* const inputs = make_inputs();
  const uint32_t    taken  = SPAN_INPUT_BYTES_MAX / sizeof flood;
  memset(flood, 0x11, sizeof flood);
  flood[0]    = 0xf0;
  flood[1000] = 0xf8;
  for (uint32_t i = 0; i < 100; ++i) {
    span_inputs_take(inputs, i, flood, sizeof flood);
    flood[0] = 0x11;
  }
  assert_int_equal(inputs->count, taken);
  assert_input(inputs, 0, 0, 0xf8, 0, 0);
  assert_int_equal(atomic_load(&inputs->lost_count), 100 - taken);
  assert_int_equal(atomic_load(&inputs->stray_count), 0);
  span_inputs_begin(inputs, FRAMES);
  take(inputs, 0, "\x11\x22\xf7", 3); // its end, out of what was lost
  take(inputs, 1, "\x90\x3c\x40", 3);
  assert_int_equal(inputs->count, 1);
  assert_input(inputs, 0, 1, 0x90, 0x3c, 0x40);
  assert_int_equal(atomic_load(&inputs->stray_count), 3);
  free(inputs);
}

#define STREAM_BYTES 200u
#define STREAMS 20000u

// The same bytes in one piece, and in pieces over many spans.
static void
test_split_anywhere(void** state)
{
  (void)state;
  SpanInputs* const whole = make_inputs();
  SpanInputs* const parts = make_inputs();
  uint64_t          count = 0;
  for (uint32_t n = 0; n < STREAMS; ++n) {
    Rng       rng = rng_make(2, RNG_USE_TEST, n);
    uint8_t   bytes[STREAM_BYTES];
    MidiInput got[STREAM_BYTES];
    uint32_t  got_count = 0;
    for (uint32_t i = 0; i < STREAM_BYTES; ++i) {
      const uint32_t high = rng_below(&rng, 4) == 0;
      bytes[i]            = (uint8_t)(high << 7 | rng_below(&rng, 128));
    }
    memset(whole, 0, sizeof *whole);
    memset(parts, 0, sizeof *parts);
    span_inputs_begin(whole, FRAMES);
    span_inputs_take(whole, 0, bytes, STREAM_BYTES);
    for (uint32_t at = 0; at < STREAM_BYTES;) {
      uint32_t size = rng_below(&rng, 12);
      size          = size < STREAM_BYTES - at ? size : STREAM_BYTES - at;
      span_inputs_begin(parts, FRAMES);
      span_inputs_take(parts, 0, bytes + at, size);
      memcpy(&got[got_count], parts->inputs, parts->count * sizeof *got);
      got_count += parts->count;
      at += size;
    }
    assert_int_equal(got_count, whole->count);
    assert_memory_equal(got, whole->inputs, got_count * sizeof *got);
    assert_int_equal(parts->parser.stray_count, whole->parser.stray_count);
    count += got_count;
  }
  assert_true(count > 10 * STREAMS);
  free(whole);
  free(parts);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_running_status_over_spans),
    cmocka_unit_test(test_odd_offsets),
    cmocka_unit_test(test_too_many_messages),
    cmocka_unit_test(test_sysex_flood),
    cmocka_unit_test(test_split_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
