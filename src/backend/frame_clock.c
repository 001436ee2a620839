// Extending the clock. Process thread.
#include "backend/frame_clock.h"

bool
frame_clock_next(FrameClock* clock, uint32_t now, uint32_t frame_count) REALTIME
{
  const int32_t passed = (int32_t)(now - clock->last_frame);
  if (clock->has_frame && passed == 0) {
    return false;
  }
  if (!clock->has_frame) {
    clock->has_frame = true;
    clock->frame     = now;
  } else {
    clock->frame += passed > 0 ? (uint64_t)passed : clock->last_count;
  }
  clock->last_frame = now;
  clock->last_count = frame_count;
  return true;
}
