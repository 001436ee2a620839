// The transformer denoiser: pre-norm blocks over note tokens, modulated by the
// noise level (adaLN-zero, Peebles and Xie 2023). Its weights and memory. The
// thread of the Device.
#include "denoiser_transformer_internal.h"

#include "arena.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
set_entry(Parameter* entry, const char* name, uint32_t rows, uint32_t columns)
{
  *entry = (Parameter){ .rows = rows, .columns = columns };
  snprintf(entry->name, sizeof entry->name, "%.39s", name);
}

static void
list_layer(const DenoiserSizes* sizes, uint32_t layer, Parameter* table)
{
  const uint32_t d = sizes->width;
  const struct {
    const char* name;
    uint32_t    rows, columns;
  } list[LAYER_PARAMETERS] = {
    [MODULATION_WEIGHT] = { "modulation.weight", 6 * d, sizes->time_width },
    [MODULATION_BIAS]   = { "modulation.bias", 1, 6 * d },
    [QKV_WEIGHT]        = { "attention.qkv.weight", 3 * d, d },
    [QKV_BIAS]          = { "attention.qkv.bias", 1, 3 * d },
    [OUT_WEIGHT]        = { "attention.out.weight", d, d },
    [OUT_BIAS]          = { "attention.out.bias", 1, d },
    [UP_WEIGHT]         = { "mlp.up.weight", MLP_TIMES * d, d },
    [UP_BIAS]           = { "mlp.up.bias", 1, MLP_TIMES * d },
    [DOWN_WEIGHT]       = { "mlp.down.weight", d, MLP_TIMES * d },
    [DOWN_BIAS]         = { "mlp.down.bias", 1, d },
  };
  for (int i = 0; i < LAYER_PARAMETERS; ++i) {
    char name[40];
    snprintf(name, sizeof name, "layer%u.%s", layer, list[i].name);
    set_entry(&table[i], name, list[i].rows, list[i].columns);
  }
}

static void
parameters(const DenoiserSizes* sizes, Parameter* table, uint32_t* count)
{
  const uint32_t d = sizes->width;
  const uint32_t w = sizes->time_width;
  set_entry(&table[TOKEN_WEIGHT], "token.weight", d, sizes->input);
  set_entry(&table[TOKEN_BIAS], "token.bias", 1, d);
  set_entry(&table[POSITION], "position", SEQUENCE_NOTES, d);
  set_entry(&table[TIME_WEIGHT], "time.weight", w, DENOISER_TIME_FEATURES);
  set_entry(&table[TIME_BIAS], "time.bias", 1, w);
  set_entry(&table[FINAL_WEIGHT], "final.weight", 2 * d, w);
  set_entry(&table[FINAL_BIAS], "final.bias", 1, 2 * d);
  set_entry(&table[HEAD_WEIGHT], "head.weight", sizes->output, d);
  set_entry(&table[HEAD_BIAS], "head.bias", 1, sizes->output);
  for (uint32_t l = 0; l < sizes->layers; ++l) {
    list_layer(sizes, l, table + FIRST_LAYER + l * LAYER_PARAMETERS);
  }
  *count = FIRST_LAYER + sizes->layers * LAYER_PARAMETERS;
}

// --- Rotary positions --------------------------------------------------------

// From a turn in four notes to one in 64.
static double
frequency(uint32_t i, uint32_t half)
{
  const double share = half > 1 ? (double)i / (half - 1) : 0.0;
  return 1.57 * pow(1.0 / 16.0, share);
}

static Status
make_rotations(Denoiser* denoiser, Error* error)
{
  Transformer* const t    = denoiser->own;
  const uint32_t     half = denoiser->sizes.width / denoiser->sizes.heads / 2;
  Status             status =
    tensor_allocate(denoiser->device, SEQUENCE_NOTES, half, &t->cosines, error);
  if (status == STATUS_OK) {
    status =
      tensor_allocate(denoiser->device, SEQUENCE_NOTES, half, &t->sines, error);
  }
  for (uint32_t p = 0; status == STATUS_OK && p < SEQUENCE_NOTES; ++p) {
    float cosines[DENOISER_WIDTH_MAX];
    float sines[DENOISER_WIDTH_MAX];
    for (uint32_t i = 0; i < half; ++i) {
      cosines[i] = (float)cos(p * frequency(i, half));
      sines[i]   = (float)sin(p * frequency(i, half));
    }
    tensor_write(denoiser->device, tensor_rows(t->cosines, p, 1), cosines);
    tensor_write(denoiser->device, tensor_rows(t->sines, p, 1), sines);
  }
  return status;
}

