// view/key_decoder, view/outlet and view/messages: bytes in, bytes out, lines.
#include "clock.h"
#include "view/key_decoder.h"
#include "view/messages.h"
#include "view/outlet.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KEYS_MAX 64

static KeyDecoder decoder;
static Outlet     outlet;
static Messages   messages;

// The keys of `bytes` typed at `now_s`, and of waiting a second then, up to 0.
static void
expect_keys(const char* bytes, const int* expected)
{
  int    keys[KEYS_MAX];
  size_t count = 0;
  for (const char* c = bytes; *c; ++c) {
    count += key_decoder_take(&decoder, 1, *c, keys + count);
  }
  const int waited = key_decoder_wait(&decoder, 2);
  if (waited != VIEW_KEY_NONE) {
    keys[count++] = waited;
  }
  keys[count] = 0;
  for (size_t i = 0; i <= count; ++i) {
    assert_int_equal(keys[i], expected[i]);
    if (!expected[i]) {
      return;
    }
  }
}

#define EXPECT(bytes, ...) expect_keys(bytes, (const int[]){ __VA_ARGS__, 0 })

static void
test_sequences(void** state)
{
  (void)state;
  EXPECT("a", 'a');
  EXPECT("\r\n\x7f\b\t",
         VIEW_KEY_ENTER,
         VIEW_KEY_ENTER,
         VIEW_KEY_BACKSPACE,
         VIEW_KEY_BACKSPACE,
         '\t');
  EXPECT(
    "\x1b[A\x1bOB\x1b[Cx", VIEW_KEY_UP, VIEW_KEY_DOWN, VIEW_KEY_RIGHT, 'x');
  EXPECT("\x1b[1;2C\x1b[1;5D\x1b[5~\x1b[Z",
         VIEW_KEY_FAR_RIGHT,
         VIEW_KEY_FAR_LEFT,
         VIEW_KEY_PAGE_UP,
         VIEW_KEY_BACK_TAB);
  EXPECT("\xc3\xa9", 0xc3, 0xa9);
  EXPECT("\x1b", VIEW_KEY_ESCAPE);
  EXPECT("\x1b\x1b", VIEW_KEY_ESCAPE, VIEW_KEY_ESCAPE);
  EXPECT("\x1bp", VIEW_KEY_ESCAPE, 'p');
  EXPECT("\x1b\x1b[A", VIEW_KEY_ESCAPE, VIEW_KEY_UP);
  EXPECT("\x1b[200~q\x1b[201~", VIEW_KEY_PASTE_BEGIN, 'q', VIEW_KEY_PASTE_END);
}

// None of their bytes may be taken for keys.
static void
test_unknown_sequences(void** state)
{
  (void)state;
  EXPECT("\x1b[15~z", 'z');
  EXPECT("\x1b[<0;10;20Mz", 'z'); // a mouse
  EXPECT("\x1b[[Az", 'z');        // F1 of the console
  EXPECT("\x1bOPz", 'z');
  EXPECT("\x1b[1;3", 0); // cut off
  EXPECT("\x1b[1;3\x1b[Az", VIEW_KEY_UP, 'z');
  EXPECT("\x1b[11111111111111111111111111111", 0);
}

// A slow line: the bytes of one sequence come one by one, and time decides only
// when nothing more comes.
static void
test_slow_line(void** state)
{
  (void)state;
  int keys[2];
  assert_int_equal(key_decoder_take(&decoder, 1.00, '\x1b', keys), 0);
  assert_int_equal(key_decoder_wait(&decoder, 1.04), VIEW_KEY_NONE);
  assert_int_equal(key_decoder_take(&decoder, 1.04, '[', keys), 0);
  assert_int_equal(key_decoder_wait(&decoder, 1.08), VIEW_KEY_NONE);
  assert_int_equal(key_decoder_take(&decoder, 1.08, 'A', keys), 1);
  assert_int_equal(keys[0], VIEW_KEY_UP);
  assert_int_equal(key_decoder_wait(&decoder, 9), VIEW_KEY_NONE);
}

