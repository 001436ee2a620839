// Training data on the CPU. Compiled once, as all variants draw the same notes;
// the thread of the Device.
#include "cpu/cpu.h"

#include "draw.h"

void
cpu_draw_windows(Device*           device,
                 const DrawRule*   rule,
                 const DrawSource* source,
                 Tensor            now_bits,
                 Tensor            pitch,
                 Tensor            channels,
                 Tensor            force)
{
  (void)device;
  const DrawNow now = draw_read_now(now_bits.data);
  for (uint32_t b = 0; b < pitch.rows / WINDOW_NOTES; ++b) {
    draw_window(rule, source, &now, b, pitch, channels, force);
  }
}

void
cpu_draw_sequences(Device*           device,
                   const DrawRule*   rule,
                   const DrawSource* source,
                   Tensor            now_bits,
                   uint32_t          notes,
                   Tensor            pitch,
                   Tensor            channels,
                   Tensor            clean)
{
  (void)device;
  const DrawNow  now  = draw_read_now(now_bits.data);
  const uint32_t used = SEQUENCE_NOTES / notes * notes;
  for (uint32_t b = 0; b < pitch.rows / used; ++b) {
    draw_slot(rule, source, &now, notes, b, pitch, channels, clean);
  }
}

void
cpu_mask(Device*  device,
         uint32_t notes,
         Tensor   clean,
         Tensor   noised,
         Tensor   position,
         Tensor   level,
         Tensor   allowed)
{
  (void)device;
  for (uint32_t r = 0; r < clean.rows; ++r) {
    mask_row(notes, r, clean, noised, position, level, allowed);
  }
}
