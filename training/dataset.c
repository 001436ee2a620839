// Reading a data set file: checks, index of windows, unpacking of notes. A
// Dataset never changes once open; any thread may read it.
#include "dataset.h"

#include "dataset_format.h"
#include "file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// The pieces of one side of the split, and the number of each one's first
// window among the windows of that side.
typedef struct {
  uint32_t* pieces;
  uint64_t* first_windows;
  size_t    count;
  uint64_t  window_count;
  uint64_t  note_count;
} Side;

struct Dataset {
  FileMap        map;
  const uint8_t* notes;
  uint64_t       note_count;
  DatasetPiece*  pieces;
  size_t         piece_count;
  Side           sides[2]; // train, test
  EncodingStats  stats;
  char           digest[17];
};

static Status
bad(Error* error, const char* path, const char* rule)
{
  return error_set(
    error, STATUS_BAD_FILE, "%s: not a usable data set: %s", path, rule);
}

static Status
check_header(Dataset* set, const char* path, Error* error)
{
  const uint8_t* const header = set->map.data;
  const uint64_t       size   = set->map.size_bytes;
  if (size < DATASET_HEADER_BYTES ||
      memcmp(header, DATASET_MAGIC, sizeof DATASET_MAGIC) != 0) {
    return bad(error, path, "it is not one (wrong first bytes)");
  }
  if (get_u32(header + 8) != DATASET_VERSION) {
    return bad(error, path, "another version; run meander-train prepare again");
  }
  const uint64_t pieces = get_u32(header + 12);
  const uint64_t notes  = get_u64(header + 16);
  const uint64_t names  = get_u64(header + 40);
  // Each bound first, so that the products below cannot overflow.
  if (get_u64(header + 48) != size) {
    return bad(error, path, "its size is not what the header says (cut off?)");
  }
  if (pieces == 0 || pieces > size / DATASET_PIECE_BYTES ||
      notes > size / DATASET_NOTE_BYTES ||
      get_u64(header + 24) != DATASET_HEADER_BYTES ||
      get_u64(header + 32) !=
        DATASET_HEADER_BYTES + notes * DATASET_NOTE_BYTES ||
      names != get_u64(header + 32) + pieces * DATASET_PIECE_BYTES ||
      names > size) {
    return bad(error, path, "an offset of the header does not fit the file");
  }
  uint64_t digest = digest_bytes(
    DIGEST_START, header + DATASET_HEADER_BYTES, size - DATASET_HEADER_BYTES);
  digest = digest_bytes(digest, header, DATASET_DIGEST_AT);
  if (digest != get_u64(header + DATASET_DIGEST_AT)) {
    return bad(error, path, "its content is damaged (the digest differs)");
  }
  snprintf(set->digest, sizeof set->digest, "%016" PRIx64, digest);
  set->notes       = header + DATASET_HEADER_BYTES;
  set->note_count  = notes;
  set->piece_count = (size_t)pieces;
  return STATUS_OK;
}

static Status
check_stats(Dataset* set, const char* path, Error* error)
{
  float values[6];
  for (size_t i = 0; i < 6; ++i) {
    const uint32_t bits = get_u32(set->map.data + 56 + 4 * i);
    memcpy(&values[i], &bits, sizeof bits);
    if (!isfinite(values[i]) || (i % 2 && values[i] < ENCODING_STD_MIN)) {
      return bad(error, path, "an encoding statistic is out of range");
    }
  }
  set->stats = (EncodingStats){ values[0], values[1], values[2],
                                values[3], values[4], values[5] };
  return STATUS_OK;
}

static Status
check_notes(const Dataset* set, const char* path, Error* error)
{
  unsigned wrong = 0;
  for (uint64_t i = 0; i < set->note_count; ++i) {
    const uint8_t* const note     = set->notes + i * DATASET_NOTE_BYTES;
    const unsigned       step     = get_u16(note + 2);
    const unsigned       duration = get_u16(note + 4);
    wrong |= (note[0] - 1u > 126u) | (note[1] - 1u > 126u) |
             (step - UNITS_MIN > UNITS_MAX - UNITS_MIN) |
             (duration - UNITS_MIN > UNITS_MAX - UNITS_MIN);
  }
  return wrong ? bad(error, path, "a note is out of range") : STATUS_OK;
}

