// Sets of note sequences, and the baselines made of them.
#include "window_set.h"

#include "rng.h"

#include <math.h>
#include <stdlib.h>

// Streams of the draws, so that none shares its numbers.
enum { DRAW_REAL, DRAW_SHUFFLE };

static void
permute(uint32_t* order, uint32_t first, uint32_t count, Rng* rng)
{
  for (uint32_t i = count; i > 1; --i) {
    const uint32_t j     = rng_below(rng, i);
    const uint32_t held  = order[first + i - 1];
    order[first + i - 1] = order[first + j];
    order[first + j]     = held;
  }
}

Status
window_set_create(WindowSet* set, uint32_t count, uint32_t notes, Error* error)
{
  *set = (WindowSet){
    .count  = count,
    .notes  = notes,
    .events = calloc((size_t)count * notes, sizeof(NoteEvent)),
    .half   = calloc(count, sizeof(uint8_t)),
    .piece  = calloc(count, sizeof(uint32_t)),
  };
  if (!set->events || !set->half || !set->piece) {
    window_set_free(set);
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %u windows", count);
  }
  for (uint32_t i = 0; i < count; ++i) {
    set->half[i]  = (uint8_t)(i % WINDOW_SET_HALVES);
    set->piece[i] = WINDOW_SET_NO_PIECE;
  }
  return STATUS_OK;
}

void
window_set_free(WindowSet* set)
{
  free(set->events);
  free(set->half);
  free(set->piece);
  *set = (WindowSet){ 0 };
}

uint64_t
window_set_available(const Dataset* data, bool test, uint32_t notes)
{
  uint64_t count = 0;
  for (size_t i = 0; i < dataset_piece_count(data); ++i) {
    const DatasetPiece* const piece = dataset_piece(data, i);
    count += piece->is_test == test ? piece->note_count / notes : 0;
  }
  return count;
}

typedef struct {
  uint64_t first_note;
  uint32_t piece;
  uint8_t  half;
} Place;

static void
list_places(const Dataset* data, bool test, uint32_t notes, Place* places)
{
  uint64_t notes_of[WINDOW_SET_HALVES] = { 0 };
  for (size_t i = 0; i < dataset_piece_count(data); ++i) {
    const DatasetPiece* const piece = dataset_piece(data, i);
    if (piece->is_test == test) {
      const uint8_t half = notes_of[1] < notes_of[0];
      notes_of[half] += piece->note_count;
      for (uint32_t k = 0; k < piece->note_count / notes; ++k) {
        *places++ =
          (Place){ piece->first_note + (uint64_t)k * notes, (uint32_t)i, half };
      }
    }
  }
}

Status
window_set_real(const Dataset* data,
                bool           test,
                uint32_t       notes,
                uint32_t       count,
                uint64_t       seed,
                WindowSet*     out,
                Error*         error)
{
  const uint32_t all = (uint32_t)window_set_available(data, test, notes);
  if (!all) {
    return error_set(error,
                     STATUS_BAD_FILE,
                     "no %s piece of %u notes in the data set",
                     test ? "test" : "training",
                     notes);
  }
  count                 = count < all ? count : all;
  Place* const    place = malloc(all * sizeof *place);
  uint32_t* const order = malloc(all * sizeof *order);
  Status          status =
    place && order
               ? window_set_create(out, count, notes, error)
               : error_set(error, STATUS_NO_MEMORY, "no memory for %u windows", all);
  if (status == STATUS_OK) {
    list_places(data, test, notes, place);
    for (uint32_t i = 0; i < all; ++i) {
      order[i] = i;
    }
    Rng rng = rng_make(seed, RNG_USE_EVALUATE, DRAW_REAL);
    permute(order, 0, all, &rng);
    for (uint32_t i = 0; i < count; ++i) {
      const Place* const p = &place[order[i]];
      dataset_notes(
        data, p->first_note, notes, out->events + (size_t)i * notes);
      out->half[i]  = p->half;
      out->piece[i] = p->piece;
    }
  }
  free(place);
  free(order);
  return status;
}

// The indices of `set`'s notes, those of each half in random order within the
// places of that half.
static void
shuffle_notes(const WindowSet* set,
              Rng*             rng,
              uint32_t*        order,
              uint32_t*        scratch)
{
  for (uint8_t half = 0; half < WINDOW_SET_HALVES; ++half) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->count * set->notes; ++i) {
      if (set->half[i / set->notes] == half) {
        scratch[count++] = i;
      }
    }
    permute(scratch, 0, count, rng);
    for (uint32_t i = set->count * set->notes; i-- > 0;) {
      if (set->half[i / set->notes] == half) {
        order[i] = scratch[--count];
      }
    }
  }
}

