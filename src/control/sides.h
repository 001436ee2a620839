// The two sides of an audition and the loaded models behind them: which is on
// which side, which sounds, which was handed to the instrument and is still to
// come back (audition.h says whose a model is). No files, no threads. Control
// thread.
#pragma once

#include "control/checkpoint_list.h"
#include "model.h"

#include <stdbool.h>
#include <stdint.h>

// Models held at once. The instrument gives them back faster than others load.
#define SIDES_SLOTS 8
#define SIDES_NONE (-1)

// A loaded model.
typedef struct {
  Model*        model;  // NULL: the slot is free
  uint32_t      out;    // times that it is handed out
  uint64_t      serial; // of the version that it was loaded from; 0: unlisted
  CheckpointKey key;
  char          digest[24];
  bool          has_step;
  uint32_t      step; // of training
} SidesSlot;

typedef struct {
  SidesSlot slots[SIDES_SLOTS];
  int       on[2];    // slots; SIDES_NONE: the side is empty
  int       side;     // 0 or 1: what was brought last
  int       sounding; // slot
  int       asked;    // slot handed out last: sounds, or will
  int       next;     // slot to hand out; SIDES_NONE: none
  bool      compares; // with `next`: it plays what sounds once more
  // Takes a model that is needed no more.
  void (*discard)(void* context, Model* model);
  void* context;
} Sides;

void sides_init(Sides* sides,
                void (*discard)(void* context, Model* model),
                void* context);
// Discards all but what the instrument has.
void sides_end(Sides* sides);

// SIDES_NONE: there is none.
int sides_by_model(const Sides* sides, const Model* model);
int sides_by_serial(const Sides* sides, uint64_t serial);
int sides_by_digest(const Sides* sides, const char* digest);

// Takes a model over (discards it where there is no room: SIDES_NONE). To be
// brought to a side at once.
int sides_take(Sides* sides, const SidesSlot* slot);
// To play next, on a side: on the other, where it is there already. `compares`:
// at the point that sounds.
void sides_bring(Sides* sides, int slot, int side, bool compares);
// The side of what sounds; where that is on neither, of what was brought last.
int sides_of_sounding(const Sides* sides);
// Where the next of a watched folder comes: opposite to what sounds; but one
// that was named stays, to compare with.
int sides_to_follow_on(const Sides* sides);
// The slot that sounds when all that was brought has begun.
int sides_coming(const Sides* sides);

// What to hand out, and whether it compares; NULL: nothing that the instrument
// was not told already.
Model* sides_hand_out(Sides* sides, bool* compares);
void   sides_plays(Sides* sides, const Model* model);
void   sides_retired(Sides* sides, const Model* model);
