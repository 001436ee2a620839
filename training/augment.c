// Small changes to training notes that leave them music.
#include "augment.h"

static float
spread(Rng* rng, float share)
{
  return 1.0f + share * (2.0f * rng_uniform(rng) - 1.0f);
}

// A transposition within +-range that keeps every pitch on the piano, or 0.
static int
draw_transposition(Rng*             rng,
                   uint32_t         range,
                   const NoteEvent* notes,
                   uint32_t         count)
{
  const int shift = (int)rng_below(rng, 2 * range + 1) - (int)range;
  for (uint32_t i = 0; i < count; ++i) {
    const int pitch = notes[i].pitch + shift;
    if (pitch < 21 || pitch > 108) {
      return 0;
    }
  }
  return shift;
}

void
augment_notes(Rng*             rng,
              const RunRecipe* recipe,
              NoteEvent*       notes,
              uint32_t         count)
{
  const int   shift = draw_transposition(rng, recipe->transpose, notes, count);
  const float tempo = spread(rng, recipe->tempo_spread);
  const float velocity = spread(rng, recipe->velocity_spread);
  for (uint32_t i = 0; i < count; ++i) {
    notes[i].pitch = (uint8_t)(notes[i].pitch + shift);
    notes[i].velocity *= velocity;
    // Notes of a chord stay a chord.
    notes[i].step_s = notes[i].step_s <= NOTE_STEP_MIN_S
                        ? NOTE_STEP_MIN_S
                        : notes[i].step_s * tempo;
    notes[i].duration_s *= tempo;
    notes[i] = note_event_clamp(notes[i]);
  }
}
