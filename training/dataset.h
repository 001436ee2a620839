// The prepared data set: one file with the whole note stream of every piece,
// which of them are held out for tests, and the encoding statistics of the
// rest. Read through a memory map; windows are views of the stream. A Dataset
// is read-only once open: any number of threads may read it at the same time.
//
// The file (all numbers little-endian; written by prepare.c):
//
//   offset  size  header, 128 bytes
//        0     8  magic "MEANDER\0"
//        8     4  version, 1
//       12     4  number of pieces, at least 1
//       16     8  number of notes
//       24     8  offset of the note records, 128
//       32     8  offset of the piece table = end of the note records
//       40     8  offset of the names = end of the piece table
//       48     8  size of the file = end of the names
//       56    24  u_mean, u_std, w_mean, w_std, v_mean, v_std: float32
//       80     8  FNV-1a 64 of all bytes from offset 128 on, then of the
//                 header's bytes 0 to 79
//       88    40  zero
//
//   note records, 6 bytes each, piece after piece
//        0     1  pitch, 1..127
//        1     1  MIDI velocity, 1..127
//        2     2  step, in units of 50 microseconds, 20..40000
//        4     2  duration, likewise
//
//   piece table, 24 bytes each, in byte order of the names
//        0     8  first note; pieces follow one another without a gap
//        8     4  number of notes, at least WINDOW_NOTES
//       12     4  1 when the piece is held out for tests, else 0
//       16     4  offset of its name within the names
//       20     4  length of the name without its zero byte, at least 1
//
//   names: each ends in a zero byte; they follow one another without a gap
#pragma once

#include "encoding_stats.h"
#include "music/note.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATASET_VERSION 1u
#define DATASET_HEADER_BYTES 128u
#define DATASET_NOTE_BYTES 6u
#define DATASET_PIECE_BYTES 24u
#define DATASET_UNITS_PER_SECOND 20000u // steps and durations are in 50 us

typedef struct {
  const char* name;       // "giantmidi/X.mid"; lives as long as the Dataset
  uint64_t    first_note; // in the whole stream
  uint32_t    note_count; // at least WINDOW_NOTES
  bool        is_test;    // held out: never trained on
} DatasetPiece;

typedef struct Dataset Dataset;

// Checks every offset, value and the digest (one pass over the file), so that
// what follows cannot fail. STATUS_BAD_FILE names the path and what is wrong.
Status dataset_open(const char* path, Dataset** out, Error* error);
void   dataset_close(Dataset* dataset);

const EncodingStats* dataset_stats(const Dataset* dataset);
// 16 hex digits, a function of the file's content, for provenance.
const char* dataset_digest(const Dataset* dataset);

uint64_t dataset_note_count(const Dataset* dataset, bool test);
// Non-overlapping windows of WINDOW_NOTES; a piece's rest is not counted.
uint64_t dataset_window_count(const Dataset* dataset, bool test);

// Window `index` in [0, dataset_window_count(dataset, test)), moved `shift`
// notes on, shift in [0, WINDOW_NOTES), or as far as the piece has room.
// O(log pieces).
void dataset_window(const Dataset* dataset,
                    bool           test,
                    uint64_t       index,
                    unsigned       shift,
                    NoteEvent      out[WINDOW_NOTES]);

size_t              dataset_piece_count(const Dataset* dataset);
const DatasetPiece* dataset_piece(const Dataset* dataset, size_t index);

// Any run of notes; keep it inside one piece.
void dataset_notes(const Dataset* dataset,
                   uint64_t       first_note,
                   size_t         count,
                   NoteEvent*     out);

// All records, as they are in the file (above), at a multiple of 64 bytes.
const uint8_t* dataset_records(const Dataset* dataset, uint64_t* bytes);
