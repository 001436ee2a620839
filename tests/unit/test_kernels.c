// Every op on every CPU variant this machine runs: forward against plain double
// arithmetic, backward against finite differences, variants against the
// portable specification, and the shape check. Sizes are odd on purpose: tails
// count. Products, and the transformer's and the diffusion model's ops, have
// tests of their own.
#include "kernels_test.h"

#include <stdlib.h>

// --- Elementwise

static void
test_tanh_range(void** state)
{
  (void)state;
  const Tensor x = poisoned(1, 4001);
  const Tensor y = poisoned(1, 4001);
  float        in[4001];
  float        out[4001];
  for (int i = 0; i < 4001; ++i) {
    in[i] = (float)(i - 2000) * 0.05f; // -100..100
  }
  tensor_write(device, x, in);
  op_tanh(device, x, y);
  tensor_read(device, y, out);
  for (int i = 0; i < 4001; ++i) {
    assert_close((double)out[i], tanh((double)in[i]), 5e-7);
  }
  RELEASE(x, y);
}

static double
tanh_loss(void* context)
{
  Context* const c = context;
  op_tanh(device, c->t[0], c->t[1]);
  return dot(c->t[1], 1);
}

static void
test_tanh_backward(void** state)
{
  (void)state;
  Context      c  = { { make(ROWS, COLUMNS, 1), poisoned(ROWS, COLUMNS) } };
  const Tensor dy = dot_gradient(ROWS, COLUMNS, 1);
  const Tensor dx = poisoned(ROWS, COLUMNS);
  tanh_loss(&c);
  op_tanh_backward(device, c.t[1], dy, dx);
  check_gradient("tanh", c.t[0], dx, tanh_loss, &c);
  RELEASE(c.t[0], c.t[1], dy, dx);
}

// t: 0 pre-activations, 1 c_prev, 2 c, 3 h, 4 gates.
static double
cell_loss(void* context)
{
  Context* const c = context;
  op_copy(device, c->t[0], c->t[4]);
  op_lstm_cell(device, c->t[4], c->t[1], c->t[2], c->t[3]);
  return dot(c->t[2], 2) + dot(c->t[3], 3);
}

static void
test_lstm_cell(void** state)
{
  (void)state;
  Context      c      = { { make(ROWS, 4 * COLUMNS, 1),
                            make(ROWS, COLUMNS, 2),
                            poisoned(ROWS, COLUMNS),
                            poisoned(ROWS, COLUMNS),
                            poisoned(ROWS, 4 * COLUMNS) } };
  const Tensor dc     = dot_gradient(ROWS, COLUMNS, 2);
  const Tensor dh     = dot_gradient(ROWS, COLUMNS, 3);
  const Tensor dgates = poisoned(ROWS, 4 * COLUMNS);
  float        pre[4 * COLUMNS];
  float        before[COLUMNS];
  float        h[COLUMNS];
  cell_loss(&c);
  tensor_read(device, tensor_rows(c.t[0], 1, 1), pre);
  tensor_read(device, tensor_rows(c.t[1], 1, 1), before);
  tensor_read(device, tensor_rows(c.t[3], 1, 1), h);
  for (uint32_t i = 0; i < COLUMNS; ++i) {
    const double in  = 1.0 / (1.0 + exp(-(double)pre[i]));
    const double fo  = 1.0 / (1.0 + exp(-(double)pre[COLUMNS + i]));
    const double out = 1.0 / (1.0 + exp(-(double)pre[3 * COLUMNS + i]));
    const double cell =
      fo * (double)before[i] + in * tanh((double)pre[2 * COLUMNS + i]);
    assert_close((double)h[i], out * tanh(cell), 1e-6);
  }
  op_lstm_cell_backward(device, c.t[4], c.t[1], c.t[2], dh, dc, dgates);
  check_gradient("lstm gates", c.t[0], dgates, cell_loss, &c);
  check_gradient("lstm c_prev", c.t[1], dc, cell_loss, &c);
  RELEASE(c.t[0], c.t[1], c.t[2], c.t[3], c.t[4], dc, dh, dgates);
}

// t: 0 pre, 1 state, 2 keep, 3 add, 4 out.
static double
overwrite_loss(void* context)
{
  Context* const c = context;
  op_overwrite_gates(device, c->t[0], c->t[2], c->t[3]);
  op_overwrite(device, c->t[1], c->t[2], c->t[3], c->t[4]);
  return dot(c->t[4], 4);
}

