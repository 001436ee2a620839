// What parity tests of ops share: a table of cases, each run at several sizes,
// with tensors packed, in rows of whole fours and as views at odd places, with
// fresh noise, poison in what the op must fill, and guards in the gaps between
// rows. On the device under test each case runs twice: bit for bit the same.
// One thread.
#pragma once

#include "parity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENSORS_MAX 12
#define GUARD 1234.5f

// How views lie in their memory.
typedef enum { PACKED, FOURS, ODD, LAYOUTS } Layout;

typedef enum {
  NOISE,
  WIDE,    // to +-200
  HOSTILE, // noise with infinities and NaN
  SPIKED,  // noise with -infinity, as hidden choices have it
  TIED,    // few different values
  POISON,
  INDEX,   // any row of `limit`, some outside
  RUNS,    // runs of one index, and the last one everywhere
  PLACE,   // 0 .. limit - 1
  UNIFORM, // [0, 1)
  ZERO,
  EIGHTHS,  // 0, 1/8 .. 7/8: sums that just reach what is asked for
  CHOICE,   // 0 or 1
  MASK,     // 0 or 1, the diagonal 1
  WEIGHT,   // [0, 1), some 0
  POSITIVE, // as an inverse is
  SOFT,     // rows that sum to 1
  UNIT,     // of draws, as bits: see draw_unit()
} Content;

typedef struct {
  uint32_t rows;
  uint32_t columns;
  Content  content;
  uint32_t limit;
  bool     scratch; // its contents are nobody's business
} Operand;

typedef struct {
  uint32_t a, b, c, d, e; // what they mean is the op's
} Size;

// In an operand that is not shaped by a function: the size's a and b (n *
// WIDTH: n times), or a table's rows. Lower ones are themselves.
enum { TABLE_ROWS = 37, TABLE = 50, HEIGHT = 100, WIDTH = 1000 };

typedef struct {
  const char* name;
  // Fills operands; returns how many. NULL: they are those below.
  int (*shape)(const Size* size, Operand* operands);
  void (*run)(Device* device, const Tensor* t, const Size* size);
  double      tolerance; // of 1 + |expected|
  const Size* sizes;     // ends with a = 0
  bool        sums_rows; // tolerance grows with the root of the rows, a
  bool        picks; // operand 0's choices of b may differ in one row of 1000
  Operand     operands[TENSORS_MAX];
} Case;

static inline uint32_t
extent(uint32_t of, const Size* size)
{
  return of >= WIDTH    ? of / WIDTH * size->b
         : of == HEIGHT ? size->a
         : of == TABLE  ? TABLE_ROWS
                        : of;
}

static inline int
operands_of(const Case* c, const Size* size, Operand* operands)
{
  if (c->shape) {
    return c->shape(size, operands);
  }
  int count = 0;
  for (; count < TENSORS_MAX && c->operands[count].rows; ++count) {
    const Operand* const from = &c->operands[count];
    operands[count]           = *from;
    operands[count].rows      = extent(from->rows, size);
    operands[count].columns   = extent(from->columns, size);
    operands[count].limit     = extent(from->limit, size);
  }
  return count;
}

// --- Tensors -----------------------------------------------------------------

typedef struct {
  uint32_t rows;
  uint32_t columns;
  uint32_t width; // of the memory
  uint32_t before;
  float*   values; // [rows, width]
} Image;

// What UNIT says: notes before and after that a draw may begin at.
enum { UNIT_BACK = 16, UNIT_AHEAD = 9 };

static inline float
bits_of(uint32_t word)
{
  float value;
  memcpy(&value, &word, sizeof value);
  return value;
}

