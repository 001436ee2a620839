// Writing a data set file. Main thread.
#include "dataset_write.h"

#include "dataset_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static Status
put(DatasetWriter* writer, const void* data, size_t size, Error* error)
{
  writer->digest = digest_bytes(writer->digest, data, size);
  if (fwrite(data, 1, size, writer->file.stream) != size) {
    return error_set(error,
                     STATUS_IO,
                     "%s: cannot write: %s",
                     writer->file.path,
                     strerror(errno));
  }
  return STATUS_OK;
}

static void
add_moment(Moments* moments, double value)
{
  moments->sum += value;
  moments->sum_of_squares += value * value;
}

static void
add_statistics(DatasetWriter* writer, NoteEvent event)
{
  const double step_s     = (double)event.step_s;
  const double duration_s = (double)event.duration_s;
  add_moment(&writer->u, log1p(step_s / ENCODING_STEP_SCALE_S));
  add_moment(&writer->w, log(fmax(duration_s, ENCODING_DURATION_FLOOR_S)));
  add_moment(&writer->v, (double)event.velocity);
  ++writer->train_note_count;
}

static void
mean_and_std(const Moments* moments, double count, float out[2])
{
  const double mean     = moments->sum / count;
  const double variance = moments->sum_of_squares / count - mean * mean;
  out[0]                = (float)mean;
  out[1]                = (float)sqrt(fmax(variance, 0.0));
  if (out[1] < ENCODING_STD_MIN) {
    out[1] = ENCODING_STD_MIN;
  }
}

// Room for `more` bytes at the end of a doubling buffer.
static void*
reserve(void* buffer, size_t* capacity, size_t used, size_t more)
{
  if (buffer && used + more <= *capacity) {
    return buffer;
  }
  const size_t wanted = 2 * (used + more) + 4096;
  void* const  bigger = realloc(buffer, wanted);
  *capacity           = bigger ? wanted : *capacity;
  return bigger;
}

static Status
add_to_table(DatasetWriter* writer,
             const char*    name,
             bool           is_test,
             uint32_t       count,
             Error*         error)
{
  const size_t length = strlen(name);
  uint8_t*     table  = reserve(writer->table,
                           &writer->table_capacity,
                           writer->piece_count * DATASET_PIECE_BYTES,
                           DATASET_PIECE_BYTES);
  writer->table       = table ? table : writer->table;
  char* names         = reserve(
    writer->names, &writer->names_capacity, writer->names_bytes, length + 1);
  writer->names = names ? names : writer->names;
  if (!table || !names || writer->names_bytes + length + 1 > UINT32_MAX) {
    return error_set(error,
                     STATUS_NO_MEMORY,
                     "out of memory for %zu pieces",
                     writer->piece_count);
  }
  uint8_t* const entry = table + writer->piece_count * DATASET_PIECE_BYTES;
  put_bytes(entry, writer->note_count, 8);
  put_bytes(entry + 8, count, 4);
  put_bytes(entry + 12, is_test, 4);
  put_bytes(entry + 16, writer->names_bytes, 4);
  put_bytes(entry + 20, length, 4);
  memcpy(names + writer->names_bytes, name, length + 1);
  writer->names_bytes += length + 1;
  ++writer->piece_count;
  writer->note_count += count;
  return STATUS_OK;
}

Status
dataset_writer_open(DatasetWriter* writer, const char* path, Error* error)
{
  *writer             = (DatasetWriter){ .digest = DIGEST_START };
  const Status status = file_writer_open(&writer->file, path, error);
  if (status) {
    return status;
  }
  // The header's place; it is not part of the digest yet.
  const uint8_t header[DATASET_HEADER_BYTES] = { 0 };
  fwrite(header, 1, sizeof header, writer->file.stream);
  return STATUS_OK;
}

Status
dataset_writer_add(DatasetWriter*   writer,
                   const char*      name,
                   bool             is_test,
                   const NoteEvent* events,
                   uint32_t         count,
                   Error*           error)
{
  Status status = add_to_table(writer, name, is_test, count, error);
  for (uint32_t i = 0; i < count && !status; ++i) {
    uint8_t note[DATASET_NOTE_BYTES];
    pack_note(events[i], note);
    if (!is_test) {
      add_statistics(writer, draw_unpack(note));
    }
    status = put(writer, note, sizeof note, error);
  }
  return status;
}

static void
fill_header(DatasetWriter* writer, uint8_t header[DATASET_HEADER_BYTES])
{
  const uint64_t table_at =
    DATASET_HEADER_BYTES + writer->note_count * DATASET_NOTE_BYTES;
  const uint64_t names_at =
    table_at + (uint64_t)writer->piece_count * DATASET_PIECE_BYTES;
  memcpy(header, DATASET_MAGIC, sizeof DATASET_MAGIC);
  put_bytes(header + 8, DATASET_VERSION, 4);
  put_bytes(header + 12, writer->piece_count, 4);
  put_bytes(header + 16, writer->note_count, 8);
  put_bytes(header + 24, DATASET_HEADER_BYTES, 8);
  put_bytes(header + 32, table_at, 8);
  put_bytes(header + 40, names_at, 8);
  put_bytes(header + 48, names_at + writer->names_bytes, 8);
  float        stats[6];
  const double count = (double)writer->train_note_count;
  mean_and_std(&writer->u, count, stats);
  mean_and_std(&writer->w, count, stats + 2);
  mean_and_std(&writer->v, count, stats + 4);
  for (size_t i = 0; i < 6; ++i) {
    uint32_t bits;
    memcpy(&bits, &stats[i], sizeof bits);
    put_bytes(header + DATASET_STATS_AT + 4 * i, bits, 4);
  }
  put_bytes(header + DATASET_DIGEST_AT,
            digest_bytes(writer->digest, header, DATASET_DIGEST_AT),
            8);
}

static void
free_tables(DatasetWriter* writer)
{
  free(writer->table);
  free(writer->names);
  writer->table = NULL;
  writer->names = NULL;
}

Status
dataset_writer_commit(DatasetWriter* writer, Error* error)
{
  if (writer->train_note_count == 0) {
    dataset_writer_abort(writer);
    return error_set(
      error, STATUS_BAD_ARGUMENT, "no piece is left to train on");
  }
  Status status = put(
    writer, writer->table, writer->piece_count * DATASET_PIECE_BYTES, error);
  if (!status) {
    status = put(writer, writer->names, writer->names_bytes, error);
  }
  if (status) {
    dataset_writer_abort(writer);
    return status;
  }
  uint8_t header[DATASET_HEADER_BYTES] = { 0 };
  fill_header(writer, header);
  free_tables(writer);
  // A failed seek or write leaves the stream's error flag, or a file whose
  // flush fails: the commit sees both.
  if (!fseek(writer->file.stream, 0, SEEK_SET)) {
    fwrite(header, 1, sizeof header, writer->file.stream);
    return file_writer_commit(&writer->file, error);
  }
  const int reason = errno;
  file_writer_abort(&writer->file);
  return error_set(error,
                   STATUS_IO,
                   "%s: cannot write: %s",
                   writer->file.path,
                   strerror(reason));
}

void
dataset_writer_abort(DatasetWriter* writer)
{
  file_writer_abort(&writer->file);
  free_tables(writer);
}
