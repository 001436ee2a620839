// The fused ops of sampling on every CPU variant this machine runs: against
// plain double arithmetic and against the ops they join, with weights packed
// and not, few rows and many, and the shape checks. Tensors are views inside
// larger ones and sizes are odd: strides and tails count; what is filled was
// poisoned, and what lies around it stays.
#include "kernels_test.h"

#include <stdlib.h>

#define LEVELS 3u

static float*
values_of(Tensor x)
{
  float* const values = malloc((size_t)x.rows * x.columns * sizeof *values);
  assert_non_null(values);
  tensor_read(device, x, values);
  return values;
}

// A view of poison in a larger tensor.
static Tensor
poisoned_view(uint32_t rows, uint32_t columns, Tensor* whole)
{
  *whole = poisoned(rows, columns + 3);
  return tensor_columns(*whole, 1, columns);
}

// Indices 0 .. LEVELS - 1 in no order, the last also by a number beyond.
static Tensor
make_index(uint32_t rows)
{
  float values[64];
  assert_true(rows <= 64);
  for (uint32_t r = 0; r < rows; ++r) {
    values[r] = (float)(r * 7 % 5 % LEVELS);
  }
  values[rows - 1] = 99.0f;
  return make_values(rows, 1, values);
}

static uint32_t
level_of(const float* index, uint32_t r)
{
  return index[r] < (float)LEVELS ? (uint32_t)index[r] : LEVELS - 1;
}

// --- norm, affine ------------------------------------------------------------

typedef struct {
  uint32_t rows;
  uint32_t depth;
  uint32_t columns;
} Product;

static const Product products[] = {
  { 1, 1, 1 }, { 5, 11, 7 }, { 8, 40, 33 }, { 13, 37, 48 }, { 40, 24, 50 },
};

