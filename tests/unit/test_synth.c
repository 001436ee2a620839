// backend/synth, heard through its own WAV file: notes sound at their frames
// and end, whatever is missing is one clear line and nothing on stderr.
#include "backend/backend.h"
#include "backend/soundfont.h"
#include "clock.h"
#include "tone_font.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// So long that a note's place within it tells where it is (see find_origin).
#define PERIOD_FRAMES 1024u
#define FRAMES_MAX 400000u
#define LOUD 0.02f
#define QUIET 0.004f
// FluidSynth's blocks: 32 frames at most, and half a block until it is loud.
#define EARLY_FRAMES_MAX 33
#define LATE_FRAMES_MAX 80
#define RELEASE_FRAMES_MAX 1500

static char folder[] = "/tmp/meander-synth-XXXXXX";
static char font[64];
static char audio[64];

// --- What process plays --------------------------------------------------

typedef struct {
  uint64_t frame;
  uint8_t  message[3];
} Event;

typedef struct {
  const Event*     events;
  uint32_t         count;
  uint32_t         next;
  uint64_t         expected; // frame of the next span
  uint32_t         flood;    // messages more in the first span
  _Atomic uint32_t refused;
  atomic_bool      broken_clock;
  _Atomic uint64_t processed;
} Script;

static void
play_script(void* context, const BackendSpan* span)
{
  Script* const script = context;
  if (span->frame != script->expected) {
    atomic_store(&script->broken_clock, true);
  }
  script->expected = span->frame + span->frame_count;
  while (script->next < script->count &&
         script->events[script->next].frame < script->expected) {
    const Event* const event = &script->events[script->next++];
    span->sink->write(span->sink->handle,
                      MIDI_OUT_NOTES,
                      (uint32_t)(event->frame - span->frame),
                      event->message,
                      3);
  }
  static const uint8_t nothing[3] = { 0xb0, 1, 0 };
  for (; script->flood; --script->flood) {
    if (!span->sink->write(span->sink->handle,
                           MIDI_OUT_NOTES,
                           span->frame_count - 1,
                           nothing,
                           3)) {
      atomic_fetch_add(&script->refused, 1);
    }
  }
  atomic_store(&script->processed, script->expected);
}

static BackendConfig
config_of(Script* script, uint32_t rate_hz)
{
  return (BackendConfig){ .client_name     = "test",
                          .sample_rate_hz  = rate_hz,
                          .period_frames   = PERIOD_FRAMES,
                          .process         = play_script,
                          .process_context = script };
}

// --- What is heard -------------------------------------------------------

typedef struct {
  uint32_t rate_hz;
  uint32_t count;
  float    samples[FRAMES_MAX]; // the left channel
} Sound;

static Sound sound;

static void
read_sound(void)
{
  uint8_t     header[44];
  FILE* const file = fopen(audio, "rb");
  assert_non_null(file);
  assert_int_equal(fread(header, 1, sizeof header, file), sizeof header);
  assert_memory_equal(header, "RIFF", 4);
  memcpy(&sound.rate_hz, header + 24, 4);
  uint32_t data_bytes;
  memcpy(&data_bytes, header + 40, 4);
  int16_t frame[2];
  sound.count = 0;
  while (sound.count < FRAMES_MAX && fread(frame, sizeof frame, 1, file) == 1) {
    sound.samples[sound.count++] = (float)frame[0] / 32768.0f;
  }
  fclose(file);
  assert_int_equal(data_bytes, 4 * sound.count); // the header tells all of it
}

// The first frame from `begin` on that is louder than `level`.
static uint32_t
next_louder(uint32_t begin, float level)
{
  while (begin < sound.count && fabsf(sound.samples[begin]) <= level) {
    ++begin;
  }
  return begin;
}

// The first frame from `begin` on after which 200 are quiet.
static uint32_t
next_quiet(uint32_t begin)
{
  uint32_t frame = begin;
  while (frame < sound.count) {
    const uint32_t loud = next_louder(frame, QUIET);
    if (loud >= frame + 200) {
      return frame;
    }
    frame = loud + 1;
  }
  return sound.count;
}

