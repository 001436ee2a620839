// LAMB, AdamW, their moving average and the sums they need, on every CPU
// variant this machine runs, against the papers in doubles.
#include "kernels_test.h"

enum { TOTAL = 200 };
// Odd places, one element alone, and gaps that nothing may touch.
static const OptimiserSegment segments[] = { { 3, 97, true },
                                             { 101, 1, false },
                                             { 110, 83, false } };
#define SEGMENTS 3u

static const OptimiserRule rule_default = {
  .beta1        = 0.9f,
  .beta2        = 0.99f,
  .epsilon      = 1e-6f,
  .weight_decay = 0.1f,
  .clip_norm    = 2.0f,
};
#define RATE 0.01
#define AVERAGE 0.9

typedef struct {
  float w[TOTAL], g[TOTAL], m[TOTAL], v[TOTAL], a[TOTAL];
} Values;

static void
read_all(const OptimiserTables* t, Values* out)
{
  tensor_read(device, t->weight, out->w);
  tensor_read(device, t->gradient, out->g);
  tensor_read(device, t->moment1, out->m);
  tensor_read(device, t->moment2, out->v);
  tensor_read(device, t->average, out->a);
}

static OptimiserTables
make_tables(Values* values)
{
  const OptimiserTables t = { .weight   = make(1, TOTAL, 1),
                              .average  = make(1, TOTAL, 2),
                              .gradient = make(1, TOTAL, 3),
                              .moment1  = make(1, TOTAL, 4),
                              .moment2  = make(1, TOTAL, 5) };
  read_all(&t, values);
  for (int i = 0; i < TOTAL; ++i) {
    values->v[i] = fabsf(values->v[i]);
  }
  tensor_write(device, t.moment2, values->v);
  return t;
}

// Of the third step.
static Tensor
make_now(void)
{
  float now[OPTIMISER_NOW_FLOATS];
  now[OPTIMISER_NOW_RATE]        = (float)RATE;
  now[OPTIMISER_NOW_CORRECTION1] = (float)(1.0 - pow(0.9, 3));
  now[OPTIMISER_NOW_CORRECTION2] = (float)(1.0 - pow(0.99, 3));
  now[OPTIMISER_NOW_AVERAGE]     = (float)AVERAGE;
  return make_values(1, OPTIMISER_NOW_FLOATS, now);
}

// The algorithms of the papers in doubles.
static void
check_segment(const OptimiserSegment* s,
              bool                    lamb,
              double                  clip,
              const Values*           was,
              const Values*           got)
{
  double weight_square = 0.0, update_square = 0.0, update[TOTAL];
  for (uint32_t i = s->first; i < s->first + s->count; ++i) {
    const double g = (double)was->g[i] * clip;
    const double m = 0.9 * (double)was->m[i] + 0.1 * g;
    const double v = 0.99 * (double)was->v[i] + 0.01 * g * g;
    update[i] =
      m / (1.0 - pow(0.9, 3)) / (sqrt(v / (1.0 - pow(0.99, 3))) + 1e-6) +
      (s->decays ? 0.1 : 0.0) * (double)was->w[i];
    weight_square += (double)was->w[i] * (double)was->w[i];
    update_square += update[i] * update[i];
    assert_close((double)got->m[i], m, 1e-5);
    assert_close((double)got->v[i], v, 1e-5);
  }
  const double trust = lamb ? sqrt(weight_square / update_square) : 1.0;
  for (uint32_t i = s->first; i < s->first + s->count; ++i) {
    const double w = (double)was->w[i] - RATE * trust * update[i];
    assert_close((double)got->w[i], w, 2e-5);
    assert_close((double)got->a[i],
                 AVERAGE * (double)was->a[i] + (1.0 - AVERAGE) * w,
                 2e-5);
  }
}

static bool
is_between_segments(uint32_t i)
{
  for (uint32_t s = 0; s < SEGMENTS; ++s) {
    if (i >= segments[s].first && i < segments[s].first + segments[s].count) {
      return false;
    }
  }
  return true;
}

