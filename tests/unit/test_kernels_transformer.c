// The transformer's and the diffusion model's ops on every CPU variant this
// machine runs: forward against plain double arithmetic, backward against
// finite differences, every variant against portable, and the shape checks.
// Tensors are views inside larger ones and sizes are odd: strides and tails
// count.
#include "kernels_test.h"

#include <stdlib.h>

// Subtracts what an accumulating op started from.
static void
remove_start(Tensor x, float start)
{
  const Tensor all = poisoned(x.rows, x.columns);
  op_fill(device, all, start);
  op_combine(device, 1.0f, x, -1.0f, all, x);
  RELEASE(all);
}

// --- Row-wise

static void
test_gelu_range(void** state)
{
  (void)state;
  enum { N = 4001 };
  const Tensor x = poisoned(1, N);
  float        in[N];
  float        out[N];
  for (int i = 0; i < N; ++i) {
    in[i] = (float)(i - 2000) * 0.05f; // -100..100
  }
  tensor_write(device, x, in);
  op_gelu(device, x, x); // in place
  tensor_read(device, x, out);
  for (int i = 0; i < N; ++i) {
    const double v = (double)in[i];
    const double t = tanh(sqrt(2.0 / M_PI) * (v + 0.044715 * v * v * v));
    assert_close((double)out[i], 0.5 * v * (1.0 + t), 1e-6);
  }
  RELEASE(x);
}

static double
gelu_loss(void* context)
{
  Context* const c = context;
  op_gelu(device, c->t[0], c->t[1]);
  return dot(c->t[1], 1);
}

static void
test_gelu_backward(void** state)
{
  (void)state;
  Tensor       whole;
  Context      c  = { { make_view(ROWS, COLUMNS, 1, &whole),
                        poisoned(ROWS, COLUMNS) } };
  const Tensor dx = dot_gradient(ROWS, COLUMNS, 1);
  op_gelu_backward(device, c.t[0], dx, dx); // in place
  check_gradient("gelu", c.t[0], dx, gelu_loss, &c);
  RELEASE(whole, c.t[1], dx);
}

#define MODULATIONS 3u
static const float modulation_index[ROWS] = { 2, 0, 2, 1, 2 };

// t: 0 x, 1 index, 2 modulation, 3 normal, 4 inverse, 5 y.
static double
norm_loss(void* context)
{
  Context* const c = context;
  op_modulated_norm(
    device, c->t[0], c->t[1], c->t[2], c->t[3], c->t[4], c->t[5]);
  return dot(c->t[5], 2);
}

static void
check_modulated_norm(uint32_t columns)
{
  Tensor  whole[2];
  Context c = { { make_view(ROWS, columns, 1, &whole[0]),
                  make_values(ROWS, 1, modulation_index),
                  make_view(MODULATIONS, 2 * columns, 2, &whole[1]),
                  poisoned(ROWS, columns),
                  poisoned(ROWS, 1),
                  poisoned(ROWS, columns) } };
  float   x[ROWS * 40];
  float   m[MODULATIONS * 80];
  float   y[ROWS * 40];
  norm_loss(&c);
  tensor_read(device, c.t[0], x);
  tensor_read(device, c.t[2], m);
  tensor_read(device, c.t[5], y);
  for (uint32_t r = 0; r < ROWS; ++r) {
    double mean = 0.0, variance = 0.0;
    for (uint32_t i = 0; i < columns; ++i) {
      mean += (double)x[r * columns + i] / columns;
    }
    for (uint32_t i = 0; i < columns; ++i) {
      variance += pow((double)x[r * columns + i] - mean, 2) / columns;
    }
    const float* const shift = m + (size_t)modulation_index[r] * 2 * columns;
    for (uint32_t i = 0; i < columns; ++i) {
      assert_close((double)y[r * columns + i],
                   ((double)x[r * columns + i] - mean) / sqrt(variance + 1e-5) *
                       (1.0 + (double)shift[columns + i]) +
                     (double)shift[i],
                   1e-5);
    }
  }
  const Tensor dy          = dot_gradient(ROWS, columns, 2);
  const Tensor dx          = filled(ROWS, columns, 1.0f);
  const Tensor dmodulation = filled(MODULATIONS, 2 * columns, 1.0f);
  op_modulated_norm_backward(
    device, c.t[1], c.t[2], c.t[3], c.t[4], dy, dx, dmodulation);
  remove_start(dx, 1.0f);
  remove_start(dmodulation, 1.0f);
  check_gradient("norm x", c.t[0], dx, norm_loss, &c);
  check_gradient("norm modulation", c.t[2], dmodulation, norm_loss, &c);
  op_modulated_norm(device, c.t[0], c.t[1], c.t[2], c.t[3], c.t[4], c.t[0]);
  float in_place[ROWS * 40];
  tensor_read(device, c.t[0], in_place);
  assert_memory_equal(in_place, y, ROWS * columns * sizeof *y);
  RELEASE(whole[0], c.t[1], whole[1], c.t[3], c.t[4], c.t[5]);
  RELEASE(dy, dx, dmodulation);
}

