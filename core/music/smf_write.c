// Writing standard MIDI files, format 0. Owns nothing; any thread except
// process. Two passes over the events, the first to measure, so that the stream
// need not seek.
#include "music/smf.h"

#include <errno.h>
#include <string.h>

#define DELTA_MAX 0x0fffffffu
#define TEMPO_US 500000u

_Static_assert((uint64_t)SMF_WRITE_TICKS_PER_QUARTER * 1000000u / TEMPO_US ==
                 SMF_WRITE_TICKS_PER_SECOND,
               "the tempo event agrees with the ticks a second");

static unsigned
variable_bytes(uint32_t value)
{
  return value < 0x80u ? 1 : value < 0x4000u ? 2 : value < 0x200000u ? 3 : 4;
}

static void
put_variable(FILE* stream, uint32_t value)
{
  for (unsigned left = variable_bytes(value); left-- > 0;) {
    const uint32_t seven = value >> (7 * left) & 0x7fu;
    putc((int)(seven | (left ? 0x80u : 0u)), stream);
  }
}

static void
put_u32(FILE* stream, uint32_t value)
{
  for (int shift = 24; shift >= 0; shift -= 8) {
    putc((int)(value >> shift & 0xffu), stream);
  }
}

// Channel messages of two data bytes: all but program change (0xc0) and channel
// pressure (0xd0).
static int
is_three_bytes(const uint8_t message[3])
{
  const unsigned kind = message[0] >> 4;
  return kind >= 0x8 && kind <= 0xe && kind != 0xc && kind != 0xd &&
         message[1] < 0x80u && message[2] < 0x80u;
}

static Status
measure(const SmfEvent* events, size_t count, uint64_t* bytes, Error* error)
{
  uint64_t tick = 0;
  for (size_t i = 0; i < count; ++i) {
    const SmfEvent* const event = &events[i];
    if (event->tick < tick) {
      return error_set(
        error, STATUS_BAD_ARGUMENT, "event %zu goes back in time", i);
    }
    if (event->tick - tick > DELTA_MAX) {
      return error_set(error,
                       STATUS_LIMIT,
                       "event %zu: more than %u ticks after the one before",
                       i,
                       DELTA_MAX);
    }
    *bytes += variable_bytes((uint32_t)(event->tick - tick));
    tick = event->tick;
    if (event->text) {
      const size_t length = strlen(event->text);
      if (length > DELTA_MAX) {
        return error_set(error, STATUS_LIMIT, "event %zu: a text too long", i);
      }
      *bytes += 2 + variable_bytes((uint32_t)length) + length;
    } else if (is_three_bytes(event->message)) {
      *bytes += 3;
    } else {
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "event %zu is no three-byte channel message",
                       i);
    }
  }
  return *bytes <= UINT32_MAX
           ? STATUS_OK
           : error_set(error, STATUS_LIMIT, "a track longer than 4 GiB");
}

Status
smf_write(FILE* stream, const SmfEvent* events, size_t count, Error* error)
{
  static const uint8_t tempo[] = {
    0, 0xff, 0x51, 3, TEMPO_US >> 16, TEMPO_US >> 8 & 0xff, TEMPO_US & 0xff
  };
  static const uint8_t end_of_track[] = { 0, 0xff, 0x2f, 0 };
  static const uint8_t header[]       = { 'M',
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
  uint64_t             bytes          = sizeof tempo + sizeof end_of_track;
  Status               status         = measure(events, count, &bytes, error);
  if (status) {
    return status;
  }
  fwrite(header, 1, sizeof header, stream);
  put_u32(stream, (uint32_t)bytes);
  fwrite(tempo, 1, sizeof tempo, stream);
  uint64_t tick = 0;
  for (size_t i = 0; i < count; ++i) {
    const SmfEvent* const event = &events[i];
    put_variable(stream, (uint32_t)(event->tick - tick));
    tick = event->tick;
    if (event->text) {
      const size_t length = strlen(event->text);
      putc(0xff, stream);
      putc(0x01, stream);
      put_variable(stream, (uint32_t)length);
      fwrite(event->text, 1, length, stream);
    } else {
      fwrite(event->message, 1, 3, stream);
    }
  }
  fwrite(end_of_track, 1, sizeof end_of_track, stream);
  if (ferror(stream)) {
    return error_set(
      error, STATUS_IO, "cannot write the MIDI file: %s", strerror(errno));
  }
  return STATUS_OK;
}
