// view/walk: the two components are found, and nothing makes them jump.
#include "rng.h"
#include "view/walk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 40

static Walk  walk;
static float first[WALK_SIZE_MAX], second[WALK_SIZE_MAX];

static float
dot(const float* a, const float* b)
{
  double sum = 0;
  for (uint32_t i = 0; i < walk.size; ++i) {
    sum += (double)a[i] * b[i];
  }
  return (float)sum;
}

// Two planted directions at right angles, in dimensions 3 and 4, 7 and 8.
static int
begin(void** state)
{
  (void)state;
  walk_clear(&walk);
  memset(first, 0, sizeof first);
  memset(second, 0, sizeof second);
  first[3]  = 0.6f;
  first[4]  = 0.8f;
  second[7] = -0.8f;
  second[8] = 0.6f;
  return 0;
}

// Wide along `wide`, less along `other`, and a little everywhere; off centre.
static void
add_noise(Rng* rng, const float* wide, const float* other)
{
  float normals[SIZE + 2], z[SIZE];
  rng_normals(rng, normals, SIZE + 2);
  for (int i = 0; i < SIZE; ++i) {
    z[i] = 5 + 3 * wide[i] * normals[SIZE] +
           1.5f * other[i] * normals[SIZE + 1] + 0.1f * normals[i];
  }
  walk_add(&walk, z, SIZE);
}

static void
expect_axes_whole(void)
{
  assert_float_equal(dot(walk.axes[0], walk.axes[0]), 1, 1e-4);
  assert_float_equal(dot(walk.axes[1], walk.axes[1]), 1, 1e-4);
  assert_float_equal(dot(walk.axes[0], walk.axes[1]), 0, 1e-4);
}

static void
test_finds_the_planted_directions(void** state)
{
  (void)state;
  Rng rng = rng_make(3, RNG_USE_TEST, 0);
  for (int i = 0; i < 200; ++i) {
    add_noise(&rng, first, second);
    expect_axes_whole();
  }
  assert_true(fabsf(dot(walk.axes[0], first)) > 0.99f);
  assert_true(fabsf(dot(walk.axes[1], second)) > 0.98f);
  assert_true(walk.reach.x > walk.reach.y);
}

// When the variance changes sides the axes follow, each step a small turn.
static void
test_axes_never_jump(void** state)
{
  (void)state;
  Rng   rng = rng_make(4, RNG_USE_TEST, 0);
  float before[2][WALK_SIZE_MAX];
  for (int i = 0; i < 900; ++i) {
    const bool turned = i >= 300;
    memcpy(before, walk.axes, sizeof before);
    add_noise(&rng, turned ? second : first, turned ? first : second);
    for (int k = 0; i && k < 2; ++k) {
      assert_true(dot(before[k], walk.axes[k]) > 0.6f);
    }
    expect_axes_whole();
  }
  assert_true(fabsf(dot(walk.axes[0], second)) > 0.99f);
}

// Where a point stands is its distance from the mean, along the axes.
static void
test_places(void** state)
{
  (void)state;
  for (int i = 0; i < 600; ++i) {
    const float angle   = 0.1f * (float)i;
    float       z[SIZE] = { 0 };
    z[3]                = 10 + 4 * cosf(angle);
    z[7]                = -20 + 2 * sinf(angle);
    walk_add(&walk, z, SIZE);
  }
  assert_int_equal(walk.count, WALK_POINTS);
  // The newest is i = 599: its coordinate along the wide axis.
  const float mean3 = walk.mean[3];
  const float x     = walk_place(&walk, 0).x;
  assert_float_equal(fabsf(x), fabsf(10 + 4 * cosf(59.9f) - mean3), 0.02);
  assert_float_equal(walk.reach.x, 4, 0.4);
  assert_float_equal(walk.reach.y, 2, 0.3);
  for (uint32_t age = 0; age < WALK_POINTS; ++age) {
    assert_true(fabsf(walk_place(&walk, age).x) <= walk.reach.x);
    assert_true(fabsf(walk_place(&walk, age).y) <= walk.reach.y);
  }
}

static void
test_standing_still(void** state)
{
  (void)state;
  const float z[SIZE] = { 1, 2, 3 };
  for (int i = 0; i < 300; ++i) {
    walk_add(&walk, z, SIZE);
    expect_axes_whole();
    assert_float_equal(walk_place(&walk, 0).x, 0, 1e-4);
  }
}

static void
test_few_dimensions(void** state)
{
  (void)state;
  for (int i = 0; i < 100; ++i) {
    const float z = (float)(i % 7);
    walk_add(&walk, &z, 1);
    assert_true(isfinite(walk_place(&walk, 0).x));
    assert_float_equal(walk_place(&walk, 0).y, 0, 0);
  }
  for (int i = 0; i < 100; ++i) {
    const float z[2] = { (float)(i % 7), (float)(i % 3) };
    walk_add(&walk, z, 2);
    assert_int_equal(walk.size, 2);
    expect_axes_whole();
  }
}

static void
test_bad_points_are_left_out(void** state)
{
  (void)state;
  static float z[WALK_SIZE_MAX + 1];
  walk_add(&walk, z, SIZE);
  const float bad[] = { NAN, INFINITY, -INFINITY, 1e30f };
  for (int i = 0; i < 4; ++i) {
    z[7] = bad[i];
    walk_add(&walk, z, SIZE);
    walk_mark(&walk, 1, z, SIZE);
    assert_false(walk.marked[1]);
  }
  z[7] = 0;
  walk_add(&walk, z, WALK_SIZE_MAX + 1);
  walk_add(&walk, z, 0);
  assert_int_equal(walk.count, 1);
  assert_int_equal(walk.size, SIZE);
  walk_add(&walk, z, WALK_SIZE_MAX);
  assert_int_equal(walk.size, WALK_SIZE_MAX);
  assert_int_equal(walk.count, 1);
}

static void
test_marks(void** state)
{
  (void)state;
  float z[SIZE] = { 0 };
  walk_mark(&walk, 0, z, SIZE); // before the first point
  assert_true(walk.marked[0]);
  for (int i = 0; i < 50; ++i) {
    z[3] = (float)(i % 10);
    walk_add(&walk, z, SIZE);
    if (i == 42) {
      walk_mark(&walk, 5, z, SIZE);
    }
  }
  const WalkPlace mark = walk_mark_place(&walk, 5), then = walk_place(&walk, 7);
  assert_true(walk.marked[5]);
  assert_float_equal(mark.x, then.x, 1e-4);
  assert_float_equal(mark.y, then.y, 1e-4);
  walk_mark(&walk, 5, NULL, 0);
  assert_false(walk.marked[5]);
  walk_mark(&walk, WALK_MARKS, z, SIZE); // no such slot: no effect
  walk_mark(&walk, 6, z, SIZE - 1);
  assert_false(walk.marked[6]);
  assert_true(walk.marked[0]);
  walk_add(&walk, z, SIZE - 1); // another space
  assert_false(walk.marked[0]);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_finds_the_planted_directions, begin),
    cmocka_unit_test_setup(test_axes_never_jump, begin),
    cmocka_unit_test_setup(test_places, begin),
    cmocka_unit_test_setup(test_standing_still, begin),
    cmocka_unit_test_setup(test_few_dimensions, begin),
    cmocka_unit_test_setup(test_bad_points_are_left_out, begin),
    cmocka_unit_test_setup(test_marks, begin),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