static double
gelu_of(double x)
{
  return 0.5 * x * (1.0 + tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

// Row r of the modulated norm, in doubles.
static void
norm_row(const float* x, const float* shift, uint32_t n, double* out)
{
  double mean = 0.0, variance = 0.0;
  for (uint32_t i = 0; i < n; ++i) {
    mean += (double)x[i] / n;
  }
  for (uint32_t i = 0; i < n; ++i) {
    variance += pow((double)x[i] - mean, 2) / n;
  }
  for (uint32_t i = 0; i < n; ++i) {
    out[i] = ((double)x[i] - mean) / sqrt(variance + 1e-5) *
               (1.0 + (double)shift[n + i]) +
             (double)shift[i];
  }
}

static void
check_norm_affine(Product z, bool pack, bool gelu)
{
  Tensor       whole[5];
  const Tensor x       = make_view(z.rows, z.depth, 1, &whole[0]);
  const Tensor m       = make_view(LEVELS, 2 * z.depth, 2, &whole[1]);
  const Tensor weight  = make_view(z.columns, z.depth, 3, &whole[2]);
  const Tensor scratch = poisoned_view(z.rows, 2 * z.depth + 1, &whole[3]);
  const Tensor y       = poisoned_view(z.rows, z.columns, &whole[4]);
  const Tensor bias    = make(1, z.columns, 4);
  const Tensor index   = make_index(z.rows);
  Tensor       packed  = { 0 };
  if (pack) {
    assert_int_equal(tensor_pack(device, weight, &packed, NULL), STATUS_OK);
  }
  op_norm_affine(device, x, index, m, weight, packed, bias, gelu, scratch, y);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  float* const xv = values_of(x);
  float* const mv = values_of(m);
  float* const wv = values_of(weight);
  float* const bv = values_of(bias);
  float* const iv = values_of(index);
  float* const yv = values_of(whole[4]);
  for (uint32_t r = 0; r < z.rows; ++r) {
    double             normed[64];
    const float* const got   = yv + (size_t)r * (z.columns + 3);
    const size_t       level = level_of(iv, r);
    norm_row(
      xv + (size_t)r * z.depth, mv + level * 2 * z.depth, z.depth, normed);
    for (uint32_t c = 0; c < z.columns; ++c) {
      double sum = (double)bv[c];
      for (uint32_t k = 0; k < z.depth; ++k) {
        sum += normed[k] * (double)wv[c * z.depth + k];
      }
      assert_close((double)got[1 + c], gelu ? gelu_of(sum) : sum, 2e-5);
    }
    assert_true(isnan(got[0]) && isnan(got[z.columns + 1]));
  }
  float* const all[] = { xv, mv, wv, bv, iv, yv };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    free(all[i]);
  }
  release(whole, 5);
  RELEASE(bias, index, packed);
}

static void
test_norm_affine(void** state)
{
  (void)state;
  for (size_t i = 0; i < sizeof products / sizeof *products; ++i) {
    check_norm_affine(products[i], false, false);
    check_norm_affine(products[i], true, false);
    check_norm_affine(products[i], true, true);
  }
}

// --- affine, gated ----------------------------------------------------------

static void
check_affine_gated(Product z, bool pack)
{
  Tensor       whole[5];
  const Tensor input   = make_view(z.rows, z.depth, 1, &whole[0]);
  const Tensor weight  = make_view(z.columns, z.depth, 2, &whole[1]);
  const Tensor gate    = make_view(LEVELS, z.columns, 3, &whole[2]);
  const Tensor scratch = poisoned_view(z.rows, z.columns, &whole[3]);
  const Tensor x       = make_view(z.rows, z.columns, 4, &whole[4]);
  const Tensor bias    = make(1, z.columns, 5);
  const Tensor index   = make_index(z.rows);
  Tensor       packed  = { 0 };
  if (pack) {
    assert_int_equal(tensor_pack(device, weight, &packed, NULL), STATUS_OK);
  }
  float* const before = values_of(whole[4]);
  op_affine_gated(device, input, weight, packed, bias, index, gate, scratch, x);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  float* const after = values_of(whole[4]);
  float* const uv    = values_of(input);
  float* const wv    = values_of(weight);
  float* const gv    = values_of(gate);
  float* const bv    = values_of(bias);
  float* const iv    = values_of(index);
  for (uint32_t r = 0; r < z.rows; ++r) {
    for (uint32_t c = 0; c < z.columns + 3; ++c) {
      const size_t at   = (size_t)r * (z.columns + 3) + c;
      const bool   mine = c >= 1 && c <= z.columns;
      double       sum  = mine ? (double)bv[c - 1] : 0.0;
      for (uint32_t k = 0; mine && k < z.depth; ++k) {
        sum += (double)uv[r * z.depth + k] * (double)wv[(c - 1) * z.depth + k];
      }
      const double g =
        mine ? (double)gv[level_of(iv, r) * z.columns + c - 1] : 0.0;
      assert_close((double)after[at], (double)before[at] + g * sum, 2e-5);
      assert_true(mine || after[at] == before[at]);
    }
  }
  float* const all[] = { before, after, uv, wv, gv, bv, iv };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    free(all[i]);
  }
  release(whole, 5);
  RELEASE(bias, index, packed);
}

static void
test_affine_gated(void** state)
{
  (void)state;
  for (size_t i = 0; i < sizeof products / sizeof *products; ++i) {
    check_affine_gated(products[i], false);
    check_affine_gated(products[i], true);
  }
}

// --- attend -----------------------------------------------------------------

typedef struct {
  uint32_t sequences;
  uint32_t heads;
  uint32_t notes;
  uint32_t before;
  uint32_t half; // of a head
} Attend;

#define PLACES 9u

// Turns columns of a row from `at` on, as op_rotate does.
static void
turn(const Attend* z, float* row, const float* c, const float* s)
{
  for (uint32_t h = 0; h < z->heads; ++h) {
    for (uint32_t i = 0; i < z->half; ++i) {
      float* const a  = &row[2 * h * z->half + i];
      float* const b  = a + z->half;
      const double ai = (double)*a;
      const double bi = (double)*b;
      *a              = (float)(ai * (double)c[i] - bi * (double)s[i]);
      *b              = (float)(bi * (double)c[i] + ai * (double)s[i]);
    }
  }
}

// One query's output from rows keys | values of its sequence.
static void
attend_row(const Attend* z,
           uint32_t      h,
           const float*  q,
           const float*  kv,
           double*       out)
{
  const uint32_t keys  = z->before + z->notes;
  const uint32_t width = 2 * z->half;
  const uint32_t d     = z->heads * width;
  double         total = 0.0;
  memset(out, 0, width * sizeof *out);
  for (uint32_t j = 0; j < keys; ++j) {
    const float* const key   = kv + (size_t)j * 2 * d + h * width;
    double             score = 0.0;
    for (uint32_t i = 0; i < width; ++i) {
      score += (double)q[h * width + i] * (double)key[i];
    }
    const double p = exp(score / sqrt((double)width));
    total += p;
    for (uint32_t i = 0; i < width; ++i) {
      out[i] += p * (double)key[d + i];
    }
  }
  for (uint32_t i = 0; i < width; ++i) {
    out[i] /= total;
  }
}

