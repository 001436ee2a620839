// Ops on elements, rows, LSTM, losses, tokens, latent and sums against the CPU:
// a table of ops, each run at several sizes and layouts of memory with fresh
// noise, poison in what the op must fill, and guards in the gaps between rows.
// On the device under test each runs twice: bit for bit the same. The optimiser
// has parity_optimiser.c.
#include "parity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPERANDS_MAX 10
#define GUARD 1234.5f
#define TABLE_ROWS 37u

typedef struct {
  uint32_t rows;
  uint32_t columns;
  uint32_t number; // of the size: varies scalars
} Size;

// A dimension: a number, or one of the size's.
enum { ONE = 1, FOUR = 4, TABLE = 50, ROWS = 100, COLUMNS = 1000 };

typedef enum {
  NONE,
  NOISE,
  WIDE,    // to +-200
  HOSTILE, // noise with infinities and NaN
  SPIKED,  // noise with -infinity, as hidden choices have it
  TIED,    // few different values
  POISON,  // NaN
  INDEX,   // into TABLE rows; some lie outside
  TOKEN,   // into COLUMNS
  UNIFORM, // [0, 1)
  ZERO,
  EIGHTHS,  // 0, 1/8 .. 7/8: sums that just reach what is asked for
  CHOICE,   // 0 or 1
  WEIGHT,   // [0, 1), some 0
  SOFT,     // rows that sum to 1
  POSITIVE, // [0.1, 1.1)
} Content;

typedef struct {
  uint32_t rows;
  uint32_t columns; // COLUMNS * n: n times the size's
  Content  content;
} Operand;

typedef struct {
  const char* name;
  void (*run)(Device* device, const Tensor* t, const Size* size);
  double  tolerance; // of 1 + |expected|
  bool    sums_rows; // tolerance grows with the root of the rows
  bool    picks;     // operand 0's choices may differ in one of 1000 rows
  Operand operands[OPERANDS_MAX];
} Case;

// --- The ops ---------------------------------------------------------------

static float
beta_of(const Size* size)
{
  const float betas[] = { 1.0f, 0.0f, -0.5f };
  return betas[size->number % 3];
}

static float
temperature_of(const Size* size)
{
  const float temperatures[] = { 1.0f, 0.0f, 0.7f };
  return temperatures[size->number % 3];
}

#define RUNS(name)                                                             \
  static void run_##name(Device* d, const Tensor* t, const Size* size)

