// A WAV file as an audio device.
#include "backend/wav_out.h"

#include "caps.h"
#include "clock.h"
#include "thread.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 44u
#define FRAME_BYTES 4u
#define DATA_BYTES_MAX (UINT32_MAX - HEADER_BYTES)
// Behind by more than this (a suspended machine) the clock begins anew.
#define BEHIND_NS_MAX 1000000000ll

struct WavOut {
  AudioConfig      config;
  FILE*            file;
  pthread_t        thread;
  atomic_bool      stopping;
  _Atomic uint64_t lost_frames;
  // The thread's own.
  uint64_t data_bytes;
  float    left[PERIOD_FRAMES_MAX];
  float    right[PERIOD_FRAMES_MAX];
  uint8_t  bytes[PERIOD_FRAMES_MAX * FRAME_BYTES];
};

static void
put_u32(uint8_t* bytes, uint32_t value)
{
  for (int i = 0; i < 4; ++i) {
    bytes[i] = (uint8_t)(value >> (8 * i));
  }
}

// Errors show when the file is written to.
static void
write_header(WavOut* wav)
{
  const uint32_t rate_hz              = wav->config.sample_rate_hz;
  const uint32_t data_bytes           = (uint32_t)wav->data_bytes;
  uint8_t        header[HEADER_BYTES] = "RIFF....WAVEfmt ";
  put_u32(header + 4, data_bytes + HEADER_BYTES - 8);
  put_u32(header + 16, 16);
  put_u32(header + 20, 1 | 2 << 16); // PCM, two channels
  put_u32(header + 24, rate_hz);
  put_u32(header + 28, rate_hz * FRAME_BYTES);
  put_u32(header + 32, FRAME_BYTES | 16 << 16);
  memcpy(header + 36, "data", 4);
  put_u32(header + 40, data_bytes);
  rewind(wav->file);
  if (fwrite(header, 1, sizeof header, wav->file) != sizeof header) {
    atomic_fetch_add(&wav->lost_frames, 1);
  }
}

static void
put_sample(uint8_t* bytes, float value)
{
  const long sample = lrintf(32767.0f * fmaxf(-1.0f, fminf(1.0f, value)));
  bytes[0]          = (uint8_t)(sample & 0xff);
  bytes[1]          = (uint8_t)((sample >> 8) & 0xff);
}

static void
write_period(WavOut* wav)
{
  const uint32_t count = wav->config.period_frames;
  for (uint32_t i = 0; i < count; ++i) {
    put_sample(wav->bytes + FRAME_BYTES * i, wav->left[i]);
    put_sample(wav->bytes + FRAME_BYTES * i + 2, wav->right[i]);
  }
  const uint32_t size = count * FRAME_BYTES;
  if (wav->data_bytes + size > DATA_BYTES_MAX ||
      fwrite(wav->bytes, 1, size, wav->file) != size) {
    atomic_fetch_add(&wav->lost_frames, count);
    return;
  }
  wav->data_bytes += size;
}

static void*
wav_thread(void* context)
{
  WavOut* const wav    = context;
  const double  rate   = wav->config.sample_rate_hz;
  int64_t       start  = clock_now_ns();
  uint64_t      frames = 0;
  while (!atomic_load(&wav->stopping)) {
    wav->config.render(
      wav->config.context, wav->config.period_frames, wav->left, wav->right);
    write_period(wav);
    frames += wav->config.period_frames;
    const int64_t due = start + (int64_t)(1e9 * (double)frames / rate);
    if (clock_now_ns() - due > BEHIND_NS_MAX) {
      start  = clock_now_ns();
      frames = 0;
    }
    clock_sleep_until_ns(due);
  }
  return NULL;
}

static Status
start(WavOut* wav, const char* path, Error* error)
{
  wav->file = fopen(path, "wbe");
  if (!wav->file) {
    return error_set(error,
                     STATUS_IO,
                     "audio file %.300s: cannot write: %s",
                     path,
                     strerror(errno));
  }
  write_header(wav);
  const int reason = thread_start(&wav->thread, NULL, wav_thread, wav);
  if (reason) {
    fclose(wav->file);
    return error_set(error,
                     STATUS_UNAVAILABLE,
                     "audio file: cannot start its thread: %s",
                     strerror(reason));
  }
  return STATUS_OK;
}

Status
wav_out_open(const AudioConfig* config, WavOut** out, Error* error)
{
  WavOut* const wav = calloc(1, sizeof *wav);
  if (!wav) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for the audio file");
  }
  wav->config = *config;
  const Status status =
    start(wav, config->file_path ? config->file_path : "meander.wav", error);
  if (status) {
    free(wav);
    return status;
  }
  *out = wav;
  return STATUS_OK;
}

void
wav_out_close(WavOut* wav)
{
  atomic_store(&wav->stopping, true);
  pthread_join(wav->thread, NULL);
  write_header(wav);
  fclose(wav->file);
  free(wav);
}

uint64_t
wav_out_lost_frames(const WavOut* wav)
{
  return atomic_load(&wav->lost_frames);
}
