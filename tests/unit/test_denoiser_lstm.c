// The LSTM denoiser: analytic gradients against finite differences through the
// whole network, sampling with clean notes against the plain pass over the same
// notes, sequences that do not touch each other, shared weights, refusals.
#include "denoiser.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INPUT 5u
#define OUTPUT 7u
#define ROWS_MAX 64u
#define SEQUENCES_MAX 8u
#define LEVELS_MAX (SEQUENCES_MAX + 1)

static DenoiserSizes
sizes_of(uint32_t layers)
{
  return (DenoiserSizes){ .kind       = DENOISER_LSTM,
                          .width      = 6,
                          .layers     = layers,
                          .bottleneck = 3,
                          .time_width = 4,
                          .input      = INPUT,
                          .output     = OUTPUT };
}

// Sequences of notes; note i of sequence s is clean where clean[i] is set.
typedef struct {
  uint32_t sequences;
  uint32_t notes;
  bool     clean[SEQUENCE_NOTES];
  float    tokens[ROWS_MAX * INPUT];
  float    time[LEVELS_MAX * DENOISER_TIME_FEATURES]; // row 0: clean
} Notes;

// The tensors of one call.
typedef struct {
  Device* device;
  Tensor  tokens, position, level, time, head, dhead;
} Tensors;

static void
open_tensors(Tensors* t)
{
  Error error;
  assert_int_equal(device_open_cpu(NULL, &t->device, &error), STATUS_OK);
  const struct {
    Tensor*  to;
    uint32_t rows;
    uint32_t columns;
  } all[] = {
    { &t->tokens, ROWS_MAX, INPUT },
    { &t->position, ROWS_MAX, 1 },
    { &t->level, ROWS_MAX, 1 },
    { &t->time, LEVELS_MAX, DENOISER_TIME_FEATURES },
    { &t->head, ROWS_MAX, OUTPUT },
    { &t->dhead, ROWS_MAX, OUTPUT },
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    assert_int_equal(
      tensor_allocate(t->device, all[i].rows, all[i].columns, all[i].to, NULL),
      STATUS_OK);
  }
}

static void
close_tensors(Tensors* t)
{
  Tensor* const all[] = { &t->tokens, &t->position, &t->level,
                          &t->time,   &t->head,     &t->dhead };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    tensor_free(t->device, all[i]);
  }
  device_close(t->device);
}

static void
draw_notes(Notes* n, uint32_t sequences, uint32_t notes, uint64_t seed)
{
  Rng rng = rng_make(seed, RNG_USE_TEST, 0);
  memset(n, 0, sizeof *n);
  n->sequences = sequences;
  n->notes     = notes;
  for (uint32_t i = 0; i < notes; ++i) {
    n->clean[i] = i % 3 == 1;
  }
  rng_normals(&rng, n->tokens, ROWS_MAX * INPUT);
  rng_normals(&rng, n->time, LEVELS_MAX * DENOISER_TIME_FEATURES);
}

typedef enum { ALL, CLEAN, NOISED } Which;

// The call's input: those notes of each sequence that `which` names.
static DenoiserInput
input_of(const Tensors* t, const Notes* n, Which which)
{
  float    tokens[ROWS_MAX * INPUT];
  float    position[ROWS_MAX];
  float    level[ROWS_MAX];
  uint32_t rows = 0;
  for (uint32_t s = 0; s < n->sequences; ++s) {
    for (uint32_t i = 0; i < n->notes; ++i) {
      if (which != ALL && n->clean[i] != (which == CLEAN)) {
        continue;
      }
      memcpy(tokens + rows * INPUT,
             n->tokens + (s * n->notes + i) * INPUT,
             INPUT * sizeof *tokens);
      position[rows] = (float)i;
      level[rows++]  = n->clean[i] ? 0.0f : (float)(1 + s);
    }
  }
  DenoiserInput input = { .sequences = n->sequences,
                          .notes     = rows / n->sequences };
  if (rows) {
    input.tokens   = tensor_rows(t->tokens, 0, rows);
    input.position = tensor_rows(t->position, 0, rows);
    input.level    = tensor_rows(t->level, 0, rows);
    input.time     = tensor_rows(t->time, 0, n->sequences + 1);
    tensor_write(t->device, input.tokens, tokens);
    tensor_write(t->device, input.position, position);
    tensor_write(t->device, input.level, level);
    tensor_write(t->device, input.time, n->time);
  }
  return input;
}

static void
no_fault(const Tensors* t)
{
  Error error;
  if (device_status(t->device, &error) != STATUS_OK) {
    fail_msg("%s", error.text);
  }
}