// clang-format off
RUNS(broadcast) { (void)size; op_broadcast_row(d, t[1], t[0]); }
RUNS(sum_rows) { op_sum_rows(d, t[1], beta_of(size), t[0]); }
RUNS(sum_rows_fresh) { (void)size; op_sum_rows(d, t[1], 0.0f, t[0]); }
RUNS(tanh) { (void)size; op_tanh(d, t[1], t[0]); }
RUNS(tanh_place) { (void)size; op_tanh(d, t[0], t[0]); }
RUNS(tanh_backward) { (void)size; op_tanh_backward(d, t[1], t[2], t[0]); }
RUNS(tanh_backward_place) { (void)size; op_tanh_backward(d, t[1], t[0], t[0]); }
RUNS(accumulate) { (void)size; op_accumulate(d, t[1], t[0]); }
RUNS(combine) { (void)size; op_combine(d, 0.7f, t[1], -1.3f, t[2], t[0]); }
RUNS(combine_x) { (void)size; op_combine(d, 0.7f, t[0], -1.3f, t[1], t[0]); }
RUNS(combine_y) { (void)size; op_combine(d, 0.7f, t[1], -1.3f, t[0], t[0]); }
RUNS(combine_rows) { (void)size; op_combine_rows(d, t[1], t[2], t[3], t[4], t[0]); }
RUNS(clamp) { (void)size; op_clamp(d, -0.5f, 1.25f, t[0]); }
RUNS(scale_rows) { (void)size; op_scale_rows(d, t[1], t[0]); }
RUNS(select) { (void)size; op_select_rows(d, t[1], t[2], t[3], t[0]); }
RUNS(select_place) { (void)size; op_select_rows(d, t[1], t[0], t[2], t[0]); }
RUNS(gather) { (void)size; op_gather(d, t[1], t[2], t[0]); }
RUNS(scatter) { (void)size; op_scatter_add(d, t[1], t[2], t[0]); }
RUNS(cell) { (void)size; op_lstm_cell(d, t[0], t[1], t[2], t[3]); }
RUNS(cell_place) { (void)size; op_lstm_cell(d, t[0], t[1], t[1], t[2]); }
RUNS(cell_backward) { (void)size; op_lstm_cell_backward(d, t[2], t[3], t[4], t[5], t[0], t[1]); }
RUNS(gates) { (void)size; op_overwrite_gates(d, t[2], t[0], t[1]); }
RUNS(gates_backward) { (void)size; op_overwrite_gates_backward(d, t[1], t[2], t[3], t[0]); }
RUNS(overwrite) { (void)size; op_overwrite(d, t[1], t[2], t[3], t[0]); }
RUNS(overwrite_backward) { (void)size; op_overwrite_backward(d, t[3], t[4], t[5], t[0], t[1], t[2]); }
RUNS(overwrite_backward_place) { (void)size; op_overwrite_backward(d, t[3], t[4], t[0], t[0], t[1], t[2]); }
RUNS(sample) { op_sample(d, t[1], temperature_of(size), t[2], t[0]); }
RUNS(softmax) { op_softmax(d, t[1], temperature_of(size), t[0]); }
RUNS(softmax_place) { op_softmax(d, t[0], temperature_of(size), t[0]); }
RUNS(cross) { (void)size; op_cross_entropy(d, t[2], t[3], 0.3f, t[0], t[1]); }
RUNS(soft) { (void)size; op_soft_cross_entropy(d, t[2], t[3], t[4], 0.3f, t[0], t[1]); }
RUNS(squared) { (void)size; op_squared_error(d, t[2], t[3], 0.3f, t[0], t[1]); }
RUNS(latent) { (void)size; op_latent(d, t[1], t[2], t[0]); }
RUNS(latent_backward) { op_latent_backward(d, t[2], t[3], t[4], t[5], (float)size->columns, t[0], t[1]); }
RUNS(sum) { op_sum(d, t[1], beta_of(size), t[0]); }
RUNS(sum_fresh) { (void)size; op_sum(d, t[1], 0.0f, t[0]); }
RUNS(square_sum) { op_square_sum(d, t[1], beta_of(size), t[0]); }
RUNS(square_sum_fresh) { (void)size; op_square_sum(d, t[1], 0.0f, t[0]); }

#define FULL(content) { ROWS, COLUMNS, content }
#define TIMES(n, content) { ROWS, COLUMNS * (n), content }
#define COLUMN(content) { ROWS, ONE, content }
#define ROW(content) { ONE, COLUMNS, content }
#define SCALAR(content) { ONE, ONE, content }

