// The time map of a MIDI file. Any thread except process.
#include "music/tempo_map.h"

#include <stdlib.h>

#define DEFAULT_TEMPO_US 500000u

static int
compare_tempos(const void* left, const void* right)
{
  const TempoEvent* const a = left;
  const TempoEvent* const b = right;
  return a->tick != b->tick ? (a->tick < b->tick ? -1 : 1)
                            : (a->order > b->order) - (a->order < b->order);
}

// The high byte of an SMPTE division is minus the frames a second, where 29
// stands for the 29.97 of colour television.
static double
smpte_ticks_per_second(uint16_t division)
{
  const unsigned frames = 256u - (division >> 8);
  const double   rate   = frames == 29 ? 30000.0 / 1001.0 : (double)frames;
  return rate * (double)(division & 0xffu);
}

Status
tempo_map_init(TempoMap*   map,
               uint16_t    division,
               TempoEvent* tempos,
               uint32_t    tempo_count,
               Error*      error)
{
  map->count    = 1;
  map->segments = malloc((1 + (size_t)tempo_count) * sizeof *map->segments);
  if (!map->segments) {
    return error_set(error,
                     STATUS_NO_MEMORY,
                     "out of memory for %u tempo changes",
                     tempo_count);
  }
  if (division & 0x8000u) {
    map->segments[0] =
      (TempoSegment){ 0, 0.0, 1.0 / smpte_ticks_per_second(division) };
    return STATUS_OK;
  }
  const double scale = 1e-6 / (double)division;
  map->segments[0]   = (TempoSegment){ 0, 0.0, DEFAULT_TEMPO_US * scale };
  if (tempo_count) {
    qsort(tempos, tempo_count, sizeof *tempos, compare_tempos);
  }
  for (uint32_t i = 0; i < tempo_count; ++i) {
    const uint64_t     tick = tempos[i].tick;
    const TempoSegment next = { tick,
                                tempo_map_seconds(map, tick),
                                (double)tempos[i].us_per_quarter * scale };
    if (tick > map->segments[map->count - 1].tick) {
      ++map->count;
    }
    map->segments[map->count - 1] = next;
  }
  return STATUS_OK;
}

void
tempo_map_free(TempoMap* map)
{
  free(map->segments);
  *map = (TempoMap){ 0 };
}

double
tempo_map_seconds(const TempoMap* map, uint64_t tick)
{
  uint32_t low  = 0; // segments[low].tick <= tick always
  uint32_t high = map->count;
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    if (map->segments[middle].tick <= tick) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const TempoSegment* const segment = &map->segments[low];
  return segment->start_s +
         (double)(tick - segment->tick) * segment->seconds_per_tick;
}