// `orders`: 1 keeps notes whole, 4 draws each field on its own.
static Status
shuffle(const WindowSet* real,
        uint32_t         orders,
        uint64_t         seed,
        WindowSet*       out,
        Error*           error)
{
  const uint32_t  notes = real->count * real->notes;
  uint32_t* const order = malloc((size_t)(orders + 1) * notes * sizeof *order);
  Status status = window_set_create(out, real->count, real->notes, error);
  if (status == STATUS_OK && !order) {
    window_set_free(out);
    status = error_set(error, STATUS_NO_MEMORY, "no memory to shuffle");
  }
  if (status == STATUS_OK) {
    Rng rng = rng_make(seed, RNG_USE_EVALUATE, DRAW_SHUFFLE);
    for (uint32_t k = 0; k < orders; ++k) {
      shuffle_notes(
        real, &rng, order + (size_t)k * notes, order + (size_t)orders * notes);
    }
    for (uint32_t i = 0; i < real->count; ++i) {
      out->half[i] = real->half[i];
    }
    const uint32_t last = orders - 1;
    for (size_t i = 0; i < notes; ++i) {
      const NoteEvent* const e = real->events;
      out->events[i]           = (NoteEvent){
                  .pitch      = e[order[i]].pitch,
                  .velocity   = e[order[(size_t)(last ? 1 : 0) * notes + i]].velocity,
                  .step_s     = e[order[(size_t)(last ? 2 : 0) * notes + i]].step_s,
                  .duration_s = e[order[(size_t)last * notes + i]].duration_s,
      };
    }
  }
  free(order);
  return status;
}

Status
window_set_shuffled(const WindowSet* real,
                    uint64_t         seed,
                    WindowSet*       out,
                    Error*           error)
{
  return shuffle(real, 1, seed, out, error);
}

Status
window_set_marginals(const WindowSet* real,
                     uint64_t         seed,
                     WindowSet*       out,
                     Error*           error)
{
  return shuffle(real, 4, seed, out, error);
}

void
window_set_floor_steps(WindowSet* set)
{
  for (size_t i = 0; i < (size_t)set->count * set->notes; ++i) {
    set->events[i].step_s = fmaxf(set->events[i].step_s, WINDOW_SET_FLOOR_S);
  }
}

Status
window_set_glued(const WindowSet* windows,
                 uint32_t         factor,
                 bool             halved,
                 WindowSet*       out,
                 Error*           error)
{
  uint32_t of_half[WINDOW_SET_HALVES] = { 0 };
  for (uint32_t i = 0; i < windows->count; ++i) {
    ++of_half[halved ? windows->half[i] : 0];
  }
  const uint32_t notes  = windows->notes;
  const uint32_t count  = of_half[0] / factor + of_half[1] / factor;
  const Status   status = window_set_create(out, count, factor * notes, error);
  if (status != STATUS_OK) {
    return status;
  }
  uint32_t next = 0; // sequence to be filled
  for (uint8_t half = 0; half < (halved ? WINDOW_SET_HALVES : 1u); ++half) {
    uint32_t left = of_half[half] / factor * factor;
    uint32_t at   = 0; // window within the sequence
    for (uint32_t i = 0; i < windows->count && left; ++i) {
      if (halved && windows->half[i] != half) {
        continue;
      }
      for (uint32_t k = 0; k < notes; ++k) {
        out->events[((size_t)next * factor + at) * notes + k] =
          windows->events[(size_t)i * notes + k];
      }
      --left;
      if (halved) {
        out->half[next] = half;
      }
      if (++at == factor) {
        at = 0;
        ++next;
      }
    }
  }
  return STATUS_OK;
}

// A key pressed again ends its note, whatever its duration says.
static void
cut_pressed_again(NoteEvent* events, uint32_t notes)
{
  for (uint32_t i = 0; i < notes; ++i) {
    float wait_s = 0.0f;
    for (uint32_t k = i + 1; k < notes && wait_s < events[i].duration_s; ++k) {
      wait_s += events[k].step_s;
      if (events[k].pitch == events[i].pitch) {
        events[i].duration_s = fminf(events[i].duration_s, wait_s);
      }
    }
  }
}

static float
on_grid(float time_s, float low)
{
  return fmaxf(rintf(time_s / WINDOW_SET_GRID_S), low) * WINDOW_SET_GRID_S;
}

// Notes of one onset stand in the order of their pitches, as the MIDI reader
// leaves them.
static void
order_chords(NoteEvent* events, uint32_t notes)
{
  for (uint32_t i = 1; i < notes; ++i) {
    for (uint32_t k = i; k > 0 && events[k].step_s == 0.0f &&
                         events[k].pitch < events[k - 1].pitch;
         --k) {
      // The place keeps its step, the notes change places.
      const NoteEvent held   = events[k];
      const float     step_s = events[k - 1].step_s;
      events[k]              = events[k - 1];
      events[k].step_s       = held.step_s;
      events[k - 1]          = held;
      events[k - 1].step_s   = step_s;
    }
  }
}

void
window_set_round(WindowSet* set)
{
  for (uint32_t w = 0; w < set->count; ++w) {
    NoteEvent* const events = set->events + (size_t)w * set->notes;
    cut_pressed_again(events, set->notes);
    for (uint32_t i = 0; i < set->notes; ++i) {
      events[i].step_s     = on_grid(events[i].step_s, 0.0f);
      events[i].duration_s = on_grid(events[i].duration_s, 1.0f);
      events[i].velocity =
        velocity_from_midi(velocity_to_midi(events[i].velocity));
    }
    order_chords(events, set->notes);
  }
}
