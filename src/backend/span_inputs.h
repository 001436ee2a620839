// What came in at meander:control during one span, for BackendSpan.inputs: raw
// bytes in, whole messages out. Process thread, but for the counters.
#pragma once

#include "backend/backend.h"
#include "caps.h"
#include "music/midi_parser.h"

#include <stdatomic.h>
#include <stddef.h>

// Bytes taken in one span: what a JACK port buffer holds. What is beyond is
// dropped and counted, so that a flood of SysEx costs a span at most this much.
#define SPAN_INPUT_BYTES_MAX 32768u

// All zero: nothing came yet.
typedef struct {
  MidiParser parser; // running status goes on over spans
  MidiInput  inputs[SPAN_INPUTS_MAX];
  uint32_t   count; // of this span
  uint32_t   frame_count;
  uint32_t   bytes_left;
  // Written by process, read by anyone. They only grow.
  _Atomic uint32_t lost_count;
  _Atomic uint32_t stray_count; // MidiParser's
} SpanInputs;

void span_inputs_begin(SpanInputs* inputs, uint32_t frame_count) REALTIME;

// Takes bytes that came at `offset_frames`. An offset beyond the span or before
// that of the bytes before is moved to the next that may be.
void span_inputs_take(SpanInputs*    inputs,
                      uint32_t       offset_frames,
                      const uint8_t* bytes,
                      size_t         size_bytes) REALTIME;

// The system had no room for so many messages.
void span_inputs_lose(SpanInputs* inputs, uint32_t count) REALTIME;

// Puts the span's inputs into `span`.
void span_inputs_give(const SpanInputs* inputs, BackendSpan* span) REALTIME;
