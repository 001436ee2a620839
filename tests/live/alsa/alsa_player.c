// Drives the ALSA backend with notes known beforehand, and writes what must
// arrive: one line a message, "due_ns kind pitch velocity", due_ns by
// CLOCK_MONOTONIC. Its last notes get no off from here: the backend's stop must
// end them ("due_ns" 0: whenever). Runs in the guest of run_vm.py.
//
// alsa_player queue|direct|auto CONNECT_REGEX SENT_FILE [SECONDS]
// Exit 3: STATUS_NOT_FOUND, 4: STATUS_UNAVAILABLE, 1: any other failure.
#include "backend/backend.h"
#include "rng.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RATE_HZ 48000u
#define MESSAGES_MAX 4096u
#define HANGING_NOTES 3u
#define PITCH_LOWEST 21u
#define PITCHES 80u

typedef struct {
  uint64_t frame; // from the player's first
  uint8_t  message[3];
} Timed;

typedef struct {
  Timed        messages[MESSAGES_MAX];
  uint32_t     count;
  uint32_t     next; // process thread's own while it runs
  uint32_t     late_count;
  uint64_t     first_frame; // 0 before the first span
  _Atomic bool done;        // all is handed out
} Player;

static int
compare(const void* left, const void* right)
{
  const Timed* const a = left;
  const Timed* const b = right;
  if (a->frame != b->frame) {
    return a->frame < b->frame ? -1 : 1;
  }
  // Offs first; then by pitch, so that the order is the same on every libc.
  return memcmp(a->message, b->message, sizeof a->message);
}

static void
add(Player* player, uint64_t frame, uint8_t status, uint8_t pitch, uint8_t vel)
{
  if (player->count < MESSAGES_MAX) {
    player->messages[player->count++] =
      (Timed){ frame, { status, pitch, vel } };
  }
}

// Chords, single notes at any frame, and the same pitch again at the frame of
// its off. Pitches go round, so that no note meets itself.
static void
compose(Player* player, double seconds)
{
  Rng            rng   = rng_make(7, RNG_USE_TEST, 0);
  const uint64_t end   = (uint64_t)(seconds * RATE_HZ);
  uint64_t       frame = RATE_HZ / 4;
  uint32_t       note  = 0;
  while (frame < end) {
    const uint32_t chord    = 1 + rng_below(&rng, 4);
    const uint32_t duration = RATE_HZ / 50 + rng_below(&rng, RATE_HZ / 5);
    for (uint32_t i = 0; i < chord; ++i, ++note) {
      const uint8_t pitch = (uint8_t)(PITCH_LOWEST + note % PITCHES);
      const uint8_t vel   = (uint8_t)(1 + rng_below(&rng, 127));
      add(player, frame, 0x90, pitch, vel);
      add(player, frame + duration, 0x80, pitch, 64);
      if (note % 7 == 0) {
        add(player, frame + duration, 0x90, pitch, vel);
        add(player, frame + 2 * duration, 0x80, pitch, 64);
      }
    }
    frame += RATE_HZ / 100 + rng_below(&rng, RATE_HZ / 15);
  }
  for (uint8_t i = 0; i < HANGING_NOTES; ++i) {
    add(player, frame + RATE_HZ / 2, 0x90, 110 + i, 100);
  }
  qsort(player->messages, player->count, sizeof(Timed), compare);
}

static void
process(void* context, const BackendSpan* span)
{
  Player* const  player      = context;
  const uint64_t frame       = span->frame;
  const uint32_t frame_count = span->frame_count;
  if (player->first_frame == 0) {
    player->first_frame = frame;
  }
  const uint64_t position = frame - player->first_frame;
  while (player->next < player->count) {
    const Timed* const timed = &player->messages[player->next];
    if (timed->frame >= position + frame_count) {
      break;
    }
    const bool late = timed->frame < position;
    player->late_count += late;
    const uint32_t offset = late ? 0 : (uint32_t)(timed->frame - position);
    if (!span->sink->write(
          span->sink->handle, MIDI_OUT_NOTES, offset, timed->message, 3)) {
      break; // next span
    }
    ++player->next;
  }
  atomic_store(&player->done, player->next == player->count);
}

static bool
write_sent(const Player* player, const char* path)
{
  FILE* const file = fopen(path, "w");
  if (!file) {
    return false;
  }
  for (uint32_t i = 0; i < player->next; ++i) {
    const Timed* const timed = &player->messages[i];
    const uint64_t     frame = player->first_frame + timed->frame;
    const uint64_t     ns =
      frame / RATE_HZ * 1000000000u + frame % RATE_HZ * 1000000000u / RATE_HZ;
    fprintf(file,
            "%llu %s %u %u\n",
            (unsigned long long)ns,
            timed->message[0] == 0x90 ? "on" : "off",
            timed->message[1],
            timed->message[2]);
  }
  for (unsigned i = 0; i < HANGING_NOTES; ++i) {
    fprintf(file, "0 off %u 64\n", 110 + i);
  }
  return fclose(file) == 0;
}

static AlsaTiming
timing_named(const char* name)
{
  return strcmp(name, "queue") == 0    ? ALSA_TIMING_QUEUE
         : strcmp(name, "direct") == 0 ? ALSA_TIMING_DIRECT
                                       : ALSA_TIMING_AUTO;
}

// Stops as soon as the last message is handed out: in queue mode it is then
// still unheard.
static void
play(Backend* backend, const Player* player, BackendStatus* status)
{
  const struct timespec tick = { .tv_nsec = 5000000 };
  while (!atomic_load(&player->done)) {
    backend->poll(backend, status);
    nanosleep(&tick, NULL);
  }
  backend->stop(backend);
  backend->poll(backend, status);
}

int
main(int argc, char** argv)
{
  static Player player;
  if (argc < 4) {
    return 1;
  }
  const double seconds = argc > 4 ? strtod(argv[4], NULL) : 4.0;
  compose(&player, seconds);
  const BackendConfig config = { .client_name     = "meander",
                                 .connect_pattern = argv[2],
                                 .sample_rate_hz  = RATE_HZ,
                                 .period_frames   = 256,
                                 .alsa_timing     = timing_named(argv[1]),
                                 .process         = process,
                                 .process_context = &player };
  Backend*            backend;
  Error               error;
  BackendStatus       status;
  if (backend_open_alsa(&config, &backend, &error) != STATUS_OK) {
    printf("error: %s\n", error.text);
    return error.status == STATUS_NOT_FOUND     ? 3
           : error.status == STATUS_UNAVAILABLE ? 4
                                                : 1;
  }
  backend->poll(backend, &status); // connects before the first note
  if (backend->start(backend, &error) != STATUS_OK) {
    printf("error: %s\n", error.text);
    backend->close(backend);
    return 1;
  }
  play(backend, &player, &status);
  printf("text=%s\nsent=%u late=%u xruns=%u dropped=%u connections=%u\n",
         status.text,
         player.next,
         player.late_count,
         status.xrun_count,
         status.dropped_count,
         status.connection_count);
  backend->close(backend);
  return player.next == player.count && write_sent(&player, argv[3]) ? 0 : 1;
}
