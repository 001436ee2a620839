// The arithmetic of data.h's ops for one unit, for the CPU and for GPUs
// (portable.h). A thread draws a whole unit: there are enough of them.
#pragma once

#include "caps.h"
#include "data.h"
#include "music/note_portable.h"
#include "rng_portable.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

// --- Notes -------------------------------------------------------------------

PORTABLE NoteEvent
draw_unpack(const uint8_t record[NOTE_RECORD_BYTES])
{
  NoteEvent   note;
  const float second = (float)NOTE_UNITS_PER_SECOND;
  const int   step   = record[2] | record[3] << 8;
  const int   length = record[4] | record[5] << 8;
  note.pitch         = record[0];
  note.velocity      = note_velocity(record[1]);
  note.step_s        = (float)step / second;
  note.duration_s    = (float)length / second;
  return note;
}

PORTABLE void
draw_channels(const NoteScale* scale, NoteEvent note, float out[NOTE_CHANNELS])
{
  const float u = log1pf(note.step_s / scale->step_scale_s);
  const float w = logf(fmaxf(note.duration_s, scale->duration_floor_s));
  out[0]        = (note.velocity - scale->mean[0]) / scale->deviation[0];
  out[1]        = (u - scale->mean[1]) / scale->deviation[1];
  out[2]        = (w - scale->mean[2]) / scale->deviation[2];
}

PORTABLE float
draw_spread(Rng* rng, float share)
{
  return 1.0f + share * (2.0f * rng_draw_uniform(rng) - 1.0f);
}

// A transposition within +-range that keeps every pitch on the piano, or 0.
PORTABLE int
draw_transposition(Rng*             rng,
                   uint32_t         range,
                   const NoteEvent* notes,
                   uint32_t         count)
{
  const int shift = (int)rng_draw_below(rng, 2 * range + 1) - (int)range;
  for (uint32_t i = 0; i < count; ++i) {
    const int pitch = notes[i].pitch + shift;
    if (pitch < 21 || pitch > 108) {
      return 0;
    }
  }
  return shift;
}

PORTABLE void
draw_augment(Rng* rng, const DrawRule* rule, NoteEvent* notes, uint32_t count)
{
  const int   shift    = draw_transposition(rng, rule->transpose, notes, count);
  const float tempo    = draw_spread(rng, rule->tempo_spread);
  const float velocity = draw_spread(rng, rule->velocity_spread);
  for (uint32_t i = 0; i < count; ++i) {
    notes[i].pitch = (uint8_t)(notes[i].pitch + shift);
    notes[i].velocity *= velocity;
    // Notes of a chord stay a chord.
    notes[i].step_s = notes[i].step_s <= NOTE_STEP_MIN_S
                        ? NOTE_STEP_MIN_S
                        : notes[i].step_s * tempo;
    notes[i].duration_s *= tempo;
    notes[i] = note_clamped(notes[i]);
  }
}

// --- Order -------------------------------------------------------------------

// Streams of orders, above those of draws.
#define DRAW_ORDER_STREAMS (1ull << 55)
#define DRAW_ORDER_ROUNDS 8u

// A Feistel network over the next power of two, whose rounds change the upper
// and the lower half of the bits in turn, walked until it is back below count
// (Black and Rogaway 2002, cycle walking): no memory, each index on its own.
// Gives the i-th of `count` units that an epoch visits, a permutation drawn
// from (seed, epoch).
PORTABLE uint32_t
draw_order(uint32_t i, uint32_t count, uint64_t seed, uint64_t epoch)
{
  const uint64_t stream = rng_stream(RNG_USE_BATCH, DRAW_ORDER_STREAMS + epoch);
  uint32_t       bits   = 0;
  while (((uint64_t)1 << bits) < count) {
    ++bits;
  }
  const uint32_t low_bits = bits - bits / 2; // at most 16
  const uint32_t low_mask = (1u << low_bits) - 1;
  const uint32_t up_mask  = (1u << bits / 2) - 1;
  do {
    uint32_t low = i & low_mask;
    uint32_t up  = i >> low_bits;
    for (uint32_t round = 0; round < DRAW_ORDER_ROUNDS; ++round) {
      uint32_t       words[4];
      const uint32_t from = round % 2 ? up : low;
      philox(seed, stream, (uint64_t)round << 32 | from, words);
      if (round % 2) {
        low ^= words[0] & low_mask;
      } else {
        up ^= words[0] & up_mask;
      }
    }
    i = up << low_bits | low;
  } while (i >= count);
  return i;
}