static Denoiser*
make(Device* device, uint32_t layers, bool training, const Denoiser* owner)
{
  Error               error;
  Denoiser*           made;
  const DenoiserSizes sizes = sizes_of(layers);
  assert_int_equal(
    denoiser_create(
      device, &sizes, ROWS_MAX, SEQUENCES_MAX, training, owner, &made, &error),
    STATUS_OK);
  return made;
}

// Weights large enough that every way through the network counts.
static void
randomise(Denoiser* denoiser, Device* device, uint64_t seed)
{
  Error        error;
  const Tensor weights = denoiser_weights(denoiser);
  float* const host    = malloc(weights.columns * sizeof *host);
  Rng          rng     = rng_make(seed, RNG_USE_TEST, 9);
  assert_int_equal(denoiser_initialise(denoiser, seed, &error), STATUS_OK);
  tensor_read(device, weights, host);
  for (uint32_t i = 0; i < weights.columns; ++i) {
    host[i] = 2.0f * host[i] + 0.4f * (rng_uniform(&rng) - 0.5f);
  }
  tensor_write(device, weights, host);
  free(host);
}

static void
forward(const Tensors* t, Denoiser* denoiser, const Notes* n, float* head)
{
  const DenoiserInput input = input_of(t, n, ALL);
  const Tensor        out   = tensor_rows(t->head, 0, n->sequences * n->notes);
  denoiser_forward(denoiser, &input, out);
  tensor_read(t->device, out, head);
  no_fault(t);
}

// --- Gradients ---------------------------------------------------------------

// A weighted sum of the head's squares and values.
static double
loss_of(const Tensors* t, Denoiser* denoiser, const Notes* n, float* dhead)
{
  float          head[ROWS_MAX * OUTPUT];
  const uint32_t count = n->sequences * n->notes * OUTPUT;
  double         loss  = 0.0;
  Rng            rng   = rng_make(77, RNG_USE_TEST, 1);
  forward(t, denoiser, n, head);
  for (uint32_t i = 0; i < count; ++i) {
    const float share = 8.0f * rng_uniform(&rng) - 4.0f;
    loss += (double)share * (double)head[i] * (1.0 + 0.5 * (double)head[i]);
    dhead[i] = share * (1.0f + head[i]);
  }
  return loss;
}

static void
backward(const Tensors* t, Denoiser* denoiser, const Notes* n, float* gradient)
{
  float               dhead[ROWS_MAX * OUTPUT];
  const DenoiserInput input = input_of(t, n, ALL);
  const Tensor        out   = tensor_rows(t->dhead, 0, n->sequences * n->notes);
  loss_of(t, denoiser, n, dhead);
  tensor_write(t->device, out, dhead);
  denoiser_backward(denoiser, &input, out);
  tensor_read(t->device, denoiser_gradients(denoiser), gradient);
  no_fault(t);
}

// Compares every weight; returns how many differ.
static uint32_t
check_gradient(const Tensors* t, uint32_t layers, const Notes* n)
{
  Denoiser* const denoiser = make(t->device, layers, true, NULL);
  const Tensor    flat     = denoiser_weights(denoiser);
  float* const    weights  = malloc(flat.columns * sizeof(float));
  float* const    gradient = malloc(flat.columns * sizeof(float));
  float           dhead[ROWS_MAX * OUTPUT];
  Parameter       table[DENOISER_PARAMETERS_MAX];
  uint32_t        count;
  uint32_t        unequal = 0;

  const DenoiserSizes sizes = sizes_of(layers);
  assert_int_equal(denoiser_parameters(&sizes, table, &count), flat.columns);
  randomise(denoiser, t->device, 4 + layers);
  backward(t, denoiser, n, gradient);
  tensor_read(t->device, flat, weights);
  for (uint32_t p = 0; p < count; ++p) {
    const size_t end   = table[p].offset + table[p].rows * table[p].columns;
    double       moved = 0.0;
    for (size_t at = table[p].offset; at < end; ++at) {
      const float  held = weights[at];
      const float  step = 4e-3f;
      const Tensor one  = tensor_columns(flat, (uint32_t)at, 1);
      tensor_write(t->device, one, (float[]){ held + step });
      const double above = loss_of(t, denoiser, n, dhead);
      tensor_write(t->device, one, (float[]){ held - step });
      const double below = loss_of(t, denoiser, n, dhead);
      tensor_write(t->device, one, &held);
      const double numeric = (above - below) / (2.0 * (double)step);
      const double ours    = (double)gradient[at];
      moved                = fmax(moved, fabs(numeric));
      if (!(fabs(numeric - ours) <= 1.5e-3 + 0.01 * fabs(numeric))) {
        print_error("%s[%zu]: %g, by differences %g\n",
                    table[p].name,
                    at - table[p].offset,
                    ours,
                    numeric);
        ++unequal;
      }
    }
    if (moved < 0.02) {
      print_error("%s: nothing depends on it (%g)\n", table[p].name, moved);
      ++unequal;
    }
  }
  free(weights);
  free(gradient);
  denoiser_free(denoiser);
  return unequal;
}