// Plays until `until`, then stops; returns how long that took.
static double
play(Script* script, uint32_t rate_hz, uint64_t until, BackendStatus* status)
{
  const BackendConfig config = config_of(script, rate_hz);
  Backend*            backend;
  Error               error;
  if (backend_open_synth(&config, &backend, &error)) {
    fail_msg("%s", error.text);
  }
  assert_int_equal(backend->start(backend, &error), STATUS_OK);
  while (atomic_load(&script->processed) < until) {
    clock_sleep_ns(2000000);
  }
  const double before = clock_now_s();
  backend->stop(backend);
  const double   took_s = clock_now_s() - before;
  const uint64_t after  = atomic_load(&script->processed);
  backend->poll(backend, status);
  clock_sleep_ns(50000000);
  assert_int_equal(atomic_load(&script->processed), after); // stop means stop
  backend->close(backend);
  assert_false(atomic_load(&script->broken_clock));
  read_sound();
  assert_int_equal(sound.rate_hz, rate_hz);
  return took_s;
}

// The WAV file begins some whole periods before the clock does. The first onset
// tells how many: an error shows as what is left over.
static uint32_t
find_origin(uint64_t first_on)
{
  const uint32_t onset = next_louder(0, LOUD);
  assert_true(onset < sound.count && onset + 512 >= first_on);
  return (uint32_t)((onset + 512 - first_on) / PERIOD_FRAMES * PERIOD_FRAMES);
}

// --- Tests ---------------------------------------------------------------

static void
check_notes(uint32_t rate_hz)
{
  // On any place of a block and of a period, on other channels than the first
  // (the tenth has drums elsewhere), one after a program change.
  static const Event events[] = {
    { 4801, { 0x90, 60, 100 } },  { 7001, { 0x80, 60, 64 } },
    { 11263, { 0x99, 36, 100 } }, { 13000, { 0x89, 36, 0 } },
    { 16000, { 0xc0, 50, 0 } },   { 16384, { 0x90, 100, 100 } },
    { 18031, { 0x90, 100, 0 } },  { 24095, { 0x95, 21, 100 } },
    { 26600, { 0x85, 21, 64 } },  { 31967, { 0x90, 72, 100 } },
    { 33500, { 0x80, 72, 64 } },
  };
  Script script = { .events = events, .count = sizeof events / sizeof *events };
  BackendStatus status;
  play(&script, rate_hz, 40000, &status);
  assert_int_equal(status.xrun_count, 0);
  assert_int_equal(status.dropped_count, 0);
  // One of both is said: which, depends on the machine.
  const bool has_ports = strstr(status.text, "MIDI ports in ALSA");
  assert_true(has_ports != (strstr(status.text, "no MIDI ports (") != NULL));
  assert_true(!has_ports || !access("/dev/snd/seq", F_OK));
  const uint32_t origin = find_origin(events[0].frame);
  uint32_t       from   = 0;
  for (uint32_t i = 0; i < script.count; ++i) {
    const bool on =
      (events[i].message[0] & 0xf0) == 0x90 && events[i].message[2];
    if ((events[i].message[0] & 0xf0) == 0xc0) {
      continue;
    }
    const uint32_t heard = on ? next_louder(from, LOUD) : next_quiet(from);
    const int64_t  late  = (int64_t)heard - origin - (int64_t)events[i].frame;
    const int64_t  late_max = on ? LATE_FRAMES_MAX : RELEASE_FRAMES_MAX;
    if (late < -EARLY_FRAMES_MAX || late > late_max) {
      fail_msg("event %u is heard %d frames late", i, (int)late);
    }
    from = heard;
  }
  assert_int_equal(next_louder(from, QUIET), sound.count); // and nothing else
}

static void
test_notes_are_heard_at_their_frames(void** state)
{
  (void)state;
  check_notes(48000);
  check_notes(44100);
}

static void
test_stop_ends_what_sounds(void** state)
{
  (void)state;
  static const Event events[] = { { 2000, { 0x90, 60, 100 } },
                                  { 2000, { 0x90, 64, 100 } } };
  Script             script   = { .events = events, .count = 2 };
  BackendStatus      status;
  play(&script, 48000, 24000, &status);
  // It sounded until it was stopped, and then no more.
  const uint32_t end = find_origin(2000) + (uint32_t)script.processed;
  assert_in_range(
    next_quiet(next_louder(0, LOUD)), end - PERIOD_FRAMES, end + 2000);
}

