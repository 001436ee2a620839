// The transformer denoiser: pre-norm blocks over note tokens, modulated by the
// noise level (adaLN-zero, Peebles and Xie 2023). R rows, D the width, M noise
// levels, W the width of their embedding. The thread of the Device.
#include "arena.h"
#include "denoiser_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MLP_TIMES 4u

enum {
  TOKEN_WEIGHT, // [D, input]
  TOKEN_BIAS,   // [1, D]
  POSITION,     // [SEQUENCE_NOTES, D]
  TIME_WEIGHT,  // [W, DENOISER_TIME_FEATURES]
  TIME_BIAS,    // [1, W]
  FINAL_WEIGHT, // [2D, W]: shift and scale before the head
  FINAL_BIAS,   // [1, 2D]
  HEAD_WEIGHT,  // [output, D]
  HEAD_BIAS,    // [1, output]
  FIRST_LAYER,
};
// Of each layer, from FIRST_LAYER on.
enum {
  MODULATION_WEIGHT, // [6D, W]: shift, scale, gate of both branches
  MODULATION_BIAS,   // [1, 6D]
  QKV_WEIGHT,        // [3D, D]
  QKV_BIAS,          // [1, 3D]
  OUT_WEIGHT,        // [D, D]
  OUT_BIAS,          // [1, D]
  UP_WEIGHT,         // [4D, D]
  UP_BIAS,           // [1, 4D]
  DOWN_WEIGHT,       // [D, 4D]
  DOWN_BIAS,         // [1, D]
  LAYER_PARAMETERS,
};
_Static_assert(FIRST_LAYER + DENOISER_LAYERS_MAX * LAYER_PARAMETERS <=
                 DENOISER_PARAMETERS_MAX,
               "the table holds the deepest network");

// What the backward pass needs of a block's branch, or one branch's scratch.
typedef struct {
  Tensor normal;  // [R, D]
  Tensor inverse; // [R, 1]
  Tensor input;   // [R, D] after the modulated norm
  Tensor out;     // [R, D] before the gate
} Branch;

typedef struct {
  Tensor modulation; // [M, 6D]
  Branch attention;
  Tensor qkv;           // [R, 3D]
  Tensor probabilities; // [S * heads * notes, keys]
  Tensor mixed;         // [R, D] what attention gathers
  Branch mlp;
  Tensor up;     // [R, 4D]
  Tensor active; // [R, 4D]
} Layer;

typedef struct {
  Tensor memory;
  Tensor cache_memory;
  Layer  layer[DENOISER_LAYERS_MAX]; // all the same one when not training

  Tensor x;        // [R, D] the residual stream
  Tensor time_pre; // [M, W]
  Tensor time;     // [M, W]
  Tensor final;    // [M, 2D]
  Branch last;

  // Training.
  Tensor dx, dbranch, dmixed; // [R, D]
  Tensor dqkv;                // [R, 3D]
  Tensor dup;                 // [R, 4D]
  Tensor dmodulation;         // [M, 6D]
  Tensor dtime;               // [M, W]

  // Sampling: keys and values side by side.
  Tensor   clean[DENOISER_LAYERS_MAX]; // [S * clean_notes, 2D]
  Tensor   seen[DENOISER_LAYERS_MAX];  // [S * (clean_notes + notes), 2D]
  uint32_t clean_notes;
  uint32_t seen_notes; // for which `seen` holds the clean part; 0: not yet
} Transformer;

static Tensor
weight(const Denoiser* d, uint32_t layer, uint32_t which)
{
  return d->p[FIRST_LAYER + layer * LAYER_PARAMETERS + which];
}

static Tensor
gradient(const Denoiser* d, uint32_t layer, uint32_t which)
{
  return d->g[FIRST_LAYER + layer * LAYER_PARAMETERS + which];
}

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

// Every block starts as the identity, so that depth does not hurt the start.
static void
initialise(const Denoiser* d, float* host)
{
  for (uint32_t l = 0; l < d->sizes.layers; ++l) {
    const Parameter* const entry =
      &d->table[FIRST_LAYER + l * LAYER_PARAMETERS + MODULATION_WEIGHT];
    memset(host + entry->offset,
           0,
           (size_t)entry->rows * entry->columns * sizeof *host);
  }
  const Parameter* const entry = &d->table[FINAL_WEIGHT];
  memset(host + entry->offset,
         0,
         (size_t)entry->rows * entry->columns * sizeof *host);
}

