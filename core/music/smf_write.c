// Writing standard MIDI files, format 0. Owns nothing between calls but the
// tracks that callers hold; any thread except process. A track becomes bytes
// first, so that its length is known and the stream need not seek.
#include "music/smf.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DELTA_MAX 0x0fffffffu
#define TEMPO_US_MAX 0xffffffu
#define TEMPO_BYTES 7u
// Delta time, status, type and length of the longest event's head.
#define EVENT_HEAD_BYTES_MAX 10u

const uint8_t smf_end_of_track[4] = { 0, 0xff, 0x2f, 0 };

_Static_assert((uint64_t)SMF_WRITE_TICKS_PER_QUARTER * 1000000u /
                   SMF_WRITE_TEMPO_US ==
                 SMF_WRITE_TICKS_PER_SECOND,
               "the tempo event agrees with the ticks a second");

static size_t
put_variable(uint8_t* out, uint32_t value)
{
  const unsigned bytes = value < 0x80u       ? 1
                         : value < 0x4000u   ? 2
                         : value < 0x200000u ? 3
                                             : 4;
  for (unsigned i = 0; i < bytes; ++i) {
    const unsigned left  = bytes - 1 - i;
    const uint32_t seven = value >> (7 * left) & 0x7fu;
    out[i]               = (uint8_t)(seven | (left ? 0x80u : 0u));
  }
  return bytes;
}

void
smf_put_u32(uint8_t out[4], uint32_t value)
{
  for (int i = 0; i < 4; ++i) {
    out[i] = (uint8_t)(value >> (24 - 8 * i));
  }
}

// Channel messages of two data bytes: all but program change (0xc0) and channel
// pressure (0xd0).
static bool
is_three_bytes(const uint8_t message[3])
{
  const unsigned kind = message[0] >> 4;
  return kind >= 0x8 && kind <= 0xe && kind != 0xc && kind != 0xd &&
         message[1] < 0x80u && message[2] < 0x80u;
}

static Status
check_event(const SmfTrack* track,
            const SmfEvent* event,
            size_t          text_bytes,
            Error*          error)
{
  const size_t index = track->event_count;
  if (event->tick < track->tick) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "event %zu goes back in time", index);
  }
  if (event->tick - track->tick > DELTA_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "event %zu: more than %u ticks after the one before",
                     index,
                     DELTA_MAX);
  }
  if (text_bytes > DELTA_MAX) {
    return error_set(error, STATUS_LIMIT, "event %zu: a text too long", index);
  }
  if (!event->text && !is_three_bytes(event->message)) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "event %zu is no three-byte channel message",
                     index);
  }
  const uint64_t size = (uint64_t)track->size + text_bytes + TEMPO_BYTES +
                        EVENT_HEAD_BYTES_MAX + sizeof smf_end_of_track;
  return size <= UINT32_MAX
           ? STATUS_OK
           : error_set(error, STATUS_LIMIT, "a track longer than 4 GiB");
}

static Status
make_room(SmfTrack* track, size_t bytes, Error* error)
{
  if (track->capacity - track->size >= bytes) {
    return STATUS_OK;
  }
  const size_t   doubled  = track->capacity ? 2 * track->capacity : 4096;
  const size_t   needed   = track->size + bytes;
  const size_t   capacity = doubled > needed ? doubled : needed;
  uint8_t* const bigger   = realloc(track->bytes, capacity);
  if (!bigger) {
    return error_set(
      error, STATUS_NO_MEMORY, "out of memory for a track's %zu bytes", needed);
  }
  track->bytes    = bigger;
  track->capacity = capacity;
  return STATUS_OK;
}

Status
smf_track_add(SmfTrack* track, const SmfEvent* event, Error* error)
{
  const size_t text_bytes = event->text ? strlen(event->text) : 0;
  Status       status     = check_event(track, event, text_bytes, error);
  if (status ||
      (status = make_room(track, EVENT_HEAD_BYTES_MAX + text_bytes, error))) {
    return status;
  }
  uint8_t* out = track->bytes + track->size;
  out += put_variable(out, (uint32_t)(event->tick - track->tick));
  if (event->text) {
    *out++ = 0xff;
    *out++ = SMF_META_TEXT;
    out += put_variable(out, (uint32_t)text_bytes);
    memcpy(out, event->text, text_bytes);
    out += text_bytes;
  } else {
    memcpy(out, event->message, sizeof event->message);
    out += sizeof event->message;
  }
  track->size = (size_t)(out - track->bytes);
  track->tick = event->tick;
  ++track->event_count;
  return STATUS_OK;
}