static void
test_overwrite(void** state)
{
  (void)state;
  Context      c      = { { make(ROWS, 3 * COLUMNS, 1),
                            make(ROWS, COLUMNS, 2),
                            poisoned(ROWS, COLUMNS),
                            poisoned(ROWS, COLUMNS),
                            poisoned(ROWS, COLUMNS) } };
  const Tensor dout   = dot_gradient(ROWS, COLUMNS, 4);
  const Tensor dstate = poisoned(ROWS, COLUMNS);
  const Tensor dkeep  = poisoned(ROWS, COLUMNS);
  const Tensor dadd   = poisoned(ROWS, COLUMNS);
  const Tensor dpre   = poisoned(ROWS, 3 * COLUMNS);
  op_fill(device, dkeep, 0.0f);
  op_fill(device, dadd, 0.0f);
  overwrite_loss(&c);
  op_overwrite_backward(device, c.t[1], c.t[2], dout, dstate, dkeep, dadd);
  op_overwrite_gates_backward(device, c.t[0], dkeep, dadd, dpre);
  check_gradient("overwrite gates", c.t[0], dpre, overwrite_loss, &c);
  check_gradient("overwrite state", c.t[1], dstate, overwrite_loss, &c);
  RELEASE(
    c.t[0], c.t[1], c.t[2], c.t[3], c.t[4], dout, dstate, dkeep, dadd, dpre);
}

// --- Tokens

static double
gather_loss(void* context)
{
  Context* const c = context;
  op_gather(device, c->t[0], c->t[1], c->t[2]);
  return dot(c->t[2], 5);
}

static void
test_gather(void** state)
{
  (void)state;
  Context c = {
    { make(6, COLUMNS, 1), poisoned(ROWS, 1), poisoned(ROWS, COLUMNS) }
  };
  const float index[ROWS] = { 3, 0, 3, 5, 3 }; // one row thrice: gradients add
  tensor_write(device, c.t[1], index);
  const Tensor dout   = dot_gradient(ROWS, COLUMNS, 5);
  const Tensor dtable = poisoned(6, COLUMNS);
  op_fill(device, dtable, 0.0f);
  op_scatter_add(device, c.t[1], dout, dtable);
  check_gradient("gather", c.t[0], dtable, gather_loss, &c);
  // Indices that are not in the table stay inside it.
  const float wild[ROWS] = { -1, NAN, 6, 1e9f, INFINITY };
  tensor_write(device, c.t[1], wild);
  op_gather(device, c.t[0], c.t[1], c.t[2]);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  RELEASE(c.t[0], c.t[1], c.t[2], dout, dtable);
}

static void
test_sample(void** state)
{
  (void)state;
  enum { DRAWS = 4000, CHOICES = 5 };
  const float  logits[CHOICES] = { 0.0f, 1.0f, -2.0f, 0.5f, -30.0f };
  const Tensor row             = poisoned(1, CHOICES);
  const Tensor all             = poisoned(DRAWS, CHOICES);
  const Tensor uniform         = poisoned(DRAWS, 1);
  const Tensor index           = poisoned(DRAWS, 1);
  const Tensor heat            = poisoned(1, 1);
  float        got[DRAWS];
  tensor_write(device, row, logits);
  op_broadcast_row(device, row, all);
  const Tensor key = make_key(5, 0);
  op_uniforms(device, key, RNG_USE_TEST, 0, uniform);
  for (int warm = 0; warm < 3; ++warm) {
    const float temperature = warm == 0 ? 0.0f : warm == 1 ? 1.0f : 2.0f;
    op_fill(device, heat, temperature);
    op_sample(device, all, heat, uniform, index);
    tensor_read(device, index, got);
    int    counts[CHOICES] = { 0 };
    double total           = 0.0;
    for (int i = 0; i < DRAWS; ++i) {
      assert_true(got[i] >= 0 && got[i] < CHOICES);
      ++counts[(int)got[i]];
    }
    for (int i = 0; i < CHOICES; ++i) {
      total += warm ? exp((double)(logits[i] / temperature)) : 0.0;
    }
    for (int i = 0; i < CHOICES; ++i) {
      const double p =
        warm ? exp((double)(logits[i] / temperature)) / total : i == 1;
      assert_true(fabs(counts[i] / (double)DRAWS - p) <=
                  4.0 * sqrt(p * (1 - p) / DRAWS));
    }
  }
  RELEASE(row, all, uniform, index, heat, key);
}

