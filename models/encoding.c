// Note events to network numbers and back.
#include "encoding.h"

#include <math.h>

static const float step_scale_s     = (float)ENCODING_STEP_SCALE_S;
static const float duration_floor_s = (float)ENCODING_DURATION_FLOOR_S;

void
encode_event(const EncodingStats* stats,
             NoteEvent            event,
             float*               pitch,
             float                channels[CHANNEL_COUNT])
{
  const float u              = log1pf(event.step_s / step_scale_s);
  const float w              = logf(fmaxf(event.duration_s, duration_floor_s));
  *pitch                     = (float)event.pitch;
  channels[CHANNEL_VELOCITY] = (event.velocity - stats->v_mean) / stats->v_std;
  channels[CHANNEL_STEP]     = (u - stats->u_mean) / stats->u_std;
  channels[CHANNEL_DURATION] = (w - stats->w_mean) / stats->w_std;
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
