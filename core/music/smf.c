// Reading standard MIDI files. Owns nothing between calls; any thread except
// process. Time and memory are bounded by the file's size and by caps.h.
//
// Where files in the wild and the specification differ, we take what a musician
// would still call the same piece, and refuse what would silently lose music:
// accepted are a track without its end-of-track event, running status kept
// across meta events, unknown chunks, bytes after the last promised track;
// refused are chunks, events and files that end too early.
#include "music/smf.h"

#include "music/tempo_map.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DRUM_CHANNEL 9u
#define KEYS (16u * 128u)
#define NO_NOTE UINT32_MAX

typedef struct {
  uint64_t onset_tick;
  uint64_t end_tick;
  uint8_t  pitch;
  uint8_t  velocity;
  uint8_t  channel;
  bool     open; // key still down: ends at the file's end
} TickNote;

typedef struct {
  const uint8_t* data;
  size_t         size;
  size_t         at;    // next byte
  size_t         end;   // of the chunk being read
  unsigned       track; // being read, from 0

  unsigned format;
  unsigned track_count;
  uint16_t division;

  TickNote*   notes;
  uint32_t    note_count; // <= event_count <= SMF_EVENTS_MAX
  uint32_t    note_capacity;
  TempoEvent* tempos;
  uint32_t    tempo_count;
  uint32_t    tempo_capacity;
  uint32_t    event_count;
  uint64_t    tick;      // of the track being read
  uint64_t    last_tick; // of the file

  // The sounding note of each key of the track being read, and whether it began
  // at the tick at which it cut an earlier one: then a note-off of that tick
  // still belongs to the earlier note.
  uint32_t sounding[KEYS];
  bool     retriggered[KEYS];

  const SmfMeta* meta; // or NULL
  Error*         error;
} Reader;

static uint32_t
read_u32(const uint8_t* data)
{
  return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 |
         (uint32_t)data[2] << 8 | data[3];
}

static uint16_t
read_u16(const uint8_t* data)
{
  return (uint16_t)(data[0] << 8 | data[1]);
}

// Room for one more element in a doubling array of at most SMF_EVENTS_MAX.
static Status
grow(Reader* r, void** array, uint32_t* capacity, uint32_t count, size_t size)
{
  if (count < *capacity) {
    return STATUS_OK;
  }
  const uint32_t wanted = *capacity ? 2 * *capacity : 256;
  void* const    bigger = realloc(*array, (size_t)wanted * size);
  if (!bigger) {
    return error_set(
      r->error, STATUS_NO_MEMORY, "out of memory for %u events", wanted);
  }
  *array    = bigger;
  *capacity = wanted;
  return STATUS_OK;
}

static Status
bad(const Reader* r, size_t offset, const char* rule)
{
  return error_set(r->error,
                   STATUS_BAD_FILE,
                   "byte %zu (track %u): %s",
                   offset,
                   r->track + 1,
                   rule);
}

static Status
read_variable(Reader* r, uint32_t* out)
{
  const size_t start = r->at;
  uint32_t     value = 0;
  for (int i = 0; i < 4; ++i) {
    if (r->at >= r->end) {
      return bad(
        r, start, "a variable-length number runs past the track's end");
    }
    const uint8_t byte = r->data[r->at++];
    value              = value << 7 | (byte & 0x7fu);
    if (!(byte & 0x80u)) {
      *out = value;
      return STATUS_OK;
    }
  }
  return bad(r, start, "a variable-length number is longer than 4 bytes");
}

static void
release_key(Reader* r, unsigned key)
{
  const uint32_t index = r->sounding[key];
  if (index == NO_NOTE) {
    return;
  }
  if (r->retriggered[key] && r->notes[index].onset_tick == r->tick) {
    r->retriggered[key] = false;
    return;
  }
  r->notes[index].end_tick = r->tick;
  r->notes[index].open     = false;
  r->sounding[key]         = NO_NOTE;
}

static Status
press_key(Reader* r, unsigned key, uint8_t velocity)
{
  const uint32_t earlier = r->sounding[key];
  r->retriggered[key]    = false;
  if (earlier != NO_NOTE) {
    r->retriggered[key]        = r->notes[earlier].onset_tick < r->tick;
    r->notes[earlier].end_tick = r->tick;
    r->notes[earlier].open     = false;
  }
  const Status status = grow(
    r, (void**)&r->notes, &r->note_capacity, r->note_count, sizeof *r->notes);
  if (status) {
    return status;
  }
  r->sounding[key]          = r->note_count;
  r->notes[r->note_count++] = (TickNote){ .onset_tick = r->tick,
                                          .pitch      = key & 127u,
                                          .velocity   = velocity,
                                          .channel    = (uint8_t)(key >> 7),
                                          .open       = true };
  return STATUS_OK;
}