static void
test_gradient(void** state)
{
  (void)state;
  Tensors t;
  Notes   n;
  open_tensors(&t);
  const struct {
    uint32_t layers;
    uint32_t sequences;
    uint32_t notes;
  } all[] = { { 1, 3, 1 }, { 1, 2, 2 }, { 1, 1, 5 }, { 2, 3, 4 }, { 3, 2, 3 } };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    draw_notes(&n, all[i].sequences, all[i].notes, i);
    assert_int_equal(check_gradient(&t, all[i].layers, &n), 0);
  }
  close_tensors(&t);
}

// A second batch adds to the first's gradients, whatever its size.
static void
test_gradients_add(void** state)
{
  (void)state;
  Tensors t;
  Notes   n, other;
  open_tensors(&t);
  Denoiser* const denoiser = make(t.device, 2, true, NULL);
  const Tensor    flat     = denoiser_gradients(denoiser);
  float* const    host     = malloc(3 * flat.columns * sizeof *host);
  float* const    second   = host + flat.columns;
  float* const    both     = second + flat.columns;
  randomise(denoiser, t.device, 1);
  draw_notes(&n, 3, 4, 1);
  draw_notes(&other, 4, 7, 2);
  backward(&t, denoiser, &n, host);
  op_fill(t.device, flat, 0.0f);
  backward(&t, denoiser, &other, second);
  backward(&t, denoiser, &n, both);
  for (uint32_t i = 0; i < flat.columns; ++i) {
    assert_true(fabsf(both[i] - host[i] - second[i]) <=
                1e-4f + 1e-4f * fabsf(both[i]));
  }
  free(host);
  denoiser_free(denoiser);
  close_tensors(&t);
}

// --- Sampling ----------------------------------------------------------------

// Rows of `whole` that are noised against `part`: the largest difference.
static float
difference(const Notes* n, const float* whole, const float* part)
{
  float    most = 0.0f;
  uint32_t row  = 0;
  for (uint32_t i = 0; i < n->sequences * n->notes; ++i) {
    if (n->clean[i % n->notes]) {
      continue;
    }
    for (uint32_t c = 0; c < OUTPUT; ++c) {
      most = fmaxf(most, fabsf(whole[i * OUTPUT + c] - part[row * OUTPUT + c]));
    }
    ++row;
  }
  return most;
}

static void
step(const Tensors* t, Denoiser* denoiser, const Notes* n, float* head)
{
  const DenoiserInput input = input_of(t, n, NOISED);
  const Tensor        out   = tensor_rows(t->head, 0, input.tokens.rows);
  denoiser_step(denoiser, &input, out);
  tensor_read(t->device, out, head);
  no_fault(t);
}

// Clean notes before, after, between or none: the steps after one context are
// the plain pass over all notes.
static void
test_steps_see_the_context(void** state)
{
  (void)state;
  const char* const patterns[] = {
    "xxx.....", "..xxx", "xx..x.x", "....", "x."
  };
  Tensors t;
  Notes   n, other;
  float   whole[ROWS_MAX * OUTPUT];
  float   part[ROWS_MAX * OUTPUT];
  open_tensors(&t);
  Denoiser* const denoiser = make(t.device, 2, false, NULL);
  randomise(denoiser, t.device, 2);
  draw_notes(&other, 2, 9, 50);
  for (size_t p = 0; p < sizeof patterns / sizeof *patterns; ++p) {
    draw_notes(&n, 3, (uint32_t)strlen(patterns[p]), p);
    for (uint32_t i = 0; i < n.notes; ++i) {
      n.clean[i] = patterns[p][i] == 'x';
    }
    const DenoiserInput given = input_of(&t, &n, CLEAN);
    denoiser_context(denoiser, &given);
    for (uint32_t k = 0; k < 3; ++k) {
      // Only the noised notes and their level change over the steps. A plain
      // pass over these or other notes in between is nothing to them.
      for (uint32_t i = 0; i < n.sequences * n.notes * INPUT; ++i) {
        n.tokens[i] += n.clean[i / INPUT % n.notes] ? 0.0f : 0.3f;
      }
      n.time[DENOISER_TIME_FEATURES + k] += 1.0f;
      step(&t, denoiser, &n, part);
      forward(&t, denoiser, &n, whole);
      assert_true(difference(&n, whole, part) < 1e-5f);
      if (k == 1) {
        forward(&t, denoiser, &other, part);
      }
    }
    // And the clean notes matter.
    if (strchr(patterns[p], 'x')) {
      for (uint32_t i = 0; i < n.sequences * n.notes * INPUT; ++i) {
        n.tokens[i] += n.clean[i / INPUT % n.notes] ? 1.0f : 0.0f;
      }
      denoiser_context(denoiser, (DenoiserInput[]){ input_of(&t, &n, CLEAN) });
      step(&t, denoiser, &n, part);
      assert_true(difference(&n, whole, part) > 1e-3f);
    }
  }
  denoiser_free(denoiser);
  close_tensors(&t);
}

