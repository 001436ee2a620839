// The time map of a MIDI file: ticks to seconds. Pure but for its memory; any
// thread except process.
#pragma once

#include "status.h"

#include <stdint.h>

typedef struct {
  uint64_t tick;
  uint32_t us_per_quarter; // at least 1
  uint32_t order;          // in the file: of two at one tick the last counts
} TempoEvent;

// From its tick on, time is a straight line.
typedef struct {
  uint64_t tick;
  double   start_s;
  double   seconds_per_tick;
} TempoSegment;

typedef struct {
  TempoSegment* segments; // rising ticks; the first is 0
  uint32_t      count;
} TempoMap;

// `division` as in a valid file's header: ticks a quarter (120 quarters a
// minute until the first tempo event), or SMPTE frames and ticks, where tempo
// has no effect. Sorts `tempos`.
Status tempo_map_init(TempoMap*   map,
                      uint16_t    division,
                      TempoEvent* tempos,
                      uint32_t    tempo_count,
                      Error*      error);
void   tempo_map_free(TempoMap* map);

double tempo_map_seconds(const TempoMap* map, uint64_t tick);
