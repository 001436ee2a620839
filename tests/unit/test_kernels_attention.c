// Attention on every CPU variant this machine runs: forward against plain
// double arithmetic, with and without hidden keys, backward against finite
// differences, and the shape check. Tensors are views inside larger ones and
// sizes are odd: strides and tails count.
#include "kernels_test.h"

#include <stdlib.h>

typedef struct {
  uint32_t sequences;
  uint32_t heads;
  uint32_t queries;
  uint32_t keys;
  uint32_t width; // of a head
} AttentionSizes;

// t: 0 q, 1 k, 2 v, 3 allowed or {0}, 4 probabilities, 5 out.
typedef struct {
  AttentionSizes sizes;
  Context        tensors;
} AttentionCase;

static double
attention_loss(void* context)
{
  const AttentionCase* const a = context;
  const Tensor* const        t = a->tensors.t;
  op_attention(device,
               a->sizes.sequences,
               a->sizes.heads,
               t[0],
               t[1],
               t[2],
               t[3],
               t[4],
               t[5]);
  return dot(t[5], 4);
}

// One output row in doubles.
static void
attention_row(const AttentionSizes* z,
              uint32_t              s,
              uint32_t              h,
              uint32_t              i,
              const float*          q,
              const float*          k,
              const float*          v,
              const float*          allowed,
              double*               out)
{
  const uint32_t d     = z->heads * z->width;
  double         total = 0.0;
  memset(out, 0, z->width * sizeof *out);
  for (uint32_t j = 0; j < z->keys; ++j) {
    if (allowed && allowed[(s * z->queries + i) * z->keys + j] == 0.0f) {
      continue;
    }
    double score = 0.0;
    for (uint32_t c = 0; c < z->width; ++c) {
      score += (double)q[(s * z->queries + i) * d + h * z->width + c] *
               (double)k[(s * z->keys + j) * d + h * z->width + c];
    }
    const double p = exp(score / sqrt((double)z->width));
    total += p;
    for (uint32_t c = 0; c < z->width; ++c) {
      out[c] += p * (double)v[(s * z->keys + j) * d + h * z->width + c];
    }
  }
  for (uint32_t c = 0; c < z->width; ++c) {
    out[c] /= total;
  }
}

static void
check_attention_forward(const AttentionCase* a)
{
  const AttentionSizes* const z = &a->sizes;
  const Tensor* const         t = a->tensors.t;
  float                       values[4][MAXIMUM];
  float                       out[MAXIMUM];
  for (int i = 0; i < 3; ++i) {
    tensor_read(device, t[i], values[i]);
  }
  if (t[3].data) {
    tensor_read(device, t[3], values[3]);
  }
  tensor_read(device, t[5], out);
  for (uint32_t s = 0; s < z->sequences; ++s) {
    for (uint32_t h = 0; h < z->heads; ++h) {
      for (uint32_t i = 0; i < z->queries; ++i) {
        double expected[128];
        attention_row(z,
                      s,
                      h,
                      i,
                      values[0],
                      values[1],
                      values[2],
                      t[3].data ? values[3] : NULL,
                      expected);
        const float* const got =
          out + ((s * z->queries + i) * z->heads + h) * z->width;
        for (uint32_t c = 0; c < z->width; ++c) {
          assert_close((double)got[c], expected[c], 1e-5);
        }
      }
    }
  }
}

// Some keys hidden, never the diagonal.
static Tensor
make_allowed(const AttentionSizes* z)
{
  float          values[MAXIMUM];
  const uint32_t rows = z->sequences * z->queries;
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t j = 0; j < z->keys; ++j) {
      values[r * z->keys + j] =
        j == r % z->keys || (r * 7 + j * 5) % 3 != 0 ? 1.0f : 0.0f;
    }
  }
  return make_values(rows, z->keys, values);
}

