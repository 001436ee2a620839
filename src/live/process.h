// Everything that the real-time process thread touches, in one struct. A note
// comes in stamped by the worker and leaves as MIDI at exactly its frames.
//
// Clock. The session clock is the backend's clock of the first connection.
// After a server died and came back its clock starts anew; an offset lets the
// session clock go on where it stood.
//
// Planning anew. What was planned may be replaced until process has committed
// to it: the worker tells an epoch and the frame where it begins, and puts the
// new notes behind the old ones, which process then leaves out. Where time
// itself breaks (the transport stopped or moved) process ends what sounds and
// leaves out all that was planned without knowing of it.
//
// What holds whatever happens: each note-on that was written is followed by
// exactly one note-off of its pitch and channel; time never goes back; at one
// frame offs come before ons.
#pragma once

#include "backend/backend.h"
#include "caps.h"
#include "live/clock_out.h"
#include "live/params.h"
#include "ring.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// Worker -> process. In the ring sorted by on_frame within an epoch.
typedef struct {
  uint64_t on_frame;  // session clock
  uint64_t off_frame; // above on_frame
  uint64_t number;    // of all notes planned
  uint32_t epoch;     // of the plan
  uint32_t breaks;    // discontinuities that the worker knew of
  uint8_t  pitch;
  uint8_t  velocity;
  uint8_t  channel; // 0..15
} StampedNote;

// Process -> control: a message that the sink took, at the frame it was
// stamped with (an overdue note-off: where it went out). Frames never decrease.
typedef struct {
  uint64_t frame;  // session clock
  uint64_t number; // of the note; PLAYED_NO_NOTE: none that was planned
  uint8_t  message[3];
} PlayedEvent;
#define PLAYED_NO_NOTE UINT64_MAX

// Process -> control: what came in at meander:control, and each change of the
// server's transport. In the order of frames.
typedef enum { HEARD_MIDI, HEARD_TRANSPORT } HeardKind;

typedef struct {
  HeardKind kind;
  uint64_t  frame;     // session clock
  uint32_t  breaks;    // discontinuities up to here, this one included
  uint64_t  broke_at;  // session clock: where the last of them was
  MidiInput midi;      // HEARD_MIDI
  Transport transport; // HEARD_TRANSPORT
} HeardEvent;

// Control -> process: one message for controllers.
typedef struct {
  uint8_t message[3];
} FeedbackMessage;

// A note whose off is still to be written.
typedef struct {
  uint64_t off_frame; // UINT64_MAX: an echo, until its key is released
  uint64_t number;
  uint8_t  pitch;
  uint8_t  channel;
} ActiveNote;

// Written by process, read by anyone. They only grow.
typedef struct {
  _Atomic uint64_t notes;         // note-ons written
  _Atomic uint64_t late;          // reached process too late: not played
  _Atomic uint64_t dropped;       // no room in sink, period or active table
  _Atomic uint64_t doubled;       // the same key twice at one frame
  _Atomic uint64_t replaced;      // planned anew before they sounded
  _Atomic uint64_t retriggered;   // cut where the same key is pressed again
  _Atomic uint64_t offs_retried;  // refused by the sink, tried again
  _Atomic uint64_t reports_lost;  // the played ring was full
  _Atomic uint64_t heard_lost;    // the heard ring was full
  _Atomic uint64_t feedback_lost; // refused by the sink
  _Atomic uint64_t spans_starved; // the worker had not planned this far
  _Atomic uint64_t beats_lost;    // by the worker alone: the beat ring was full
} ProcessCounters;

// Cuts remembered: more than epochs can begin while notes of an older one are
// still to be played (see planner.h).
#define PROCESS_CUTS 64u

typedef struct {
  Ring notes;    // StampedNote, worker -> process
  Ring played;   // PlayedEvent, process -> control
  Ring heard;    // HeardEvent, process -> control
  Ring feedback; // FeedbackMessage, control -> process
  Ring beats;    // BeatMark, worker -> process

  // Worker writes: all onsets before this frame are in the ring. 0: it has not
  // begun; UINT64_MAX: no more will come.
  alignas(64) _Atomic uint64_t planned_until;
  // Worker writes: the epoch (low 16 bits), and the frame from which on notes
  // of all epochs before are replaced.
  _Atomic uint64_t cut;
  // Worker writes: the breaks that its plan takes into account.
  _Atomic uint32_t breaks_known;
  // Control writes.
  atomic_bool      end_requested;      // end every note and stay quiet
  atomic_bool      hold_requested;     // the same, until it is taken back
  _Atomic uint32_t panic_requests;     // each: end all notes in every way
  _Atomic uint32_t release_requests;   // each: end what echoes
  _Atomic int      follow;             // Sync: whose stops and starts count
  atomic_bool      echo;               // notes that come in sound as well
  _Atomic uint64_t silent_keys[16][2]; // [channel][key / 64]: but for these
  atomic_bool      clock_out;          // MIDI clock goes out at meander:notes

  // Process writes. Frames before committed_until are decided (set as a span
  // begins); before processed_until written (set as it ends). 0: no span yet.
  alignas(64) _Atomic uint64_t committed_until;
  _Atomic uint64_t processed_until;
  _Atomic uint32_t epoch_seen;
  _Atomic uint32_t span_frames;
  atomic_bool      freewheeling; // the last span was, and the plan came in time
  atomic_bool      ended;        // the answer to end_requested
  atomic_bool      held;         // to hold_requested: nothing sounds
  _Atomic uint64_t ended_at;     // the frame of it; 0: not yet
  ProcessCounters  counters;

  // Process's own. Sorted by off_frame, the next to end comes last.
  ActiveNote  active[ACTIVE_NOTES_MAX];
  uint32_t    active_count;
  StampedNote chord[ACTIVE_NOTES_MAX]; // notes that begin at one frame
  uint64_t    cuts[PROCESS_CUTS]; // where each epoch began, or one after it
  uint32_t    epoch;
  uint32_t    breaks;
  uint64_t    broke_at;         // the last of them
  int         followed;         // `follow` of the span before
  bool        untold;           // an event that control must know was lost
  Transport   transport;        // of the span before
  uint32_t    transport_frames; // that span's
  uint64_t    transport_span;   // where it began
  ClockOut    clock;
  uint32_t    panics_done;
  uint32_t    releases_done;
  uint64_t    clock_offset;   // session clock - backend clock, modulo 2^64
  bool        waited_in_vain; // once, since freewheeling began
  bool        reconnected;    // set by process_connect() while no thread runs
} Process;

// Ends what sounds at `frame`: also what echoes, or only what was planned.
// Process thread (or whoever runs it).
void process_end_notes(Process* process, uint64_t frame, bool echoes) REALTIME;

// A BackendProcess; `context` is the Process.
void process_span(void* context, const BackendSpan* span) REALTIME;