static inline float
value_of(const Operand* o, Rng* rng, uint32_t r, uint32_t i)
{
  float normal;
  rng_normals(rng, &normal, 1);
  const float uniform = rng_uniform(rng);
  switch (o->content) {
    case NOISE:
      return normal;
    case WIDE:
      return normal * (uniform < 0.2f ? 100.0f : 6.0f);
    case HOSTILE:
      return uniform < 0.1f   ? NAN
             : uniform < 0.2f ? INFINITY
             : uniform < 0.3f ? -INFINITY
                              : normal;
    case SPIKED: // with something to choose in each row
      return r % o->columns == i ? 1.0f
             : uniform < 0.3f    ? -INFINITY
                                 : 3.0f * normal;
    case TIED:
      return floorf(uniform * 3.0f);
    case POISON:
      return NAN;
    case INDEX:
      return uniform < 0.02f   ? -3.0f
             : uniform < 0.04f ? NAN
             : uniform < 0.06f ? 1e9f
                               : floorf(rng_uniform(rng) * (float)o->limit);
    case RUNS:
      return r / 19 % 3 == 1 || r / 24 >= o->limit ? (float)(o->limit - 1)
                                                   : (float)(r / 24);
    case PLACE:
      return floorf(uniform * (float)o->limit);
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
    case MASK:
      return r % o->columns == i || uniform < 0.6f ? 1.0f : 0.0f;
    case POSITIVE:
      return uniform + 0.5f;
    case SOFT:
      return uniform + 0.01f;
    case UNIT:
      return bits_of(i ? UNIT_BACK | UNIT_AHEAD << 8 : UNIT_BACK + 5 * r);
  }
  return 0.0f;
}

static inline Image
image_make(const Operand* o, Layout layout, Rng* rng)
{
  const uint32_t before = layout == PACKED ? 0 : layout == FOURS ? 4 : 1;
  const uint32_t width  = layout == PACKED
                            ? o->columns
                            : (o->columns + before + 3) / 4 * 4 + (before & 1u);
  Image          m      = { o->rows,
                            o->columns,
                            width,
                            before,
                            malloc((size_t)o->rows * width * sizeof(float)) };
  for (uint32_t r = 0; r < o->rows; ++r) {
    float* const row = m.values + (size_t)r * width;
    float        sum = 0.0f;
    for (uint32_t i = 0; i < width; ++i) {
      const bool inside = i >= before && i < before + o->columns;
      row[i]            = inside ? value_of(o, rng, r, i - before) : GUARD;
      sum += inside ? row[i] : 0.0f;
    }
    for (uint32_t i = 0; o->content == SOFT && i < o->columns; ++i) {
      row[before + i] /= sum;
    }
  }
  return m;
}

static inline Image
image_copy(Image from)
{
  const size_t size = (size_t)from.rows * from.width * sizeof(float);
  Image        to   = from;
  to.values         = malloc(size);
  memcpy(to.values, from.values, size);
  return to;
}

static inline void
run_on(Device*     device,
       const Case* c,
       const Size* size,
       int         count,
       Image*      images)
{
  Tensor whole[TENSORS_MAX] = { 0 };
  Tensor view[TENSORS_MAX]  = { 0 };
  for (int i = 0; i < count; ++i) {
    if (tensor_allocate(
          device, images[i].rows, images[i].width, &whole[i], NULL) !=
        STATUS_OK) {
      fprintf(stderr, "no memory on %s\n", device_name(device));
      exit(1);
    }
    tensor_write(device, whole[i], images[i].values);
    view[i] = tensor_columns(whole[i], images[i].before, images[i].columns);
  }
  c->run(device, view, size);
  for (int i = 0; i < count; ++i) {
    tensor_read(device, whole[i], images[i].values);
    tensor_free(device, &whole[i]);
  }
  Error error;
  if (device_status(device, &error) != STATUS_OK) {
    fprintf(stderr, "%s: %s\n", device_name(device), error.text);
    exit(1);
  }
}

// --- Comparison -------------------------------------------------------------

static inline bool
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

static inline double
error_of(float a, float b)
{
  return isfinite(a) && isfinite(b)
           ? fabs((double)a - (double)b) / (1.0 + fabs((double)b))
           : 0.0;
}