// Notes that a pedal holds ring on for a second at most, and fade.
static void
test_stop_lets_ring_and_fades(void** state)
{
  (void)state;
  static const Event events[] = { { 1000, { 0xb0, 64, 127 } },
                                  { 2000, { 0x90, 60, 100 } } };
  Script             script   = { .events = events, .count = 2 };
  BackendStatus      status;
  const double       took_s = play(&script, 48000, 12000, &status);
  const uint32_t     end    = find_origin(2000) + (uint32_t)script.processed;
  assert_true(took_s > 0.8);
  assert_in_range(next_quiet(next_louder(0, LOUD)), end + 38000, end + 49000);
  float loudest = 0; // when the fade is half done
  for (uint32_t i = 0; i < 480; ++i) {
    loudest = fmaxf(loudest, fabsf(sound.samples[end + 45600 + i]));
  }
  float before = 0;
  for (uint32_t i = 0; i < 480; ++i) {
    before = fmaxf(before, fabsf(sound.samples[end + 36000 + i]));
  }
  assert_true(loudest > 0.3f * before && loudest < 0.7f * before);
  assert_true(next_louder(sound.count - 100, 0.0f) == sound.count);
}

static void
test_a_full_queue_refuses(void** state)
{
  (void)state;
  static const Event events[] = { { 9000, { 0x90, 60, 100 } },
                                  { 12000, { 0x80, 60, 64 } } };
  Script             script   = { .events = events, .count = 2, .flood = 5000 };
  BackendStatus      status;
  play(&script, 48000, 16000, &status);
  assert_in_range(atomic_load(&script.refused), 1, 4999);
  assert_true(next_louder(0, LOUD) < sound.count);
}

static void
test_a_full_disk_is_counted(void** state)
{
  (void)state;
  Script              script = { 0 };
  const BackendConfig config = config_of(&script, 48000);
  Backend*            backend;
  BackendStatus       status;
  Error               error;
  setenv("MEANDER_AUDIO_FILE", "/dev/full", 1);
  assert_int_equal(backend_open_synth(&config, &backend, &error), STATUS_OK);
  assert_int_equal(backend->start(backend, &error), STATUS_OK);
  while (atomic_load(&script.processed) < 24000) {
    clock_sleep_ns(2000000);
  }
  backend->poll(backend, &status);
  assert_true(status.dropped_count > 0);
  assert_false(status.lost);
  backend->close(backend);
  setenv("MEANDER_AUDIO_FILE", audio, 1);
}

// Opens, and checks that it fails so, soon, and with nothing on stderr.
static void
refused(Status expected, const char* says)
{
  Script              script = { 0 };
  const BackendConfig config = config_of(&script, 48000);
  Backend*            backend;
  Error               error;
  char                path[64];
  snprintf(path, sizeof path, "%s/stderr", folder);
  fflush(stderr);
  const int kept = dup(STDERR_FILENO);
  const int file = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
  dup2(file, STDERR_FILENO);
  const double before = clock_now_s();
  const Status status = backend_open_synth(&config, &backend, &error);
  const double took_s = clock_now_s() - before;
  fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  char          noise[200] = "";
  const ssize_t length     = pread(file, noise, sizeof noise - 1, 0);
  close(file);
  assert_int_equal(status, expected);
  assert_null(backend);
  if (!strstr(error.text, says) || strchr(error.text, '\n')) {
    fail_msg("no '%s' in '%s'", says, error.text);
  }
  if (length) {
    fail_msg("on stderr: %s", noise);
  }
  assert_true(took_s < 2);
}

static void
test_bad_soundfonts(void** state)
{
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "%s/none.sf2", folder);
  setenv("MEANDER_SOUNDFONT", path, 1);
  refused(STATUS_NOT_FOUND, path);

  snprintf(path, sizeof path, "%s/text.sf2", folder);
  FILE* const file = fopen(path, "w");
  fputs("this is no soundfont", file);
  fclose(file);
  setenv("MEANDER_SOUNDFONT", path, 1);
  refused(STATUS_BAD_FILE, "apt install fluid-soundfont-gm");

  // All but its last bytes.
  snprintf(path, sizeof path, "%s/cut.sf2", folder);
  assert_true(tone_font_write(path, 0, false));
  assert_int_equal(truncate(path, 1300), 0);
  setenv("MEANDER_SOUNDFONT", path, 1);
  refused(STATUS_BAD_FILE, path);

  snprintf(path, sizeof path, "%s/drums.sf2", folder);
  assert_true(tone_font_write(path, 128, false));
  setenv("MEANDER_SOUNDFONT", path, 1);
  refused(STATUS_BAD_FILE, "no piano");
  setenv("MEANDER_SOUNDFONT", font, 1);
}

