// A histogram of times.
#include "live/latency.h"

#include <math.h>

#define BINS_PER_OCTAVE 8.0
#define FIRST_BIN_S 1e-6

void
latency_add(LatencyHistogram* histogram, double seconds)
{
  const double bin  = ceil(BINS_PER_OCTAVE * log2(seconds / FIRST_BIN_S));
  const double last = LATENCY_BINS - 1;
  // The first comparison also catches a NaN.
  const uint32_t index = !(bin > 0) ? 0 : (uint32_t)fmin(bin, last);
  atomic_fetch_add_explicit(&histogram->bins[index], 1, memory_order_relaxed);
}

void
latency_fade(LatencyHistogram* histogram)
{
  for (uint32_t i = 0; i < LATENCY_BINS; ++i) {
    const uint32_t bin =
      atomic_load_explicit(&histogram->bins[i], memory_order_relaxed);
    atomic_store_explicit(&histogram->bins[i], bin / 2, memory_order_relaxed);
  }
}

double
latency_percentile_s(const LatencyHistogram* histogram, double share)
{
  uint64_t total = 0;
  for (uint32_t i = 0; i < LATENCY_BINS; ++i) {
    total += atomic_load_explicit(&histogram->bins[i], memory_order_relaxed);
  }
  const double wanted = share * (double)total;
  uint64_t     seen   = 0;
  for (uint32_t i = 0; i < LATENCY_BINS; ++i) {
    seen += atomic_load_explicit(&histogram->bins[i], memory_order_relaxed);
    if (seen && (double)seen >= wanted) {
      return FIRST_BIN_S * exp2(i / BINS_PER_OCTAVE);
    }
  }
  return 0;
}