// --- Memory ------------------------------------------------------------------

typedef struct {
  uint32_t rows;
  uint32_t levels;
  uint32_t scores; // rows of all heads' attention
  uint32_t keys;
} Shape;

static void
cut_branch(Arena* m, uint32_t rows, uint32_t width, Branch* branch)
{
  branch->normal  = arena_cut(m, rows, width);
  branch->inverse = arena_cut(m, rows, 1);
  branch->input   = arena_cut(m, rows, width);
  branch->out     = arena_cut(m, rows, width);
}

static void
cut_layer(Arena* m, const DenoiserSizes* sizes, Shape shape, Layer* layer)
{
  const uint32_t d     = sizes->width;
  layer->modulation    = arena_cut(m, shape.levels, 6 * d);
  layer->qkv           = arena_cut(m, shape.rows, 3 * d);
  layer->probabilities = arena_cut(m, shape.scores, shape.keys);
  layer->mixed         = arena_cut(m, shape.rows, d);
  layer->up            = arena_cut(m, shape.rows, MLP_TIMES * d);
  layer->active        = arena_cut(m, shape.rows, MLP_TIMES * d);
  cut_branch(m, shape.rows, d, &layer->attention);
  cut_branch(m, shape.rows, d, &layer->mlp);
}

// Lays the tensors out for a call of that shape; returns the floats used.
static size_t
lay_out(const Denoiser* denoiser, Transformer* t, Shape shape)
{
  const DenoiserSizes* const sizes = &denoiser->sizes;
  const uint32_t             d     = sizes->width;
  Arena                      m     = { .memory = t->memory };
  t->x                             = arena_cut(&m, shape.rows, d);
  t->time_pre = arena_cut(&m, shape.levels, sizes->time_width);
  t->time     = arena_cut(&m, shape.levels, sizes->time_width);
  t->final    = arena_cut(&m, shape.levels, 2 * d);
  cut_branch(&m, shape.rows, d, &t->last);
  for (uint32_t l = 0; l < sizes->layers; ++l) {
    if (l && !denoiser->training) {
      t->layer[l] = t->layer[0];
    } else {
      cut_layer(&m, sizes, shape, &t->layer[l]);
    }
  }
  if (denoiser->training) {
    t->dx          = arena_cut(&m, shape.rows, d);
    t->dbranch     = arena_cut(&m, shape.rows, d);
    t->dmixed      = arena_cut(&m, shape.rows, d);
    t->dqkv        = arena_cut(&m, shape.rows, 3 * d);
    t->dup         = arena_cut(&m, shape.rows, MLP_TIMES * d);
    t->dmodulation = arena_cut(&m, shape.levels, 6 * d);
    t->dtime       = arena_cut(&m, shape.levels, sizes->time_width);
  }
  return m.used;
}

static Shape
shape_of(const Denoiser* d, const DenoiserInput* input, uint32_t keys)
{
  const uint32_t rows = input->sequences * input->notes;
  return (Shape){ .rows   = rows,
                  .levels = input->time.rows,
                  .scores = rows * d->sizes.heads,
                  .keys   = keys };
}

// The views of the clean notes' store for `notes` of each sequence.
static void
lay_out_store(const Denoiser* d,
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

static void
close_transformer(Denoiser* denoiser)
{
  Transformer* const t = denoiser->own;
  tensor_free(denoiser->device, &t->memory);
  tensor_free(denoiser->device, &t->cache_memory);
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
  const size_t   need  = lay_out(denoiser, t, most);
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
    status = tensor_allocate(
      denoiser->device, 1, (uint32_t)store, &t->cache_memory, error);
  }
  return status;
}

// --- Forward -----------------------------------------------------------------

static void
embed(Denoiser* d, Transformer* t, const DenoiserInput* input)
{
  Device* const device = d->device;
  op_gather(device, d->p[POSITION], input->position, t->x);
  op_matmul(
    device, false, true, 1.0f, input->tokens, d->p[TOKEN_WEIGHT], 1.0f, t->x);
  // The bias goes with the position that every note has.
  op_broadcast_row(device, d->p[TOKEN_BIAS], t->last.out);
  op_accumulate(device, t->last.out, t->x);
  denoiser_affine(
    device, input->time, d->p[TIME_WEIGHT], d->p[TIME_BIAS], t->time_pre);
  op_gelu(device, t->time_pre, t->time);
}