static void
test_modulated_norm(void** state)
{
  (void)state;
  check_modulated_norm(COLUMNS);
  check_modulated_norm(16);
  check_modulated_norm(37);
}

// t: 0 branch, 1 index, 2 gate, 3 x before, 4 x.
static double
gated_loss(void* context)
{
  Context* const c = context;
  op_copy(device, c->t[3], c->t[4]);
  op_gated_add(device, c->t[0], c->t[1], c->t[2], c->t[4]);
  return dot(c->t[4], 3);
}

static void
test_gated_add(void** state)
{
  (void)state;
  Tensor       whole[2];
  Context      c       = { { make_view(ROWS, COLUMNS, 1, &whole[0]),
                             make_values(ROWS, 1, modulation_index),
                             make_view(MODULATIONS, COLUMNS, 2, &whole[1]),
                             make(ROWS, COLUMNS, 3),
                             poisoned(ROWS, COLUMNS) } };
  const Tensor dx      = dot_gradient(ROWS, COLUMNS, 3);
  const Tensor dbranch = poisoned(ROWS, COLUMNS);
  const Tensor dgate   = filled(MODULATIONS, COLUMNS, 1.0f);
  float        branch[ROWS * COLUMNS], gate[MODULATIONS * COLUMNS];
  float        before[ROWS * COLUMNS], after[ROWS * COLUMNS];
  gated_loss(&c);
  tensor_read(device, c.t[0], branch);
  tensor_read(device, c.t[2], gate);
  tensor_read(device, c.t[3], before);
  tensor_read(device, c.t[4], after);
  for (uint32_t i = 0; i < ROWS * COLUMNS; ++i) {
    const size_t m = (size_t)modulation_index[i / COLUMNS];
    assert_close((double)after[i],
                 (double)before[i] +
                   (double)gate[m * COLUMNS + i % COLUMNS] * (double)branch[i],
                 1e-6);
  }
  op_gated_add_backward(device, c.t[0], c.t[1], c.t[2], dx, dbranch, dgate);
  remove_start(dgate, 1.0f);
  check_gradient("gated branch", c.t[0], dbranch, gated_loss, &c);
  check_gradient("gated gate", c.t[2], dgate, gated_loss, &c);
  check_gradient("gated x", c.t[3], dx, gated_loss, &c);
  RELEASE(whole[0], c.t[1], whole[1], c.t[3], c.t[4], dx, dbranch, dgate);
}

// --- Diffusion

static void
test_combine(void** state)
{
  (void)state;
  Tensor       whole[2];
  const Tensor x   = make_view(ROWS, COLUMNS, 1, &whole[0]);
  const Tensor y   = make_view(ROWS, COLUMNS, 2, &whole[1]);
  const Tensor a   = make(ROWS, 1, 3);
  const Tensor b   = make(ROWS, 1, 4);
  const Tensor out = poisoned(ROWS, COLUMNS);
  float        xv[ROWS * COLUMNS], yv[ROWS * COLUMNS], av[ROWS], bv[ROWS];
  float        plain[ROWS * COLUMNS], rows[ROWS * COLUMNS];
  float        scaled[ROWS * COLUMNS];
  tensor_read(device, x, xv);
  tensor_read(device, y, yv);
  tensor_read(device, a, av);
  tensor_read(device, b, bv);
  op_combine(device, 0.5f, x, -2.0f, y, out);
  tensor_read(device, out, plain);
  op_combine_rows(device, a, x, b, y, x); // in place
  tensor_read(device, x, rows);
  op_scale_rows(device, a, y);
  tensor_read(device, y, scaled);
  for (uint32_t i = 0; i < ROWS * COLUMNS; ++i) {
    const double xi = (double)xv[i];
    const double yi = (double)yv[i];
    const double ar = (double)av[i / COLUMNS];
    assert_close((double)plain[i], 0.5 * xi - 2.0 * yi, 1e-6);
    assert_close((double)rows[i], ar * xi + (double)bv[i / COLUMNS] * yi, 1e-6);
    assert_close((double)scaled[i], ar * yi, 1e-6);
  }
  RELEASE(whole[0], whole[1], a, b, out);
}