// --- Units -------------------------------------------------------------------

typedef struct {
  uint64_t seed;
  uint64_t first;
  uint64_t epoch;
  float    forcing;
} DrawNow;

PORTABLE DrawNow
draw_read_now(const float* bits)
{
  uint32_t words[DRAW_NOW_FLOATS];
  DrawNow  now;
  memcpy(words, bits, sizeof words);
  now.seed    = words[0] | (uint64_t)words[1] << 32;
  now.first   = words[2] | (uint64_t)words[3] << 32;
  now.epoch   = words[4] | (uint64_t)words[5] << 32;
  now.forcing = bits[6];
  return now;
}

// Where a draw begins, and how far it may move.
typedef struct {
  Rng      rng;
  uint64_t first_note;
  int      back;
  int      ahead;
} Draw;

// Draw `number` + now->first of the run.
PORTABLE Draw
draw_begin(const DrawSource* source, const DrawNow* now, uint32_t number)
{
  const uint32_t count = source->units.rows;
  const uint64_t n     = now->first + number;
  const uint32_t unit =
    draw_order((uint32_t)(n % count), count, now->seed, now->epoch);
  Draw     draw;
  uint32_t words[DRAW_UNIT_FLOATS];
  memcpy(words,
         source->units.data + (size_t)unit * source->units.stride,
         sizeof words);
  draw.rng.seed    = now->seed;
  draw.rng.stream  = rng_stream(RNG_USE_BATCH, n);
  draw.rng.counter = 0;
  draw.first_note  = words[0] | (uint64_t)(words[1] >> 16) << 32;
  draw.back        = (int)(words[1] & 255);
  draw.ahead       = (int)(words[1] >> 8 & 255);
  return draw;
}

// `count` notes, moved by `shift` as far as may be, augmented.
PORTABLE void
draw_notes(Draw*             draw,
           const DrawRule*   rule,
           const DrawSource* source,
           int               shift,
           NoteEvent*        notes,
           uint32_t          count)
{
  const int      moved = shift < -draw->back   ? -draw->back
                         : shift > draw->ahead ? draw->ahead
                                               : shift;
  const uint64_t first = (uint64_t)((int64_t)draw->first_note + moved);
  const uint8_t* record =
    (const uint8_t*)source->notes.data + first * NOTE_RECORD_BYTES;
  for (uint32_t i = 0; i < count; ++i, record += NOTE_RECORD_BYTES) {
    notes[i] = draw_unpack(record);
  }
  draw_augment(&draw->rng, rule, notes, count);
}

PORTABLE float*
draw_cell(Tensor x, size_t row)
{
  return x.data + row * x.stride;
}

PORTABLE void
draw_write(const NoteScale* scale,
           NoteEvent        note,
           size_t           row,
           Tensor           pitch,
           Tensor           channels)
{
  *draw_cell(pitch, row) = (float)note.pitch;
  draw_channels(scale, note, draw_cell(channels, row));
}

