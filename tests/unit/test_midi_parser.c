// core/music/midi_parser: byte streams with known messages, and random ones
// against a reference that looks at the whole stream at once.
#include "music/midi_parser.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STREAM_BYTES_MAX 64
#define RANDOM_STREAMS 100000

typedef struct {
  uint8_t  message[3];
  uint32_t size;
} Message;

typedef struct {
  Message  messages[STREAM_BYTES_MAX];
  uint32_t count;
  uint32_t stray_count;
} Parsed;

static void
add(Parsed* parsed, const uint8_t* bytes, uint32_t size)
{
  Message* const message = &parsed->messages[parsed->count++];
  memcpy(message->message, bytes, size);
  message->size = size;
}

static Parsed
parse(const uint8_t* bytes, size_t size)
{
  Parsed     parsed = { 0 };
  MidiParser parser = { 0 };
  for (size_t i = 0; i < size; ++i) {
    uint8_t        message[3] = { 0xee, 0xee, 0xee };
    const uint32_t whole      = midi_parser_take(&parser, bytes[i], message);
    if (whole) {
      assert_in_range(whole, 1, 3);
      add(&parsed, message, 3); // what is beyond the size counts, too
      parsed.messages[parsed.count - 1].size = whole;
    } else {
      assert_int_equal(message[0], 0xee);
    }
  }
  parsed.stray_count = parser.stray_count;
  return parsed;
}

static int
digit(char c)
{
  return c <= '9' ? c - '0' : c - 'a' + 10;
}