// Turns pairs by their position's angle; back is the way back; NaN and values
// beyond clamp's limits are brought in.
static void
test_rotate_and_clamp(void** state)
{
  (void)state;
  enum { HEADS = 3, HALF = 2, WIDE = 2 * HEADS * HALF, PLACES = 4 };
  Tensor       whole;
  const Tensor x            = make_view(ROWS, WIDE, 1, &whole);
  const Tensor cosines      = make(PLACES, HALF, 2);
  const Tensor sines        = make(PLACES, HALF, 3);
  const Tensor place        = make(ROWS, 1, 4);
  const float  places[ROWS] = { 3, 0, 2, 2, 1 };
  float        in[ROWS * WIDE], out[ROWS * WIDE], back[ROWS * WIDE];
  float        c[PLACES * HALF], s[PLACES * HALF];
  for (uint32_t i = 0; i < PLACES * HALF; ++i) {
    c[i] = cosf((float)i);
    s[i] = sinf((float)i);
  }
  tensor_write(device, place, places);
  tensor_write(device, cosines, c);
  tensor_write(device, sines, s);
  tensor_read(device, x, in);
  op_rotate(device, HEADS, place, cosines, sines, false, x);
  tensor_read(device, x, out);
  op_rotate(device, HEADS, place, cosines, sines, true, x);
  tensor_read(device, x, back);
  for (uint32_t r = 0; r < ROWS; ++r) {
    for (uint32_t h = 0; h < HEADS; ++h) {
      for (uint32_t i = 0; i < HALF; ++i) {
        const uint32_t a     = r * WIDE + 2 * h * HALF + i;
        const uint32_t b     = a + HALF;
        const double   angle = (double)places[r] * HALF + i;
        assert_close((double)out[a],
                     (double)in[a] * cos(angle) - (double)in[b] * sin(angle),
                     1e-6);
        assert_close((double)out[b],
                     (double)in[b] * cos(angle) + (double)in[a] * sin(angle),
                     1e-6);
        assert_close((double)back[a], (double)in[a], 1e-6);
        assert_close((double)back[b], (double)in[b], 1e-6);
      }
    }
  }
  op_fill(device, tensor_columns(x, 0, 1), NAN);
  op_fill(device, tensor_columns(x, 1, 1), 9.0f);
  op_fill(device, tensor_columns(x, 2, 1), 0.25f);
  op_clamp(device, -0.5f, 0.5f, x);
  tensor_read(device, x, out);
  for (uint32_t r = 0; r < ROWS; ++r) {
    assert_true(out[r * WIDE] == -0.5f);
    assert_true(out[r * WIDE + 1] == 0.5f);
    assert_true(out[r * WIDE + 2] == 0.25f);
  }
  RELEASE(whole, cosines, sines, place);
}

static void
test_softmax(void** state)
{
  (void)state;
  Tensor       whole;
  const Tensor x = make_view(ROWS, COLUMNS, 1, &whole);
  const Tensor p = poisoned(ROWS, COLUMNS);
  float        in[ROWS * COLUMNS];
  float        out[ROWS * COLUMNS];
  op_fill(device, tensor_columns(x, 4, 1), 900.0f); // no overflow
  op_fill(device, tensor_columns(tensor_rows(x, 2, 3), 4, 1), -900.0f);
  tensor_read(device, x, in);
  const Tensor heat = filled(1, 1, 0.0f);
  op_softmax(device, x, heat, p);
  tensor_read(device, p, out);
  for (uint32_t r = 0; r < ROWS; ++r) {
    uint32_t best = 0;
    for (uint32_t i = 0; i < COLUMNS; ++i) {
      best = in[r * COLUMNS + i] > in[r * COLUMNS + best] ? i : best;
    }
    for (uint32_t i = 0; i < COLUMNS; ++i) {
      assert_true(out[r * COLUMNS + i] == (i == best ? 1.0f : 0.0f));
    }
  }
  op_fill(device, heat, 1.7f);
  op_softmax(device, x, heat, x); // in place
  tensor_read(device, x, out);
  for (uint32_t r = 0; r < ROWS; ++r) {
    double total = 0.0;
    for (uint32_t i = 0; i < COLUMNS; ++i) {
      total += exp(((double)in[r * COLUMNS + i] - 900.0) / 1.7);
    }
    if (r >= 2) {
      total = 0.0;
      for (uint32_t i = 0; i < COLUMNS; ++i) {
        total += exp((double)in[r * COLUMNS + i] / 1.7);
      }
    }
    for (uint32_t i = 0; i < COLUMNS; ++i) {
      const double shift = r < 2 ? 900.0 : 0.0;
      assert_close((double)out[r * COLUMNS + i],
                   exp(((double)in[r * COLUMNS + i] - shift) / 1.7) / total,
                   1e-6);
    }
  }
  RELEASE(whole, p, heat);
}