typedef struct {
  Tensor whole[4];
  Tensor qkv, position, cosines, sines, seen, probabilities, out;
} AttendTensors;

static void
open_attend(const Attend* z, AttendTensors* t)
{
  const uint32_t rows = z->sequences * z->notes;
  const uint32_t keys = z->before + z->notes;
  const uint32_t d    = 2 * z->heads * z->half;
  float          places[64];
  for (uint32_t r = 0; r < rows; ++r) {
    places[r] = (float)(r * 4 % PLACES);
  }
  t->qkv           = make_view(rows, 3 * d, 1, &t->whole[0]);
  t->seen          = make_view(z->sequences * keys, 2 * d, 2, &t->whole[1]);
  t->probabilities = poisoned_view(rows * z->heads, keys, &t->whole[2]);
  t->out           = poisoned_view(rows, d, &t->whole[3]);
  t->position      = make_values(rows, 1, places);
  t->cosines       = make(PLACES, z->half, 3);
  t->sines         = make(PLACES, z->half, 4);
}

static void
run_attend(const Attend* z, const AttendTensors* t)
{
  op_attend(device,
            z->sequences,
            z->heads,
            t->qkv,
            t->position,
            t->cosines,
            t->sines,
            z->before,
            t->seen,
            t->probabilities,
            t->out);
}

static void
check_attend(Attend z)
{
  AttendTensors t;
  open_attend(&z, &t);
  const uint32_t keys  = z.before + z.notes;
  const uint32_t d     = 2 * z.heads * z.half;
  float* const   qkv   = values_of(t.qkv);
  float* const   seen  = values_of(t.seen);
  float* const   place = values_of(t.position);
  float* const   c     = values_of(t.cosines);
  float* const   s     = values_of(t.sines);
  run_attend(&z, &t);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  // What was seen, with this call's own rows in their places.
  for (uint32_t r = 0; r < z.sequences * z.notes; ++r) {
    float* const own      = qkv + (size_t)r * 3 * d;
    const size_t turn_row = (size_t)place[r] * z.half;
    turn(&z, own, c + turn_row, s + turn_row);
    turn(&z, own + d, c + turn_row, s + turn_row);
    const size_t at = (size_t)(r / z.notes) * keys + z.before + r % z.notes;
    memcpy(seen + at * 2 * d, own + d, 2 * d * sizeof *seen);
  }
  float* const after = values_of(t.seen);
  for (uint32_t i = 0; i < z.sequences * keys * 2 * d; ++i) {
    assert_close((double)after[i], (double)seen[i], 1e-6);
  }
  float* const out = values_of(t.whole[3]);
  for (uint32_t r = 0; r < z.sequences * z.notes; ++r) {
    const float* const got = out + (size_t)r * (d + 3);
    for (uint32_t h = 0; h < z.heads; ++h) {
      double expected[64];
      attend_row(&z,
                 h,
                 qkv + (size_t)r * 3 * d,
                 seen + (size_t)(r / z.notes) * keys * 2 * d,
                 expected);
      for (uint32_t i = 0; i < 2 * z.half; ++i) {
        assert_close((double)got[1 + 2 * h * z.half + i], expected[i], 1e-5);
      }
    }
    assert_true(isnan(got[0]) && isnan(got[d + 1]));
  }
  float* const all[] = { qkv, seen, place, c, s, after, out };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    free(all[i]);
  }
  release(t.whole, 4);
  RELEASE(t.position, t.cosines, t.sines);
}

static void
test_attend(void** state)
{
  (void)state;
  check_attend((Attend){ 1, 1, 1, 0, 1 });
  check_attend((Attend){ 1, 5, 8, 13, 4 });
  check_attend((Attend){ 3, 2, 5, 6, 3 });
  check_attend((Attend){ 2, 3, 7, 0, 5 });
  check_attend((Attend){ 2, 1, 12, 52, 16 });
}

// --- The seam ---------------------------------------------------------------