// "90 3c 40" to bytes; returns how many.
static size_t
from_hex(const char* text, uint8_t bytes[STREAM_BYTES_MAX])
{
  size_t size = 0;
  for (; *text; text += text[2] ? 3 : 2) {
    bytes[size++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
  }
  return size;
}

// "90 3c 40, f8"
static void
assert_messages(const Parsed* parsed, const char* expected)
{
  char  text[4 * 3 * STREAM_BYTES_MAX] = "";
  char* at                             = text;
  for (uint32_t i = 0; i < parsed->count; ++i) {
    for (uint32_t k = 0; k < parsed->messages[i].size; ++k) {
      at += sprintf(at,
                    "%s%02x",
                    k   ? " "
                    : i ? ", "
                        : "",
                    parsed->messages[i].message[k]);
    }
  }
  assert_string_equal(text, expected);
}

static void
test_known_streams(void** state)
{
  (void)state;
  static const struct {
    const char* stream;
    const char* messages;
    uint32_t    stray_count;
  } cases[] = {
    { "90 3c 40 80 3c 00", "90 3c 40, 80 3c 00", 0 },
    { "a1 3c 10 b2 07 7f c3 05 d4 22 e5 00 40",
      "a1 3c 10, b2 07 7f, c3 05, d4 22, e5 00 40",
      0 },
    // Running status, of both lengths; velocity 0 stays what it is.
    { "90 3c 40 3c 00 40 41", "90 3c 40, 90 3c 00, 90 40 41", 0 },
    { "c0 01 02 03", "c0 01, c0 02, c0 03", 0 },
    // Real time within a message, within running status, within SysEx.
    { "90 f8 3c fa 40 f8 3c fe 00", "f8, fa, 90 3c 40, f8, fe, 90 3c 00", 0 },
    { "f0 7e f8 01 fc f7 fb ff", "f8, fc, fb, ff", 0 },
    // System common; it ends running status.
    { "f1 12 f2 01 02 f3 05 f6", "f1 12, f2 01 02, f3 05, f6", 0 },
    { "90 3c 40 f6 3c 00", "90 3c 40, f6", 2 },
    { "f2 01 02 03 04", "f2 01 02", 2 },
    // SysEx ends running status, and ends at any status.
    { "90 3c 40 f0 01 02 f7 3c 00", "90 3c 40", 2 },
    { "f0 01 02 90 3c 40 3d 41", "90 3c 40, 90 3d 41", 0 },
    { "f0 01 f0 02 f7 90 01 02", "90 01 02", 0 },
    { "f7 90 01 02", "90 01 02", 1 },
    // Undefined: of system common they end running status, of real time not.
    { "90 3c 40 f4 3c 00", "90 3c 40", 3 },
    { "90 3c 40 f5 3c 00", "90 3c 40", 3 },
    { "90 3c f9 40 fd 3c 00", "90 3c 40, 90 3c 00", 2 },
    // Cut short, and begun in the middle.
    { "90 3c 91 3d 40", "91 3d 40", 1 },
    { "90 91 3d 40 3e 92 01 02", "91 3d 40, 92 01 02", 2 },
    { "3c 40 7f c1 05", "c1 05", 3 },
    { "f2 01 f8 f3 02", "f8, f3 02", 1 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    uint8_t      bytes[STREAM_BYTES_MAX];
    const size_t size   = from_hex(cases[i].stream, bytes);
    const Parsed parsed = parse(bytes, size);
    assert_messages(&parsed, cases[i].messages);
    assert_int_equal(parsed.stray_count, cases[i].stray_count);
  }
}

static void
test_long_sysex(void** state)
{
  (void)state;
  MidiParser parser     = { 0 };
  uint8_t    message[3] = { 0 };
  assert_int_equal(midi_parser_take(&parser, 0xf0, message), 0);
  for (uint32_t i = 0; i < 10000000; ++i) {
    assert_int_equal(midi_parser_take(&parser, i & 0x7f, message), 0);
  }
  assert_int_equal(midi_parser_take(&parser, 0xf8, message), 1);
  assert_int_equal(midi_parser_take(&parser, 0xf7, message), 0);
  assert_int_equal(parser.stray_count, 0);
}

static void
test_break(void** state)
{
  (void)state;
  static const uint8_t before[][2] = { { 0x90, 0x3c }, { 0xf0, 0x01 } };
  for (int i = 0; i < 2; ++i) {
    MidiParser parser = { 0 };
    uint8_t    message[3];
    midi_parser_take(&parser, 0x05, message); // a stray
    midi_parser_take(&parser, before[i][0], message);
    midi_parser_take(&parser, before[i][1], message);
    midi_parser_break(&parser);
    assert_int_equal(midi_parser_take(&parser, 0x40, message), 0);
    assert_int_equal(midi_parser_take(&parser, 0x41, message), 0);
    assert_int_equal(parser.stray_count, 3);
  }
}

// The reference. Size of a message by its status, from the MIDI standard's
// list; 0: none.
static uint32_t
size_of(uint8_t status)
{
  if (status < 0xf0) {
    return status >= 0xc0 && status < 0xe0 ? 2 : 3;
  }
  return status == 0xf2                     ? 3
         : status == 0xf1 || status == 0xf3 ? 2
         : status == 0xf6 ||
             (status >= 0xf8 && status != 0xf9 && status != 0xfd)
           ? 1
           : 0;
}

// Where the last status before `end` stands in `bytes`; -1: nowhere.
static int
status_before(const uint8_t* bytes, int end)
{
  int at = end - 1;
  while (at >= 0 && bytes[at] < 0x80) {
    --at;
  }
  return at;
}

// Whether the message that begins at `at` still lacks data at `end`.
static bool
lacks_data(const uint8_t* bytes, int at, int end)
{
  const uint32_t needs = size_of(bytes[at]) - 1;
  const uint32_t has   = (uint32_t)(end - at - 1);
  return size_of(bytes[at]) > 1 &&
         (has < needs || (bytes[at] < 0xf0 && has % needs));
}

// One byte of a stream without real time. The message that it ends, if any.
static void
look_at(const uint8_t* bytes, int at, Parsed* parsed)
{
  const uint8_t byte   = bytes[at];
  const int     before = status_before(bytes, at);
  const uint8_t last   = before < 0 ? 0 : bytes[before];
  if (byte >= 0x80) {
    parsed->stray_count += before >= 0 && lacks_data(bytes, before, at);
    parsed->stray_count +=
      byte == 0xf4 || byte == 0xf5 || (byte == 0xf7 && last != 0xf0);
    if (byte == 0xf6) {
      add(parsed, &byte, 1);
    }
    return;
  }
  const uint32_t needs = size_of(last) > 1 ? size_of(last) - 1 : 0;
  const uint32_t has   = (uint32_t)(at - before);
  if (last == 0xf0) {
    return;
  }
  if (before < 0 || !needs || (last >= 0xf0 && has > needs)) {
    ++parsed->stray_count;
  } else if (has % needs == 0) {
    const uint8_t message[3] = { last, bytes[at - (int)needs + 1], byte };
    add(parsed, message, needs + 1);
  }
}

static Parsed
parse_slowly(const uint8_t* bytes, size_t size)
{
  Parsed  parsed = { 0 };
  uint8_t others[STREAM_BYTES_MAX];
  int     count = 0;
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] < 0xf8) {
      others[count++] = bytes[i];
      look_at(others, count - 1, &parsed);
    } else if (size_of(bytes[i])) {
      add(&parsed, &bytes[i], 1);
    } else {
      ++parsed.stray_count;
    }
  }
  return parsed;
}

