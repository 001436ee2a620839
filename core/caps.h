// Every cap in one place. A cap that a user can reach names its policy.
#pragma once

#include <assert.h>
#include <stdint.h>

// Condensed note events (DESIGN.md, "Words").
#define NOTE_STEP_MIN_S 0.001f
#define NOTE_STEP_MAX_S 2.0f
#define NOTE_DURATION_MIN_S 0.001f
#define NOTE_DURATION_MAX_S 2.0f
#define WINDOW_NOTES 8
// The longest sequence that a diffusion model sees at once: what it generates
// and the clean notes around it. A longer context is refused.
#define SEQUENCE_NOTES 32
#define CONTEXT_NOTES_MAX (SEQUENCE_NOTES - WINDOW_NOTES)

// Standard MIDI files: beyond a cap the file is refused, never cut short.
#define SMF_BYTES_MAX (64u << 20)
#define SMF_TRACKS_MAX 1024u
#define SMF_EVENTS_MAX (4u << 20)
#define SMF_SECONDS_MAX (24.0 * 3600.0)

// Live: stamped notes between worker and process. When full the worker waits
// (nothing is dropped).
#define STAMPED_RING_NOTES 4096u

// Live: sounding notes. A note-on beyond the cap is dropped and counted.
#define ACTIVE_NOTES_MAX 256u

// Live: what process wrote, on its way to the view and the recorder. When full
// the report is dropped and counted.
#define PLAYED_RING_EVENTS 32768u

// Live: MIDI messages written in one period, and the share of them that only
// note-offs may use. A note-on beyond is dropped and counted; a note-off waits
// for the next period.
#define PERIOD_EVENTS_MAX 1024u
#define PERIOD_EVENTS_OFF_RESERVE 512u

// Live: messages at meander:control taken in one period. More are dropped and
// counted.
#define SPAN_INPUTS_MAX 1024u

// Live: what came in, on its way from process to control, and what goes back to
// controllers. When full the message is dropped and counted.
#define HEARD_RING_EVENTS 8192u
#define FEEDBACK_RING_EVENTS 1024u

// Live: changes of the beat on their way from the worker to MIDI clock. When
// full one is left out: clock goes on as it was.
#define BEAT_RING_MARKS 64u

// Live: commands from control to the worker. When full control tries again
// in its next turn (nothing is dropped).
#define COMMAND_RING_COMMANDS 256u

// Recording: the lines that say how notes were made. A longer line is lost and
// counted.
#define RECORD_LINE_BYTES_MAX 16384u

// The ring of the last minutes (10 MB). Older phrases go, whole ones, and so
// do the oldest when one of the three is full; a phrase that fills the ring
// alone loses its lines, or its oldest notes, which the file says.
#define TAKE_SECONDS 600u
#define TAKE_EVENTS (1u << 17)
#define TAKE_LINES (1u << 15)
#define TAKE_LINE_BYTES (6u << 20)

// The continuous recording: lines whose first note was not played yet. One more
// is lost and counted; what was played is kept without a limit.
#define RECORD_PENDING_LINES 4096u
#define RECORD_PENDING_BYTES (1u << 20)

// Lines read back from one file: with more it is refused.
#define PROVENANCE_LINES_MAX (1u << 18)

#define PERIOD_FRAMES_MIN 16u
#define PERIOD_FRAMES_MAX 8192u

// Checkpoints (DESIGN.md, "Checkpoints").
#define CHECKPOINT_HEADER_BYTES_MAX (1u << 20)
#define CHECKPOINT_JSON_DEPTH_MAX 4
#define CHECKPOINT_TENSORS_MAX 512u
#define CHECKPOINT_TEXTS_MAX 256u
#define CHECKPOINT_BYTES_MAX (1ull << 32)

static_assert((STAMPED_RING_NOTES & (STAMPED_RING_NOTES - 1)) == 0,
              "rings are powers of two");
static_assert((PLAYED_RING_EVENTS & (PLAYED_RING_EVENTS - 1)) == 0,
              "rings are powers of two");
static_assert(TAKE_LINE_BYTES > RECORD_LINE_BYTES_MAX &&
                RECORD_PENDING_BYTES > RECORD_LINE_BYTES_MAX,
              "every line that is taken fits");
static_assert(PERIOD_EVENTS_OFF_RESERVE >= ACTIVE_NOTES_MAX,
              "every sounding note can end in one period");
static_assert(PERIOD_EVENTS_MAX > PERIOD_EVENTS_OFF_RESERVE,
              "note-ons need room too");
// JACK's port buffer holds 2,727 three-byte events.
static_assert(PERIOD_EVENTS_MAX < 2727, "a period fits a JACK port buffer");