static void
test_shapes_are_checked(void** state)
{
  (void)state;
  const Tensor x       = make(6, 8, 1);
  const Tensor one     = make(6, 1, 2);
  const Tensor m       = make(2, 16, 3);
  const Tensor weight  = make(5, 8, 4);
  const Tensor bias    = make(1, 5, 5);
  const Tensor scratch = make(6, 17, 6);
  const Tensor y       = make(6, 5, 7);
  const Tensor none    = { 0 };
  const struct {
    Tensor x, index, m, weight, bias, scratch, y;
  } norms[] = {
    { y, one, m, weight, bias, scratch, y },
    { x, bias, m, weight, bias, scratch, y },
    { x, one, x, weight, bias, scratch, y },
    { x, one, m, x, bias, scratch, y },
    { x, one, m, weight, one, scratch, y },
    { x, one, m, weight, bias, m, y },
    { x, one, m, weight, bias, tensor_columns(scratch, 0, 16), y },
    { x, one, m, weight, bias, scratch, x },
    { x, one, m, weight, bias, scratch, tensor_rows(y, 0, 5) },
  };
  for (size_t i = 0; i < sizeof norms / sizeof *norms; ++i) {
    op_norm_affine(device,
                   norms[i].x,
                   norms[i].index,
                   norms[i].m,
                   norms[i].weight,
                   none,
                   norms[i].bias,
                   true,
                   norms[i].scratch,
                   norms[i].y);
    assert_refused("norm_affine");
  }
  const Tensor gate   = make(2, 5, 8);
  const Tensor branch = make(6, 5, 9);
  const struct {
    Tensor input, weight, bias, index, gate, scratch;
  } gated[] = {
    { y, weight, bias, one, gate, branch },
    { tensor_rows(x, 0, 5), weight, bias, one, gate, branch },
    { x, x, bias, one, gate, branch },
    { x, weight, one, one, gate, branch },
    { x, weight, bias, bias, gate, branch },
    { x, weight, bias, one, m, branch },
    { x, weight, bias, one, gate, x },
  };
  for (size_t i = 0; i < sizeof gated / sizeof *gated; ++i) {
    op_affine_gated(device,
                    gated[i].input,
                    gated[i].weight,
                    none,
                    gated[i].bias,
                    gated[i].index,
                    gated[i].gate,
                    gated[i].scratch,
                    y);
    assert_refused("affine_gated");
  }
  RELEASE(x, one, m, weight, bias, scratch, y, gate, branch);
}

static void
test_attend_shapes_are_checked(void** state)
{
  (void)state;
  const Attend  z = { 2, 2, 3, 4, 5 };
  AttendTensors right;
  open_attend(&z, &right);
  for (int i = 0; i < 10; ++i) {
    Attend        a = z;
    AttendTensors t = right;
    switch (i) {
      case 0:
        a.sequences = 0;
        break;
      case 1:
        a.sequences = 4;
        break;
      case 2:
        a.heads = 0;
        break;
      case 3:
        a.heads = 3;
        break;
      case 4:
        a.before = 5;
        break;
      case 5:
        a.before = UINT32_MAX - 1; // wraps
        break;
      case 6:
        t.qkv = tensor_columns(t.qkv, 0, t.qkv.columns - 1);
        break;
      case 7:
        t.position = tensor_rows(t.position, 0, 5);
        break;
      case 8:
        t.sines = tensor_rows(t.sines, 0, 5);
        break;
      default:
        t.probabilities = tensor_rows(t.probabilities, 0, 11);
        break;
    }
    run_attend(&a, &t);
    assert_refused("attend");
  }
  run_attend(&z, &right);
  assert_int_equal(device_status(device, NULL), STATUS_OK);
  release(right.whole, 4);
  RELEASE(right.position, right.cosines, right.sines);
  // One key more than attention holds.
  const Attend  most = { 1, 1, 12, 53, 1 };
  AttendTensors many;
  open_attend(&most, &many);
  run_attend(&most, &many);
  assert_refused("attend");
  release(many.whole, 4);
  RELEASE(many.position, many.cosines, many.sines);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_norm_affine),
    cmocka_unit_test(test_affine_gated),
    cmocka_unit_test(test_attend),
    cmocka_unit_test(test_shapes_are_checked),
    cmocka_unit_test(test_attend_shapes_are_checked),
  };
  return run_on_all_variants(tests, sizeof tests / sizeof *tests);
}
