// The way of a model: brought to a side, handed out, sounding, given back.
#include "control/sides.h"

#include <string.h>

void
sides_init(Sides* sides,
           void (*discard)(void* context, Model* model),
           void* context)
{
  *sides = (Sides){ .on       = { SIDES_NONE, SIDES_NONE },
                    .sounding = SIDES_NONE,
                    .asked    = SIDES_NONE,
                    .next     = SIDES_NONE,
                    .discard  = discard,
                    .context  = context };
}

int
sides_by_model(const Sides* sides, const Model* model)
{
  for (int i = 0; i < SIDES_SLOTS; ++i) {
    if (model && sides->slots[i].model == model) {
      return i;
    }
  }
  return SIDES_NONE;
}

int
sides_by_serial(const Sides* sides, uint64_t serial)
{
  for (int i = 0; i < SIDES_SLOTS; ++i) {
    if (sides->slots[i].model && sides->slots[i].serial == serial) {
      return i;
    }
  }
  return SIDES_NONE;
}

int
sides_by_digest(const Sides* sides, const char* digest)
{
  for (int i = 0; i < SIDES_SLOTS; ++i) {
    if (sides->slots[i].model && !strcmp(sides->slots[i].digest, digest)) {
      return i;
    }
  }
  return SIDES_NONE;
}

// Discards what is on no side, nor with the instrument.
static void
tidy(Sides* sides)
{
  for (int i = 0; i < SIDES_SLOTS; ++i) {
    SidesSlot* const slot = sides->slots + i;
    if (slot->model && !slot->out && sides->on[0] != i && sides->on[1] != i) {
      sides->discard(sides->context, slot->model);
      *slot = (SidesSlot){ 0 };
    }
  }
}

void
sides_end(Sides* sides)
{
  sides->on[0] = sides->on[1] = SIDES_NONE;
  tidy(sides);
}

int
sides_take(Sides* sides, const SidesSlot* slot)
{
  for (int i = 0; i < SIDES_SLOTS; ++i) {
    if (!sides->slots[i].model) {
      sides->slots[i] = *slot;
      return i;
    }
  }
  sides->discard(sides->context, slot->model);
  return SIDES_NONE;
}

void
sides_bring(Sides* sides, int slot, int side, bool compares)
{
  // On both it could be compared with nothing.
  sides->side            = sides->on[side ^ 1] == slot ? side ^ 1 : side;
  sides->on[sides->side] = slot;
  sides->next            = slot;
  sides->compares        = compares;
  tidy(sides);
}

int
sides_of_sounding(const Sides* sides)
{
  for (int i = 0; i < 2; ++i) {
    if (sides->sounding != SIDES_NONE && sides->on[i] == sides->sounding) {
      return i;
    }
  }
  return sides->side;
}

static bool
is_named(const Sides* sides, int slot)
{
  return slot != SIDES_NONE &&
         sides->slots[slot].key.place != CHECKPOINT_WATCHED;
}

int
sides_to_follow_on(const Sides* sides)
{
  const int  here     = sides_of_sounding(sides);
  const int  slots[2] = { sides->on[here], sides->on[here ^ 1] };
  const bool named[2] = { is_named(sides, slots[0]),
                          is_named(sides, slots[1]) };
  return named[1] && !named[0] ? here : here ^ 1;
}

int
sides_coming(const Sides* sides)
{
  return sides->next != SIDES_NONE ? sides->next : sides->asked;
}

Model*
sides_hand_out(Sides* sides, bool* compares)
{
  const int slot = sides->next;
  *compares      = sides->compares;
  sides->next    = SIDES_NONE;
  if (slot == SIDES_NONE || slot == sides->asked) {
    return NULL;
  }
  sides->asked = slot;
  ++sides->slots[slot].out;
  return sides->slots[slot].model;
}

void
sides_plays(Sides* sides, const Model* model)
{
  const int slot = sides_by_model(sides, model);
  if (slot != SIDES_NONE) {
    sides->sounding = slot;
  }
}

void
sides_retired(Sides* sides, const Model* model)
{
  const int slot = sides_by_model(sides, model);
  if (slot == SIDES_NONE || !sides->slots[slot].out ||
      --sides->slots[slot].out) {
    return;
  }
  if (slot == sides->sounding) {
    sides->sounding = SIDES_NONE;
  }
  if (slot == sides->asked) {
    // It never sounded, or all is over: what sounds goes on.
    sides->asked = sides->sounding;
    sides->side  = sides_of_sounding(sides);
  }
  tidy(sides);
}
