// The recording's file that grows: whole after each single write, after a kill
// at any moment, after each failure. pwrite() is wrapped (meson.build), so that
// a test looks at the file between two writes, or makes one fail.
#include "midi_track.h"
#include "music/smf.h"
#include "record.h"
#include "record/growing_file.h"
#include "record/growth.h"
#include "record/provenance_read.h"
#include "rng.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define RATE 48000u

static char folder[] = "/tmp/meander-growth-XXXXXX";
static char path[64];

// What the next writes meet. The scribe's thread reads them.
static void (*after_write)(void);
static atomic_int fail_at;    // this write from now; 0: none
static atomic_int fail_errno; // 0: it is cut short, and the next fails
static atomic_int write_delay_us;

ssize_t __real_pwrite64(int fd, const void* data, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void* data, size_t size, off_t offset);

ssize_t
__wrap_pwrite64(int fd, const void* data, size_t size, off_t offset)
{
  if (fail_at && --fail_at == 0) {
    if (fail_errno || size < 2) {
      errno = fail_errno ? fail_errno : ENOSPC;
      return -1;
    }
    fail_at    = 1;
    fail_errno = ENOSPC;
    size /= 2;
  }
  const ssize_t written = __real_pwrite64(fd, data, size, offset);
  if (write_delay_us) {
    usleep((useconds_t)write_delay_us);
  }
  if (after_write) {
    after_write();
  }
  return written;
}

// Music of many keys in parts, as a recording has it.
typedef struct {
  SmfTrack body;
  SmfTrack closing;
  uint64_t tick;
  bool     sounding[128];
  size_t   note_count;
} Music;

static void
add(SmfTrack* track, uint64_t tick, uint8_t status, uint8_t pitch)
{
  Error          error;
  const SmfEvent event = { .tick = tick, .message = { status, pitch, 64 } };
  assert_int_equal(smf_track_add(track, &event, &error), STATUS_OK);
}

// From nothing at all, or a short note, to some kilobytes.
static void
next_part(Music* music, bool with_note, Rng* rng)
{
  Error          error;
  const uint32_t count = rng_below(rng, rng_below(rng, 4) ? 12 : 1500);
  music->body.size     = 0;
  if (with_note) {
    add(&music->body, music->tick, 0x90, 120);
    add(&music->body, ++music->tick, 0x80, 120);
    ++music->note_count;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const uint8_t pitch = (uint8_t)rng_below(rng, 100);
    music->tick += rng_below(rng, 300);
    bool* const here = &music->sounding[pitch];
    if (!*here || rng_below(rng, 3)) {
      add(&music->body, music->tick, *here ? 0x80 : 0x90, pitch);
      music->note_count += !*here;
      *here = !*here;
    }
  }
  music->closing.size = 0;
  music->closing.tick = music->body.tick;
  for (uint8_t pitch = 0; pitch < 128; ++pitch) {
    if (music->sounding[pitch]) {
      add(
        &music->closing, music->closing.tick + rng_below(rng, 2), 0x80, pitch);
    }
  }
  assert_int_equal(smf_track_end(&music->closing, &error), STATUS_OK);
}

static TrackPart
part_of(const SmfTrack* track)
{
  return (TrackPart){ track->bytes, track->size };
}

static size_t snapshots;
static size_t notes_before;
static size_t notes_after;

// As a reader that stops at the end of the track sees it.
static size_t
count_notes(void)
{
  SmfNotes notes;
  Error    error;
  if (smf_read_file(path, &notes, &error)) {
    fail_msg("%s", error.text);
  }
  const size_t count = notes.press_count;
  smf_notes_free(&notes);
  return count;
}

static void
look_between_writes(void)
{
  const size_t count = count_notes();
  assert_true(count == notes_before || count == notes_after);
  ++snapshots;
}

static void
open_file(GrowingFile* file, Music* music)
{
  Error error;
  *music = (Music){ 0 };
  add(&music->body, 0, 0x90, 127); // something at least
  add(&music->body, 1, 0x80, 127);
  music->tick       = 1;
  music->note_count = 1;
  assert_int_equal(smf_track_end(&music->closing, &error), STATUS_OK);
  if (growing_file_open(file,
                        path,
                        SMF_WRITE_TEMPO_US,
                        part_of(&music->body),
                        part_of(&music->closing),
                        &error)) {
    fail_msg("%s", error.text);
  }
}

static void
close_file(GrowingFile* file, Music* music)
{
  growing_file_close(file);
  smf_track_free(&music->body);
  smf_track_free(&music->closing);
  unlink(path);
}