// What is asked for at once is the step's notes; the clean ones before them may
// be as many as a sequence holds.
static void
test_context_beyond_one_call(void** state)
{
  (void)state;
  Tensors t;
  Notes   n;
  float   whole[ROWS_MAX * OUTPUT];
  float   part[ROWS_MAX * OUTPUT];
  open_tensors(&t);
  const DenoiserSizes sizes = sizes_of(1);
  Denoiser* const     owner = make(t.device, 1, true, NULL);
  Denoiser*           small;
  assert_int_equal(
    denoiser_create(t.device, &sizes, 16, 2, false, owner, &small, NULL),
    STATUS_OK);
  randomise(owner, t.device, 5);
  draw_notes(&n, 2, SEQUENCE_NOTES, 3);
  for (uint32_t i = 0; i < SEQUENCE_NOTES; ++i) {
    n.clean[i] = i < SEQUENCE_NOTES - 8;
  }
  const DenoiserInput given = input_of(&t, &n, CLEAN);
  denoiser_context(small, &given);
  step(&t, small, &n, part);
  forward(&t, owner, &n, whole);
  assert_true(difference(&n, whole, part) < 1e-5f);
  denoiser_free(small);
  denoiser_free(owner);
  close_tensors(&t);
}

// A sequence alone gives what it gives in a batch, and each of its notes hears
// of each other.
static void
test_sequences_are_apart(void** state)
{
  (void)state;
  Tensors t;
  Notes   n;
  float   whole[ROWS_MAX * OUTPUT];
  float   changed[ROWS_MAX * OUTPUT];
  open_tensors(&t);
  Denoiser* const denoiser = make(t.device, 2, false, NULL);
  randomise(denoiser, t.device, 3);
  draw_notes(&n, 4, 6, 8);
  forward(&t, denoiser, &n, whole);
  for (uint32_t s = 0; s < 4; ++s) {
    const size_t block = 6 * OUTPUT;
    Notes        one   = n;
    one.sequences      = 1;
    memcpy(
      one.tokens, n.tokens + s * 6 * INPUT, 6 * INPUT * sizeof *one.tokens);
    memcpy(one.time + DENOISER_TIME_FEATURES,
           n.time + (1 + s) * DENOISER_TIME_FEATURES,
           DENOISER_TIME_FEATURES * sizeof *one.time);
    forward(&t, denoiser, &one, changed);
    for (uint32_t i = 0; i < block; ++i) {
      assert_true(fabsf(changed[i] - whole[s * block + i]) < 1e-5f);
    }
    one.tokens[INPUT * (s + 2)] += 2.0f;
    forward(&t, denoiser, &one, changed);
    for (uint32_t note = 0; note < 6; ++note) {
      float most = 0.0f;
      for (uint32_t i = note * OUTPUT; i < (note + 1) * OUTPUT; ++i) {
        most = fmaxf(most, fabsf(changed[i] - whole[s * block + i]));
      }
      assert_true(most > 1e-5f);
    }
  }
  denoiser_free(denoiser);
  close_tensors(&t);
}

// --- Weights and refusals ----------------------------------------------------

static void
test_weights_are_shared(void** state)
{
  (void)state;
  Tensors t;
  Notes   n;
  float   ours[ROWS_MAX * OUTPUT];
  float   theirs[ROWS_MAX * OUTPUT];
  open_tensors(&t);
  Denoiser* const owner  = make(t.device, 2, true, NULL);
  Denoiser* const sharer = make(t.device, 2, false, owner);
  draw_notes(&n, 3, 5, 6);
  for (uint64_t seed = 1; seed < 3; ++seed) {
    randomise(owner, t.device, seed);
    forward(&t, owner, &n, ours);
    forward(&t, sharer, &n, theirs);
    assert_memory_equal(ours, theirs, 3 * 5 * OUTPUT * sizeof *ours);
  }
  denoiser_free(sharer);
  forward(&t, owner, &n, theirs); // whose weights are still there
  assert_memory_equal(ours, theirs, 3 * 5 * OUTPUT * sizeof *ours);
  denoiser_free(owner);
  close_tensors(&t);
}