// 0 where nothing is computed; about 4 units in the last place where no more
// than a few sums and products are; what exp and tanh err on a GPU above.
static const Case cases[] = {
  { "broadcast_row", run_broadcast, 0, 0, 0, { FULL(POISON), ROW(NOISE) } },
  { "sum_rows", run_sum_rows, 1e-6, true, 0, { ROW(NOISE), FULL(NOISE) } },
  { "sum_rows fresh", run_sum_rows_fresh, 1e-6, true, 0, { ROW(POISON), FULL(NOISE) } },
  { "tanh", run_tanh, 1e-6, 0, 0, { FULL(POISON), FULL(WIDE) } },
  { "tanh in place", run_tanh_place, 1e-6, 0, 0, { FULL(NOISE) } },
  { "tanh_backward", run_tanh_backward, 5e-7, 0, 0, { FULL(POISON), FULL(NOISE), FULL(NOISE) } },
  { "tanh_backward in place", run_tanh_backward_place, 5e-7, 0, 0, { FULL(NOISE), FULL(NOISE) } },
  { "accumulate", run_accumulate, 0, 0, 0, { FULL(NOISE), FULL(NOISE) } },
  { "combine", run_combine, 5e-7, 0, 0, { FULL(POISON), FULL(NOISE), FULL(NOISE) } },
  { "combine out = x", run_combine_x, 5e-7, 0, 0, { FULL(NOISE), FULL(NOISE) } },
  { "combine out = y", run_combine_y, 5e-7, 0, 0, { FULL(NOISE), FULL(NOISE) } },
  { "combine_rows", run_combine_rows, 1e-6, 0, 0, { FULL(POISON), COLUMN(NOISE), FULL(NOISE), COLUMN(NOISE), FULL(NOISE) } },
  { "clamp", run_clamp, 0, 0, 0, { FULL(HOSTILE) } },
  { "scale_rows", run_scale_rows, 0, 0, 0, { FULL(NOISE), COLUMN(NOISE) } },
  { "select_rows", run_select, 0, 0, 0, { FULL(POISON), COLUMN(CHOICE), FULL(HOSTILE), FULL(NOISE) } },
  { "select_rows in place", run_select_place, 0, 0, 0, { FULL(NOISE), COLUMN(CHOICE), FULL(NOISE) } },
  { "gather", run_gather, 0, 0, 0, { FULL(POISON), { TABLE, COLUMNS, NOISE }, COLUMN(INDEX) } },
  { "scatter_add", run_scatter, 1e-6, true, 0, { { TABLE, COLUMNS, NOISE }, COLUMN(INDEX), FULL(NOISE) } },
  { "scatter_add into 1", run_scatter, 1e-6, true, 0, { ROW(NOISE), COLUMN(INDEX), FULL(NOISE) } },
  { "lstm_cell", run_cell, 1e-6, 0, 0, { TIMES(4, NOISE), FULL(NOISE), FULL(POISON), FULL(POISON) } },
  { "lstm_cell wide", run_cell, 1e-6, 0, 0, { TIMES(4, WIDE), FULL(NOISE), FULL(POISON), FULL(POISON) } },
  { "lstm_cell in place", run_cell_place, 1e-6, 0, 0, { TIMES(4, NOISE), FULL(NOISE), FULL(POISON) } },
  { "lstm_cell_backward", run_cell_backward, 2e-6, 0, 0, { FULL(NOISE), TIMES(4, POISON), TIMES(4, WEIGHT), FULL(NOISE), FULL(NOISE), FULL(NOISE) } },
  { "overwrite_gates", run_gates, 1e-6, 0, 0, { FULL(POISON), FULL(POISON), TIMES(3, WIDE) } },
  { "overwrite_gates_backward", run_gates_backward, 1e-6, 0, 0, { TIMES(3, POISON), TIMES(3, NOISE), FULL(NOISE), FULL(NOISE) } },
  { "overwrite", run_overwrite, 5e-7, 0, 0, { FULL(POISON), FULL(NOISE), FULL(NOISE), FULL(NOISE) } },
  { "overwrite_backward", run_overwrite_backward, 5e-7, 0, 0, { FULL(POISON), FULL(NOISE), FULL(NOISE), FULL(NOISE), FULL(NOISE), FULL(NOISE) } },
  { "overwrite_backward in place", run_overwrite_backward_place, 5e-7, 0, 0, { FULL(NOISE), FULL(NOISE), FULL(NOISE), FULL(NOISE), FULL(NOISE) } },
  { "sample", run_sample, 0, 0, true, { COLUMN(POISON), FULL(NOISE), COLUMN(UNIFORM) } },
  { "sample tied", run_sample, 0, 0, true, { COLUMN(POISON), FULL(TIED), COLUMN(UNIFORM) } },
  { "sample equal", run_sample, 0, 0, 0, { COLUMN(POISON), FULL(ZERO), COLUMN(EIGHTHS) } },
  { "sample hidden", run_sample, 0, 0, true, { COLUMN(POISON), FULL(SPIKED), COLUMN(UNIFORM) } },
  { "softmax", run_softmax, 1e-6, 0, 0, { FULL(POISON), FULL(NOISE) } },
  { "softmax wide", run_softmax, 1e-6, 0, 0, { FULL(POISON), FULL(WIDE) } },
  { "softmax tied in place", run_softmax_place, 1e-6, 0, 0, { FULL(TIED) } },
  { "softmax hidden in place", run_softmax_place, 1e-6, 0, 0, { FULL(SPIKED) } },
  { "cross_entropy", run_cross, 2e-6, 0, 0, { COLUMN(POISON), FULL(POISON), FULL(NOISE), COLUMN(TOKEN) } },
  { "cross_entropy wide", run_cross, 2e-6, 0, 0, { COLUMN(POISON), FULL(POISON), FULL(WIDE), COLUMN(TOKEN) } },
  { "soft_cross_entropy", run_soft, 2e-6, 0, 0, { COLUMN(POISON), FULL(POISON), FULL(NOISE), FULL(SOFT), COLUMN(WEIGHT) } },
  { "soft_cross_entropy hostile", run_soft, 2e-6, 0, 0, { COLUMN(POISON), FULL(POISON), FULL(HOSTILE), FULL(SOFT), COLUMN(WEIGHT) } },
  { "squared_error", run_squared, 5e-6, 0, 0, { COLUMN(POISON), FULL(POISON), FULL(NOISE), FULL(NOISE) } },
  { "latent", run_latent, 1e-6, 0, 0, { FULL(POISON), TIMES(2, NOISE), FULL(NOISE) } },
  { "latent_backward", run_latent_backward, 5e-6, 0, 0, { COLUMN(POISON), TIMES(2, POISON), TIMES(2, NOISE), FULL(NOISE), FULL(NOISE), SCALAR(POSITIVE) } },
  { "sum", run_sum, 1e-6, 0, 0, { SCALAR(NOISE), FULL(NOISE) } },
  { "sum fresh", run_sum_fresh, 1e-6, 0, 0, { SCALAR(POISON), FULL(NOISE) } },
  { "square_sum", run_square_sum, 3e-6, 0, 0, { SCALAR(NOISE), FULL(NOISE) } },
  { "square_sum fresh", run_square_sum_fresh, 3e-6, 0, 0, { SCALAR(POISON), FULL(NOISE) } },
};

