// LAMB and AdamW against the CPU: segments of odd places and sizes, tables at
// any address, several steps, clipping, gradients that are not finite, and a
// recording whose rates change between replays.
#include "parity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLES 5 // gradient, moments, weight, average
#define STEPS 3

// A network's tables in memory, `before` elements into it.
typedef struct {
  const char*      name;
  uint32_t         before;
  uint32_t         segments;
  OptimiserSegment segment[OPTIMISER_SEGMENTS_MAX];
  uint32_t         total;
} Network;

static uint32_t failures;

static void
complain(const char* what, const OptimiserRule* rule, const Network* n)
{
  printf("%s, %s, clip %g: %s\n",
         n->name,
         rule->kind == OPTIMISER_LAMB ? "LAMB" : "AdamW",
         (double)rule->clip_norm,
         what);
  ++failures;
}

// --- Networks --------------------------------------------------------------

// Segments of `sizes`, `gap` elements between them.
static Network
network(const char*     name,
        uint32_t        before,
        uint32_t        gap,
        const uint32_t* sizes,
        uint32_t        count)
{
  Network  n  = { .name = name, .before = before, .segments = count };
  uint32_t at = gap;
  for (uint32_t i = 0; i < count; ++i) {
    n.segment[i] = (OptimiserSegment){ at, sizes[i], i % 3 != 1 };
    at += sizes[i] + gap;
  }
  n.total = at + 1;
  return n;
}

// --- One device ------------------------------------------------------------

typedef struct {
  Device*         device;
  Tensor          memory[TABLES];
  OptimiserTables tables;
  Tensor          now;
  Tensor          square_sum;
} Side;

static Tensor
allocate(Device* device, uint32_t columns)
{
  Tensor t;
  if (tensor_allocate(device, 1, columns, &t, NULL) != STATUS_OK) {
    fprintf(stderr, "no memory on %s\n", device_name(device));
    exit(1);
  }
  return t;
}

// The same numbers on each device; moment2 is not negative.
static Side
side_open(Device* device, const Network* n, float weight_scale)
{
  Side          s         = { .device = device };
  const size_t  count     = n->before + n->total;
  float* const  x         = malloc(count * sizeof *x);
  Tensor* const t[TABLES] = { &s.tables.gradient,
                              &s.tables.moment1,
                              &s.tables.moment2,
                              &s.tables.weight,
                              &s.tables.average };
  for (uint32_t k = 0; k < TABLES; ++k) {
    Rng rng = rng_make(3, RNG_USE_TEST, k);
    rng_normals(&rng, x, count);
    for (size_t i = 0; i < count; ++i) {
      x[i] = k == 2 ? x[i] * x[i] : k == 3 ? weight_scale * x[i] : x[i];
    }
    s.memory[k] = allocate(device, (uint32_t)count);
    tensor_write(device, s.memory[k], x);
    *t[k] = tensor_columns(s.memory[k], n->before, n->total);
  }
  s.now        = allocate(device, OPTIMISER_NOW_FLOATS);
  s.square_sum = allocate(device, 1);
  free(x);
  return s;
}

static void
side_close(Side* s)
{
  for (uint32_t k = 0; k < TABLES; ++k) {
    tensor_free(s->device, &s->memory[k]);
  }
  tensor_free(s->device, &s->now);
  tensor_free(s->device, &s->square_sum);
}

static void
set_now(Side* s, uint32_t step)
{
  const float now[OPTIMISER_NOW_FLOATS] = {
    [OPTIMISER_NOW_RATE]        = 0.01f * (float)step,
    [OPTIMISER_NOW_CORRECTION1] = 1.0f - powf(0.9f, (float)step),
    [OPTIMISER_NOW_CORRECTION2] = 1.0f - powf(0.99f, (float)step),
    [OPTIMISER_NOW_AVERAGE]     = 0.9f,
  };
  tensor_write(s->device, s->now, now);
}

typedef struct {
  Side*                s;
  const Network*       n;
  const OptimiserRule* rule;
} Step;

static void
step_ops(void* context)
{
  const Step* const step = context;
  Side* const       s    = step->s;
  op_square_sum(s->device, s->tables.gradient, 0.0f, s->square_sum);
  op_optimise(s->device,
              step->rule,
              step->n->segment,
              step->n->segments,
              s->now,
              s->square_sum,
              &s->tables);
}

// --- Comparison ------------------------------------------------------------

static bool
is_in_segment(const Network* n, uint32_t i)
{
  for (uint32_t k = 0; k < n->segments; ++k) {
    if (i >= n->segment[k].first &&
        i < n->segment[k].first + n->segment[k].count) {
      return true;
    }
  }
  return false;
}

// All tables of both sides; what is in no segment, bit for bit.
static double
compare(const Side* a, const Side* b, const Network* n, const char** wrong)
{
  const size_t count = n->before + n->total;
  float* const x     = malloc(count * sizeof *x);
  float* const y     = malloc(count * sizeof *y);
  double       worst = 0.0;
  for (uint32_t k = 0; k < TABLES; ++k) {
    tensor_read(a->device, a->memory[k], x);
    tensor_read(b->device, b->memory[k], y);
    for (uint32_t i = 0; i < count; ++i) {
      const double error =
        fabs((double)x[i] - (double)y[i]) / (1.0 + fabs((double)y[i]));
      // The average moves by (1 - 0.9) * rate: it is held to the same.
      if (!(error <= 2e-5)) {
        *wrong = "an element differs";
      }
      if ((i < n->before || !is_in_segment(n, i - n->before)) && x[i] != y[i]) {
        *wrong = "an element outside of the segments changed";
      }
      worst = fmax(worst, error);
    }
  }
  free(x);
  free(y);
  return worst;
}

