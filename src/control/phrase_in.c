// Collecting phrases.
#include "control/phrase_in.h"

#include "live/beat.h"
#include "music/condense.h"

#include <math.h>
#include <string.h>

void
phrase_in_init(PhraseIn* phrase, uint32_t sample_rate_hz)
{
  *phrase = (PhraseIn){ .sample_rate_hz = sample_rate_hz };
}

static double
seconds_at(const PhraseIn* phrase, uint64_t frame)
{
  return (double)frame / phrase->sample_rate_hz;
}

static void
release(PhraseIn* phrase, PlayedNote* note, uint64_t frame)
{
  const double length_s = seconds_at(phrase, frame) - note->onset_s;
  note->duration_s =
    length_s > NOTE_DURATION_MIN_S ? length_s : NOTE_DURATION_MIN_S;
  --phrase->held;
}

static void
note_off(PhraseIn* phrase, uint64_t frame, uint8_t channel, uint8_t pitch)
{
  for (uint32_t i = phrase->count; i-- > 0;) {
    PlayedNote* const note = &phrase->notes[i];
    if (note->duration_s == 0 && note->pitch == pitch &&
        note->channel == channel) {
      release(phrase, note, frame);
      return;
    }
  }
}

static void
note_on(PhraseIn* phrase, uint64_t frame, const uint8_t message[3])
{
  const uint8_t channel = message[0] & 0x0f;
  note_off(phrase, frame, channel, message[1]);
  if (phrase->count == PHRASE_NOTES_MAX) {
    phrase->held -= phrase->notes[0].duration_s == 0;
    memmove(phrase->notes,
            phrase->notes + 1,
            --phrase->count * sizeof *phrase->notes);
  }
  phrase->notes[phrase->count++] =
    (PlayedNote){ .onset_s  = seconds_at(phrase, frame),
                  .pitch    = message[1],
                  .velocity = message[2],
                  .channel  = channel };
  ++phrase->held;
}

void
phrase_in_add(PhraseIn* phrase, uint64_t frame, const uint8_t message[3])
{
  const uint8_t kind = message[0] & 0xf0;
  if (kind == 0x90 && message[2]) {
    note_on(phrase, frame, message);
  } else if (kind == 0x80 || kind == 0x90) {
    note_off(phrase, frame, message[0] & 0x0f, message[1]);
  } else {
    return;
  }
  phrase->last_frame = frame;
}

void
phrase_in_release(PhraseIn* phrase, uint64_t frame)
{
  for (uint32_t i = 0; i < phrase->count; ++i) {
    if (phrase->notes[i].duration_s == 0) {
      release(phrase, &phrase->notes[i], frame);
    }
  }
}

// What scheduler.c makes of a second of the model's, undone.
static void
to_own_time(PhraseIn* phrase, const Params* params, double bpm)
{
  const double pace = params->value[PARAM_TEMPO] * bpm / BEAT_OWN_BPM;
  for (uint32_t i = 0; i < phrase->count; ++i) {
    phrase->notes[i].onset_s *= pace;
    phrase->notes[i].duration_s *= pace;
  }
}

// By octaves where it would leave the keyboard.
static uint8_t
own_pitch(const Params* params, uint8_t pitch)
{
  int own = pitch - (int)params->value[PARAM_TRANSPOSE];
  while (own < 1) {
    own += 12;
  }
  while (own > 127) {
    own -= 12;
  }
  return (uint8_t)own;
}

static NoteEvent
to_own_terms(NoteEvent event, const Params* params)
{
  event.step_s *= (float)params->value[PARAM_DENSITY];
  event.velocity /= (float)params->value[PARAM_DYNAMICS];
  event.pitch = own_pitch(params, event.pitch);
  return note_event_clamp(event);
}

// The first note's step says nothing: it is as long as the others on average.
static uint32_t
condense(PhraseIn*     phrase,
         const Params* params,
         double        bpm,
         NoteEvent     out[CONTEXT_NOTES_MAX])
{
  NoteEvent events[PHRASE_NOTES_MAX];
  to_own_time(phrase, params, bpm);
  const size_t count = condense_notes(phrase->notes, phrase->count, events);
  const size_t keep  = count < CONTEXT_NOTES_MAX ? count : CONTEXT_NOTES_MAX;
  float        sum_s = 0;
  for (size_t i = 1; i < count; ++i) {
    sum_s += events[i].step_s;
  }
  if (count) {
    events[0].step_s = count > 1 ? sum_s / (float)(count - 1) : 0.5f;
  }
  for (size_t i = 0; i < keep; ++i) {
    out[i] = to_own_terms(events[count - keep + i], params);
  }
  return (uint32_t)keep;
}

PhraseEvent
phrase_in_poll(PhraseIn*     phrase,
               uint64_t      frame,
               const Params* params,
               double        bpm,
               NoteEvent     out[CONTEXT_NOTES_MAX],
               uint32_t*     count)
{
  *count = 0;
  if (phrase->count && !phrase->began) {
    phrase->began = true;
    return PHRASE_BEGAN;
  }
  const double   rest_s = params->value[PARAM_PHRASE_PAUSE];
  const uint64_t rest   = (uint64_t)(rest_s * phrase->sample_rate_hz);
  if (!phrase->count || phrase->held || frame < phrase->last_frame + rest) {
    return PHRASE_NOTHING;
  }
  *count        = condense(phrase, params, bpm, out);
  phrase->count = 0;
  phrase->began = false;
  return PHRASE_ENDED;
}
