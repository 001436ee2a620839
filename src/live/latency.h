// How long something took, as a histogram that one thread fills and any thread
// reads while it grows. Lock-free.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

// Eight bins an octave from 1 us to over an hour: a percentile is at most 9 %
// above the truth.
#define LATENCY_BINS 256u

typedef struct {
  _Atomic uint32_t bins[LATENCY_BINS];
} LatencyHistogram;

// The one writing thread.
void latency_add(LatencyHistogram* histogram, double seconds);
// Halves what all that came so far counts, against what will come.
void latency_fade(LatencyHistogram* histogram);

// Any thread: the time that `share` (0..1) of all stayed within; 0 when empty.
double latency_percentile_s(const LatencyHistogram* histogram, double share);
