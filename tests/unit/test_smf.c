// MIDI files beyond what the golden cases show: the caps, the writer's rules,
// and that random music comes back from a file exact to the tick.
#include "music/smf.h"
#include "rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
  char*  data;
  size_t size;
} Bytes;

static Bytes
write_bytes(const SmfEvent* events, size_t count)
{
  Bytes       bytes = { 0 };
  FILE* const file  = open_memstream(&bytes.data, &bytes.size);
  Error       error;
  assert_non_null(file);
  assert_int_equal(smf_write(file, events, count, &error), STATUS_OK);
  assert_int_equal(fclose(file), 0);
  return bytes;
}

static Status
read_bytes(Bytes bytes, SmfNotes* out, Error* error)
{
  return smf_read_bytes((const uint8_t*)bytes.data, bytes.size, out, error);
}

static Status
refused(const SmfEvent* events, size_t count, Error* error)
{
  char         sink[256];
  FILE* const  file   = fmemopen(sink, sizeof sink, "w");
  const Status status = smf_write(file, events, count, error);
  fclose(file);
  return status;
}

static void
test_written_bytes(void** state)
{
  (void)state;
  const SmfEvent events[] = {
    { .tick = 0, .text = "hi" },
    { .tick = 1920, .message = { 0x90, 60, 100 } },
    { .tick = 1920 + 127, .message = { 0x80, 60, 64 } },
  };
  // clang-format off
  static const uint8_t expected[] = {
    'M', 'T', 'h', 'd', 0, 0, 0, 6, 0, 0, 0, 1, 0x03, 0xc0,
    'M', 'T', 'r', 'k', 0, 0, 0, 26,
    0, 0xff, 0x51, 3, 7, 0xa1, 0x20, // 120 beats a minute
    0, 0xff, 0x01, 2, 'h', 'i',
    0x8f, 0x00, 0x90, 60, 100, // after 1920 ticks
    0x7f, 0x80, 60, 64,
    0, 0xff, 0x2f, 0,
  };
  // clang-format on
  const Bytes bytes = write_bytes(events, 3);
  assert_int_equal(bytes.size, sizeof expected);
  assert_memory_equal(bytes.data, expected, sizeof expected);
  free(bytes.data);
}

static void
test_writer_refuses(void** state)
{
  (void)state;
  Error          error;
  const SmfEvent back[] = { { .tick = 2, .message = { 0x90, 60, 1 } },
                            { .tick = 1, .message = { 0x80, 60, 1 } } };
  assert_int_equal(refused(back, 2, &error), STATUS_BAD_ARGUMENT);
  assert_non_null(strstr(error.text, "event 1 goes back in time"));
  const uint8_t wrong[][3] = { { 0x70, 1, 1 },   { 0xc0, 1, 1 },
                               { 0xd0, 1, 1 },   { 0xf0, 1, 1 },
                               { 0x90, 128, 1 }, { 0x90, 1, 128 } };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    SmfEvent event = { .tick = 0 };
    memcpy(event.message, wrong[i], 3);
    assert_int_equal(refused(&event, 1, &error), STATUS_BAD_ARGUMENT);
  }
  const SmfEvent far = { .tick = 0x10000000, .message = { 0x90, 60, 1 } };
  assert_int_equal(refused(&far, 1, &error), STATUS_LIMIT);
}

static void
test_full_disk_is_reported(void** state)
{
  (void)state;
  FILE* const full = fopen("/dev/full", "w");
  if (!full) {
    skip();
  }
  setvbuf(full, NULL, _IONBF, 0);
  Error error;
  assert_int_equal(smf_write(full, NULL, 0, &error), STATUS_IO);
  assert_non_null(strstr(error.text, "No space left"));
  fclose(full);
}

// One key at a time, so that every on has its own off.
static size_t
random_music(uint64_t index, SmfEvent* events, size_t count_max)
{
  Rng      rng   = rng_make(7, RNG_USE_TEST, index);
  uint64_t tick  = 0;
  size_t   count = 0;
  while (count + 2 <= count_max) {
    const uint8_t key     = (uint8_t)rng_below(&rng, 128);
    const uint8_t channel = (uint8_t)rng_below(&rng, 9);
    tick += rng_below(&rng, rng_below(&rng, 4) ? 400 : 200000);
    events[count++] = (SmfEvent){
      .tick    = tick,
      .message = { 0x90 | channel, key, (uint8_t)(1 + rng_below(&rng, 127)) }
    };
    tick += 1 + rng_below(&rng, 5000);
    events[count++] =
      (SmfEvent){ .tick = tick, .message = { 0x80 | channel, key, 0 } };
  }
  return count;
}

static void
test_round_trip_is_exact_to_the_tick(void** state)
{
  (void)state;
  SmfEvent events[400];
  for (uint64_t index = 0; index < 200; ++index) {
    const size_t count = random_music(index, events, 400);
    const Bytes  bytes = write_bytes(events, count);
    SmfNotes     notes;
    Error        error;
    assert_int_equal(read_bytes(bytes, &notes, &error), STATUS_OK);
    assert_int_equal(notes.count, count / 2);
    for (size_t i = 0; i < notes.count; ++i) {
      const PlayedNote n     = notes.notes[i];
      const double     onset = n.onset_s * SMF_WRITE_TICKS_PER_SECOND;
      const double     end =
        (n.onset_s + n.duration_s) * SMF_WRITE_TICKS_PER_SECOND;
      assert_true(fabs(onset - (double)events[2 * i].tick) < 1e-3);
      assert_true(fabs(end - (double)events[2 * i + 1].tick) < 1e-3);
      assert_int_equal(n.pitch, events[2 * i].message[1]);
      assert_int_equal(n.velocity, events[2 * i].message[2]);
      assert_int_equal(n.channel, events[2 * i].message[0] & 15);
    }
    smf_notes_free(&notes);
    free(bytes.data);
  }
}