// Rows: below, at and above a warp, a tile, a chunk; columns: odd, of four, a
// warp's, the models' widths, above a block's.
static const uint32_t sizes[][2] = {
  { 1, 1 }, { 1, 7 }, { 3, 4 }, { 5, 33 }, { 8, 160 }, { 32, 128 }, { 33, 101 },
  { 257, 12 }, { 2, 2052 }, { 3, 1031 }, { 600, 164 }, { 1025, 5 }, { 1300, 3 },
  { 2600, 40 },
};
// clang-format on

// --- Numbers ---------------------------------------------------------------

static float
value_of(Content content, Rng* rng, const Size* size)
{
  float normal;
  rng_normals(rng, &normal, 1);
  const float uniform = rng_uniform(rng);
  switch (content) {
    case NONE:
    case NOISE:
      return normal;
    case WIDE:
      return normal * (uniform < 0.2f ? 100.0f : 6.0f);
    case HOSTILE:
      return uniform < 0.1f   ? NAN
             : uniform < 0.2f ? INFINITY
             : uniform < 0.3f ? -INFINITY
                              : normal;
    case SPIKED:
      return uniform < 0.3f ? -INFINITY : 3.0f * normal;
    case TIED:
      return floorf(uniform * 3.0f);
    case POISON:
      return NAN;
    case INDEX:
      return uniform < 0.02f   ? -3.0f
             : uniform < 0.04f ? NAN
             : uniform < 0.06f ? 1e9f
                               : floorf(rng_uniform(rng) * (float)TABLE_ROWS);
    case TOKEN:
      return floorf(uniform * (float)size->columns);
    case UNIFORM:
      return uniform;
    case ZERO:
      return 0.0f;
    case EIGHTHS:
      return floorf(uniform * 8.0f) / 8.0f;
    case CHOICE:
      return uniform < 0.5f ? 0.0f : 1.0f;
    case WEIGHT:
      return uniform < 0.2f ? 0.0f : uniform;
    case SOFT:
      return uniform + 0.01f;
    case POSITIVE:
      return uniform + 0.1f;
  }
  return normal;
}

