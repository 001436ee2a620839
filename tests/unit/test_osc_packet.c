// OSC packets: sound ones come apart in order, all others are refused whole,
// and whatever the bytes, what is handed on can be read by liblo.
#include "control/osc_packet.h"
#include "control/osc_socket.h"
#include "rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND "\0\0\0\0\0\0\0\1"

static OscMessage messages[OSC_MESSAGES_MAX];
static size_t     count;
static Error      error;

// A copy of exact size and alignment, so that a sanitizer sees each step too
// far. 1: malformed.
static int
split(const void* bytes, size_t size)
{
  uint8_t* const copy = malloc(size ? size : 1);
  memcpy(copy, bytes, size);
  count               = 99;
  const Status status = osc_packet_split(copy, size, messages, &count, &error);
  assert_true(status == STATUS_OK || (status == STATUS_BAD_FILE && !count));
  for (size_t i = 0; i < count; ++i) {
    assert_true((const uint8_t*)messages[i].path >= copy);
    assert_true(messages[i].bytes + messages[i].size_bytes <= copy + size);
    lo_message message = osc_message_read(&messages[i]);
    assert_non_null(message);
    assert_true((size_t)lo_message_get_argc(message) <= OSC_ARGUMENTS_MAX);
    lo_message_free(message);
  }
  free(copy);
  return status != STATUS_OK;
}

#define SPLIT(literal) split(literal, sizeof literal - 1)

static void
test_messages(void** state)
{
  (void)state;
  assert_int_equal(SPLIT("/a\0\0,\0\0\0"), 0);
  assert_int_equal(count, 1);
  assert_int_equal(SPLIT("/abc\0\0\0\0,if\0\0\0\0\1\0\0\0\0"), 0);
  assert_int_equal(SPLIT("/a\0\0,sS\0one\0fo\0\0"), 0);
  assert_int_equal(SPLIT("/a\0\0,TFNI\0\0\0"), 0);
  assert_int_equal(SPLIT("/a\0\0,b\0\0\0\0\0\5abcde\0\0\0"), 0);
  assert_int_equal(SPLIT("/a\0\0,b\0\0\0\0\0\0"), 0);
  assert_int_equal(SPLIT("/a\0\0,h\0\0\0\0\0\0\0\0\0\1"), 0);
}

static void
test_bundles(void** state)
{
  (void)state;
  assert_int_equal(SPLIT("#bundle\0" SECOND), 0);
  assert_int_equal(count, 0);
  const char two[] =
    "#bundle\0" SECOND "\0\0\0\x08/a\0\0,\0\0\0"
    "\0\0\0\x20#bundle\0" SECOND "\0\0\0\x0c/b\0\0,i\0\0\0\0\0\1"
    "\0\0\0\x08/c\0\0,\0\0\0";
  uint8_t copy[sizeof two - 1];
  memcpy(copy, two, sizeof copy);
  assert_int_equal(
    osc_packet_split(copy, sizeof copy, messages, &count, &error), STATUS_OK);
  assert_int_equal(count, 3);
  assert_string_equal(messages[0].path, "/a");
  assert_string_equal(messages[1].path, "/b");
  assert_int_equal(messages[1].size_bytes, 12);
  assert_string_equal(messages[2].path, "/c");
}

static void
test_refusals(void** state)
{
  (void)state;
  const struct {
    const char* bytes;
    size_t      size;
  } bad[] = {
#define BAD(literal) { literal, sizeof literal - 1 }
    BAD(""),
    BAD("/a\0"),                         // no multiple of 4
    BAD("/abc"),                         // no end
    BAD("/a\0\0"),                       // no types
    BAD("/a\0x,\0\0\0"),                 // padded with more
    BAD("a\0\0\0,\0\0\0"),               // no path
    BAD("/a b\0\0\0\0,\0\0\0"),          // a space
    BAD("/\n\0\0,\0\0\0"),               // a control character
    BAD("/\xff\0\0,\0\0\0"),             // not ASCII
    BAD("/a\0\0i\0\0\0\0\0\0\1"),        // no comma
    BAD("/a\0\0,i\0\0"),                 // no argument
    BAD("/a\0\0,d\0\0\0\0\0\0"),         // half of one
    BAD("/a\0\0,\0\0\0\0\0\0\0"),        // one too many
    BAD("/a\0\0,x\0\0\0\0\0\0"),         // an unknown type
    BAD("/a\0\0,[]\0"),                  // arrays
    BAD("/a\0\0,s\0\0abcd"),             // text without an end
    BAD("/a\0\0,b\0\0\0\0\0\5abcd"),     // a blob that is too short
    BAD("/a\0\0,b\0\0\0\0\0\1a\0b\0"),   // padded with more
    BAD("/a\0\0,b\0\0\xff\xff\xff\xff"), // of 4 GB
    BAD("/a\0\0,b\0\0\xff\xff\xff\xfd"), // that wraps round
    BAD("#bundle\0\0\0\0\0"),            // no time
    BAD("#bundle\0" SECOND "\0\0\0\0"),  // an empty element
    BAD("#bundle\0" SECOND "\0\0"),      // no size
    BAD("#bundle\0" SECOND "\0\0\0\x0c/a\0\0,\0\0\0"), // too large
    BAD("#bundle\0" SECOND "\xff\xff\xff\xfc/a\0\0,\0\0\0"),
    BAD("#bundle\0" SECOND "\0\0\0\x07/a\0\0,\0\0\0"),
    BAD("#bundlf\0" SECOND),
    // One that is sound before one that is not: nothing of it.
    BAD("#bundle\0" SECOND "\0\0\0\x08/a\0\0,\0\0\0\0\0\0\x04/a\0\0"),
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    if (!split(bad[i].bytes, bad[i].size)) {
      fail_msg("packet %zu was taken", i);
    }
    assert_non_null(strstr(error.text, "no OSC: "));
  }
}