// Window b of op_draw_windows().
PORTABLE void
draw_window(const DrawRule*   rule,
            const DrawSource* source,
            const DrawNow*    now,
            uint32_t          b,
            Tensor            pitch,
            Tensor            channels,
            Tensor            force)
{
  NoteEvent      notes[WINDOW_NOTES];
  const uint32_t count = pitch.rows / WINDOW_NOTES;
  Draw           draw  = draw_begin(source, now, b);
  const int      shift = (int)rng_draw_below(&draw.rng, WINDOW_NOTES);
  draw_notes(&draw, rule, source, shift, notes, WINDOW_NOTES);
  for (uint32_t t = 0; t < WINDOW_NOTES; ++t) {
    const size_t row = (size_t)t * count + b;
    draw_write(&rule->scale, notes[t], row, pitch, channels);
    *draw_cell(force, row) =
      rng_draw_uniform(&draw.rng) < now->forcing ? 1.0f : 0.0f;
  }
}

// clean of a sequence that begins at row `first`: 1 where the note is given.
PORTABLE void
draw_mask(Rng*            rng,
          const DrawRule* rule,
          uint32_t        notes,
          size_t          first,
          Tensor          clean)
{
  // The run of notes that are not given.
  uint32_t begin = 0;
  uint32_t end   = notes;
  float    kind  = rng_draw_uniform(rng);
  if ((kind -= rule->continuation_share) < 0.0f) {
    begin = notes - WINDOW_NOTES;
  } else if ((kind -= rule->prefix_share) < 0.0f) {
    begin = 1 + rng_draw_below(rng, notes - 1);
  } else if (kind - rule->infill_share < 0.0f) {
    const uint32_t length = notes > WINDOW_NOTES && rng_draw_below(rng, 2)
                              ? WINDOW_NOTES
                              : 1 + rng_draw_below(rng, notes - 1);
    begin                 = rng_draw_below(rng, notes - length + 1);
    end                   = begin + length;
  }
  for (uint32_t i = 0; i < notes; ++i) {
    *draw_cell(clean, first + i) = i < begin || i >= end ? 1.0f : 0.0f;
  }
}

// Slot b of op_draw_sequences().
PORTABLE void
draw_slot(const DrawRule*   rule,
          const DrawSource* source,
          const DrawNow*    now,
          uint32_t          notes,
          uint32_t          b,
          Tensor            pitch,
          Tensor            channels,
          Tensor            clean)
{
  const int      most  = SEQUENCE_NOTES / 2;
  const uint32_t count = SEQUENCE_NOTES / notes; // of sequences
  const uint32_t used  = count * notes;
  const size_t   first = (size_t)b * used;
  NoteEvent      all[SEQUENCE_NOTES];
  Draw           draw = draw_begin(source, now, b);
  const int      shift =
    (int)rng_draw_below(&draw.rng, (uint32_t)(2 * most + 1)) - most;
  draw_notes(&draw, rule, source, shift, all, SEQUENCE_NOTES);
  const uint32_t begin = rng_draw_below(&draw.rng, SEQUENCE_NOTES - used + 1);
  for (uint32_t i = 0; i < used; ++i) {
    draw_write(&rule->scale, all[begin + i], first + i, pitch, channels);
  }
  for (uint32_t s = 0; s < count; ++s) {
    draw_mask(&draw.rng, rule, notes, first + (size_t)s * notes, clean);
  }
}

// Row r of op_mask().
PORTABLE void
mask_row(uint32_t notes,
         uint32_t r,
         Tensor   clean,
         Tensor   noised,
         Tensor   position,
         Tensor   level,
         Tensor   allowed)
{
  const uint32_t sequence = r / notes;
  const bool     is_clean = *draw_cell(clean, r) != 0.0f;
  float* const   may      = draw_cell(allowed, r);
  *draw_cell(noised, r)   = is_clean ? 0.0f : 1.0f;
  *draw_cell(position, r) = (float)(r % notes);
  *draw_cell(level, r)    = (float)(is_clean ? clean.rows / notes : sequence);
  for (uint32_t k = 0; k < notes; ++k) {
    const bool other = *draw_cell(clean, sequence * notes + k) != 0.0f;
    may[k]           = !is_clean || other ? 1.0f : 0.0f;
  }
}