// Heads start by looking at their neighbours: a transformer that has to find
// the order of notes by itself finds little else for its first million notes.
static void
look_at_neighbours(const DenoiserSizes* sizes, float* qkv_bias)
{
  static const int offsets[] = { -1, 1, -2, 2, 0 }; // 0: anywhere
  const float      strength  = 1.5f;
  const uint32_t   width     = sizes->width / sizes->heads;
  const uint32_t   half      = width / 2;
  for (uint32_t h = 0; h < sizes->heads; ++h) {
    const int    offset = offsets[h % (sizeof offsets / sizeof *offsets)];
    float* const q      = qkv_bias + (size_t)h * width;
    float* const k      = q + sizes->width;
    for (uint32_t i = 0; offset && i < half; ++i) {
      k[i]        = strength;
      q[i]        = strength * (float)cos(offset * frequency(i, half));
      q[half + i] = strength * (float)sin(offset * frequency(i, half));
    }
  }
}

#define GATE_START 0.5f

static void
open_gates(const Denoiser* d, uint32_t layer, float* host)
{
  const uint32_t width = d->sizes.width;
  float* const   bias =
    host +
    d->table[FIRST_LAYER + layer * LAYER_PARAMETERS + MODULATION_BIAS].offset;
  for (uint32_t i = 0; i < width; ++i) {
    bias[2 * width + i] = GATE_START;
    bias[5 * width + i] = GATE_START;
  }
}

// The noise level takes part from the first step on, but modulates nothing yet;
// branches start half open.
static void
initialise(const Denoiser* d, float* host)
{
  for (uint32_t l = 0; l < d->sizes.layers; ++l) {
    const Parameter* const entry =
      &d->table[FIRST_LAYER + l * LAYER_PARAMETERS + MODULATION_WEIGHT];
    memset(host + entry->offset,
           0,
           (size_t)entry->rows * entry->columns * sizeof *host);
    open_gates(d, l, host);
    look_at_neighbours(
      &d->sizes,
      host + d->table[FIRST_LAYER + l * LAYER_PARAMETERS + QKV_BIAS].offset);
  }
  const Parameter* const entry = &d->table[FINAL_WEIGHT];
  memset(host + entry->offset,
         0,
         (size_t)entry->rows * entry->columns * sizeof *host);
}

// --- Memory
// --------------------------------------------------------------------

static void
cut_branch(Arena* m, uint32_t rows, uint32_t width, Branch* branch)
{
  branch->normal  = arena_cut(m, rows, width);
  branch->inverse = arena_cut(m, rows, 1);
  branch->input   = arena_cut(m, rows, width);
  branch->out     = arena_cut(m, rows, width);
}

static void
cut_layer(Arena* m, const Denoiser* denoiser, Shape shape, Layer* layer)
{
  const uint32_t d     = denoiser->sizes.width;
  layer->qkv           = arena_cut(m, shape.rows, 3 * d);
  layer->probabilities = arena_cut(m, shape.scores, shape.keys);
  layer->mixed         = arena_cut(m, shape.rows, d);
  layer->active        = arena_cut(m, shape.rows, MLP_TIMES * d);
  if (denoiser->training) {
    layer->modulation = arena_cut(m, shape.levels, 6 * d);
    layer->up         = arena_cut(m, shape.rows, MLP_TIMES * d);
    cut_branch(m, shape.rows, d, &layer->attention);
    cut_branch(m, shape.rows, d, &layer->mlp);
  }
}

static void
cut_training(Arena* m, const DenoiserSizes* sizes, Shape shape, Transformer* t)
{
  const uint32_t d = sizes->width;
  t->time_pre      = arena_cut(m, shape.levels, sizes->time_width);
  t->time          = arena_cut(m, shape.levels, sizes->time_width);
  t->final         = arena_cut(m, shape.levels, 2 * d);
  cut_branch(m, shape.rows, d, &t->last);
  t->dx          = arena_cut(m, shape.rows, d);
  t->dbranch     = arena_cut(m, shape.rows, d);
  t->dmixed      = arena_cut(m, shape.rows, d);
  t->dqkv        = arena_cut(m, shape.rows, 3 * d);
  t->dup         = arena_cut(m, shape.rows, MLP_TIMES * d);
  t->dmodulation = arena_cut(m, shape.levels, 6 * d);
  t->dtime       = arena_cut(m, shape.levels, sizes->time_width);
  t->place       = t->last.out;
}

