// Everything the ALSA process thread touches, and the thread itself: it calls
// process for one span after another and sends what process wrote.
//
// The real-time rule holds inside process. Sending cannot keep it: the ALSA
// sequencer is reached by write(2), so messages go into a fixed array during
// process and are sent after it returned. The thread allocates nothing and
// takes no lock of ours.
#pragma once

#include "backend/backend.h"
#include "caps.h"

#include <alsa/asoundlib.h>
#include <pthread.h>
#include <stdatomic.h>

// How long before its first frame a span is processed. The queue's lead is the
// committed horizon: what a stall of the thread may last unheard.
#define ALSA_QUEUE_LEAD_NS 25000000ull
#define ALSA_DIRECT_LEAD_NS 1000000ull

#define ALSA_CHANNELS 16
#define ALSA_PITCHES 128

// What was last sent for a channel and pitch.
typedef enum { ALSA_NOTE_NEVER, ALSA_NOTE_ON, ALSA_NOTE_ENDED } AlsaNote;

typedef struct {
  uint32_t offset_frames;
  uint8_t  message[3];
} AlsaMessage;

typedef struct {
  // Set before the thread starts, then only read.
  snd_seq_t*        seq; // shared with poll: ALSA locks within the kernel
  snd_midi_event_t* encoder;
  int               port;
  int               queue; // -1: direct
  uint64_t          lead_ns;
  uint32_t          sample_rate_hz;
  uint32_t          period_frames;
  BackendProcess    process;
  void*             process_context;

  // The thread's own.
  AlsaMessage messages[PERIOD_EVENTS_MAX]; // of this span
  uint32_t    message_count;
  uint64_t    queue_zero_ns; // CLOCK_MONOTONIC at the queue's time 0
  uint64_t    queue_last_ns; // queue time of the last event queued
  AlsaNote    notes[ALSA_CHANNELS][ALSA_PITCHES];
  // Between the threads.
  _Atomic bool     stopping;
  _Atomic uint32_t xrun_count;
  _Atomic uint32_t dropped_count;
} AlsaThread;

// The thread's function; `context` is the AlsaThread. Ends after `stopping` is
// set, once all that was handed out is heard and every note has its off.
void* alsa_thread_run(void* context);