// The first wrong element is named; *worst: the largest error.
static inline bool
agrees(const Case* c,
       const Size* size,
       int         number,
       Image       got,
       Image       expected,
       double*     worst)
{
  const double tolerance =
    c->tolerance * (c->sums_rows ? sqrt((double)size->a) : 1.0);
  const bool picks  = c->picks && number == 0;
  uint32_t   differ = 0;
  for (uint32_t r = 0; r < got.rows; ++r) {
    for (uint32_t i = 0; i < got.width; ++i) {
      const size_t at    = (size_t)r * got.width + i;
      const float  a     = got.values[at];
      const float  b     = expected.values[at];
      const bool   guard = i < got.before || i >= got.before + got.columns;
      if (guard ? a == GUARD : is_close(a, b, tolerance)) {
        *worst = guard ? *worst : fmax(*worst, error_of(a, b));
        continue;
      }
      if (picks && !guard && a >= 0.0f && a < (float)size->b &&
          ++differ <= size->a / 1000) {
        continue;
      }
      printf("operand %d[%u, %d] is %.9g, not %.9g\n",
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

// Of scratch only the guards count.
static inline void
forget_scratch(const Operand* o, Image m)
{
  for (uint32_t r = 0; o->scratch && r < m.rows; ++r) {
    for (uint32_t i = 0; i < m.columns; ++i) {
      m.values[(size_t)r * m.width + m.before + i] = 0.0f;
    }
  }
}

static inline bool
check_case(Device*     cpu,
           Device*     device,
           const Case* c,
           const Size* size,
           Layout      layout,
           double*     worst)
{
  Operand   operands[TENSORS_MAX] = { 0 };
  Image     expected[TENSORS_MAX];
  Image     got[TENSORS_MAX];
  Image     again[TENSORS_MAX];
  Rng       rng   = rng_make((uint64_t)(size - c->sizes), RNG_USE_TEST, 7);
  const int count = operands_of(c, size, operands);
  bool      fine  = true;
  for (int i = 0; i < count; ++i) {
    expected[i] = image_make(&operands[i], layout, &rng);
    got[i]      = image_copy(expected[i]);
    again[i]    = image_copy(expected[i]);
  }
  run_on(cpu, c, size, count, expected);
  run_on(device, c, size, count, got);
  run_on(device, c, size, count, again);
  for (int i = 0; i < count; ++i) {
    forget_scratch(&operands[i], expected[i]);
    forget_scratch(&operands[i], got[i]);
    forget_scratch(&operands[i], again[i]);
    const size_t bytes =
      (size_t)got[i].rows * got[i].width * sizeof *got[i].values;
    fine = fine && agrees(c, size, i, got[i], expected[i], worst);
    if (fine && memcmp(got[i].values, again[i].values, bytes)) {
      printf("operand %d differs from run to run\n", i);
      fine = false;
    }
    free(expected[i].values);
    free(got[i].values);
    free(again[i].values);
  }
  if (!fine) {
    printf("  in %s of %u, %u, %u, %u, %u, layout %d\n",
           c->name,
           size->a,
           size->b,
           size->c,
           size->d,
           size->e,
           (int)layout);
  }
  return fine;
}

// Names of cases, or none for all.
static inline bool
is_asked_for(const char* name, int count, char** names)
{
  bool asked = count < 2;
  for (int i = 1; i < count; ++i) {
    asked = asked || !strcmp(names[i], name);
  }
  return asked;
}

// Returns how many runs were wrong.
static inline uint32_t
run_sizes(Device* cpu, Device* device, const Case* c)
{
  double   worst = 0.0;
  uint32_t runs  = 0;
  uint32_t wrong = 0;
  for (const Size* size = c->sizes; size->a; ++size) {
    for (Layout layout = PACKED; layout < LAYOUTS; ++layout) {
      if (parity_tries((uint32_t)(size - c->sizes), layout, LAYOUTS)) {
        wrong += !check_case(cpu, device, c, size, layout, &worst);
        ++runs;
      }
    }
  }
  printf("%-28s %3u runs, %u wrong, worst %.1e of %.0e\n",
         c->name,
         runs,
         wrong,
         worst,
         c->tolerance);
  return wrong;
}

// Runs the cases, or those that the arguments name; returns the exit code.
static inline int
run_cases(const Case* cases, size_t count, int argc, char** argv)
{
  Device*      cpu;
  Device*      device;
  Error        error;
  const Status status = parity_open(&device, &error);
  if (status != STATUS_OK ||
      device_open_cpu("portable", &cpu, &error) != STATUS_OK) {
    fprintf(stderr, "%s\n", error.text);
    return status == STATUS_UNSUPPORTED ? PARITY_SKIPPED : 1;
  }
  uint32_t wrong = 0;
  for (size_t i = 0; i < count; ++i) {
    if (is_asked_for(cases[i].name, argc, argv)) {
      wrong += run_sizes(cpu, device, &cases[i]);
    }
  }
  device_close(device);
  device_close(cpu);
  printf("%u wrong\n", wrong);
  return wrong ? 1 : 0;
}
