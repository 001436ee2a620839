// Two principal components, a step at each point.
#include "view/walk.h"

#include "rng.h"

#include <math.h>
#include <string.h>

// How far one point turns an axis: towards the iterate, tan of 27 degrees.
#define TURN 0.5f
// How much of a reach that is too wide goes at each point.
#define SHRINK 0.05f
// Below this, points do not vary.
#define TINY 1e-12f

static float
dot(const float* a, const float* b, uint32_t size)
{
  float sum = 0;
  for (uint32_t i = 0; i < size; ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

// Takes out of `v` what lies along `axis`.
static void
remove_axis(float* v, const float* axis, uint32_t size)
{
  const float along = dot(v, axis, size);
  for (uint32_t i = 0; i < size; ++i) {
    v[i] -= along * axis[i];
  }
}

// False when there is no direction in it; then it stays as it is.
static bool
normalise(float* v, uint32_t size)
{
  const float length = sqrtf(dot(v, v, size));
  if (!(length > TINY)) {
    return false;
  }
  for (uint32_t i = 0; i < size; ++i) {
    v[i] /= length;
  }
  return true;
}

static bool
is_finite(const float* z, uint32_t size)
{
  for (uint32_t i = 0; i < size; ++i) {
    if (!isfinite(z[i]) || fabsf(z[i]) > 1e12f) {
      return false;
    }
  }
  return true;
}

// The same two directions for every walk of this size. A space of one dimension
// has no second: its axis is 0.
static void
begin(Walk* walk, uint32_t size)
{
  walk->size  = size;
  walk->count = 0;
  walk->next  = 0;
  walk->reach = (WalkPlace){ 0, 0 };
  for (unsigned k = 0; k < 2; ++k) {
    Rng rng = rng_make(1, RNG_USE_LATENT, k);
    rng_normals(&rng, walk->axes[k], size);
    if (k) {
      remove_axis(walk->axes[1], walk->axes[0], size);
    }
    if (size <= k || !normalise(walk->axes[k], size)) {
      memset(walk->axes[k], 0, sizeof walk->axes[k]);
    }
  }
}

void
walk_clear(Walk* walk)
{
  walk->size  = 0;
  walk->count = 0;
  memset(walk->marked, 0, sizeof walk->marked);
}

static void
find_mean(Walk* walk)
{
  memset(walk->mean, 0, sizeof walk->mean);
  for (uint32_t p = 0; p < walk->count; ++p) {
    for (uint32_t i = 0; i < walk->size; ++i) {
      walk->mean[i] += walk->points[p][i];
    }
  }
  for (uint32_t i = 0; i < walk->size; ++i) {
    walk->mean[i] /= (float)walk->count;
  }
}

// out = covariance x axis, of length 1; false: the points do not vary that way.
static bool
iterate(const Walk* walk, const float* axis, float* out)
{
  float       total = 0;
  const float at    = dot(walk->mean, axis, walk->size);
  memset(out, 0, WALK_SIZE_MAX * sizeof *out);
  for (uint32_t p = 0; p < walk->count; ++p) {
    const float* const point = walk->points[p];
    const float        along = dot(point, axis, walk->size) - at;
    total += along;
    for (uint32_t i = 0; i < walk->size; ++i) {
      out[i] += along * point[i];
    }
  }
  // As if the mean had been taken off each point.
  for (uint32_t i = 0; i < walk->size; ++i) {
    out[i] -= total * walk->mean[i];
  }
  return normalise(out, walk->size);
}

static void
turn_axes(Walk* walk)
{
  float towards[2][WALK_SIZE_MAX];
  float turned[WALK_SIZE_MAX];
  for (unsigned k = 0; k < 2; ++k) {
    float* const axis   = walk->axes[k];
    const bool   varies = iterate(walk, axis, towards[k]);
    for (uint32_t i = 0; i < walk->size; ++i) {
      turned[i] = axis[i] + (varies ? TURN * towards[k][i] : 0);
    }
    if (k) {
      remove_axis(turned, walk->axes[0], walk->size);
    }
    if (normalise(turned, walk->size)) {
      memcpy(axis, turned, walk->size * sizeof *axis);
    }
  }
}

static WalkPlace
place_of(const Walk* walk, const float* z)
{
  return (WalkPlace){
    dot(z, walk->axes[0], walk->size) -
      dot(walk->mean, walk->axes[0], walk->size),
    dot(z, walk->axes[1], walk->size) -
      dot(walk->mean, walk->axes[1], walk->size),
  };
}

// At once outwards, slowly inwards.
static float
follow(float reach, float widest)
{
  return widest > reach ? widest : reach + SHRINK * (widest - reach);
}

void
walk_add(Walk* walk, const float* z, uint32_t size)
{
  if (!size || size > WALK_SIZE_MAX || !is_finite(z, size)) {
    return;
  }
  if (size != walk->size) {
    if (walk->size) {
      walk_clear(walk); // its marks are of the other size, too
    }
    begin(walk, size);
  }
  memcpy(walk->points[walk->next], z, size * sizeof *z);
  walk->next = (walk->next + 1) % WALK_POINTS;
  walk->count += walk->count < WALK_POINTS;
  find_mean(walk);
  turn_axes(walk);
  WalkPlace widest = { 0, 0 };
  for (uint32_t p = 0; p < walk->count; ++p) {
    walk->places[p] = place_of(walk, walk->points[p]);
    widest.x        = fmaxf(widest.x, fabsf(walk->places[p].x));
    widest.y        = fmaxf(widest.y, fabsf(walk->places[p].y));
  }
  walk->reach.x = follow(walk->reach.x, widest.x);
  walk->reach.y = follow(walk->reach.y, widest.y);
}

void
walk_mark(Walk* walk, uint32_t slot, const float* z, uint32_t size)
{
  if (slot >= WALK_MARKS) {
    return;
  }
  walk->marked[slot] = z && size && size <= WALK_SIZE_MAX &&
                       (!walk->size || size == walk->size) &&
                       is_finite(z, size);
  if (walk->marked[slot]) {
    if (!walk->size) {
      begin(walk, size);
    }
    memcpy(walk->marks[slot], z, size * sizeof *z);
  }
}

WalkPlace
walk_place(const Walk* walk, uint32_t age)
{
  return walk->places[(walk->next + WALK_POINTS - 1 - age) % WALK_POINTS];
}

WalkPlace
walk_mark_place(const Walk* walk, uint32_t slot)
{
  return place_of(walk, walk->marks[slot]);
}