static void
test_bad_sizes_are_refused(void** state)
{
  (void)state;
  const struct {
    size_t      at;
    uint32_t    value;
    const char* named;
  } all[] = {
    { offsetof(DenoiserSizes, width), 0, "width" },
    { offsetof(DenoiserSizes, width), DENOISER_WIDTH_MAX + 1, "width" },
    { offsetof(DenoiserSizes, layers), 0, "layers" },
    { offsetof(DenoiserSizes, layers), DENOISER_LAYERS_MAX + 1, "layers" },
    { offsetof(DenoiserSizes, bottleneck), 0, "bottleneck" },
    { offsetof(DenoiserSizes, time_width), 0, "time_width" },
    { offsetof(DenoiserSizes, input), 0, "input" },
    { offsetof(DenoiserSizes, output), 0, "output" },
  };
  Device* device;
  Error   error;
  assert_int_equal(device_open_cpu(NULL, &device, &error), STATUS_OK);
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    DenoiserSizes sizes = sizes_of(2);
    Denoiser*     made  = (Denoiser*)&sizes;
    memcpy((char*)&sizes + all[i].at, &all[i].value, sizeof all[i].value);
    assert_int_equal(
      denoiser_create(device, &sizes, 8, 1, false, NULL, &made, &error),
      STATUS_BAD_ARGUMENT);
    assert_null(made);
    assert_non_null(strstr(error.text, all[i].named));
  }
  // The largest table fits, heads are no matter to it, and what no memory holds
  // is refused, not tried.
  DenoiserSizes sizes = sizes_of(DENOISER_LAYERS_MAX);
  Denoiser*     made;
  sizes.heads = 0;
  assert_int_equal(
    denoiser_create(device, &sizes, 8, 1, false, NULL, &made, &error),
    STATUS_OK);
  denoiser_free(made);
  assert_int_equal(
    denoiser_create(device, &sizes, UINT32_MAX, 9, true, NULL, &made, &error),
    STATUS_LIMIT);
  assert_null(made);
  device_close(device);
}

// Calls that do not fit are faults of the device, not of memory.
static void
test_calls_that_do_not_fit(void** state)
{
  (void)state;
  Tensors t;
  Notes   n;
  open_tensors(&t);
  Denoiser* const denoiser = make(t.device, 1, true, NULL);
  Denoiser* const sampling = make(t.device, 1, false, denoiser);
  draw_notes(&n, 4, 4, 1);
  const DenoiserInput fits  = input_of(&t, &n, ALL);
  const Tensor        head  = tensor_rows(t.head, 0, 16);
  DenoiserInput       bad[] = { fits, fits, fits, fits, fits };
  bad[0].sequences          = UINT32_MAX;
  bad[1].notes              = 0;
  bad[2].notes              = 5;
  bad[3].sequences          = 0;
  bad[4].time.rows          = LEVELS_MAX + DENOISER_LEVELS_MAX;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    denoiser_forward(denoiser, &bad[i], head);
    assert_int_equal(device_status(t.device, NULL), STATUS_BAD_ARGUMENT);
    device_clear(t.device);
    denoiser_step(sampling, &bad[i], head);
    assert_int_equal(device_status(t.device, NULL), STATUS_BAD_ARGUMENT);
    device_clear(t.device);
  }
  denoiser_forward(denoiser, &fits, head);
  assert_int_equal(device_status(t.device, NULL), STATUS_OK);
  // A context of four sequences is not one of two.
  denoiser_context(sampling, &fits);
  draw_notes(&n, 2, 4, 1);
  const DenoiserInput fewer = input_of(&t, &n, ALL);
  denoiser_step(sampling, &fewer, tensor_rows(t.head, 0, 8));
  assert_int_equal(device_status(t.device, NULL), STATUS_BAD_ARGUMENT);
  denoiser_free(sampling);
  denoiser_free(denoiser);
  close_tensors(&t);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gradient),
    cmocka_unit_test(test_gradients_add),
    cmocka_unit_test(test_steps_see_the_context),
    cmocka_unit_test(test_context_beyond_one_call),
    cmocka_unit_test(test_sequences_are_apart),
    cmocka_unit_test(test_weights_are_shared),
    cmocka_unit_test(test_bad_sizes_are_refused),
    cmocka_unit_test(test_calls_that_do_not_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