// A file of `count` note-ons by running status, then whatever follows.
static Bytes
many_notes(uint32_t count)
{
  const uint32_t length = 1 + 3 * count;
  Bytes          bytes  = { calloc(1, 22 + length), 22 + length };
  assert_non_null(bytes.data);
  memcpy(bytes.data, "MThd\0\0\0\6\0\0\0\1\0\x60MTrk", 18);
  for (int i = 0; i < 4; ++i) {
    bytes.data[18 + i] = (char)(length >> (24 - 8 * i));
  }
  char* at = bytes.data + 22;
  for (uint32_t i = 0; i < count; ++i) {
    *at++ = 1;
    if (i == 0) {
      *at++ = (char)0x90;
    }
    *at++ = (char)(i % 128);
    *at++ = 1;
  }
  return bytes;
}

static void
test_caps(void** state)
{
  (void)state;
  Error    error;
  SmfNotes notes;
  Bytes    bytes = many_notes(SMF_EVENTS_MAX);
  assert_int_equal(read_bytes(bytes, &notes, &error), STATUS_OK);
  assert_int_equal(notes.press_count, SMF_EVENTS_MAX);
  smf_notes_free(&notes);
  free(bytes.data);

  bytes = many_notes(SMF_EVENTS_MAX + 1);
  assert_int_equal(read_bytes(bytes, &notes, &error), STATUS_LIMIT);
  assert_non_null(strstr(error.text, "more than 4194304 events"));
  assert_null(notes.notes);
  free(bytes.data);

  bytes = (Bytes){ calloc(1, SMF_BYTES_MAX + 1), SMF_BYTES_MAX + 1 };
  assert_int_equal(read_bytes(bytes, &notes, &error), STATUS_LIMIT);
  assert_non_null(strstr(error.text, "longer than 64 MiB"));
  free(bytes.data);
}

// Each beginning of a good file is an error that says where, and no crash.
static void
test_every_cut_is_an_error(void** state)
{
  (void)state;
  SmfEvent     events[40];
  const size_t count = random_music(1, events, 40);
  const Bytes  bytes = write_bytes(events, count);
  for (size_t size = 0; size < bytes.size; ++size) {
    uint8_t* const cut = malloc(size ? size : 1);
    memcpy(cut, bytes.data, size);
    SmfNotes notes;
    Error    error;
    assert_int_equal(smf_read_bytes(cut, size, &notes, &error),
                     STATUS_BAD_FILE);
    assert_non_null(strstr(error.text, "byte "));
    free(cut);
  }
  free(bytes.data);
}

static void
test_file_errors_name_the_path(void** state)
{
  (void)state;
  SmfNotes notes;
  Error    error;
  assert_int_equal(smf_read_file("/nonexistent/x.mid", &notes, &error),
                   STATUS_NOT_FOUND);
  assert_non_null(strstr(error.text, "/nonexistent/x.mid: "));
  assert_int_equal(smf_read_file("/tmp", &notes, &error), STATUS_IO);
  char      path[] = "/tmp/meander-smf-XXXXXX";
  const int fd     = mkstemp(path);
  assert_int_equal(write(fd, "MThd", 4), 4);
  close(fd);
  assert_int_equal(smf_read_file(path, &notes, &error), STATUS_BAD_FILE);
  assert_non_null(strstr(error.text, path));
  assert_non_null(strstr(error.text, "byte 0"));
  unlink(path);
}

// What bars a file can tell.
static void
test_meters(void** state)
{
  (void)state;
  const struct {
    double  quarters;
    uint8_t count;
    uint8_t unit;
  } cases[] = { { 4, 4, 2 },    { 3, 3, 2 },       { 3.5, 7, 3 },
                { 0.75, 3, 4 }, { 0.0625, 1, 6 },  { 255, 255, 2 },
                { 256, 0, 0 },  { 1.0 / 3, 0, 0 }, { 0, 0, 0 },
                { -4, 0, 0 } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const SmfBeat beat = smf_beat(90, cases[i].quarters);
    assert_int_equal(beat.tempo_us, 666667);
    assert_int_equal(beat.meter_count, cases[i].count);
    assert_int_equal(beat.meter_unit, cases[i].unit);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_written_bytes),
    cmocka_unit_test(test_writer_refuses),
    cmocka_unit_test(test_full_disk_is_reported),
    cmocka_unit_test(test_round_trip_is_exact_to_the_tick),
    cmocka_unit_test(test_caps),
    cmocka_unit_test(test_every_cut_is_an_error),
    cmocka_unit_test(test_file_errors_name_the_path),
    cmocka_unit_test(test_meters),
  };
  return cmocka_run_group_tests_name("smf", tests, NULL, NULL);
}
