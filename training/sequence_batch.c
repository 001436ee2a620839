// Sequences of a data set, cut, augmented, masked and given their noise levels.
#include "sequence_batch.h"

#include "augment.h"
#include "encoding.h"

#include <math.h>
#include <stdlib.h>

#define SHIFT_MAX (SEQUENCE_NOTES / 2)
// The shortest sequence of a pass, and so how many a slot holds at most.
#define SHORTEST_NOTES WINDOW_NOTES
#define SEQUENCES_A_SLOT (SEQUENCE_NOTES / SHORTEST_NOTES)
// Streams of a step's own draws, above those of slots.
#define STEP_STREAMS (1ull << 54)
#define JUMP_STREAMS (3ull << 53)

// --- Slots -------------------------------------------------------------------

static uint32_t
slots_in(uint32_t notes)
{
  return notes < SEQUENCE_NOTES ? 0
                                : (notes + SEQUENCE_NOTES / 2) / SEQUENCE_NOTES;
}

// Slot `i` of `count` in a piece.
static Slot
slot_at(const DatasetPiece* piece, uint32_t i, uint32_t count)
{
  const uint64_t room = piece->note_count - SEQUENCE_NOTES;
  const uint64_t at   = count > 1 ? i * room / (count - 1) : room / 2;
  return (Slot){
    .first_note = piece->first_note + at,
    .low        = at < SHIFT_MAX ? -(int8_t)at : -SHIFT_MAX,
    .high       = room - at < SHIFT_MAX ? (int8_t)(room - at) : SHIFT_MAX,
  };
}

Status
slot_table_init(SlotTable*     table,
                const Dataset* dataset,
                bool           test,
                Error*         error)
{
  *table = (SlotTable){ .dataset = dataset };
  for (size_t p = 0; p < dataset_piece_count(dataset); ++p) {
    const DatasetPiece* const piece = dataset_piece(dataset, p);
    table->count += piece->is_test == test ? slots_in(piece->note_count) : 0;
  }
  if (table->count == 0) {
    return STATUS_OK;
  }
  table->slots = malloc(table->count * sizeof *table->slots);
  if (!table->slots) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for a data set's slots");
  }
  Slot* next = table->slots;
  for (size_t p = 0; p < dataset_piece_count(dataset); ++p) {
    const DatasetPiece* const piece = dataset_piece(dataset, p);
    const uint32_t            count =
      piece->is_test == test ? slots_in(piece->note_count) : 0;
    for (uint32_t i = 0; i < count; ++i) {
      *next++ = slot_at(piece, i, count);
    }
  }
  return STATUS_OK;
}

void
slot_table_free(SlotTable* table)
{
  free(table->slots);
  table->slots = NULL;
}

// --- A pass ------------------------------------------------------------------

Status
sequence_pass_create(SequencePass* pass, uint32_t chunk, Error* error)
{
  const size_t rows = (size_t)chunk * SEQUENCE_NOTES;
  *pass             = (SequencePass){
                .pitch    = malloc(rows * sizeof(float)),
                .channels = malloc(rows * CHANNEL_COUNT * sizeof(float)),
                .clean    = malloc(rows * sizeof(float)),
                .t        = malloc((size_t)chunk * SEQUENCES_A_SLOT * sizeof(uint32_t)),
                .next     = malloc((size_t)chunk * SEQUENCES_A_SLOT * sizeof(uint32_t)),
  };
  return pass->pitch && pass->channels && pass->clean && pass->t && pass->next
           ? STATUS_OK
           : error_set(
               error, STATUS_NO_MEMORY, "no memory for a training pass");
}

void
sequence_pass_free(SequencePass* pass)
{
  free(pass->pitch);
  free(pass->channels);
  free(pass->clean);
  free(pass->t);
  free(pass->next);
}

static double
fraction(double x)
{
  return x - floor(x);
}

static uint32_t
length_at(double share)
{
  return share < 0.25 ? 8 : share < 0.375 ? 16 : share < 0.5 ? 24 : 32;
}

// What the whole pass has in common, and the noise levels.
static void
plan_pass(const DiffusionRecipe* recipe,
          const PassPlace*       place,
          SequencePass*          out)
{
  const DiffusionSettings* const settings = &recipe->settings;
  const uint64_t                 batch    = recipe->run.batch;
  const double share = (double)place->pass / place->pass_count;
  Rng          rng =
    rng_make(recipe->run.seed, RNG_USE_BATCH, STEP_STREAMS + place->step);
  const double level  = (double)rng_uniform(&rng);
  const double length = (double)rng_uniform(&rng);
  const bool   odd    = rng_below(&rng, 2);

  out->notes          = length_at(fraction(length + share));
  out->sequences      = place->count * (SEQUENCE_NOTES / out->notes);
  out->self_condition = settings->self_condition && place->pass % 2 == odd;
  out->first_sequence = (place->step * batch + place->first) * SEQUENCES_A_SLOT;
  for (uint32_t s = 0; s < out->sequences; ++s) {
    const double at = fraction(level + (s + share) / out->sequences);
    out->t[s]       = 1 + (uint32_t)(at * settings->noise_steps);
  }
}