static void
test_random_bytes(void** state)
{
  (void)state;
  unsigned word = 1;
  for (int i = 0; i < 100000; ++i) {
    int keys[2] = { VIEW_KEY_NONE, VIEW_KEY_NONE };
    word        = word * 1664525u + 1013904223u;
    const size_t count =
      key_decoder_take(&decoder, 0, "\x1b[O;1~Az"[word >> 16 & 7], keys);
    assert_true(count <= 2);
  }
  key_decoder_wait(&decoder, 1);
  EXPECT("k", 'k');
}

// A pipe that nobody reads takes what fits; the rest waits, then is refused,
// and nothing of what was accepted is lost.
static void
test_outlet_never_waits(void** state)
{
  (void)state;
  int pipe_fds[2];
  assert_int_equal(pipe(pipe_fds), 0);
  outlet_open(&outlet, pipe_fds[1]);
  char         line[100];
  size_t       accepted = 0, refused = 0;
  const double began_s = clock_now_s();
  for (int i = 0; i < 5000; ++i) {
    snprintf(line, sizeof line, "%099d", i);
    if (outlet_put(&outlet, line, 100)) {
      ++accepted;
    } else {
      ++refused;
    }
    outlet_flush(&outlet);
  }
  assert_false(outlet_flush_within(&outlet, 0.05));
  assert_true(clock_now_s() - began_s < 5);
  assert_true(refused > 0);
  assert_true(accepted * 100 > OUTLET_BYTES);
  fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
  static char got[1 << 20];
  size_t      used = 0;
  for (bool empty = false; !empty;) {
    empty            = outlet_flush(&outlet);
    const ssize_t in = read(pipe_fds[0], got + used, sizeof got - used);
    used += in > 0 ? (size_t)in : 0;
  }
  const ssize_t in = read(pipe_fds[0], got + used, sizeof got - used);
  used += in > 0 ? (size_t)in : 0;
  assert_int_equal(used, accepted * 100);
  for (size_t i = 0; i < accepted; ++i) {
    assert_int_equal(atoi(got + 100 * i), i);
  }
  outlet_close(&outlet, 0);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

// The other end is gone for good: nothing is kept for it.
static void
test_outlet_without_a_reader(void** state)
{
  (void)state;
  int pipe_fds[2];
  signal(SIGPIPE, SIG_IGN);
  assert_int_equal(pipe(pipe_fds), 0);
  close(pipe_fds[0]);
  outlet_open(&outlet, pipe_fds[1]);
  for (int i = 0; i < 3000; ++i) {
    assert_true(outlet_put(&outlet, "0123456789012345678901234567890", 32));
    assert_true(outlet_flush(&outlet));
  }
  outlet_close(&outlet, 1);
  close(pipe_fds[1]);
}

static void
test_messages(void** state)
{
  (void)state;
  char text[2 * MESSAGE_BYTES];
  assert_null(messages_get(&messages, 0));
  messages_add(&messages, 1, true, "a\x1b[2Jb\nc\x7f");
  assert_string_equal(messages_get(&messages, 0)->text, "a?[2Jb?c?");
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  messages_add(&messages, 2, false, text);
  assert_int_equal(strlen(messages_get(&messages, 0)->text), MESSAGE_BYTES - 1);
  assert_true(messages_get(&messages, 1)->refusal);
  for (unsigned i = 0; i < MESSAGES_HELD; ++i) {
    snprintf(text, sizeof text, "%u", i);
    messages_add(&messages, 3, false, text);
  }
  assert_string_equal(messages_get(&messages, MESSAGES_HELD - 1)->text, "0");
  assert_null(messages_get(&messages, MESSAGES_HELD));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_sequences),
    cmocka_unit_test(test_unknown_sequences),
    cmocka_unit_test(test_slow_line),
    cmocka_unit_test(test_random_bytes),
    cmocka_unit_test(test_outlet_never_waits),
    cmocka_unit_test(test_outlet_without_a_reader),
    cmocka_unit_test(test_messages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