// Columns of a block's modulation: shift and scale, then the gate, of branch
// `b`.
static Tensor
shift_scale(const Denoiser* d, Tensor modulation, uint32_t b)
{
  return tensor_columns(modulation, 3 * b * d->sizes.width, 2 * d->sizes.width);
}

static Tensor
gate(const Denoiser* d, Tensor modulation, uint32_t b)
{
  return tensor_columns(
    modulation, (3 * b + 2) * d->sizes.width, d->sizes.width);
}

static void
norm(Denoiser*            d,
     const DenoiserInput* input,
     Tensor               x,
     Tensor               modulation,
     Branch*              branch)
{
  op_modulated_norm(d->device,
                    x,
                    input->level,
                    modulation,
                    branch->normal,
                    branch->inverse,
                    branch->input);
}

// keys, values: of all notes that can be seen.
static void
attend(Denoiser*            d,
       const DenoiserInput* input,
       Layer*               layer,
       Tensor               keys,
       Tensor               values)
{
  op_attention(d->device,
               input->sequences,
               d->sizes.heads,
               tensor_columns(layer->qkv, 0, d->sizes.width),
               keys,
               values,
               input->allowed,
               layer->probabilities,
               layer->mixed);
}

// The first half of block l up to queries, keys and values.
static void
block_begin(Denoiser* d, Transformer* t, const DenoiserInput* input, uint32_t l)
{
  Layer* const layer = &t->layer[l];
  denoiser_affine(d->device,
                  t->time,
                  weight(d, l, MODULATION_WEIGHT),
                  weight(d, l, MODULATION_BIAS),
                  layer->modulation);
  norm(d, input, t->x, shift_scale(d, layer->modulation, 0), &layer->attention);
  denoiser_affine(d->device,
                  layer->attention.input,
                  weight(d, l, QKV_WEIGHT),
                  weight(d, l, QKV_BIAS),
                  layer->qkv);
}

// From what attention gathered to the end of block l.
static void
block_end(Denoiser* d, Transformer* t, const DenoiserInput* input, uint32_t l)
{
  Device* const device = d->device;
  Layer* const  layer  = &t->layer[l];
  denoiser_affine(device,
                  layer->mixed,
                  weight(d, l, OUT_WEIGHT),
                  weight(d, l, OUT_BIAS),
                  layer->attention.out);
  op_gated_add(device,
               layer->attention.out,
               input->level,
               gate(d, layer->modulation, 0),
               t->x);
  norm(d, input, t->x, shift_scale(d, layer->modulation, 1), &layer->mlp);
  denoiser_affine(device,
                  layer->mlp.input,
                  weight(d, l, UP_WEIGHT),
                  weight(d, l, UP_BIAS),
                  layer->up);
  op_gelu(device, layer->up, layer->active);
  denoiser_affine(device,
                  layer->active,
                  weight(d, l, DOWN_WEIGHT),
                  weight(d, l, DOWN_BIAS),
                  layer->mlp.out);
  op_gated_add(
    device, layer->mlp.out, input->level, gate(d, layer->modulation, 1), t->x);
}

static void
finish(Denoiser* d, Transformer* t, const DenoiserInput* input, Tensor head)
{
  denoiser_affine(
    d->device, t->time, d->p[FINAL_WEIGHT], d->p[FINAL_BIAS], t->final);
  norm(d, input, t->x, t->final, &t->last);
  denoiser_affine(
    d->device, t->last.input, d->p[HEAD_WEIGHT], d->p[HEAD_BIAS], head);
}

static Tensor
own_keys(const Denoiser* d, const Layer* layer)
{
  return tensor_columns(layer->qkv, d->sizes.width, 2 * d->sizes.width);
}

static void
forward(Denoiser* d, const DenoiserInput* input, Tensor head)
{
  Transformer* const t     = d->own;
  const uint32_t     width = d->sizes.width;
  lay_out(d, t, shape_of(d, input, input->notes));
  embed(d, t, input);
  for (uint32_t l = 0; l < d->sizes.layers; ++l) {
    block_begin(d, t, input, l);
    const Tensor kv = own_keys(d, &t->layer[l]);
    attend(d,
           input,
           &t->layer[l],
           tensor_columns(kv, 0, width),
           tensor_columns(kv, width, width));
    block_end(d, t, input, l);
  }
  finish(d, t, input, head);
}