static const float soft_weight[ROWS] = { 1.0f, 0.0f, 0.25f, 2.0f, 1.0f };

// t: 0 logits, 1 target, 2 weight, 3 loss, 4 gradient.
static double
soft_cross_entropy_loss(void* context)
{
  Context* const c = context;
  float          loss[ROWS];
  double         sum = 0.0;
  op_soft_cross_entropy(
    device, c->t[0], c->t[1], c->t[2], 0.7f, c->t[3], c->t[4]);
  tensor_read(device, c->t[3], loss);
  for (uint32_t r = 0; r < ROWS; ++r) {
    sum += 0.7 * (double)loss[r];
  }
  return sum;
}

static void
test_soft_cross_entropy(void** state)
{
  (void)state;
  Tensor       whole;
  Context      c        = { { make_view(ROWS, COLUMNS, 1, &whole),
                              make(ROWS, COLUMNS, 2),
                              make_values(ROWS, 1, soft_weight),
                              poisoned(ROWS, 1),
                              poisoned(ROWS, COLUMNS) } };
  const Tensor gradient = poisoned(ROWS, COLUMNS);
  float        x[COLUMNS], t[COLUMNS], loss[ROWS], d[COLUMNS];
  const Tensor heat = filled(1, 1, 1.0f);
  op_softmax(device, c.t[1], heat, c.t[1]); // rows that sum to 1
  soft_cross_entropy_loss(&c);
  op_copy(device, c.t[4], gradient);
  tensor_read(device, tensor_rows(c.t[0], 2, 1), x);
  tensor_read(device, tensor_rows(c.t[1], 2, 1), t);
  tensor_read(device, c.t[3], loss);
  double total = 0.0, expected = 0.0;
  for (uint32_t i = 0; i < COLUMNS; ++i) {
    total += exp((double)x[i]);
  }
  for (uint32_t i = 0; i < COLUMNS; ++i) {
    expected += 0.25 * (double)t[i] * (log(total) - (double)x[i]);
  }
  assert_close((double)loss[2], expected, 1e-6);
  check_gradient(
    "soft cross-entropy", c.t[0], gradient, soft_cross_entropy_loss, &c);
  // A row of no weight counts for nothing, whatever its logits.
  op_fill(device, tensor_rows(c.t[0], 1, 1), NAN);
  soft_cross_entropy_loss(&c);
  tensor_read(device, c.t[3], loss);
  tensor_read(device, tensor_rows(c.t[4], 1, 1), d);
  assert_true(loss[1] == 0.0f);
  for (uint32_t i = 0; i < COLUMNS; ++i) {
    assert_true(d[i] == 0.0f);
  }
  RELEASE(whole, c.t[1], c.t[2], c.t[3], c.t[4], gradient, heat);
}

// --- The seam

