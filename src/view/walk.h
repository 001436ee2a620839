// The walk through latent space, seen from its two principal components: the
// last points, and two axes that turn towards the directions in which these
// vary most. Pure; control thread. No terminal here.
//
// The axes never jump. They begin as two fixed directions; each new point turns
// them by one step of orthogonal iteration, 27 degrees at most, from where they
// are. So a sign cannot flip and two axes cannot change places between frames.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WALK_POINTS 256u   // older ones are forgotten
#define WALK_SIZE_MAX 512u // dimensions; a longer point is not shown
#define WALK_MARKS 16u

typedef struct {
  float x; // along the axis of the greatest variance
  float y;
} WalkPlace;

typedef struct {
  uint32_t  size;  // dimensions of the points; 0: none yet
  uint32_t  count; // points held
  uint32_t  next;  // where the next goes
  float     points[WALK_POINTS][WALK_SIZE_MAX];
  float     mean[WALK_SIZE_MAX];
  float     axes[2][WALK_SIZE_MAX]; // of length 1, at right angles
  WalkPlace places[WALK_POINTS];
  bool      marked[WALK_MARKS];
  float     marks[WALK_MARKS][WALK_SIZE_MAX];
  WalkPlace reach; // how far to draw, to either side of 0: at least all points
} Walk;

// Forgets all, as another model has another space.
void walk_clear(Walk* walk);

// A point of another size than the last begins anew. One that is not finite, or
// too long, is left out.
void walk_add(Walk* walk, const float* z, uint32_t size);

// A stored point, `slot` 0 .. WALK_MARKS - 1; z NULL forgets it. Left out when
// it is not of the walk's size (before the first point any size will do).
void walk_mark(Walk* walk, uint32_t slot, const float* z, uint32_t size);

// The point `age` points ago (0: the newest; below `count`).
WalkPlace walk_place(const Walk* walk, uint32_t age);
WalkPlace walk_mark_place(const Walk* walk, uint32_t slot);