// --- Backward ----------------------------------------------------------------

static void
norm_backward(Denoiser*            d,
              const DenoiserInput* input,
              const Branch*        branch,
              Tensor               modulation,
              Tensor               dy,
              Tensor               dx,
              Tensor               dmodulation)
{
  op_modulated_norm_backward(d->device,
                             input->level,
                             modulation,
                             branch->normal,
                             branch->inverse,
                             dy,
                             dx,
                             dmodulation);
}

static void
layer_affine_backward(Denoiser* d,
                      uint32_t  l,
                      uint32_t  which, // the weight; its bias follows
                      Tensor    x,
                      Tensor    dy,
                      Tensor    dx)
{
  denoiser_affine_backward(d->device,
                           x,
                           weight(d, l, which),
                           dy,
                           gradient(d, l, which),
                           gradient(d, l, which + 1),
                           0.0f,
                           dx);
}

static void
mlp_backward(Denoiser*            d,
             Transformer*         t,
             const DenoiserInput* input,
             uint32_t             l)
{
  Device* const device = d->device;
  Layer* const  layer  = &t->layer[l];
  op_gated_add_backward(device,
                        layer->mlp.out,
                        input->level,
                        gate(d, layer->modulation, 1),
                        t->dx,
                        t->dbranch,
                        gate(d, t->dmodulation, 1));
  layer_affine_backward(d, l, DOWN_WEIGHT, layer->active, t->dbranch, t->dup);
  op_gelu_backward(device, layer->up, t->dup, t->dup);
  layer_affine_backward(d, l, UP_WEIGHT, layer->mlp.input, t->dup, t->dbranch);
  norm_backward(d,
                input,
                &layer->mlp,
                shift_scale(d, layer->modulation, 1),
                t->dbranch,
                t->dx,
                shift_scale(d, t->dmodulation, 1));
}

static void
attention_backward(Denoiser*            d,
                   Transformer*         t,
                   const DenoiserInput* input,
                   uint32_t             l)
{
  Device* const  device = d->device;
  const uint32_t width  = d->sizes.width;
  Layer* const   layer  = &t->layer[l];
  op_gated_add_backward(device,
                        layer->attention.out,
                        input->level,
                        gate(d, layer->modulation, 0),
                        t->dx,
                        t->dbranch,
                        gate(d, t->dmodulation, 0));
  layer_affine_backward(d, l, OUT_WEIGHT, layer->mixed, t->dbranch, t->dmixed);
  op_attention_backward(device,
                        input->sequences,
                        d->sizes.heads,
                        tensor_columns(layer->qkv, 0, width),
                        tensor_columns(layer->qkv, width, width),
                        tensor_columns(layer->qkv, 2 * width, width),
                        layer->probabilities,
                        t->dmixed,
                        tensor_columns(t->dqkv, 0, width),
                        tensor_columns(t->dqkv, width, width),
                        tensor_columns(t->dqkv, 2 * width, width));
  layer_affine_backward(
    d, l, QKV_WEIGHT, layer->attention.input, t->dqkv, t->dbranch);
  norm_backward(d,
                input,
                &layer->attention,
                shift_scale(d, layer->modulation, 0),
                t->dbranch,
                t->dx,
                shift_scale(d, t->dmodulation, 0));
}

static void
embed_backward(Denoiser* d, Transformer* t, const DenoiserInput* input)
{
  Device* const device = d->device;
  denoiser_affine_backward(device,
                           input->tokens,
                           d->p[TOKEN_WEIGHT],
                           t->dx,
                           d->g[TOKEN_WEIGHT],
                           d->g[TOKEN_BIAS],
                           0.0f,
                           (Tensor){ 0 });
  op_scatter_add(device, input->position, t->dx, d->g[POSITION]);
  op_gelu_backward(device, t->time_pre, t->dtime, t->dtime);
  denoiser_affine_backward(device,
                           input->time,
                           d->p[TIME_WEIGHT],
                           t->dtime,
                           d->g[TIME_WEIGHT],
                           d->g[TIME_BIAS],
                           0.0f,
                           (Tensor){ 0 });
}

