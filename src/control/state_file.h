// What the instrument remembers from one evening to the next: stored points in
// latent space, in $XDG_STATE_HOME/meander/points (~/.local/state/...).
// Control thread.
//
// Each model has slots of its own, known by its digest: those of another are
// kept, in the file too, and not offered. Where two programs save, the last one
// wins.
#pragma once

#include "live/params.h"
#include "model.h"
#include "status.h"

#include <stdbool.h>
#include <stdint.h>

// Points kept in all. Beyond, the one of another model that was stored longest
// ago makes room.
#define POINTS_KEPT_MAX 256u
#define POINTS_BYTES_MAX (4u << 20)

typedef struct {
  bool     used;
  char     digest[17];          // as model_digest() has it
  uint32_t slot;                // 1..POINTS_MAX
  uint32_t size;                // of the latent, 1..MODEL_LATENT_MAX
  int64_t  stored_s;            // Unix time
  float    z[MODEL_LATENT_MAX]; // [size], finite
} Point;

typedef struct {
  char     path[1024]; // empty: nowhere
  char     digest[17]; // of the model that plays; empty: none was chosen
  uint32_t size;
  bool     unread; // the file is there but gave no answer: never written over
  Point    slots[POINTS_MAX]; // of that model; slot n is slots[n - 1]
  uint32_t other_count;
  Point    others[POINTS_KEPT_MAX]; // of all other models
} PointSet;

// Reads the state file; without one the set is empty, which is no error. On an
// error the set is empty, too, and can be used: the line says what is wrong and
// where the file was put aside (points.bad, points.bad2, ...).
Status points_load(PointSet* set, Error* error);

// Whose points `slots` are from now on: at the start and after each swap of the
// model. Points of this digest but another size are not offered.
void points_choose(PointSet* set, const char* digest, uint32_t size);

// What is in a slot; NULL: nothing, or no such slot.
const float* points_get(const PointSet* set, uint32_t slot);

// Stores z[size] for the chosen model and saves. STATUS_BAD_ARGUMENT: no such
// slot, no model or not finite: nothing changed. Where only saving failed the
// point is stored as long as the program runs.
Status points_store(PointSet* set, uint32_t slot, const float* z, Error* error);

// Writes all points, whole or not at all.
Status points_save(const PointSet* set, Error* error);