static void
check_rule(OptimiserKind kind, float clip_norm)
{
  static Values         was, got;
  const OptimiserTables t    = make_tables(&was);
  const Tensor          sum  = poisoned(1, 1);
  const Tensor          now  = make_now();
  OptimiserRule         rule = rule_default;
  rule.kind                  = kind;
  rule.clip_norm             = clip_norm;
  op_square_sum(device, t.gradient, 0.0f, sum);
  op_optimise(device, &rule, segments, SEGMENTS, now, sum, &t);
  read_all(&t, &got);
  double norm = 0.0;
  for (int i = 0; i < TOTAL; ++i) {
    norm += (double)was.g[i] * (double)was.g[i];
  }
  norm = sqrt(norm);
  assert_true(norm > 2.0); // clipping is at work, where it is asked for
  const double clip = clip_norm > 0.0f && norm > (double)clip_norm
                        ? (double)clip_norm / norm
                        : 1.0;
  for (uint32_t s = 0; s < SEGMENTS; ++s) {
    check_segment(&segments[s], kind == OPTIMISER_LAMB, clip, &was, &got);
  }
  for (uint32_t i = 0; i < TOTAL; ++i) {
    if (is_between_segments(i)) {
      assert_true(got.w[i] == was.w[i] && got.m[i] == was.m[i] &&
                  got.v[i] == was.v[i] && got.a[i] == was.a[i]);
    }
  }
  RELEASE(t.weight, t.average, t.gradient, t.moment1, t.moment2, sum, now);
}

static void
test_rules(void** state)
{
  (void)state;
  const float clips[] = { 2.0f, 1e6f, 0.0f };
  for (size_t i = 0; i < sizeof clips / sizeof *clips; ++i) {
    check_rule(OPTIMISER_LAMB, clips[i]);
    check_rule(OPTIMISER_ADAMW, clips[i]);
  }
  assert_int_equal(device_status(device, NULL), STATUS_OK);
}

// LAMB on a weight of zeros: plain Adam, or it would never leave them.
static void
test_zero_weight(void** state)
{
  (void)state;
  static Values          was, got;
  const OptimiserTables  t     = make_tables(&was);
  const OptimiserSegment whole = { 0, TOTAL, false };
  const Tensor           sum   = filled(1, 1, 1.0f);
  const Tensor           now   = make_now();
  OptimiserRule          rule  = rule_default;
  rule.kind                    = OPTIMISER_LAMB;
  op_fill(device, t.weight, 0.0f);
  memset(was.w, 0, sizeof was.w);
  op_optimise(device, &rule, &whole, 1, now, sum, &t);
  read_all(&t, &got);
  check_segment(&whole, false, 1.0, &was, &got);
  RELEASE(t.weight, t.average, t.gradient, t.moment1, t.moment2, sum, now);
}

static void
test_gradient_that_is_not_finite_changes_nothing(void** state)
{
  (void)state;
  static Values was, got;
  const float   bad[] = { INFINITY, NAN };
  for (int i = 0; i < 2; ++i) {
    const OptimiserTables t   = make_tables(&was);
    const Tensor          sum = filled(1, 1, bad[i]);
    const Tensor          now = make_now();
    op_optimise(device, &rule_default, segments, SEGMENTS, now, sum, &t);
    read_all(&t, &got);
    assert_memory_equal(&got, &was, sizeof was);
    RELEASE(t.weight, t.average, t.gradient, t.moment1, t.moment2, sum, now);
  }
}

static void
test_sums(void** state)
{
  (void)state;
  Tensor       whole;
  const Tensor x     = make_view(7, 301, 1, &whole);
  const Tensor sum   = filled(1, 1, 3.0f);
  const Tensor fresh = poisoned(1, 1);
  float        values[7 * 301];
  float        got;
  double       total = 0.0;
  tensor_read(device, x, values);
  for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
    total += (double)values[i];
  }
  op_sum(device, x, 2.0f, sum);
  tensor_read(device, sum, &got);
  assert_close((double)got, total + 6.0, 1e-5);
  op_sum(device, x, 0.0f, fresh); // must not read it
  tensor_read(device, fresh, &got);
  assert_close((double)got, total, 1e-5);
  RELEASE(whole, sum, fresh);
}

static void
test_what_does_not_fit_is_refused(void** state)
{
  (void)state;
  static Values          was, got;
  const OptimiserTables  t    = make_tables(&was);
  const OptimiserSegment past = { TOTAL - 3, 4, true };
  const Tensor           sum  = filled(1, 1, 1.0f);
  const Tensor           now  = make_now();
  op_optimise(device, &rule_default, &past, 1, now, sum, &t);
  assert_refused("optimise");
  op_optimise(device, &rule_default, segments, SEGMENTS, sum, sum, &t);
  assert_refused("optimise");
  read_all(&t, &got);
  assert_memory_equal(&got, &was, sizeof was);
  RELEASE(t.weight, t.average, t.gradient, t.moment1, t.moment2, sum, now);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rules),
    cmocka_unit_test(test_zero_weight),
    cmocka_unit_test(test_gradient_that_is_not_finite_changes_nothing),
    cmocka_unit_test(test_sums),
    cmocka_unit_test(test_what_does_not_fit_is_refused),
  };
  return run_on_all_variants(tests, sizeof tests / sizeof *tests);
}
