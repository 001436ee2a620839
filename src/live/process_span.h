// What the files of the process thread share: one span under way.
#pragma once

#include "live/process.h"

typedef struct {
  Process*        process;
  const MidiSink* sink;
  uint64_t        start;
  uint64_t        end;
  uint64_t        cursor;  // nothing may be written before this frame
  uint32_t        written; // messages so far
  bool            blocked; // an off was refused: nothing more in this span
  bool            quiet;   // nothing begins in it,
  bool            ends;    // nor in any after it
} Span;

// One writer: no read-modify-write needed.
void process_count(_Atomic uint64_t* counter) REALTIME;

bool span_write(Span*         span,
                uint64_t      frame,
                uint64_t      number,
                const uint8_t message[3]) REALTIME;
// Writes the off of active note `index` and forgets the note. When the sink
// refuses, the note stays to be ended in the next span.
bool span_write_off(Span* span, uint32_t index) REALTIME;
void span_write_on(Span* span, const StampedNote* note) REALTIME;
// Ends the same key where it is pressed again, unless the sink refuses.
void span_end_same_key(Span* span, const StampedNote* note) REALTIME;

// --- process_inputs.c --------------------------------------------------------

// At the span's start: breaks time where the server's transport does what it
// would not have done by itself, if it is followed.
void process_watch_transport(Span* span, const BackendSpan* given) REALTIME;
void process_take_input(Span*            span,
                        const MidiInput* input,
                        uint64_t         frame,
                        uint32_t         delay) REALTIME;
void process_write_feedback(Span* span) REALTIME;
// Ends what echoes: its player is gone, or no longer wants to be heard.
void process_release_echoes(Span* span) REALTIME;
// The off of each note, then what ends notes that a synth lost the off of.
void process_panic(Span* span) REALTIME;