static void
test_whole_between_writes(void** state)
{
  (void)state;
  const uint64_t sessions = getenv("SLOW") ? 3 : 20;
  snapshots               = 0;
  for (uint64_t session = 0; session < sessions; ++session) {
    Rng         rng = rng_make(3, RNG_USE_TEST, session);
    GrowingFile file;
    Music       music;
    Error       error;
    open_file(&file, &music);
    for (int i = 0; i < 60; ++i) {
      notes_before = music.note_count;
      next_part(&music, false, &rng);
      notes_after = music.note_count;
      after_write = look_between_writes;
      assert_int_equal(
        growing_file_append(
          &file, part_of(&music.body), part_of(&music.closing), &error),
        STATUS_OK);
      after_write = NULL;
      MidiTrack track;
      assert_true(midi_track_read(path, &track));
      midi_track_free(&track);
      assert_int_equal(count_notes(), notes_after);
    }
    close_file(&file, &music);
  }
  assert_true(snapshots > sessions * 60 * 2);
}

// Each write of a part fails in turn, at once or half done: the file is as it
// was but where its old end is half overwritten (the third), and the same part
// goes in when it is tried again.
static void
test_failed_writes(void** state)
{
  (void)state;
  for (int at = 1; at <= 3; ++at) {
    for (int half = 0; half < 2; ++half) {
      Rng         rng = rng_make(4, RNG_USE_TEST, 0);
      GrowingFile file;
      Music       music;
      Error       error;
      open_file(&file, &music);
      for (int i = 0; i < 30; ++i) {
        const size_t before = music.note_count;
        next_part(&music, true, &rng);
        fail_errno = half ? 0 : ENOSPC;
        fail_at    = at;
        assert_int_equal(
          growing_file_append(
            &file, part_of(&music.body), part_of(&music.closing), &error),
          STATUS_IO);
        assert_non_null(strstr(error.text, "No space left"));
        assert_non_null(strstr(error.text, path));
        fail_at = 0;
        MidiTrack track;
        if (at < 3 || !half) {
          assert_true(midi_track_read(path, &track));
          midi_track_free(&track);
          assert_int_equal(count_notes(), before);
        }
        assert_int_equal(
          growing_file_append(
            &file, part_of(&music.body), part_of(&music.closing), &error),
          STATUS_OK);
        assert_true(midi_track_read(path, &track));
        midi_track_free(&track);
        assert_int_equal(count_notes(), music.note_count);
      }
      close_file(&file, &music);
    }
  }
}

static void
play(Recorder* recorder, uint64_t number, uint64_t frame, bool with_lines)
{
  const uint8_t pitch  = (uint8_t)(30 + number % 7);
  const uint8_t on[3]  = { 0x90, pitch, (uint8_t)(1 + number % 127) };
  const uint8_t off[3] = { 0x80, pitch, 64 };
  if (with_lines && number % 8 == 0) {
    Error            error;
    char             text[64];
    const RecordLine line = { number, true, text, false, false };
    snprintf(text, sizeof text, "the phrase of %u", (unsigned)number);
    assert_int_equal(recorder_line(recorder, &line, &error), STATUS_OK);
  }
  if (number >= 7) {
    recorder_add(recorder, frame, number - 7, off);
  }
  recorder_add(recorder, frame, number, on);
}

// Turns until the scribe has answered.
static bool
turn(Recorder* recorder, double now_s, uint64_t frame, Error* told)
{
  const bool has_told = recorder_turn(recorder, now_s, frame, told);
  growth_wait(recorder->growth);
  return recorder_turn(recorder, now_s + 0.001, frame, told) || has_told;
}