static bool
same_bits(const Side* a, const Side* b, const Network* n)
{
  const size_t size = (n->before + n->total) * sizeof(float);
  float* const x    = malloc(size);
  float* const y    = malloc(size);
  bool         same = true;
  for (uint32_t k = 0; k < TABLES; ++k) {
    tensor_read(a->device, a->memory[k], x);
    tensor_read(b->device, b->memory[k], y);
    same = same && !memcmp(x, y, size);
  }
  free(x);
  free(y);
  return same;
}

// --- Checks ----------------------------------------------------------------

static void
check_steps(Device* cpu, Device* device, const Network* n, OptimiserRule rule)
{
  const char* wrong = NULL;
  // A weight of zeros has no norm: plain Adam.
  const float scale = rule.clip_norm == 2.0f ? 0.0f : 1.0f;
  Side        a     = side_open(device, n, scale);
  Side        again = side_open(device, n, scale);
  Side        b     = side_open(cpu, n, scale);
  for (uint32_t step = 1; step <= STEPS; ++step) {
    Side* const sides[] = { &a, &again, &b };
    for (uint32_t i = 0; i < 3; ++i) {
      set_now(sides[i], step);
      step_ops(&(Step){ sides[i], n, &rule });
    }
  }
  const double worst = compare(&a, &b, n, &wrong);
  if (wrong) {
    complain(wrong, &rule, n);
  }
  if (!same_bits(&a, &again, n)) {
    complain("two runs differ", &rule, n);
  }
  printf("optimise %-12s %-5s clip %-4g worst %.2g\n",
         n->name,
         rule.kind == OPTIMISER_LAMB ? "LAMB" : "AdamW",
         (double)rule.clip_norm,
         worst);
  side_close(&a);
  side_close(&again);
  side_close(&b);
}

static void
check_not_finite(Device* device, const Network* n, OptimiserRule rule)
{
  const float bad[] = { NAN, INFINITY };
  for (int i = 0; i < 2; ++i) {
    Side a = side_open(device, n, 1.0f);
    Side b = side_open(device, n, 1.0f);
    set_now(&a, 1);
    op_fill(device, a.square_sum, bad[i]);
    op_optimise(
      device, &rule, n->segment, n->segments, a.now, a.square_sum, &a.tables);
    if (!same_bits(&a, &b, n)) {
      complain("a gradient that is not finite changed something", &rule, n);
    }
    side_close(&a);
    side_close(&b);
  }
}

// Replays with other rates are as calls with other rates.
static void
check_recording(Device* device, const Network* n, OptimiserRule rule)
{
  Side       a         = side_open(device, n, 1.0f);
  Side       b         = side_open(device, n, 1.0f);
  Step       recorded  = { &a, n, &rule };
  Step       called    = { &b, n, &rule };
  Recording* recording = NULL;
  Error      error     = { 0 };
  if (device_record(device, step_ops, &recorded, &recording, &error) !=
      STATUS_OK) {
    complain(error.text, &rule, n);
  } else {
    for (uint32_t step = 1; step <= STEPS; ++step) {
      set_now(&a, step);
      set_now(&b, step);
      device_replay(device, recording);
      step_ops(&called);
    }
    if (!same_bits(&a, &b, n)) {
      complain("a recording differs from its ops", &rule, n);
    }
    recording_free(device, recording);
  }
  side_close(&a);
  side_close(&b);
}

int
main(void)
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
  static const uint32_t mixed[] = { 1, 0, 5, 4096, 4097, 640, 0, 20001, 3, 0 };
  static const uint32_t even[]  = { 4096, 64, 12288, 128 };
  static uint32_t       many[OPTIMISER_SEGMENTS_MAX];
  for (uint32_t i = 0; i < OPTIMISER_SEGMENTS_MAX; ++i) {
    many[i] = 1 + i * 7 % 50;
  }
  const Network networks[] = {
    network("mixed", 0, 1, mixed, 10),
    network("even", 0, 0, even, 4),
    network("at 4", 4, 4, even, 4),
    network("at 3", 3, 2, mixed, 10),
    network("256 of them", 0, 0, many, OPTIMISER_SEGMENTS_MAX),
  };
  for (size_t i = 0; i < sizeof networks / sizeof *networks; ++i) {
    for (int kind = 0; kind < 2; ++kind) {
      OptimiserRule rule    = { .kind    = kind ? OPTIMISER_LAMB : OPTIMISER_ADAMW,
                                .beta1   = 0.9f,
                                .beta2   = 0.99f,
                                .epsilon = 1e-6f,
                                .weight_decay = 0.1f };
      const float   clips[] = { 0.0f, 1.0f, 2.0f, 1e6f };
      for (size_t c = 0; c < sizeof clips / sizeof *clips; ++c) {
        rule.clip_norm = clips[c];
        check_steps(cpu, device, &networks[i], rule);
      }
      check_not_finite(device, &networks[i], rule);
      check_recording(device, &networks[i], rule);
    }
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
