// Everything the ALSA process thread touches, and the thread itself: it calls
// process for one span after another and sends what process wrote.
//
// The real-time rule holds inside process. Reading and sending cannot keep it:
// the ALSA sequencer is reached by read(2) and write(2), so what came in is
// read before process is called, and messages go into fixed arrays during
// process and are sent after it returned. The thread allocates nothing and
// takes no lock of ours.
#pragma once

#include "backend/alsa_input.h"
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
  uint8_t  size_bytes;
} AlsaMessage;

// Of one port and span, in time.
typedef struct {
  AlsaMessage messages[PERIOD_EVENTS_MAX];
  uint32_t    count;
} AlsaOutput;

typedef struct {
  // Set before the thread starts, then only read.
  snd_seq_t*        seq; // shared with poll: ALSA locks within the kernel
  snd_midi_event_t* encoder;
  int               ports[2]; // by MidiOut
  int               queue;    // -1: none
  bool              queued;   // messages go through the queue
  uint64_t          lead_ns;
  uint32_t          sample_rate_hz;
  uint32_t          period_frames;
  BackendProcess    process;
  void*             process_context;

  // The thread's own.
  AlsaInput  input;
  AlsaOutput out[2];        // by MidiOut
  uint64_t   queue_zero_ns; // CLOCK_MONOTONIC at the queue's time 0
  uint64_t   queue_last_ns; // queue time of the last event queued
  AlsaNote   notes[ALSA_CHANNELS][ALSA_PITCHES]; // at the port "notes"
  // Between the threads.
  _Atomic bool     stopping;
  _Atomic uint32_t xrun_count;
  _Atomic uint32_t dropped_count;
} AlsaThread;

// The thread's function; `context` is the AlsaThread. Ends after `stopping` is
// set, once all that was handed out is heard and every note has its off.
void* alsa_thread_run(void* context);
