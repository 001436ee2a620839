// The shape checks of data.h's ops, and what is written for them.
#include "caps.h"
#include "check.h"

#include <string.h>

void
draw_unit(uint64_t first_note,
          uint8_t  back,
          uint8_t  ahead,
          float    unit[DRAW_UNIT_FLOATS])
{
  const uint32_t upper                   = (uint32_t)(first_note >> 32) << 16;
  const uint32_t words[DRAW_UNIT_FLOATS] = {
    (uint32_t)first_note, upper | (uint32_t)ahead << 8 | back
  };
  memcpy(unit, words, sizeof words);
}

void
draw_now(uint64_t seed,
         uint64_t first,
         uint64_t epoch,
         float    forcing,
         float    now[DRAW_NOW_FLOATS])
{
  const uint32_t words[] = { (uint32_t)seed,  (uint32_t)(seed >> 32),
                             (uint32_t)first, (uint32_t)(first >> 32),
                             (uint32_t)epoch, (uint32_t)(epoch >> 32) };
  memcpy(now, words, sizeof words);
  now[DRAW_NOW_FLOATS - 1] = forcing;
}

static bool
draws(const DrawSource* source, Tensor now, Tensor pitch, Tensor channels)
{
  return is(source->notes, 1, source->notes.columns) &&
         is(source->units, source->units.rows, DRAW_UNIT_FLOATS) &&
         is(now, 1, DRAW_NOW_FLOATS) && is(pitch, pitch.rows, 1) &&
         is(channels, pitch.rows, NOTE_CHANNELS);
}

void
op_draw_windows(Device*           device,
                const DrawRule*   rule,
                const DrawSource* source,
                Tensor            now,
                Tensor            pitch,
                Tensor            channels,
                Tensor            force)
{
  RUN(draw_windows,
      draws(source, now, pitch, channels) && is(force, pitch.rows, 1) &&
        pitch.rows % WINDOW_NOTES == 0,
      rule,
      source,
      now,
      pitch,
      channels,
      force);
}

void
op_draw_sequences(Device*           device,
                  const DrawRule*   rule,
                  const DrawSource* source,
                  Tensor            now,
                  uint32_t          notes,
                  Tensor            pitch,
                  Tensor            channels,
                  Tensor            clean)
{
  RUN(draw_sequences,
      draws(source, now, pitch, channels) && is(clean, pitch.rows, 1) &&
        notes >= WINDOW_NOTES && notes <= SEQUENCE_NOTES &&
        pitch.rows % (SEQUENCE_NOTES / notes * notes) == 0,
      rule,
      source,
      now,
      notes,
      pitch,
      channels,
      clean);
}

void
op_mask(Device*  device,
        uint32_t notes,
        Tensor   clean,
        Tensor   noised,
        Tensor   position,
        Tensor   level,
        Tensor   allowed)
{
  RUN(mask,
      is(clean, clean.rows, 1) && same(clean, noised) &&
        same(clean, position) && same(clean, level) &&
        is(allowed, clean.rows, notes) && clean.rows % notes == 0,
      notes,
      clean,
      noised,
      position,
      level,
      allowed);
}