// A jump over `steps` of the student's K grid steps, from a place on that grid
// where the jump fits.
static void
plan_grid_jumps(const DiffusionSettings* settings,
                uint32_t                 steps,
                double                   level,
                SequencePass*            out)
{
  const uint32_t k = settings->student_steps;
  for (uint32_t s = 0; s < out->sequences; ++s) {
    const double   at   = fraction(level + (double)s / out->sequences);
    const uint32_t from = steps + (uint32_t)(at * (k - steps + 1));
    out->t[s]           = settings->noise_steps * from / k;
    out->next[s]        = settings->noise_steps * (from - steps) / k;
  }
}

// From any level, any length up to one of the student's steps.
static void
plan_free_jumps(const DiffusionSettings* settings,
                Rng*                     rng,
                uint32_t                 substeps,
                SequencePass*            out)
{
  const uint32_t longest = settings->noise_steps / settings->student_steps;
  for (uint32_t s = 0; s < out->sequences; ++s) {
    const uint32_t jump = 1 + rng_below(rng, longest);
    uint32_t       t    = out->t[s];
    // Each substep moves by at least one.
    t            = t < substeps ? substeps : t;
    out->t[s]    = t;
    out->next[s] = jump < substeps ? t - substeps : t > jump ? t - jump : 0;
  }
}

static void
plan_jumps(const DiffusionRecipe* recipe,
           const PassPlace*       place,
           SequencePass*          out)
{
  const DiffusionSettings* const settings = &recipe->settings;
  const uint32_t                 k        = settings->student_steps;
  Rng                            rng      = rng_make(recipe->run.seed,
                     RNG_USE_BATCH,
                     JUMP_STREAMS + (uint64_t)place->step * place->pass_count +
                       place->pass);
  const uint32_t                 kind     = rng_below(&rng, 8);
  const double                   level    = (double)rng_uniform(&rng);
  out->substeps                           = recipe->teacher_substeps;
  if (kind < 3 || k == 1) {
    plan_grid_jumps(settings, 1, level, out);
  } else if (kind < 4) {
    out->substeps *= k > 2 ? 2 : k;
    plan_grid_jumps(settings, k > 2 ? 2 : k, level, out);
  } else if (kind < 6) {
    out->substeps *= k;
    plan_grid_jumps(settings, k, level, out);
  } else {
    plan_free_jumps(settings, &rng, out->substeps, out);
  }
}

// clean[notes]: 1 where the note is given.
static void
draw_mask(Rng* rng, const DiffusionRecipe* recipe, uint32_t notes, float* clean)
{
  // The run of notes that are not given.
  uint32_t begin = 0;
  uint32_t end   = notes;
  float    kind  = rng_uniform(rng);
  if ((kind -= recipe->continuation_share) < 0.0f) {
    begin = notes - WINDOW_NOTES;
  } else if ((kind -= recipe->prefix_share) < 0.0f) {
    begin = 1 + rng_below(rng, notes - 1);
  } else if (kind - recipe->infill_share < 0.0f) {
    const uint32_t length = notes > WINDOW_NOTES && rng_below(rng, 2)
                              ? WINDOW_NOTES
                              : 1 + rng_below(rng, notes - 1);
    begin                 = rng_below(rng, notes - length + 1);
    end                   = begin + length;
  }
  for (uint32_t i = 0; i < notes; ++i) {
    clean[i] = i < begin || i >= end ? 1.0f : 0.0f;
  }
}

// Slot `b` of the pass into its rows.
static void
fill_slot(const SlotTable*       table,
          const DiffusionRecipe* recipe,
          const Slot*            slot,
          uint64_t               number,
          uint32_t               b,
          SequencePass*          out)
{
  Rng       rng   = rng_make(recipe->run.seed, RNG_USE_BATCH, number);
  const int drawn = (int)rng_below(&rng, 2 * SHIFT_MAX + 1) - SHIFT_MAX;
  const int shift = drawn < slot->low    ? slot->low
                    : drawn > slot->high ? slot->high
                                         : drawn;
  NoteEvent notes[SEQUENCE_NOTES];
  dataset_notes(table->dataset,
                (uint64_t)((int64_t)slot->first_note + shift),
                SEQUENCE_NOTES,
                notes);
  augment_notes(&rng, &recipe->run, notes, SEQUENCE_NOTES);
  const uint32_t count = SEQUENCE_NOTES / out->notes; // of sequences
  const uint32_t used  = count * out->notes;
  const uint32_t begin = rng_below(&rng, SEQUENCE_NOTES - used + 1);
  const size_t   first = (size_t)b * used;
  for (uint32_t i = 0; i < used; ++i) {
    const size_t row = first + i;
    encode_event(dataset_stats(table->dataset),
                 notes[begin + i],
                 &out->pitch[row],
                 out->channels + row * CHANNEL_COUNT);
  }
  for (uint32_t s = 0; s < count; ++s) {
    draw_mask(
      &rng, recipe, out->notes, out->clean + first + (size_t)s * out->notes);
  }
}

void
sequence_pass_fill(const SlotTable*       table,
                   const Shuffle*         shuffle,
                   const DiffusionRecipe* recipe,
                   const PassPlace*       place,
                   SequencePass*          out)
{
  plan_pass(recipe, place, out);
  if (recipe->settings.student_steps) {
    plan_jumps(recipe, place, out);
  }
  for (uint32_t b = 0; b < place->count; ++b) {
    const uint64_t number = place->order + place->first + b;
    const uint32_t index  = shuffle->order[number % shuffle->count];
    fill_slot(table, recipe, &table->slots[index], number, b, out);
  }
}