// From well-formed to noise: mostly data, some status, some real time.
static size_t
make_stream(Rng* rng, uint8_t bytes[STREAM_BYTES_MAX])
{
  const uint32_t status_share = 1 + rng_below(rng, 60);
  const uint32_t system_share = rng_below(rng, 60);
  const size_t   size         = rng_below(rng, STREAM_BYTES_MAX + 1);
  for (size_t i = 0; i < size; ++i) {
    const bool status = rng_below(rng, 100) < status_share;
    const bool system = rng_below(rng, 100) < system_share;
    bytes[i]          = (uint8_t)(!status  ? rng_below(rng, 128)
                                  : system ? 0xf0 + rng_below(rng, 16)
                                           : 0x80 + rng_below(rng, 0x70));
  }
  return size;
}

static void
test_random_streams(void** state)
{
  (void)state;
  uint64_t messages = 0;
  uint64_t strays   = 0;
  for (uint32_t n = 0; n < RANDOM_STREAMS; ++n) {
    Rng          rng = rng_make(1, RNG_USE_TEST, n);
    uint8_t      bytes[STREAM_BYTES_MAX];
    const size_t size   = make_stream(&rng, bytes);
    const Parsed parsed = parse(bytes, size);
    const Parsed slowly = parse_slowly(bytes, size);
    if (parsed.count != slowly.count ||
        parsed.stray_count != slowly.stray_count ||
        memcmp(parsed.messages, slowly.messages, sizeof parsed.messages)) {
      fail_msg("stream %u of seed 1 is parsed otherwise", n);
    }
    for (uint32_t i = 0; i < parsed.count; ++i) {
      const Message* const m = &parsed.messages[i];
      assert_true(m->message[0] >= 0x80 && m->message[0] != 0xf0);
      assert_int_equal(m->size, midi_message_bytes(m->message[0]));
      assert_true(m->message[1] < 0x80 && m->message[2] < 0x80);
    }
    messages += parsed.count;
    strays += parsed.stray_count;
  }
  // The streams were neither all noise nor all in order.
  assert_true(messages > 5 * RANDOM_STREAMS && strays > RANDOM_STREAMS);
}

static void
test_sizes(void** state)
{
  (void)state;
  for (int status = 0; status < 256; ++status) {
    assert_int_equal(midi_message_bytes((uint8_t)status),
                     status < 0x80 ? 0 : size_of((uint8_t)status));
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_known_streams),  cmocka_unit_test(test_long_sysex),
    cmocka_unit_test(test_break),          cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_random_streams),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
