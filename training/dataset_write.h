// Writing a data set file piece by piece (dataset.h): notes go to disk as they
// come, only the piece table stays in memory. Main thread.
#pragma once

#include "dataset.h"
#include "file.h"

typedef struct {
  double sum;
  double sum_of_squares;
} Moments;

typedef struct {
  FileWriter file;
  uint64_t   digest; // of what is on disk after the header
  uint64_t   note_count;
  uint8_t*   table;
  size_t     piece_count, table_capacity;
  char*      names;
  size_t     names_bytes, names_capacity;
  uint64_t   train_note_count;
  Moments    u, w, v; // of the training part, as the file rounds it
} DatasetWriter;

Status dataset_writer_open(DatasetWriter* writer,
                           const char*    path,
                           Error*         error);
// Events in range, at least WINDOW_NOTES of them. On failure call abort.
Status dataset_writer_add(DatasetWriter*   writer,
                          const char*      name,
                          bool             is_test,
                          const NoteEvent* events,
                          uint32_t         count,
                          Error*           error);
// Finishes the file and puts it in place, or removes it. STATUS_BAD_ARGUMENT
// without a training piece. The writer is closed either way.
Status dataset_writer_commit(DatasetWriter* writer, Error* error);
// Gives up: what stood at the path before is untouched.
void dataset_writer_abort(DatasetWriter* writer);
