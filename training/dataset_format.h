// The bytes of a data set file (laid out in dataset.h), for its reader and its
// writer. Pure; any thread.
#pragma once

#include "dataset.h"
#include "draw.h"

#include <math.h>

#define DATASET_MAGIC "MEANDER" // eight bytes with its zero
#define DATASET_STATS_AT 56u
#define DATASET_DIGEST_AT 80u

#define UNITS_MIN 20u    // 1 ms
#define UNITS_MAX 40000u // 2 s

_Static_assert(DATASET_NOTE_BYTES == NOTE_RECORD_BYTES &&
                 DATASET_UNITS_PER_SECOND == NOTE_UNITS_PER_SECOND,
               "the records are those that ops read");
_Static_assert(UNITS_MAX == 2 * DATASET_UNITS_PER_SECOND &&
                 UNITS_MIN * 1000 == DATASET_UNITS_PER_SECOND,
               "the units span NOTE_STEP_MIN_S to NOTE_STEP_MAX_S");

static inline uint16_t
get_u16(const uint8_t* data)
{
  return (uint16_t)(data[0] | data[1] << 8);
}

static inline uint32_t
get_u32(const uint8_t* data)
{
  return get_u16(data) | (uint32_t)get_u16(data + 2) << 16;
}

static inline uint64_t
get_u64(const uint8_t* data)
{
  return get_u32(data) | (uint64_t)get_u32(data + 4) << 32;
}

// The lowest `bytes` bytes of `value`.
static inline void
put_bytes(uint8_t* data, uint64_t value, size_t bytes)
{
  for (size_t i = 0; i < bytes; ++i) {
    data[i] = (uint8_t)(value >> (8 * i));
  }
}

static inline unsigned
units_from_seconds(float seconds)
{
  return (unsigned)lrint((double)seconds * DATASET_UNITS_PER_SECOND);
}

// `event` in range.
static inline void
pack_note(NoteEvent event, uint8_t out[DATASET_NOTE_BYTES])
{
  out[0] = event.pitch;
  out[1] = velocity_to_midi(event.velocity);
  put_bytes(out + 2, units_from_seconds(event.step_s), 2);
  put_bytes(out + 4, units_from_seconds(event.duration_s), 2);
}

// FNV-1a, 64 bits: finds damage and names a content; no defence against
// forgery.
#define DIGEST_START 0xcbf29ce484222325ull

static inline uint64_t
digest_bytes(uint64_t digest, const uint8_t* data, size_t size)
{
  for (size_t i = 0; i < size; ++i) {
    digest = (digest ^ data[i]) * 0x100000001b3ull;
  }
  return digest;
}