static void
backward(Denoiser* d, const DenoiserInput* input, Tensor dhead)
{
  Transformer* const t      = d->own;
  Device* const      device = d->device;
  const Tensor dfinal = tensor_columns(t->dmodulation, 0, 2 * d->sizes.width);
  denoiser_affine_backward(device,
                           t->last.input,
                           d->p[HEAD_WEIGHT],
                           dhead,
                           d->g[HEAD_WEIGHT],
                           d->g[HEAD_BIAS],
                           0.0f,
                           t->dbranch);
  op_fill(device, t->dx, 0.0f);
  op_fill(device, t->dmodulation, 0.0f);
  norm_backward(d, input, &t->last, t->final, t->dbranch, t->dx, dfinal);
  denoiser_affine_backward(device,
                           t->time,
                           d->p[FINAL_WEIGHT],
                           dfinal,
                           d->g[FINAL_WEIGHT],
                           d->g[FINAL_BIAS],
                           0.0f,
                           t->dtime);
  for (uint32_t l = d->sizes.layers; l-- > 0;) {
    op_fill(device, t->dmodulation, 0.0f);
    mlp_backward(d, t, input, l);
    attention_backward(d, t, input, l);
    denoiser_affine_backward(device,
                             t->time,
                             weight(d, l, MODULATION_WEIGHT),
                             t->dmodulation,
                             gradient(d, l, MODULATION_WEIGHT),
                             gradient(d, l, MODULATION_BIAS),
                             1.0f,
                             t->dtime);
  }
  embed_backward(d, t, input);
}

// --- Sampling ----------------------------------------------------------------

// Copies `notes` rows of each sequence from `from` to row `at` of each of `to`.
static void
copy_notes(Device*  device,
           uint32_t sequences,
           Tensor   from,
           Tensor   to,
           uint32_t at)
{
  const uint32_t notes = from.rows / sequences;
  const uint32_t room  = to.rows / sequences;
  for (uint32_t s = 0; s < sequences; ++s) {
    op_copy(device,
            tensor_rows(from, s * notes, notes),
            tensor_rows(to, s * room + at, notes));
  }
}

static void
context(Denoiser* d, const DenoiserInput* input)
{
  Transformer* const t     = d->own;
  const uint32_t     width = d->sizes.width;
  const uint32_t     last  = d->sizes.layers - 1;
  t->clean_notes           = input->notes;
  t->seen_notes            = 0;
  if (!input->notes) {
    return;
  }
  lay_out(d, t, shape_of(d, input, input->notes));
  lay_out_store(d, t, t->clean, 0, input->sequences * input->notes);
  embed(d, t, input);
  for (uint32_t l = 0; l <= last; ++l) {
    block_begin(d, t, input, l);
    op_copy(d->device, own_keys(d, &t->layer[l]), t->clean[l]);
    if (l < last) {
      attend(d,
             input,
             &t->layer[l],
             tensor_columns(t->clean[l], 0, width),
             tensor_columns(t->clean[l], width, width));
      block_end(d, t, input, l);
    }
  }
}

// Makes room for each sequence's own keys after its clean ones.
static void
gather_clean(Denoiser* d, Transformer* t, const DenoiserInput* input)
{
  const uint32_t all = t->clean_notes + input->notes;
  if (t->seen_notes == all) {
    return;
  }
  t->seen_notes = all;
  lay_out_store(d, t, t->seen, d->sizes.layers, input->sequences * all);
  for (uint32_t l = 0; t->clean_notes && l < d->sizes.layers; ++l) {
    copy_notes(d->device, input->sequences, t->clean[l], t->seen[l], 0);
  }
}

static void
step(Denoiser* d, const DenoiserInput* input, Tensor head)
{
  Transformer* const t     = d->own;
  const uint32_t     width = d->sizes.width;
  gather_clean(d, t, input);
  lay_out(d, t, shape_of(d, input, t->seen_notes));
  embed(d, t, input);
  for (uint32_t l = 0; l < d->sizes.layers; ++l) {
    block_begin(d, t, input, l);
    copy_notes(d->device,
               input->sequences,
               own_keys(d, &t->layer[l]),
               t->seen[l],
               t->clean_notes);
    attend(d,
           input,
           &t->layer[l],
           tensor_columns(t->seen[l], 0, width),
           tensor_columns(t->seen[l], width, width));
    block_end(d, t, input, l);
  }
  finish(d, t, input, head);
}

const DenoiserClass denoiser_transformer = {
  .name       = "transformer",
  .parameters = parameters,
  .open       = open_transformer,
  .close      = close_transformer,
  .initialise = initialise,
  .forward    = forward,
  .backward   = backward,
  .context    = context,
  .step       = step,
};
