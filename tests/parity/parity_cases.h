// What parity tests of ops with shapes of their own share: tensors packed, in
// rows of whole fours and as views at odd places, with fresh noise, poison in
// what the op must fill, and guards in the gaps between rows. On the device
// under test each case runs twice: bit for bit the same. One thread.
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
  POISON,
  INDEX,    // any row of `limit`, some outside
  RUNS,     // runs of one index, and the last one everywhere
  PLACE,    // 0 .. limit - 1
  MASK,     // 0 or 1, the diagonal 1
  POSITIVE, // as an inverse is
  SOFT,     // rows that sum to 1
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

typedef struct {
  const char* name;
  // Fills operands; returns how many.
  int (*shape)(const Size* size, Operand* operands);
  void (*run)(Device* device, const Tensor* t, const Size* size);
  double      tolerance; // of 1 + |expected|
  const Size* sizes;     // ends with a = 0
} Case;

// --- Tensors -----------------------------------------------------------------

typedef struct {
  uint32_t rows;
  uint32_t columns;
  uint32_t width; // of the memory
  uint32_t before;
  float*   values; // [rows, width]
} Image;

static inline float
value_of(const Operand* o, Rng* rng, uint32_t r, uint32_t i)
{
  float normal;
  rng_normals(rng, &normal, 1);
  const float uniform = rng_uniform(rng);
  switch (o->content) {
    case NOISE:
      return normal;
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
    case MASK:
      return r % o->columns == i || uniform < 0.6f ? 1.0f : 0.0f;
    case POSITIVE:
      return uniform + 0.5f;
    case SOFT:
      return uniform + 0.01f;
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

// Everything but the contents of scratch; the first wrong element is named.
static inline bool
agrees(const Case* c, int number, Image got, Image expected, double* worst)
{
  for (uint32_t r = 0; r < got.rows; ++r) {
    for (uint32_t i = 0; i < got.width; ++i) {
      const size_t at    = (size_t)r * got.width + i;
      const double a     = (double)got.values[at];
      const double b     = (double)expected.values[at];
      const bool   guard = i < got.before || i >= got.before + got.columns;
      const double error = fabs(a - b) / (1.0 + fabs(b));
      if (guard ? got.values[at] == GUARD
                : error <= c->tolerance || (isnan(a) && isnan(b))) {
        *worst = !guard && error > *worst ? error : *worst;
        continue;
      }
      printf("operand %d[%u, %d] is %.9g, not %.9g\n",
             number,
             r,
             (int)i - (int)got.before,
             a,
             b);
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
  const int count = c->shape(size, operands);
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
    fine = fine && agrees(c, i, got[i], expected[i], worst);
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

// Runs the cases, or the one that is named.
static inline int
run_cases(const Case* cases, size_t count, const char* only)
{
  Device* cpu;
  Device* device;
  Error   error;
  if (device_open_cpu(NULL, &cpu, &error) != STATUS_OK) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  const Status status = parity_open(&device, &error);
  if (status != STATUS_OK) {
    fprintf(stderr, "%s\n", error.text);
    return status == STATUS_UNSUPPORTED ? PARITY_SKIPPED : 1;
  }
  uint32_t wrong = 0;
  for (size_t i = 0; i < count; ++i) {
    const Case* const c     = &cases[i];
    double            worst = 0.0;
    uint32_t          runs  = 0;
    if (only && strcmp(only, c->name)) {
      continue;
    }
    for (const Size* size = c->sizes; size->a; ++size) {
      for (Layout layout = PACKED; layout < LAYOUTS; ++layout) {
        if (parity_tries((uint32_t)(size - c->sizes), layout, LAYOUTS)) {
          wrong += !check_case(cpu, device, c, size, layout, &worst);
          ++runs;
        }
      }
    }
    printf("%-24s %3u runs, worst %.1e of %.0e\n",
           c->name,
           runs,
           worst,
           c->tolerance);
  }
  device_close(device);
  device_close(cpu);
  printf("%u wrong\n", wrong);
  return wrong ? 1 : 0;
}