static void
test_recorder_grows(void** state)
{
  (void)state;
  Recorder recorder;
  Error    error;
  recorder_init(&recorder);
  recorder.origin_frame = 77;
  FILE* const old       = fopen(path, "w");
  fputs("what was there", old);
  fclose(old);
  assert_int_equal(recorder_grow(&recorder, path, RATE, "meander t", &error),
                   STATUS_OK);
  assert_false(turn(&recorder, 0, 0, &error)); // no notes: nothing is written
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(info.st_size, strlen("what was there"));
  for (uint64_t n = 0; n < 40; ++n) {
    play(&recorder, n, n * 4800, true);
    assert_false(turn(&recorder, 1 + (double)n, n * 4800 + 100, &error));
    MidiTrack track;
    assert_true(midi_track_read(path, &track));
    assert_int_equal(count_notes(), n + 1);
    assert_string_equal(track.events[0].text, "meander t");
    // Its last line says where it was cut.
    Provenance provenance;
    assert_int_equal(provenance_read(path, &provenance, &error), STATUS_OK);
    assert_int_equal(provenance.count, n / 8 + 1);
    assert_int_equal(provenance.cut.frame, n * 4800 + 100);
    assert_int_equal(provenance.cut.begin, 77);
    assert_int_equal(provenance_check(&provenance, &error), STATUS_OK);
    provenance_free(&provenance);
    midi_track_free(&track);
  }
  // The end: the same file as if none had grown.
  Recorder other;
  recorder_init(&other);
  other.origin_frame = 77;
  for (uint64_t n = 0; n < 40; ++n) {
    play(&other, n, n * 4800, true);
  }
  recorder_finish(&recorder, 40 * 4800);
  recorder_finish(&other, 40 * 4800);
  char other_path[80];
  snprintf(other_path, sizeof other_path, "%s.other", path);
  assert_int_equal(recorder_write(&recorder, path, RATE, "meander e", &error),
                   STATUS_OK);
  assert_int_equal(
    recorder_write(&other, other_path, RATE, "meander e", &error), STATUS_OK);
  MidiTrack a;
  MidiTrack b;
  assert_true(midi_track_read(path, &a));
  assert_true(midi_track_read(other_path, &b));
  assert_int_equal(a.size, b.size);
  assert_memory_equal(a.bytes, b.bytes, a.size);
  midi_track_free(&a);
  midi_track_free(&b);
  recorder_free(&recorder);
  recorder_free(&other);
  unlink(path);
  unlink(other_path);
}

// A full disk is told once; when there is room again, all is in the file.
static void
test_recorder_after_failures(void** state)
{
  (void)state;
  Recorder recorder;
  Error    told;
  recorder_init(&recorder);
  assert_int_equal(recorder_grow(&recorder, path, RATE, "t", &told), STATUS_OK);
  play(&recorder, 0, 0, false);
  assert_false(turn(&recorder, 1, 10, &told));
  int told_count = 0;
  for (uint64_t n = 1; n < 5; ++n) {
    play(&recorder, n, n * 100, false);
    fail_errno = ENOSPC;
    fail_at    = 1;
    told_count += turn(&recorder, (double)n * 10, n * 100, &told);
    assert_int_equal(fail_at, 0);
    assert_int_equal(count_notes(), 1);
  }
  assert_int_equal(told_count, 1);
  assert_non_null(strstr(told.text, "goes on in memory"));
  assert_non_null(strstr(told.text, path));
  assert_false(turn(&recorder, 100, 500, &told));
  assert_int_equal(count_notes(), 5);
  recorder_free(&recorder);
  unlink(path);
}

// Deleted, or another put in its place: told once, that file is left alone, and
// the end writes everything.
static void
test_recorder_file_is_gone(void** state)
{
  (void)state;
  for (int replaced = 0; replaced < 2; ++replaced) {
    Recorder recorder;
    Error    told;
    recorder_init(&recorder);
    assert_int_equal(recorder_grow(&recorder, path, RATE, "t", &told),
                     STATUS_OK);
    play(&recorder, 0, 0, false);
    assert_false(turn(&recorder, 1, 10, &told));
    unlink(path);
    if (replaced) {
      FILE* const other = fopen(path, "w");
      fputs("mine", other);
      fclose(other);
    }
    int told_count = 0;
    for (uint64_t n = 1; n < 5; ++n) {
      play(&recorder, n, n * 100, false);
      told_count += turn(&recorder, (double)n * 10, n * 100, &told);
    }
    assert_int_equal(told_count, 1);
    assert_non_null(strstr(told.text, "moved or deleted"));
    struct stat info;
    assert_int_equal(stat(path, &info), replaced ? 0 : -1);
    assert_true(!replaced || info.st_size == 4);
    recorder_finish(&recorder, 1000);
    assert_int_equal(recorder_write(&recorder, path, RATE, "t", &told),
                     STATUS_OK);
    assert_int_equal(count_notes(), 5);
    recorder_free(&recorder);
    unlink(path);
  }
}

// A folder that cannot be written is no reason to stop.
static void
test_recorder_cannot_begin(void** state)
{
  (void)state;
  Recorder recorder;
  Error    told;
  recorder_init(&recorder);
  assert_int_equal(
    recorder_grow(&recorder, "/nonexistent/x.mid", RATE, "t", &told),
    STATUS_OK);
  int told_count = 0;
  for (uint64_t n = 0; n < 5; ++n) {
    play(&recorder, n, n * 100, false);
    told_count += turn(&recorder, (double)n * 10, n * 100, &told);
  }
  assert_int_equal(told_count, 1);
  assert_non_null(strstr(told.text, "/nonexistent/x.mid"));
  recorder_free(&recorder);
}