static Status
read_channel_message(Reader* r, uint8_t status_byte)
{
  const uint8_t kind  = status_byte >> 4;
  const size_t  bytes = kind == 0xc || kind == 0xd ? 1 : 2;
  if (r->end - r->at < bytes) {
    return bad(r, r->at, "a channel message runs past the track's end");
  }
  const uint8_t* const data = r->data + r->at;
  if ((data[0] | data[bytes - 1]) & 0x80u) {
    return bad(r, r->at, "a data byte of a channel message is above 127");
  }
  r->at += bytes;
  const unsigned channel = status_byte & 15u;
  if (channel == DRUM_CHANNEL) {
    return STATUS_OK;
  }
  const unsigned key = channel << 7 | data[0];
  if (kind == 0x9 && data[1] > 0) {
    return press_key(r, key, data[1]);
  }
  if (kind == 0x8 || kind == 0x9) {
    release_key(r, key);
  }
  return STATUS_OK;
}

static Status
read_tempo(Reader* r, const uint8_t* data, uint32_t length)
{
  if (length != 3) {
    return bad(r, r->at, "a tempo event is not 3 bytes long");
  }
  const uint32_t us_per_quarter =
    (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
  if (us_per_quarter == 0) {
    return bad(r, r->at, "a tempo of 0 microseconds a quarter");
  }
  const Status status = grow(r,
                             (void**)&r->tempos,
                             &r->tempo_capacity,
                             r->tempo_count,
                             sizeof *r->tempos);
  if (status) {
    return status;
  }
  r->tempos[r->tempo_count] =
    (TempoEvent){ r->tick, us_per_quarter, r->tempo_count };
  ++r->tempo_count;
  return STATUS_OK;
}

// Meta events (0xff type length data) and system exclusive (0xf0 or 0xf7 length
// data). Sets `*ended` on end-of-track.
static Status
read_meta_or_sysex(Reader* r, uint8_t status_byte, bool* ended)
{
  const size_t start = r->at;
  uint8_t      type  = 0;
  if (status_byte == 0xff) {
    if (r->at >= r->end) {
      return bad(r, start, "a meta event runs past the track's end");
    }
    type = r->data[r->at++];
  }
  uint32_t length = 0;
  Status   status = read_variable(r, &length);
  if (status) {
    return status;
  }
  if (length > r->end - r->at) {
    return bad(r,
               start,
               status_byte == 0xff
                 ? "a meta event runs past the track's end"
                 : "a system exclusive message runs past the track's end");
  }
  if (status_byte == 0xff && type == SMF_META_TEMPO) {
    status = read_tempo(r, r->data + r->at, length);
  }
  if (status_byte == 0xff && r->meta && !status) {
    r->meta->take(r->meta->context, r->tick, type, r->data + r->at, length);
  }
  *ended = status_byte == 0xff && type == 0x2f;
  r->at += length;
  return status;
}

// System common and real-time messages have no place in a file, yet careless
// recorders leave them there.
static Status
skip_system_message(Reader* r, uint8_t status_byte)
{
  static const int8_t data_bytes[16] = { -1, 1,  2, 1, -1, -1, 0, -1,
                                         0,  -1, 0, 0, 0,  -1, 0, -1 };
  const int           bytes          = data_bytes[status_byte & 15u];
  if (bytes < 0 || (size_t)bytes > r->end - r->at) {
    return bad(r, r->at - 1, "a status byte that no MIDI file can hold");
  }
  r->at += (size_t)bytes;
  return STATUS_OK;
}

// One event after its delta time.
static Status
read_event(Reader* r, uint8_t* running_status, bool* ended)
{
  if (r->at >= r->end) {
    return bad(r, r->at, "the track ends after a delta time, without an event");
  }
  const uint8_t byte = r->data[r->at];
  if (byte < 0x80u) {
    if (*running_status == 0) {
      return bad(r, r->at, "a data byte where a status byte should be");
    }
    return read_channel_message(r, *running_status);
  }
  ++r->at;
  if (byte < 0xf0u) {
    *running_status = byte;
    return read_channel_message(r, byte);
  }
  if (byte == 0xffu || byte == 0xf0u || byte == 0xf7u) {
    return read_meta_or_sysex(r, byte, ended);
  }
  return skip_system_message(r, byte);
}

static Status
read_track(Reader* r)
{
  r->tick = 0;
  memset(r->sounding, 0xff, sizeof r->sounding);
  memset(r->retriggered, 0, sizeof r->retriggered);
  uint8_t running_status = 0;
  for (bool ended = false; !ended && r->at < r->end;) {
    uint32_t delta  = 0;
    Status   status = read_variable(r, &delta);
    if (status) {
      return status;
    }
    if (++r->event_count > SMF_EVENTS_MAX) {
      return error_set(r->error,
                       STATUS_LIMIT,
                       "byte %zu: more than %u events",
                       r->at,
                       SMF_EVENTS_MAX);
    }
    r->tick += delta;
    status = read_event(r, &running_status, &ended);
    if (status) {
      return status;
    }
  }
  if (r->tick > r->last_tick) {
    r->last_tick = r->tick;
  }
  return STATUS_OK;
}

static Status
read_header(Reader* r)
{
  if (r->size < 14 || memcmp(r->data, "MThd", 4) != 0) {
    return error_set(r->error,
                     STATUS_BAD_FILE,
                     "byte 0: not a standard MIDI file (no MThd header)");
  }
  const uint32_t length = read_u32(r->data + 4);
  if (length < 6 || length > r->size - 8) {
    return error_set(r->error,
                     STATUS_BAD_FILE,
                     "byte 4: a header of %u bytes (should be 6, in the file)",
                     length);
  }
  r->format      = read_u16(r->data + 8);
  r->track_count = read_u16(r->data + 10);
  r->division    = read_u16(r->data + 12);
  r->at          = 8 + (size_t)length;
  if (r->format > 1) {
    return error_set(r->error,
                     STATUS_UNSUPPORTED,
                     "byte 8: format %u (formats 0 and 1 are read; save the "
                     "file as one of them)",
                     r->format);
  }
  if (r->track_count == 0) {
    return error_set(
      r->error, STATUS_BAD_FILE, "byte 10: the header promises no track");
  }
  if (r->track_count > SMF_TRACKS_MAX) {
    return error_set(r->error,
                     STATUS_LIMIT,
                     "byte 10: %u tracks (at most %u)",
                     r->track_count,
                     SMF_TRACKS_MAX);
  }
  const unsigned fps = 256u - (r->division >> 8);
  const bool     ok  = r->division & 0x8000u
                         ? (fps == 24 || fps == 25 || fps == 29 || fps == 30) &&
                        (r->division & 0xffu) > 0
                         : r->division > 0;
  return ok ? STATUS_OK
            : error_set(r->error,
                        STATUS_BAD_FILE,
                        "byte 12: 0x%04x is no time division",
                        r->division);
}

static Status
read_chunks(Reader* r)
{
  for (r->track = 0; r->track < r->track_count;) {
    const size_t start = r->at;
    if (r->size - start < 8) {
      return error_set(r->error,
                       STATUS_BAD_FILE,
                       "byte %zu: the file ends after %u of %u tracks",
                       start,
                       r->track,
                       r->track_count);
    }
    const uint32_t length = read_u32(r->data + start + 4);
    if (length > r->size - start - 8) {
      return bad(r, start, "a chunk is longer than the rest of the file");
    }
    r->at  = start + 8;
    r->end = r->at + length;
    if (memcmp(r->data + start, "MTrk", 4) == 0) {
      const Status status = read_track(r);
      if (status) {
        return status;
      }
      ++r->track;
    }
    r->at = r->end;
  }
  return STATUS_OK;
}

static int
compare_notes(const void* left, const void* right)
{
  const TickNote* const a = left;
  const TickNote* const b = right;
  if (a->onset_tick != b->onset_tick) {
    return a->onset_tick < b->onset_tick ? -1 : 1;
  }
  if (a->pitch != b->pitch) {
    return a->pitch < b->pitch ? -1 : 1;
  }
  if (a->channel != b->channel) {
    return a->channel < b->channel ? -1 : 1;
  }
  // The longer of two first, then the louder: a total order of what is heard.
  if (a->end_tick != b->end_tick) {
    return a->end_tick > b->end_tick ? -1 : 1;
  }
  return (b->velocity > a->velocity) - (b->velocity < a->velocity);
}

// All tracks share one keyboard: a key pressed again while it sounds ends there
// and begins anew; a key pressed twice at one tick (a melody doubled in another
// track) is one note, as long and as loud as the longer and the louder.
static void
merge_keyboard(Reader* r)
{
  memset(r->sounding, 0xff, sizeof r->sounding);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < r->note_count; ++i) {
    const TickNote note    = r->notes[i];
    const unsigned key     = (unsigned)note.channel << 7 | note.pitch;
    const uint32_t earlier = r->sounding[key];
    if (earlier != NO_NOTE) {
      TickNote* const last = &r->notes[earlier];
      if (last->onset_tick == note.onset_tick) {
        last->velocity =
          last->velocity > note.velocity ? last->velocity : note.velocity;
        continue;
      }
      if (last->end_tick > note.onset_tick) {
        last->end_tick = note.onset_tick;
      }
    }
    r->sounding[key] = kept;
    r->notes[kept++] = note;
  }
  r->note_count = kept;
}