static uint32_t
extent(uint32_t of, const Size* size)
{
  return of >= COLUMNS ? of / COLUMNS * size->columns
         : of == ROWS  ? size->rows
         : of == TABLE ? TABLE_ROWS
                       : of;
}

// --- Tensors in memory -----------------------------------------------------

// How views lie in their memory: `before` columns, the view, the rest.
typedef enum { PACKED, ALIGNED, ODD, LAYOUTS } Layout;

typedef struct {
  uint32_t rows;
  uint32_t columns;
  uint32_t before;
  uint32_t width;  // of the memory
  float*   values; // [rows, width]
} Image;

static void
image_make(Image*         image,
           const Operand* operand,
           Layout         layout,
           const Size*    size,
           Rng*           rng)
{
  const uint32_t rows    = extent(operand->rows, size);
  const uint32_t columns = extent(operand->columns, size);
  const uint32_t before  = layout == PACKED ? 0 : layout == ALIGNED ? 4 : 1;
  const uint32_t width =
    layout == PACKED ? columns : (columns + before + 3) / 4 * 4 + (before & 1u);
  *image = (Image){
    rows, columns, before, width, malloc((size_t)rows * width * sizeof(float))
  };
  for (uint32_t r = 0; r < rows; ++r) {
    float* const row = image->values + (size_t)r * width;
    float        sum = 0.0f;
    for (uint32_t i = 0; i < width; ++i) {
      row[i] = i < before || i >= before + columns
                 ? GUARD
                 : value_of(operand->content, rng, size);
      sum += i < before || i >= before + columns ? 0.0f : row[i];
    }
    for (uint32_t i = 0; operand->content == SOFT && i < columns; ++i) {
      row[before + i] /= sum;
    }
    if (operand->content == SPIKED) {
      row[before + r % columns] = 1.0f; // something to choose
    }
  }
}

// Runs a case on a device; images: in, what its operands hold; out, after.
static void
run_on(Device* device, const Case* c, const Size* size, Image* images)
{
  Tensor whole[OPERANDS_MAX] = { 0 };
  Tensor view[OPERANDS_MAX]  = { 0 };
  for (int i = 0; i < OPERANDS_MAX && images[i].values; ++i) {
    const Image* const m = &images[i];
    if (tensor_allocate(device, m->rows, m->width, &whole[i], NULL) !=
        STATUS_OK) {
      fprintf(stderr, "no memory on %s\n", device_name(device));
      exit(1);
    }
    tensor_write(device, whole[i], m->values);
    view[i] = tensor_columns(whole[i], m->before, m->columns);
  }
  c->run(device, view, size);
  for (int i = 0; i < OPERANDS_MAX && images[i].values; ++i) {
    tensor_read(device, whole[i], images[i].values);
    tensor_free(device, &whole[i]);
  }
}

// --- Comparison ------------------------------------------------------------

static bool
is_close(float a, float b, double tolerance)
{
  if (isnan(a) || isnan(b)) {
    return isnan(a) && isnan(b);
  }
  if (isinf(a) || isinf(b)) {
    return a == b;
  }
  return fabs((double)a - (double)b) <= tolerance * (1.0 + fabs((double)b));
}

static double
error_of(float a, float b)
{
  return isfinite(a) && isfinite(b)
           ? fabs((double)a - (double)b) / (1.0 + fabs((double)b))
           : 0.0;
}