static sem_t gate;

static void
wait_at_gate(void)
{
  sem_wait(&gate);
}

// A disk that does not answer holds up no turn.
static void
test_slow_disk(void** state)
{
  (void)state;
  Recorder recorder;
  Error    told;
  recorder_init(&recorder);
  assert_int_equal(recorder_grow(&recorder, path, RATE, "t", &told), STATUS_OK);
  play(&recorder, 0, 0, false);
  assert_false(turn(&recorder, 1, 10, &told));
  sem_init(&gate, 0, 0);
  after_write = wait_at_gate;
  for (uint64_t n = 1; n < 100; ++n) {
    play(&recorder, n, n * 100, false);
    assert_false(recorder_turn(&recorder, (double)n * 10, n * 100, &told));
  }
  assert_int_equal(count_notes(), 1); // still in its first part
  for (int i = 0; i < 3; ++i) {
    sem_post(&gate);
  }
  growth_wait(recorder.growth);
  after_write = NULL;
  assert_int_equal(count_notes(), 2);
  assert_false(turn(&recorder, 2000, 10000, &told));
  assert_int_equal(count_notes(), 100);
  recorder_free(&recorder);
  sem_destroy(&gate);
  unlink(path);
}

typedef struct {
  _Atomic uint64_t notes; // that were given to the recorder
} Shared;

// Plays and grows as fast as it can, until it is killed.
static void
play_until_killed(Shared* shared)
{
  Recorder recorder;
  Error    told;
  recorder_init(&recorder);
  if (recorder_grow(&recorder, path, RATE, "meander k", &told)) {
    _exit(1);
  }
  double now_s = 0;
  for (uint64_t n = 0;; ++n) {
    play(&recorder, n, n * 1000, true);
    shared->notes = n + 1;
    recorder_turn(&recorder, now_s += 0.1, n * 1000, &told);
    if (n % 16 == 0) {
      usleep(50);
    }
  }
}

static void
check_after_kill(uint64_t notes_played)
{
  SmfNotes notes;
  Error    error;
  if (smf_read_file(path, &notes, &error)) {
    fail_msg("%s", error.text);
  }
  assert_true(notes.press_count <= notes_played);
  smf_notes_free(&notes);
  Provenance provenance;
  assert_int_equal(provenance_read(path, &provenance, &error), STATUS_OK);
  assert_int_equal(provenance_check(&provenance, &error), STATUS_OK);
  provenance_free(&provenance);
}

#define KILLS 100

// Killed at random moments, mostly between two writes of a part, which are made
// slow.
static void
test_killed(void** state)
{
  (void)state;
  Shared* const shared = mmap(NULL,
                              sizeof *shared,
                              PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS,
                              -1,
                              0);
  Rng           rng    = rng_make(9, RNG_USE_TEST, 0);
  int           strict = 0;
  for (int i = 0; i < KILLS; ++i) {
    unlink(path);
    shared->notes     = 0;
    write_delay_us    = i % 2 ? 300 : 0;
    const pid_t child = fork();
    if (!child) {
      play_until_killed(shared);
    }
    while (access(path, F_OK)) {
      usleep(500);
    }
    usleep(rng_below(&rng, 20000));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    check_after_kill(shared->notes);
    MidiTrack         track;
    const char* const wrong = midi_track_open(path, &track);
    // Bytes beyond the track or its end: no reader minds.
    assert_true(!wrong || strstr(wrong, "length") ||
                strstr(wrong, "after the end of the track"));
    strict += !wrong;
    midi_track_free(&track);
  }
  write_delay_us = 0;
  munmap(shared, sizeof *shared);
  assert_true(strict < KILLS); // the moments between two writes were met
  printf("%d killed, %d between two writes\n", KILLS, KILLS - strict);
  char command[128];
  snprintf(command, sizeof command, "rm -f %s/*.tmp*", folder);
  assert_int_equal(system(command), 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_whole_between_writes),
    cmocka_unit_test(test_failed_writes),
    cmocka_unit_test(test_recorder_grows),
    cmocka_unit_test(test_recorder_after_failures),
    cmocka_unit_test(test_recorder_file_is_gone),
    cmocka_unit_test(test_recorder_cannot_begin),
    cmocka_unit_test(test_slow_disk),
    cmocka_unit_test(test_killed),
  };
  if (!mkdtemp(folder)) {
    return 1;
  }
  snprintf(path, sizeof path, "%s/a.mid", folder);
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(path);
  return rmdir(folder) || failed;
}