static void
test_select_rows(void** state)
{
  (void)state;
  const Tensor a            = make(ROWS, COLUMNS, 1);
  const Tensor b            = make(ROWS, COLUMNS, 2);
  const Tensor out          = poisoned(ROWS, COLUMNS);
  const Tensor choice       = poisoned(ROWS, 1);
  const float  chosen[ROWS] = { 1, 0, 0, 1, 0 };
  float        expected[COLUMNS];
  float        got[COLUMNS];
  tensor_write(device, choice, chosen);
  op_select_rows(device, choice, a, b, out);
  for (uint32_t r = 0; r < ROWS; ++r) {
    tensor_read(device, tensor_rows(chosen[r] != 0.0f ? a : b, r, 1), expected);
    tensor_read(device, tensor_rows(out, r, 1), got);
    assert_memory_equal(got, expected, sizeof got);
  }
  RELEASE(a, b, out, choice);
}

// --- Losses

static double
sum_of(Tensor loss)
{
  float  values[ROWS];
  double sum = 0.0;
  tensor_read(device, loss, values);
  for (uint32_t i = 0; i < ROWS; ++i) {
    sum += (double)values[i];
  }
  return sum;
}

// t: 0 logits, 1 target, 2 loss, 3 gradient.
static double
cross_entropy_loss(void* context)
{
  Context* const c = context;
  op_cross_entropy(device, c->t[0], c->t[1], 0.7f, c->t[2], c->t[3]);
  return 0.7 * sum_of(c->t[2]);
}

static void
test_cross_entropy(void** state)
{
  (void)state;
  Context      c            = { { make(ROWS, COLUMNS, 1),
                                  poisoned(ROWS, 1),
                                  poisoned(ROWS, 1),
                                  poisoned(ROWS, COLUMNS) } };
  const float  target[ROWS] = { 0, 10, 4, 4, 7 };
  const Tensor gradient     = poisoned(ROWS, COLUMNS);
  tensor_write(device, c.t[1], target);
  float  logits[COLUMNS];
  float  loss[ROWS];
  double total = 0.0;
  cross_entropy_loss(&c);
  tensor_read(device, tensor_rows(c.t[0], 2, 1), logits);
  tensor_read(device, c.t[2], loss);
  for (uint32_t i = 0; i < COLUMNS; ++i) {
    total += exp((double)logits[i]);
  }
  assert_close((double)loss[2], log(total) - (double)logits[4], 1e-6);
  op_copy(device, c.t[3], gradient);
  check_gradient("cross-entropy", c.t[0], gradient, cross_entropy_loss, &c);
  // Logits far apart: no overflow.
  op_fill(device, c.t[0], -1000.0f);
  op_fill(device, tensor_columns(c.t[0], 3, 1), 1000.0f);
  cross_entropy_loss(&c);
  tensor_read(device, c.t[2], loss);
  assert_close((double)loss[0], 2000.0, 1e-5);
  RELEASE(c.t[0], c.t[1], c.t[2], c.t[3], gradient);
}

static double
squared_error_loss(void* context)
{
  Context* const c = context;
  op_squared_error(device, c->t[0], c->t[1], 0.3f, c->t[2], c->t[3]);
  return 0.3 * sum_of(c->t[2]);
}

static void
test_squared_error(void** state)
{
  (void)state;
  Context c = {
    { make(ROWS, 3, 1), make(ROWS, 3, 2), poisoned(ROWS, 1), poisoned(ROWS, 3) }
  };
  const Tensor gradient = poisoned(ROWS, 3);
  squared_error_loss(&c);
  op_copy(device, c.t[3], gradient);
  check_gradient("squared error", c.t[0], gradient, squared_error_loss, &c);
  RELEASE(c.t[0], c.t[1], c.t[2], c.t[3], gradient);
}

#define LATENT 6u
static float free_nats;

// t: 0 stats, 1 noise, 2 z, 3 kl, 4 dz, 5 scratch gradient.
static double
latent_loss(void* context)
{
  Context* const c = context;
  float          stats[ROWS * 2 * LATENT];
  op_latent(device, c->t[0], c->t[1], c->t[2]);
  op_latent_backward(
    device, c->t[0], c->t[1], c->t[4], c->t[6], free_nats, c->t[3], c->t[5]);
  tensor_read(device, c->t[0], stats);
  double sum = dot(c->t[2], 6);
  for (uint32_t r = 0; r < ROWS; ++r) {
    double kl = 0.0;
    for (uint32_t i = 0; i < LATENT; ++i) {
      const double mean         = (double)stats[r * 2 * LATENT + i];
      const double log_variance = (double)stats[r * 2 * LATENT + LATENT + i];
      kl += 0.5 * (mean * mean + exp(log_variance) - 1.0 - log_variance);
    }
    float ours[ROWS];
    tensor_read(device, c->t[3], ours);
    assert_close((double)ours[r], kl, 1e-5);
    sum += 0.6 * fmax(0.0, kl - (double)free_nats);
  }
  return sum;
}