static Status
read_pieces(Dataset* set, const char* path, Error* error)
{
  const uint8_t* const table =
    set->notes + set->note_count * DATASET_NOTE_BYTES;
  const uint8_t* const names = table + set->piece_count * DATASET_PIECE_BYTES;
  const uint64_t       names_bytes =
    set->map.size_bytes - (uint64_t)(names - set->map.data);
  uint64_t next_note = 0;
  uint64_t next_name = 0;
  for (size_t i = 0; i < set->piece_count; ++i) {
    const uint8_t* const entry       = table + i * DATASET_PIECE_BYTES;
    const uint64_t       first_note  = get_u64(entry);
    const uint32_t       note_count  = get_u32(entry + 8);
    const uint32_t       is_test     = get_u32(entry + 12);
    const uint64_t       name_length = get_u32(entry + 20);
    if (first_note != next_note || note_count < WINDOW_NOTES ||
        note_count > set->note_count - next_note || is_test > 1) {
      return bad(error, path, "an entry of the piece table is out of range");
    }
    const char* const name = (const char*)names + next_name;
    if (get_u32(entry + 16) != next_name || name_length == 0 ||
        name_length >= names_bytes - next_name ||
        strnlen(name, name_length + 1) != name_length) {
      return bad(error, path, "a piece's name does not fit the file");
    }
    set->pieces[i] =
      (DatasetPiece){ name, first_note, note_count, is_test == 1 };
    next_note += note_count;
    next_name += name_length + 1;
  }
  return next_note == set->note_count && next_name == names_bytes
           ? STATUS_OK
           : bad(error, path, "the piece table does not cover the file");
}

static void
index_windows(Dataset* set)
{
  for (size_t i = 0; i < set->piece_count; ++i) {
    const DatasetPiece* const piece  = &set->pieces[i];
    Side* const               side   = &set->sides[piece->is_test];
    side->pieces[side->count]        = (uint32_t)i;
    side->first_windows[side->count] = side->window_count;
    ++side->count;
    side->window_count += piece->note_count / WINDOW_NOTES;
    side->note_count += piece->note_count;
  }
}

static Status
allocate(Dataset* set, Error* error)
{
  const size_t count = set->piece_count;
  set->pieces        = malloc(count * sizeof *set->pieces);
  bool ok            = set->pieces != NULL;
  for (int i = 0; i < 2; ++i) {
    Side* const side    = &set->sides[i];
    side->pieces        = malloc(count * sizeof *side->pieces);
    side->first_windows = malloc(count * sizeof *side->first_windows);
    ok                  = ok && side->pieces && side->first_windows;
  }
  return ok ? STATUS_OK
            : error_set(
                error, STATUS_NO_MEMORY, "out of memory for %zu pieces", count);
}

Status
dataset_open(const char* path, Dataset** out, Error* error)
{
  *out               = NULL;
  Dataset* const set = calloc(1, sizeof *set);
  if (!set) {
    return error_set(error, STATUS_NO_MEMORY, "out of memory");
  }
  Status status = file_map_open(&set->map, path, error);
  if (!status) {
    status = check_header(set, path, error);
  }
  if (!status) {
    status = check_stats(set, path, error);
  }
  if (!status) {
    status = check_notes(set, path, error);
  }
  if (!status) {
    status = allocate(set, error);
  }
  if (!status) {
    status = read_pieces(set, path, error);
  }
  if (status) {
    dataset_close(set);
    return status;
  }
  index_windows(set);
  *out = set;
  return STATUS_OK;
}

void
dataset_close(Dataset* set)
{
  if (!set) {
    return;
  }
  for (int i = 0; i < 2; ++i) {
    free(set->sides[i].pieces);
    free(set->sides[i].first_windows);
  }
  free(set->pieces);
  file_map_close(&set->map);
  free(set);
}

const EncodingStats*
dataset_stats(const Dataset* set)
{
  return &set->stats;
}

const char*
dataset_digest(const Dataset* set)
{
  return set->digest;
}

uint64_t
dataset_note_count(const Dataset* set, bool test)
{
  return set->sides[test].note_count;
}

uint64_t
dataset_window_count(const Dataset* set, bool test)
{
  return set->sides[test].window_count;
}

void
dataset_window(const Dataset* set,
               bool           test,
               uint64_t       index,
               unsigned       shift,
               NoteEvent      out[WINDOW_NOTES])
{
  const Side* const side = &set->sides[test];
  size_t            low  = 0; // first_windows[low] <= index always
  size_t            high = side->count;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    if (side->first_windows[middle] <= index) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const DatasetPiece* const piece = &set->pieces[side->pieces[low]];
  const uint64_t            wanted =
    (index - side->first_windows[low]) * WINDOW_NOTES + shift;
  const uint64_t last = piece->note_count - WINDOW_NOTES;
  dataset_notes(set,
                piece->first_note + (wanted < last ? wanted : last),
                WINDOW_NOTES,
                out);
}

size_t
dataset_piece_count(const Dataset* set)
{
  return set->piece_count;
}

const DatasetPiece*
dataset_piece(const Dataset* set, size_t index)
{
  return &set->pieces[index];
}

void
dataset_notes(const Dataset* set,
              uint64_t       first_note,
              size_t         count,
              NoteEvent*     out)
{
  const uint8_t* note = set->notes + first_note * DATASET_NOTE_BYTES;
  for (size_t i = 0; i < count; ++i, note += DATASET_NOTE_BYTES) {
    out[i] = draw_unpack(note);
  }
}

const uint8_t*
dataset_records(const Dataset* set, uint64_t* bytes)
{
  *bytes = set->note_count * DATASET_NOTE_BYTES;
  return set->notes;
}
