// Frames of the ALSA backend's clock: CLOCK_MONOTONIC counted in frames. Pure.
#pragma once

#include <stdint.h>

#define NS_PER_S 1000000000ull

// Whole seconds apart, so that no product overflows.
static inline uint64_t
frame_to_ns(uint64_t frame, uint32_t rate_hz)
{
  return frame / rate_hz * NS_PER_S + frame % rate_hz * NS_PER_S / rate_hz;
}

static inline uint64_t
ns_to_frame(uint64_t time_ns, uint32_t rate_hz)
{
  return time_ns / NS_PER_S * rate_hz + time_ns % NS_PER_S * rate_hz / NS_PER_S;
}