static Status
convert(Reader* r, const TempoMap* map, SmfNotes* out)
{
  PlayedNote* const played =
    malloc((r->note_count ? r->note_count : 1) * sizeof *played);
  if (!played) {
    return error_set(
      r->error, STATUS_NO_MEMORY, "out of memory for %u notes", r->note_count);
  }
  const uint32_t press_count = r->note_count;
  for (uint32_t i = 0; i < press_count; ++i) {
    if (r->notes[i].open) {
      r->notes[i].end_tick = r->last_tick;
    }
  }
  if (press_count) {
    qsort(r->notes, press_count, sizeof *r->notes, compare_notes);
  }
  merge_keyboard(r);
  for (uint32_t i = 0; i < r->note_count; ++i) {
    const TickNote* const note  = &r->notes[i];
    const double          onset = tempo_map_seconds(map, note->onset_tick);
    const double          end   = tempo_map_seconds(map, note->end_tick);
    played[i]                   = (PlayedNote){ .onset_s    = onset,
                                                .duration_s = end > onset ? end - onset : 0.0,
                                                .pitch      = note->pitch,
                                                .velocity   = note->velocity,
                                                .channel    = note->channel };
  }
  *out = (SmfNotes){ .notes       = played,
                     .count       = r->note_count,
                     .press_count = press_count,
                     .format      = r->format,
                     .track_count = r->track_count,
                     .length_s    = tempo_map_seconds(map, r->last_tick) };
  return STATUS_OK;
}