static void
test_latent(void** state)
{
  (void)state;
  Context      c        = { { make(ROWS, 2 * LATENT, 1),
                              make(ROWS, LATENT, 2),
                              poisoned(ROWS, LATENT),
                              poisoned(ROWS, 1),
                              dot_gradient(ROWS, LATENT, 6),
                              poisoned(ROWS, 2 * LATENT),
                              filled(1, 1, 0.6f) } };
  const Tensor gradient = poisoned(ROWS, 2 * LATENT);
  // Free bits that none, and that all windows stay under.
  const float bits[] = { 0.0f, 1000.0f };
  for (int i = 0; i < 2; ++i) {
    free_nats = bits[i];
    latent_loss(&c);
    op_copy(device, c.t[5], gradient);
    check_gradient("latent", c.t[0], gradient, latent_loss, &c);
  }
  RELEASE(c.t[0], c.t[1], c.t[2], c.t[3], c.t[4], c.t[5], c.t[6], gradient);
}

// --- Random numbers, optimiser

static void
test_random_rows_do_not_depend_on_the_batch(void** state)
{
  (void)state;
  const Tensor all = poisoned(ROWS, COLUMNS);
  const Tensor one = poisoned(1, COLUMNS);
  float        a[COLUMNS];
  float        b[COLUMNS];
  const Tensor key   = make_key(4, 100);
  const Tensor third = make_key(4, 103);
  op_normals(device, key, RNG_USE_LATENT, 2, all);
  op_normals(device, third, RNG_USE_LATENT, 2, one);
  tensor_read(device, tensor_rows(all, 3, 1), a);
  tensor_read(device, one, b);
  assert_memory_equal(a, b, sizeof a);
  tensor_read(device, tensor_rows(all, 2, 1), a);
  assert_memory_not_equal(a, b, sizeof a);
  RELEASE(all, one, key, third);
}

// --- The seam

static void
test_shapes_are_checked(void** state)
{
  (void)state;
  Error        error;
  const Tensor a = make(ROWS, COLUMNS, 1);
  const Tensor b = make(ROWS, COLUMNS + 1, 2);
  float        before[ROWS * COLUMNS];
  float        after[ROWS * COLUMNS];
  tensor_read(device, a, before);
  op_tanh(device, b, a);
  assert_int_equal(device_status(device, &error), STATUS_BAD_ARGUMENT);
  assert_non_null(strstr(error.text, "tanh"));
  op_fill(device, a, 1.0f); // sticky: later ops do nothing
  device_clear(device);
  tensor_read(device, a, after);
  assert_memory_equal(before, after, sizeof before);

  op_fill(device, tensor_rows(a, ROWS, 1), 0.0f);
  assert_int_equal(device_status(device, &error), STATUS_BAD_ARGUMENT);
  device_clear(device);
  op_copy(device, tensor_columns(a, 1, COLUMNS), b);
  assert_int_equal(device_status(device, &error), STATUS_BAD_ARGUMENT);
  device_clear(device);
  op_matmul(device, false, false, 1.0f, a, b, 0.0f, a);
  assert_int_equal(device_status(device, &error), STATUS_BAD_ARGUMENT);
  device_clear(device);
  RELEASE(a, b);
  Device* none;
  assert_int_equal(device_open_cpu("no such", &none, &error),
                   STATUS_UNSUPPORTED);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_tanh_range),
    cmocka_unit_test(test_tanh_backward),
    cmocka_unit_test(test_lstm_cell),
    cmocka_unit_test(test_overwrite),
    cmocka_unit_test(test_gather),
    cmocka_unit_test(test_sample),
    cmocka_unit_test(test_select_rows),
    cmocka_unit_test(test_cross_entropy),
    cmocka_unit_test(test_squared_error),
    cmocka_unit_test(test_latent),
    cmocka_unit_test(test_random_rows_do_not_depend_on_the_batch),
    cmocka_unit_test(test_shapes_are_checked),
  };
  return run_on_all_variants(tests, sizeof tests / sizeof *tests);
}
