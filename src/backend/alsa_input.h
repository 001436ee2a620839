// Reads what came to our ALSA ports. Process thread, outside process itself:
// the sequencer is reached by read(2).
#pragma once

#include "backend/alsa_ports.h"
#include "backend/span_inputs.h"

// Events that the kernel keeps for us (its own cap), and room for one read of
// all of them: an event longer than that could never be read.
#define ALSA_INPUT_POOL_EVENTS 2000u
#define ALSA_INPUT_BUFFER_BYTES 65536u

typedef struct {
  // Set before the thread starts, then only read.
  snd_seq_t*        seq;
  snd_midi_event_t* decoder;
  AlsaPorts*        ports;
  int               queue; // that stamps what comes to control; -1: none
  uint32_t          sample_rate_hz;
  uint32_t          delay_frames; // BackendSpan.input_delay_frames

  // The thread's own.
  SpanInputs       inputs;
  snd_seq_event_t* next;       // read, but of a later span; NULL: none
  uint64_t         next_frame; // when it came
} AlsaInput;

// Takes all that came in time for the span at `frame` into input->inputs; new
// ports go to input->ports. `queue_zero_ns`: CLOCK_MONOTONIC at the queue's
// time 0.
void alsa_input_read(AlsaInput* input,
                     uint64_t   frame,
                     uint32_t   frame_count,
                     uint64_t   queue_zero_ns);