static Status
finish(Reader* r, SmfNotes* out)
{
  TempoMap map;
  Status   status =
    tempo_map_init(&map, r->division, r->tempos, r->tempo_count, r->error);
  if (status) {
    return status;
  }
  if (tempo_map_seconds(&map, r->last_tick) > SMF_SECONDS_MAX) {
    status = error_set(r->error,
                       STATUS_LIMIT,
                       "byte %zu: the music lasts more than %.0f hours",
                       r->at,
                       SMF_SECONDS_MAX / 3600.0);
  } else {
    status = convert(r, &map, out);
  }
  tempo_map_free(&map);
  return status;
}

static Status
read_whole(const uint8_t* data,
           size_t         size_bytes,
           const SmfMeta* meta,
           SmfNotes*      out,
           Error*         error)
{
  *out = (SmfNotes){ 0 };
  if (size_bytes > SMF_BYTES_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "byte %u: the file is longer than %u MiB",
                     SMF_BYTES_MAX,
                     SMF_BYTES_MAX >> 20);
  }
  Reader* const r = calloc(1, sizeof *r);
  if (!r) {
    return error_set(error, STATUS_NO_MEMORY, "out of memory");
  }
  r->data       = data;
  r->size       = size_bytes;
  r->meta       = meta;
  r->error      = error;
  Status status = read_header(r);
  if (!status) {
    status = read_chunks(r);
  }
  if (!status) {
    status = finish(r, out);
  }
  free(r->notes);
  free(r->tempos);
  free(r);
  return status;
}

Status
smf_read_bytes(const uint8_t* data,
               size_t         size_bytes,
               SmfNotes*      out,
               Error*         error)
{
  return read_whole(data, size_bytes, NULL, out, error);
}

static Status
read_path(const char* path, const SmfMeta* meta, SmfNotes* out, Error* error)
{
  *out = (SmfNotes){ 0 };
  FileMap map;
  Status  status = file_map_open(&map, path, error);
  if (status) {
    return status; // names the path already
  }
  status = read_whole(map.data, map.size_bytes, meta, out, error);
  file_map_close(&map);
  if (status) {
    error_prefix(error, "%s: ", path);
  }
  return status;
}

Status
smf_read_file(const char* path, SmfNotes* out, Error* error)
{
  return read_path(path, NULL, out, error);
}

Status
smf_read_meta(const char* path, const SmfMeta* meta, Error* error)
{
  SmfNotes     notes;
  const Status status = read_path(path, meta, &notes, error);
  smf_notes_free(&notes);
  return status;
}

void
smf_notes_free(SmfNotes* notes)
{
  free(notes->notes);
  *notes = (SmfNotes){ 0 };
}
