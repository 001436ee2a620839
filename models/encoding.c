// Note events to network numbers and back.
#include "encoding.h"

#include "draw.h"

#include <math.h>

_Static_assert(CHANNEL_VELOCITY == 0 && CHANNEL_STEP == 1 &&
                 CHANNEL_DURATION == 2 && CHANNEL_COUNT == NOTE_CHANNELS,
               "the order that draw_channels() has");

static const float step_scale_s = (float)ENCODING_STEP_SCALE_S;

NoteScale
encoding_scale(const EncodingStats* stats)
{
  return (NoteScale){
    .step_scale_s     = step_scale_s,
    .duration_floor_s = (float)ENCODING_DURATION_FLOOR_S,
    .mean             = { [CHANNEL_VELOCITY] = stats->v_mean,
                          [CHANNEL_STEP]     = stats->u_mean,
                          [CHANNEL_DURATION] = stats->w_mean },
    .deviation        = { [CHANNEL_VELOCITY] = stats->v_std,
                          [CHANNEL_STEP]     = stats->u_std,
                          [CHANNEL_DURATION] = stats->w_std },
  };
}

void
encode_event(const EncodingStats* stats,
             NoteEvent            event,
             float*               pitch,
             float                channels[CHANNEL_COUNT])
{
  const NoteScale scale = encoding_scale(stats);
  *pitch                = (float)event.pitch;
  draw_channels(&scale, event, channels);
}

NoteEvent
decode_event(const EncodingStats* stats,
             float                pitch,
             const float          channels[CHANNEL_COUNT])
{
  const float     u = stats->u_mean + stats->u_std * channels[CHANNEL_STEP];
  const float     w = stats->w_mean + stats->w_std * channels[CHANNEL_DURATION];
  const NoteEvent event = {
    .pitch      = pitch >= 1.0f && pitch <= 127.0f ? (uint8_t)pitch : 1,
    .velocity   = stats->v_mean + stats->v_std * channels[CHANNEL_VELOCITY],
    .step_s     = step_scale_s * expm1f(u),
    .duration_s = expf(w),
  };
  return note_event_clamp(event);
}