static void
test_soundfont_places(void** state)
{
  (void)state;
  static const char* const none[] = { "/nonexistent/a.sf2", "/x/b.sf2", NULL };
  const char* const        some[] = { "/nonexistent/a.sf2", font, NULL };
  char                     path[SOUNDFONT_PATH_BYTES];
  Error                    error;
  assert_int_equal(soundfont_find(NULL, none, path, &error), STATUS_NOT_FOUND);
  assert_non_null(strstr(error.text, "/nonexistent/a.sf2 and 1 other"));
  assert_non_null(strstr(error.text, "apt install fluid-soundfont-gm"));
  assert_non_null(strstr(error.text, "MEANDER_SOUNDFONT"));
  assert_int_equal(soundfont_find("", some, path, &error), STATUS_OK);
  assert_string_equal(path, font);
  // What is named and missing is not replaced.
  assert_int_equal(soundfont_find(none[0], some, path, &error),
                   STATUS_NOT_FOUND);
}

static void
test_no_device(void** state)
{
  (void)state;
  setenv("MEANDER_AUDIO_DRIVER", "", 1);
  refused(STATUS_NOT_FOUND, "no audio device answers");
  setenv("MEANDER_AUDIO_DRIVER", "alsa", 1);
  refused(STATUS_NOT_FOUND, "'alsa'");
  setenv("MEANDER_AUDIO_DRIVER", "kazoo", 1);
  refused(STATUS_NOT_FOUND, "'kazoo'");
  setenv("MEANDER_AUDIO_DRIVER", "file", 1);
  setenv("MEANDER_AUDIO_FILE", "/nonexistent/a.wav", 1);
  refused(STATUS_IO, "/nonexistent/a.wav");
  setenv("MEANDER_AUDIO_FILE", audio, 1);
}

static void
test_bad_config(void** state)
{
  (void)state;
  const uint32_t rates[]   = { 0, 7999, 96001, 48000, 48000 };
  const uint32_t periods[] = { 256, 256, 256, 15, 8193 };
  for (int i = 0; i < 5; ++i) {
    const BackendConfig config = { .sample_rate_hz = rates[i],
                                   .period_frames  = periods[i],
                                   .process        = play_script };
    Backend*            backend;
    Error               error;
    assert_int_equal(backend_open_synth(&config, &backend, &error),
                     STATUS_BAD_ARGUMENT);
    assert_null(backend);
  }
}

static int
set_up(void** state)
{
  (void)state;
  if (!mkdtemp(folder)) {
    return -1;
  }
  snprintf(font, sizeof font, "%s/tone.sf2", folder);
  snprintf(audio, sizeof audio, "%s/audio.wav", folder);
  // Whatever this machine has, the file is what is played to.
  setenv("MEANDER_SOUNDFONT", font, 1);
  setenv("MEANDER_AUDIO_DRIVER", "file", 1);
  setenv("MEANDER_AUDIO_FILE", audio, 1);
  setenv("PULSE_SERVER", "/nonexistent/pulse", 1);
  setenv("JACK_DEFAULT_SERVER", "meander-test-none", 1);
  setenv("ALSA_CONFIG_PATH", "/dev/null", 1);
  return tone_font_write(font, 0, false) ? 0 : -1;
}

static int
tear_down(void** state)
{
  (void)state;
  char command[80];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_notes_are_heard_at_their_frames),
    cmocka_unit_test(test_stop_ends_what_sounds),
    cmocka_unit_test(test_stop_lets_ring_and_fades),
    cmocka_unit_test(test_a_full_queue_refuses),
    cmocka_unit_test(test_a_full_disk_is_counted),
    cmocka_unit_test(test_bad_soundfonts),
    cmocka_unit_test(test_soundfont_places),
    cmocka_unit_test(test_no_device),
    cmocka_unit_test(test_bad_config),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