// Every output of the ops above at a shape of the model, one after the other.
static size_t
run_all(Device* on, float* results)
{
  enum { S = 2, H = 5, L = 13, D = 40 };
  Device* const held = device;
  device             = on;
  const Tensor x     = make(S * L, D, 1);
  const Tensor k     = make(S * L, D, 2);
  const Tensor v     = make(S * L, D, 3);
  const Tensor d     = make(S * L, D, 4);
  const Tensor m     = make(S, 2 * D, 5);
  const Tensor index = filled(S * L, 1, 1.0f);
  Tensor       out[] = {
          poisoned(S * H * L, L), poisoned(S * L, D),     poisoned(S * L, D),
          poisoned(S * L, D),     poisoned(S * L, D),     poisoned(S * L, D),
          poisoned(S * L, D),     poisoned(S * L, D),     poisoned(S * L, D),
          poisoned(S * L, 1),     filled(S * L, D, 0.0f), filled(S, 2 * D, 0.0f),
          filled(S * L, D, 0.0f), poisoned(S * L, D),     filled(S, D, 0.0f),
          poisoned(S * L, D),     poisoned(S * L, 1),     poisoned(S * L, D),
  };
  op_attention(device, S, H, x, k, v, (Tensor){ 0 }, out[0], out[1]);
  op_attention_backward(
    device, S, H, x, k, v, out[0], d, out[2], out[3], out[4]);
  op_gelu(device, x, out[5]);
  op_gelu_backward(device, x, d, out[6]);
  op_modulated_norm(device, x, index, m, out[7], out[9], out[8]);
  op_modulated_norm_backward(
    device, index, m, out[7], out[9], d, out[10], out[11]);
  op_gated_add(device, x, index, tensor_columns(m, 0, D), out[12]);
  op_gated_add_backward(
    device, x, index, tensor_columns(m, 0, D), d, out[13], out[14]);
  const Tensor heat = filled(1, 1, 0.9f);
  op_softmax(device, x, heat, out[15]);
  op_soft_cross_entropy(device, k, out[15], index, 0.5f, out[16], out[17]);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  size_t count = 0;
  for (size_t i = 0; i < sizeof out / sizeof *out; ++i) {
    tensor_read(device, out[i], results + count);
    count += (size_t)out[i].rows * out[i].columns;
  }
  release(out, sizeof out / sizeof *out);
  RELEASE(x, k, v, d, m, index, heat);
  device = held;
  return count;
}

static void
test_variants_agree(void** state)
{
  (void)state;
  static float ours[1 << 16];
  static float reference[1 << 16];
  Device*      portable;
  assert_int_equal(device_open_cpu("portable", &portable, NULL), STATUS_OK);
  const size_t count = run_all(device, ours);
  assert_int_equal(run_all(portable, reference), count);
  device_close(portable);
  for (size_t i = 0; i < count; ++i) {
    assert_close((double)ours[i], (double)reference[i], 1e-5);
  }
}

static void
test_shapes_are_checked(void** state)
{
  (void)state;
  const Tensor a         = make(6, 8, 1);
  const Tensor b         = make(6, 9, 2);
  const Tensor one       = make(6, 1, 3);
  const Tensor short_one = make(5, 1, 3);
  const Tensor m         = make(2, 16, 4);
  op_gelu(device, a, b);
  assert_refused("gelu");
  op_gelu_backward(device, a, a, b);
  assert_refused("gelu_backward");
  op_modulated_norm(device, a, short_one, m, a, one, a);
  assert_refused("modulated_norm");
  op_modulated_norm(device, b, one, m, b, one, b);
  assert_refused("modulated_norm");
  op_modulated_norm_backward(device, one, m, a, one, a, a, a);
  assert_refused("modulated_norm_backward");
  op_gated_add(device, a, one, m, a);
  assert_refused("gated_add");
  op_gated_add_backward(device, a, one, a, a, a, m);
  assert_refused("gated_add_backward");
  op_combine(device, 1.0f, a, 1.0f, b, a);
  assert_refused("combine");
  op_combine_rows(device, short_one, a, one, a, a);
  assert_refused("combine_rows");
  op_scale_rows(device, short_one, a);
  assert_refused("scale_rows");
  op_rotate(device, 3, one, a, a, false, a);
  assert_refused("rotate");
  op_clamp(device, 1.0f, -1.0f, a);
  assert_refused("clamp");
  op_softmax(device, a, one, a);
  assert_refused("softmax");
  op_soft_cross_entropy(device, a, b, one, 1.0f, one, a);
  assert_refused("soft_cross_entropy");
  RELEASE(a, b, one, short_one, m);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gelu_range),
    cmocka_unit_test(test_gelu_backward),
    cmocka_unit_test(test_modulated_norm),
    cmocka_unit_test(test_gated_add),
    cmocka_unit_test(test_combine),
    cmocka_unit_test(test_rotate_and_clamp),
    cmocka_unit_test(test_softmax),
    cmocka_unit_test(test_soft_cross_entropy),
    cmocka_unit_test(test_variants_agree),
    cmocka_unit_test(test_shapes_are_checked),
  };
  return run_on_all_variants(tests, sizeof tests / sizeof *tests);
}