// The first element that is wrong is named; *worst: the largest error.
static bool
agrees(const Case* c,
       const Size* size,
       Layout      layout,
       int         number,
       Image       got,
       Image       expected,
       double*     worst)
{
  const double tolerance =
    c->tolerance * (c->sums_rows ? sqrt((double)size->rows) : 1.0);
  uint32_t differ = 0;
  for (uint32_t r = 0; r < got.rows; ++r) {
    for (uint32_t i = 0; i < got.width; ++i) {
      const size_t at    = (size_t)r * got.width + i;
      const float  a     = got.values[at];
      const float  b     = expected.values[at];
      const bool   guard = i < got.before || i >= got.before + got.columns;
      if (guard ? a == GUARD : is_close(a, b, tolerance)) {
        *worst = fmax(*worst, error_of(a, b));
        continue;
      }
      if (!guard && c->picks && number == 0 && a >= 0.0f &&
          a < (float)size->columns && ++differ <= size->rows / 1000) {
        continue;
      }
      printf("%s, %u x %u, layout %d: operand %d[%u, %d] is %.9g, not %.9g\n",
             c->name,
             size->rows,
             size->columns,
             (int)layout,
             number,
             r,
             (int)i - (int)got.before,
             (double)a,
             (double)b);
      return false;
    }
  }
  return true;
}

static Image
image_copy(Image from)
{
  const size_t size = (size_t)from.rows * from.width * sizeof(float);
  Image        to   = from;
  to.values         = malloc(size);
  memcpy(to.values, from.values, size);
  return to;
}

static bool
check_case(Device*     cpu,
           Device*     device,
           const Case* c,
           const Size* size,
           Layout      layout,
           double*     worst)
{
  Rng   rng = rng_make(size->number, RNG_USE_TEST, (uint64_t)(c - cases));
  Image expected[OPERANDS_MAX] = { 0 };
  Image got[OPERANDS_MAX]      = { 0 };
  Image again[OPERANDS_MAX]    = { 0 };
  for (int i = 0; i < OPERANDS_MAX && c->operands[i].content != NONE; ++i) {
    image_make(&expected[i], &c->operands[i], layout, size, &rng);
    got[i]   = image_copy(expected[i]);
    again[i] = image_copy(expected[i]);
  }
  run_on(cpu, c, size, expected);
  run_on(device, c, size, got);
  run_on(device, c, size, again);
  bool fine = true;
  for (int i = 0; i < OPERANDS_MAX && got[i].values; ++i) {
    fine = fine && agrees(c, size, layout, i, got[i], expected[i], worst);
    if (fine &&
        memcmp(got[i].values,
               again[i].values,
               (size_t)got[i].rows * got[i].width * sizeof(float)) != 0) {
      printf(
        "%s, %u x %u: two runs differ\n", c->name, size->rows, size->columns);
      fine = false;
    }
    free(expected[i].values);
    free(got[i].values);
    free(again[i].values);
  }
  return fine;
}

// Names of ops, or none for all.
static bool
is_asked_for(const char* name, int count, char** names)
{
  bool asked = count < 2;
  for (int i = 1; i < count; ++i) {
    asked = asked || !strcmp(names[i], name);
  }
  return asked;
}

int
main(int argc, char** argv)
{
  Error        error;
  Device*      cpu;
  Device*      device;
  const Status status = parity_open(&device, &error);
  if (status != STATUS_OK ||
      device_open_cpu("portable", &cpu, &error) != STATUS_OK) {
    printf("%s\n", error.text);
    return status == STATUS_UNSUPPORTED ? PARITY_SKIPPED : 1;
  }
  int failures = 0;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const Case* const c     = &cases[i];
    double            worst = 0.0;
    bool              fine  = true;
    if (!is_asked_for(c->name, argc, argv)) {
      continue;
    }
    for (uint32_t s = 0; s < sizeof sizes / sizeof *sizes; ++s) {
      const Size size = { sizes[s][0], sizes[s][1], s };
      for (int layout = 0; layout < LAYOUTS; ++layout) {
        if (parity_tries(s, (uint32_t)layout, LAYOUTS)) {
          fine &= check_case(cpu, device, c, &size, (Layout)layout, &worst);
        }
      }
    }
    printf("%-28s %s, worst %.2g\n", c->name, fine ? "ok" : "FAILED", worst);
    failures += !fine;
  }
  if (device_status(device, &error) != STATUS_OK ||
      device_status(cpu, &error) != STATUS_OK) {
    printf("%s\n", error.text);
    ++failures;
  }
  device_close(device);
  device_close(cpu);
  return failures > 0;
}
