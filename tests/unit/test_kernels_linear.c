// Products and sums on every CPU variant this machine runs, against plain
// double arithmetic: strides, every edge of a tile, and nothing written beside.
#include "kernels_test.h"

static void
check_matmul(bool ta, bool tb, uint32_t m, uint32_t n, uint32_t k)
{
  // Views inside larger tensors: strides count.
  const Tensor big_a = make(ta ? k : m, (ta ? m : k) + 3, 1);
  const Tensor big_b = make(tb ? n : k, (tb ? k : n) + 2, 2);
  const Tensor a     = tensor_columns(big_a, 1, ta ? m : k);
  const Tensor b     = tensor_columns(big_b, 2, tb ? k : n);
  const Tensor c     = make(m, n, 3);
  float        av[MAXIMUM];
  float        bv[MAXIMUM];
  float        before[MAXIMUM];
  float        after[MAXIMUM];
  tensor_read(device, a, av);
  tensor_read(device, b, bv);
  tensor_read(device, c, before);
  op_matmul(device, ta, tb, 0.5f, a, b, 2.0f, c);
  tensor_read(device, c, after);
  for (uint32_t i = 0; i < m; ++i) {
    for (uint32_t j = 0; j < n; ++j) {
      double sum = 0.0;
      for (uint32_t l = 0; l < k; ++l) {
        sum += (double)(ta ? av[l * m + i] : av[i * k + l]) *
               (double)(tb ? bv[j * k + l] : bv[l * n + j]);
      }
      assert_close((double)after[i * n + j],
                   0.5 * sum + 2.0 * (double)before[i * n + j],
                   1e-5);
    }
  }
  const Tensor fresh = poisoned(m, n); // beta 0 must not read it
  op_matmul(device, ta, tb, 1.0f, a, b, 0.0f, fresh);
  tensor_read(device, fresh, after);
  assert_true(isfinite(after[0]) && isfinite(after[m * n - 1]));
  RELEASE(big_a, big_b, c, fresh);
}

static void
test_matmul(void** state)
{
  (void)state;
  const uint32_t shapes[][3] = {
    { 1, 13, 9 }, { 4, 1, 6 }, { 7, 5, 1 }, { 17, 19, 23 }, { 1, 1, 1 }
  };
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; ++s) {
    for (int flags = 0; flags < 4; ++flags) {
      check_matmul(
        flags & 1, flags & 2, shapes[s][0], shapes[s][1], shapes[s][2]);
    }
  }
  assert_int_equal(device_status(device, NULL), STATUS_OK);
}

static void
check_affine(bool pack, uint32_t m, uint32_t n, uint32_t k)
{
  // Views inside larger tensors: strides count.
  const Tensor big_x  = make(m, k + 3, 1);
  const Tensor big_w  = make(n, k + 2, 2);
  const Tensor big_y  = poisoned(m + 1, n + 2);
  const Tensor x      = tensor_columns(big_x, 1, k);
  const Tensor w      = tensor_columns(big_w, 2, k);
  const Tensor y      = tensor_columns(tensor_rows(big_y, 0, m), 1, n);
  const Tensor bias   = make(1, n, 3);
  Tensor       packed = { 0 };
  float        xv[MAXIMUM];
  float        wv[MAXIMUM];
  float        bv[MAXIMUM];
  float        yv[MAXIMUM];
  if (pack) {
    assert_int_equal(tensor_pack(device, w, &packed, NULL), STATUS_OK);
  }
  op_affine(device, x, w, packed, bias, y);
  tensor_read(device, x, xv);
  tensor_read(device, w, wv);
  tensor_read(device, bias, bv);
  tensor_read(device, y, yv);
  for (uint32_t i = 0; i < m; ++i) {
    for (uint32_t j = 0; j < n; ++j) {
      double sum = (double)bv[j];
      for (uint32_t l = 0; l < k; ++l) {
        sum += (double)xv[i * k + l] * (double)wv[j * k + l];
      }
      assert_close((double)yv[i * n + j], sum, 1e-5);
    }
  }
  // Nothing beside y was written.
  tensor_read(device, big_y, yv);
  for (uint32_t i = 0; i < (m + 1) * (n + 2); ++i) {
    const uint32_t column = i % (n + 2);
    const bool     inside = i / (n + 2) < m && column >= 1 && column <= n;
    assert_true(inside || isnan(yv[i]));
  }
  tensor_free(device, &packed);
  RELEASE(big_x, big_w, big_y, bias);
}

// Few rows with a packed weight have a way of their own: every count of rows
// around a tile's and that way's end, columns around a panel's.
static void
test_affine(void** state)
{
  (void)state;
  for (int pack = 0; pack < 2; ++pack) {
    for (uint32_t m = 1; m <= 34; ++m) {
      check_affine(pack, m, 1 + 5 * m % 27, 1 + 3 * m % 17);
    }
    for (uint32_t n = 1; n <= 50; ++n) {
      check_affine(pack, 8, n, 19);
    }
  }
  assert_int_equal(device_status(device, NULL), STATUS_OK);
}

static void
test_rows_and_sums(void** state)
{
  (void)state;
  const Tensor bias = make(1, COLUMNS, 1);
  const Tensor y    = poisoned(ROWS, COLUMNS);
  const Tensor sum  = make(1, COLUMNS, 2);
  float        b[COLUMNS];
  float        s[COLUMNS];
  float        all[ROWS * COLUMNS];
  float        got[COLUMNS];
  op_broadcast_row(device, bias, y);
  tensor_read(device, bias, b);
  tensor_read(device, y, all);
  tensor_read(device, sum, s);
  op_sum_rows(device, y, 3.0f, sum);
  tensor_read(device, sum, got);
  for (uint32_t i = 0; i < COLUMNS; ++i) {
    assert_true(all[3 * COLUMNS + i] == b[i]);
    assert_close(
      (double)got[i], ROWS * (double)b[i] + 3.0 * (double)s[i], 1e-5);
  }
  const Tensor total = poisoned(1, 1);
  op_square_sum(device, y, 0.0f, total);
  double squares = 0.0;
  for (uint32_t i = 0; i < ROWS * COLUMNS; ++i) {
    squares += (double)all[i] * (double)all[i];
  }
  tensor_read(device, total, got);
  assert_close((double)got[0], squares, 1e-5);
  RELEASE(bias, y, sum, total);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_matmul),
    cmocka_unit_test(test_affine),
    cmocka_unit_test(test_rows_and_sums),
  };
  return run_on_all_variants(tests, sizeof tests / sizeof *tests);
}
