// Sets of note sequences to compare: real ones drawn from a data set, and the
// baselines made of them. Every sequence of a set belongs to one of two halves,
// so that a classifier is trained on one and judged on the other; of real music
// no piece lies in both. Main thread.
#pragma once

#include "dataset.h"

#define WINDOW_SET_HALVES 2u
#define WINDOW_SET_NO_PIECE UINT32_MAX

typedef struct {
  uint32_t   count;  // sequences
  uint32_t   notes;  // of each
  NoteEvent* events; // [count][notes]
  uint8_t*   half;   // [count], below WINDOW_SET_HALVES
  uint32_t*  piece;  // [count], index in the data set or WINDOW_SET_NO_PIECE
} WindowSet;

// Every sequence of no piece, halves in turn, events unset.
Status window_set_create(WindowSet* set,
                         uint32_t   count,
                         uint32_t   notes,
                         Error*     error);
void   window_set_free(WindowSet* set);

// Non-overlapping sequences of `notes` notes on one side of the split.
uint64_t window_set_available(const Dataset* data, bool test, uint32_t notes);

// `count` of them at most, all different, drawn by `seed`, in random order. In
// the order of their names, each piece went to the half that had fewer notes.
// STATUS_BAD_FILE where there is none.
Status window_set_real(const Dataset* data,
                       bool           test,
                       uint32_t       notes,
                       uint32_t       count,
                       uint64_t       seed,
                       WindowSet*     out,
                       Error*         error);

// The notes of `real`, each whole, dealt out at random within its half: as real
// as ever note by note, with no relation between neighbours.
Status window_set_shuffled(const WindowSet* real,
                           uint64_t         seed,
                           WindowSet*       out,
                           Error*           error);
// The same of each field on its own: independent marginals.
Status window_set_marginals(const WindowSet* real,
                            uint64_t         seed,
                            WindowSet*       out,
                            Error*           error);
// Raises steps below 0.1 s to it, in place: chords become arpeggios, as in the
// reference system.
#define WINDOW_SET_FLOOR_S 0.1f
void window_set_floor_steps(WindowSet* set);

// Sequences of `factor` windows each, in the order that `windows` has, halves
// in turn as in window_set_create(): with no memory from one window to the
// next. `halved`: only windows of one half meet (real ones).
Status window_set_glued(const WindowSet* windows,
                        uint32_t         factor,
                        bool             halved,
                        WindowSet*       out,
                        Error*           error);

// Takes away what no ear hears and every classifier would see. Real files lie
// on a grid of MIDI ticks, at which no sampler aims: rounds steps and durations
// to 5 ms (durations to 5 ms at least) and velocities to MIDI's. Real notes end
// where their key is pressed again, as all notes do once they are played: ends
// those that the window itself shows to be pressed again. Of notes that begin
// together on that grid the lower comes first, as in every file that was read.
#define WINDOW_SET_GRID_S 0.005f
void window_set_round(WindowSet* set);