// Bundles in bundles: `depth` of them around a message.
static size_t
nest(uint8_t* bytes, unsigned depth)
{
  const size_t size = depth * 20 + 8;
  for (unsigned i = 0; i < depth; ++i) {
    const size_t rest = size - (i + 1) * 20;
    memcpy(bytes + i * 20, "#bundle\0" SECOND, 16);
    bytes[i * 20 + 16] = 0;
    bytes[i * 20 + 17] = 0;
    bytes[i * 20 + 18] = (uint8_t)(rest >> 8);
    bytes[i * 20 + 19] = (uint8_t)rest;
  }
  memcpy(bytes + depth * 20, "/a\0\0,\0\0\0", 8);
  return size;
}

static void
test_caps(void** state)
{
  (void)state;
  static uint8_t bytes[OSC_PACKET_BYTES_MAX];
  assert_int_equal(split(bytes, nest(bytes, OSC_BUNDLE_DEPTH_MAX)), 0);
  assert_int_equal(count, 1);
  assert_int_equal(split(bytes, nest(bytes, OSC_BUNDLE_DEPTH_MAX + 1)), 1);
  assert_int_equal(split(bytes, nest(bytes, 100)), 1);
  assert_int_equal(split(bytes, nest(bytes, 3000)), 1);
  for (size_t n = OSC_MESSAGES_MAX; n <= OSC_MESSAGES_MAX + 1; ++n) {
    memcpy(bytes, "#bundle\0" SECOND, 16);
    for (size_t i = 0; i < n; ++i) {
      memcpy(bytes + 16 + i * 12, "\0\0\0\x08/a\0\0,\0\0\0", 12);
    }
    assert_int_equal(split(bytes, 16 + n * 12), n > OSC_MESSAGES_MAX);
  }
  for (size_t n = OSC_ARGUMENTS_MAX; n <= OSC_ARGUMENTS_MAX + 1; ++n) {
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, "/a\0\0,", 5);
    memset(bytes + 5, 'T', n);
    assert_int_equal(split(bytes, 4 + ((n + 5) & ~(size_t)3)),
                     n > OSC_ARGUMENTS_MAX);
  }
  for (size_t n = OSC_PATH_BYTES_MAX; n <= OSC_PATH_BYTES_MAX + 1; ++n) {
    memset(bytes, 0, sizeof bytes);
    memset(bytes, '/', n);
    const size_t types = (n + 4) & ~(size_t)3;
    bytes[types]       = ',';
    assert_int_equal(split(bytes, types + 4), n > OSC_PATH_BYTES_MAX);
  }
}

// Sound packets with a few bytes changed, or cut.
static void
test_mutated(void** state)
{
  (void)state;
  const char seed[] =
    "#bundle\0" SECOND "\0\0\0\x18/a\0\0,sib\0\0\0\0x\0\0\0\0\0\0\1\0\0\0\0"
    "\0\0\0\x20#bundle\0" SECOND "\0\0\0\x0c/b\0\0,i\0\0\0\0\0\1"
    "\0\0\0\x08/c\0\0,\0\0\0"
    "\0\0\0\x14/d\0\0,bs\0\0\0\0\2ab\0\0xyz\0";
  Rng      rng   = rng_make(5, RNG_USE_TEST, 0);
  unsigned sound = 0;
  for (int i = 0; i < 200000; ++i) {
    uint8_t bytes[sizeof seed - 1];
    memcpy(bytes, seed, sizeof bytes);
    const unsigned changes = rng_u32(&rng) % 4;
    for (unsigned k = 0; k < changes; ++k) {
      bytes[rng_u32(&rng) % sizeof bytes] = rng_u32(&rng) % 2
                                              ? (uint8_t)rng_u32(&rng)
                                              : (uint8_t)(rng_u32(&rng) % 32);
    }
    const size_t size =
      rng_u32(&rng) % 4 ? sizeof bytes : rng_u32(&rng) % sizeof bytes;
    sound += !split(bytes, size);
  }
  // Both kinds were tried.
  assert_in_range(sound, 2000, 198000);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_messages), cmocka_unit_test(test_bundles),
    cmocka_unit_test(test_refusals), cmocka_unit_test(test_caps),
    cmocka_unit_test(test_mutated),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