size_t
transformer_lay_out(const Denoiser* denoiser, Transformer* t, Shape shape)
{
  const DenoiserSizes* const sizes = &denoiser->sizes;
  const uint32_t             d     = sizes->width;
  Arena                      m     = { .memory = t->memory };
  t->x                             = arena_cut(&m, shape.rows, d);
  for (uint32_t l = 0; l < sizes->layers; ++l) {
    if (l && !denoiser->training) {
      t->layer[l] = t->layer[0];
    } else {
      cut_layer(&m, denoiser, shape, &t->layer[l]);
    }
  }
  if (denoiser->training) {
    cut_training(&m, sizes, shape, t);
  } else {
    // Rows a multiple of 64 bytes apart.
    const Tensor cut = arena_cut(&m, shape.rows, (2 * d + 16) / 16 * 16);
    t->scratch       = cut.data ? tensor_columns(cut, 0, 2 * d + 1) : cut;
    t->place         = cut.data ? tensor_columns(cut, 0, d) : cut;
  }
  return m.used;
}

void
transformer_lay_out_store(const Denoiser* d,
                          Transformer*    t,
                          Tensor*         store,
                          size_t          first,
                          uint32_t        rows)
{
  const uint32_t width = 2 * d->sizes.width;
  const size_t   room  = (size_t)d->sequences_max * SEQUENCE_NOTES * width;
  for (uint32_t l = 0; l < d->sizes.layers; ++l) {
    store[l] =
      rows ? tensor_reshape(t->cache_memory, (first + l) * room, rows, width)
           : (Tensor){ 0 };
  }
}

static size_t
lay_out_levels(const Denoiser* denoiser, Transformer* t)
{
  const DenoiserSizes* const sizes = &denoiser->sizes;
  const uint32_t             m     = DENOISER_LEVELS_MAX;
  Arena                      arena = { .memory = t->levels_memory };
  t->known_time_pre                = arena_cut(&arena, m, sizes->time_width);
  t->known_time                    = arena_cut(&arena, m, sizes->time_width);
  t->known_final                   = arena_cut(&arena, m, 2 * sizes->width);
  for (uint32_t l = 0; l < sizes->layers; ++l) {
    t->known[l] = arena_cut(&arena, m, 6 * sizes->width);
  }
  return arena.used;
}

static Status
allocate_sampling(Denoiser*    denoiser,
                  Transformer* t,
                  size_t       store,
                  Error*       error)
{
  const uint32_t levels = (uint32_t)lay_out_levels(denoiser, t);
  Status         status = tensor_allocate(
    denoiser->device, 1, (uint32_t)store, &t->cache_memory, error);
  if (status == STATUS_OK) {
    status =
      tensor_allocate(denoiser->device, 1, levels, &t->levels_memory, error);
  }
  lay_out_levels(denoiser, t);
  return status;
}

static void
close_transformer(Denoiser* denoiser)
{
  Transformer* const t = denoiser->own;
  tensor_free(denoiser->device, &t->memory);
  tensor_free(denoiser->device, &t->cache_memory);
  tensor_free(denoiser->device, &t->levels_memory);
  tensor_free(denoiser->device, &t->cosines);
  tensor_free(denoiser->device, &t->sines);
  free(t);
}

static Status
open_transformer(Denoiser* denoiser, Error* error)
{
  Transformer* const t = calloc(1, sizeof *t);
  if (!t) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a transformer");
  }
  denoiser->own        = t;
  const uint32_t rows  = denoiser->rows_max;
  const Shape    most  = { .rows   = rows,
                           .levels = denoiser->sequences_max + 1,
                           .scores = rows * denoiser->sizes.heads,
                           .keys   = SEQUENCE_NOTES };
  const size_t   need  = transformer_lay_out(denoiser, t, most);
  const size_t   store = (size_t)denoiser->sequences_max * SEQUENCE_NOTES * 2 *
                       denoiser->sizes.width * 2 * denoiser->sizes.layers;
  if (need > UINT32_MAX || store > UINT32_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "%u notes in one call are too many for this network",
                     rows);
  }
  Status status =
    tensor_allocate(denoiser->device, 1, (uint32_t)need, &t->memory, error);
  if (status == STATUS_OK && !denoiser->training) {
    status = allocate_sampling(denoiser, t, store, error);
  }
  return status == STATUS_OK ? make_rotations(denoiser, error) : status;
}

const DenoiserClass denoiser_transformer = {
  .name       = "transformer",
  .parameters = parameters,
  .open       = open_transformer,
  .close      = close_transformer,
  .initialise = initialise,
  .forward    = transformer_forward,
  .backward   = transformer_backward,
  .levels     = transformer_levels,
  .context    = transformer_context,
  .step       = transformer_step,
};
