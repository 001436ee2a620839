// One straight line through beats and frames.
#include "live/beat.h"

#include <math.h>

uint64_t
beat_frame(const BeatMap* map, uint32_t sample_rate_hz, double beat)
{
  const double seconds = (beat - map->beat) * (60.0 / map->bpm);
  const double frames  = round(seconds * sample_rate_hz);
  return frames < 0 && -frames > (double)map->frame
           ? 0
           : map->frame + (uint64_t)(int64_t)frames;
}

double
beat_at(const BeatMap* map, uint32_t sample_rate_hz, uint64_t frame)
{
  const double frames = (double)(int64_t)(frame - map->frame);
  return map->beat + frames / sample_rate_hz * (map->bpm / 60.0);
}

BeatMap
beat_turn(const BeatMap* map,
          uint32_t       sample_rate_hz,
          uint64_t       frame,
          double         bpm)
{
  return (BeatMap){ .frame = frame,
                    .beat  = beat_at(map, sample_rate_hz, frame),
                    .bpm   = bpm };
}