static void
check_hidden_keys_have_no_weight(const AttentionCase* a)
{
  const AttentionSizes* const z = &a->sizes;
  float                       shown[MAXIMUM];
  float                       p[MAXIMUM];
  tensor_read(device, a->tensors.t[3], shown);
  tensor_read(device, a->tensors.t[4], p);
  for (uint32_t r = 0; r < z->sequences * z->heads * z->queries; ++r) {
    const uint32_t s   = r / (z->heads * z->queries);
    const uint32_t row = s * z->queries + r % z->queries;
    for (uint32_t j = 0; j < z->keys; ++j) {
      assert_true((p[r * z->keys + j] > 0.0f) ==
                  (shown[row * z->keys + j] != 0.0f));
    }
  }
}

static void
check_attention(AttentionSizes z, bool masked)
{
  const uint32_t d       = z.heads * z.width;
  const uint32_t queries = z.sequences * z.queries;
  const uint32_t keys    = z.sequences * z.keys;
  Tensor         whole[6];
  Tensor         gradient[3];
  AttentionCase  a = { z,
                       { { make_view(queries, d, 1, &whole[0]),
                           make_view(keys, d, 2, &whole[1]),
                           make_view(keys, d, 3, &whole[2]),
                          masked ? make_allowed(&z) : (Tensor){ 0 },
                           poisoned(z.heads * queries, z.keys),
                           poisoned(queries, d) } } };
  attention_loss(&a);
  check_attention_forward(&a);
  if (masked) {
    check_hidden_keys_have_no_weight(&a);
  }
  for (int i = 0; i < 3; ++i) {
    gradient[i] = make_view(i ? keys : queries, d, 9, &whole[3 + i]);
    op_fill(device, gradient[i], NAN); // overwritten
  }
  const Tensor  dout = dot_gradient(queries, d, 4);
  Tensor* const t    = a.tensors.t;
  op_attention_backward(device,
                        z.sequences,
                        z.heads,
                        t[0],
                        t[1],
                        t[2],
                        t[4],
                        dout,
                        gradient[0],
                        gradient[1],
                        gradient[2]);
  check_gradient("attention q", t[0], gradient[0], attention_loss, &a);
  check_gradient("attention k", t[1], gradient[1], attention_loss, &a);
  check_gradient("attention v", t[2], gradient[2], attention_loss, &a);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  release(whole, 6);
  RELEASE(t[3], t[4], t[5], dout);
}

static void
test_attention(void** state)
{
  (void)state;
  const AttentionSizes sizes[] = {
    { 1, 1, 1, 1, 1 },  { 2, 3, 5, 7, 3 },  { 1, 2, 9, 17, 8 },
    { 3, 1, 8, 24, 5 }, { 1, 1, 35, 9, 7 }, { 1, 1, 3, 50, 70 },
    { 1, 1, 2, 64, 9 },
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    check_attention(sizes[i], false);
    check_attention(sizes[i], true);
  }
}

static void
test_shapes_are_checked(void** state)
{
  (void)state;
  const Tensor a    = make(6, 8, 1);
  const Tensor b    = make(6, 9, 2);
  const Tensor one  = make(6, 1, 3);
  const Tensor p    = make(12, 3, 5);
  const Tensor none = { 0 };
  // 2 sequences of 3 notes, 2 heads: p fits, these do not.
  op_attention(device, 2, 2, a, a, a, none, p, a);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  op_attention(device, 2, 3, a, a, a, none, p, a);
  assert_refused("attention");
  op_attention(device, 4, 2, a, a, a, none, p, a);
  assert_refused("attention");
  op_attention(device, 0, 2, a, a, a, none, p, a);
  assert_refused("attention");
  op_attention(device, 2, 2, a, a, a, one, p, a);
  assert_refused("attention");
  op_attention_backward(device, 2, 2, a, a, a, p, a, a, a, b);
  assert_refused("attention_backward");
  const Tensor long_k = make(ATTENTION_KEYS_MAX + 1, 8, 1);
  const Tensor long_p = make(6, ATTENTION_KEYS_MAX + 1, 1);
  op_attention(device, 1, 1, a, long_k, long_k, none, long_p, a);
  assert_refused("attention");
  RELEASE(a, b, one, p, long_k, long_p);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_attention),
    cmocka_unit_test(test_shapes_are_checked),
  };
  return run_on_all_variants(tests, sizeof tests / sizeof *tests);
}