Status
smf_track_add_meter(SmfTrack* track, const SmfBeat* beat, Error* error)
{
  // 24 clocks a click of the metronome, 8 thirty-seconds a quarter: as usual.
  const uint8_t bytes[] = {
    0, 0xff, SMF_META_METER, 4, beat->meter_count, beat->meter_unit, 24, 8
  };
  const Status status = make_room(track, sizeof bytes, error);
  if (!status) {
    memcpy(track->bytes + track->size, bytes, sizeof bytes);
    track->size += sizeof bytes;
    ++track->event_count;
  }
  return status;
}

Status
smf_track_end(SmfTrack* track, Error* error)
{
  const Status status = make_room(track, sizeof smf_end_of_track, error);
  if (!status) {
    memcpy(
      track->bytes + track->size, smf_end_of_track, sizeof smf_end_of_track);
    track->size += sizeof smf_end_of_track;
  }
  return status;
}

void
smf_track_free(SmfTrack* track)
{
  free(track->bytes);
  *track = (SmfTrack){ 0 };
}

uint32_t
smf_track_length(size_t event_bytes)
{
  return (uint32_t)(TEMPO_BYTES + event_bytes + sizeof smf_end_of_track);
}

void
smf_head(uint8_t out[SMF_HEAD_BYTES], uint32_t tempo_us, size_t event_bytes)
{
  static const uint8_t before[] = { 'M',
                                    'T',
                                    'h',
                                    'd',
                                    0,
                                    0,
                                    0,
                                    6,
                                    0,
                                    0,
                                    0,
                                    1, // format 0, one track
                                    SMF_WRITE_TICKS_PER_QUARTER >> 8,
                                    SMF_WRITE_TICKS_PER_QUARTER & 0xff,
                                    'M',
                                    'T',
                                    'r',
                                    'k' };
  const uint8_t        tempo[]  = { 0,
                                    0xff,
                                    SMF_META_TEMPO,
                                    3,
                                    (uint8_t)(tempo_us >> 16),
                                    (uint8_t)(tempo_us >> 8),
                                    (uint8_t)tempo_us };
  _Static_assert(sizeof before == SMF_HEAD_LENGTH_AT &&
                   sizeof tempo == TEMPO_BYTES &&
                   sizeof before + 4 + sizeof tempo == SMF_HEAD_BYTES,
                 "what smf.h says of a file's head");
  memcpy(out, before, sizeof before);
  smf_put_u32(out + SMF_HEAD_LENGTH_AT, smf_track_length(event_bytes));
  memcpy(out + SMF_HEAD_LENGTH_AT + 4, tempo, sizeof tempo);
}

Status
smf_write_track(FILE*           stream,
                const SmfTrack* track,
                uint32_t        tempo_us,
                Error*          error)
{
  uint8_t head[SMF_HEAD_BYTES];
  smf_head(head, tempo_us, track->size);
  fwrite(head, 1, sizeof head, stream);
  if (track->size) {
    fwrite(track->bytes, 1, track->size, stream);
  }
  fwrite(smf_end_of_track, 1, sizeof smf_end_of_track, stream);
  return ferror(stream) ? error_set(error,
                                    STATUS_IO,
                                    "cannot write the MIDI file: %s",
                                    strerror(errno))
                        : STATUS_OK;
}

Status
smf_write(FILE* stream, const SmfEvent* events, size_t count, Error* error)
{
  SmfTrack track  = { 0 };
  Status   status = STATUS_OK;
  for (size_t i = 0; i < count && !status; ++i) {
    status = smf_track_add(&track, &events[i], error);
  }
  if (!status) {
    status = smf_write_track(stream, &track, SMF_WRITE_TEMPO_US, error);
  }
  smf_track_free(&track);
  return status;
}

uint32_t
smf_tempo_us(double bpm)
{
  const double us = 60e6 / bpm;
  return us >= TEMPO_US_MAX ? TEMPO_US_MAX : us >= 1 ? (uint32_t)lround(us) : 1;
}

SmfBeat
smf_beat(double bpm, double quarters_per_bar)
{
  SmfBeat beat = { .tempo_us = smf_tempo_us(bpm) };
  for (uint8_t unit = 2; unit <= 6 && !beat.meter_count; ++unit) {
    const double count = quarters_per_bar * (1 << (unit - 2));
    if (count >= 1 && count <= 255 && count == floor(count)) {
      beat.meter_count = (uint8_t)count;
      beat.meter_unit  = unit;
    }
  }
  return beat;
}

uint64_t
smf_tick(uint64_t frame, uint32_t sample_rate_hz, uint32_t tempo_us)
{
  const double ticks_per_second =
    1e6 * SMF_WRITE_TICKS_PER_QUARTER / (double)tempo_us;
  return (uint64_t)llround((double)frame * ticks_per_second / sample_rate_hz);
}
