// The transformer denoiser: forward, backward and sampling with remembered
// clean notes. The thread of the Device.
#include "denoiser_transformer_internal.h"

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

static Shape
shape_of(const Denoiser* d, const DenoiserInput* input, uint32_t keys)
{
  const uint32_t rows = input->sequences * input->notes;
  return (Shape){ .rows   = rows,
                  .levels = input->time.rows,
                  .scores = rows * d->sizes.heads,
                  .keys   = keys };
}

// --- Forward -----------------------------------------------------------------

// The bias follows the weight in the table.
static void
layer_affine(const Denoiser* d, uint32_t l, uint32_t which, Tensor x, Tensor y)
{
  const uint32_t entry = FIRST_LAYER + l * LAYER_PARAMETERS + which;
  denoiser_affine(d, entry, entry + 1, x, y);
}

static void
embed_notes(Denoiser* d, Transformer* t, const DenoiserInput* input)
{
  Device* const device = d->device;
  denoiser_affine(d, TOKEN_WEIGHT, TOKEN_BIAS, input->tokens, t->x);
  op_gather(device, d->p[POSITION], input->position, t->place);
  op_accumulate(device, t->place, t->x);
}

static void
embed_time(Denoiser* d, Tensor time, Tensor pre, Tensor out)
{
  denoiser_affine(d, TIME_WEIGHT, TIME_BIAS, time, pre);
  op_gelu(d->device, pre, out);
}

static void
embed(Denoiser* d, Transformer* t, const DenoiserInput* input)
{
  embed_notes(d, t, input);
  embed_time(d, input->time, t->time_pre, t->time);
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

static void
rotate(Denoiser* d, Transformer* t, const DenoiserInput* input, Tensor qkv)
{
  // Queries and keys are rows of 2 x heads heads.
  op_rotate(d->device,
            2 * d->sizes.heads,
            input->position,
            t->cosines,
            t->sines,
            false,
            tensor_columns(qkv, 0, 2 * d->sizes.width));
}

// The first half of block l up to queries, keys and values.
static void
block_begin(Denoiser* d, Transformer* t, const DenoiserInput* input, uint32_t l)
{
  Layer* const layer = &t->layer[l];
  layer_affine(d, l, MODULATION_WEIGHT, t->time, layer->modulation);
  norm(d, input, t->x, shift_scale(d, layer->modulation, 0), &layer->attention);
  layer_affine(d, l, QKV_WEIGHT, layer->attention.input, layer->qkv);
  rotate(d, t, input, layer->qkv);
}

// From what attention gathered to the end of block l.
static void
block_end(Denoiser* d, Transformer* t, const DenoiserInput* input, uint32_t l)
{
  Device* const device = d->device;
  Layer* const  layer  = &t->layer[l];
  layer_affine(d, l, OUT_WEIGHT, layer->mixed, layer->attention.out);
  op_gated_add(device,
               layer->attention.out,
               input->level,
               gate(d, layer->modulation, 0),
               t->x);
  norm(d, input, t->x, shift_scale(d, layer->modulation, 1), &layer->mlp);
  layer_affine(d, l, UP_WEIGHT, layer->mlp.input, layer->up);
  op_gelu(device, layer->up, layer->active);
  layer_affine(d, l, DOWN_WEIGHT, layer->active, layer->mlp.out);
  op_gated_add(
    device, layer->mlp.out, input->level, gate(d, layer->modulation, 1), t->x);
}

static void
finish(Denoiser* d, Transformer* t, const DenoiserInput* input, Tensor head)
{
  denoiser_affine(d, FINAL_WEIGHT, FINAL_BIAS, t->time, t->final);
  norm(d, input, t->x, t->final, &t->last);
  denoiser_affine(d, HEAD_WEIGHT, HEAD_BIAS, t->last.input, head);
}

static Tensor
own_keys(const Denoiser* d, const Layer* layer)
{
  return tensor_columns(layer->qkv, d->sizes.width, 2 * d->sizes.width);
}

void
transformer_forward(Denoiser* d, const DenoiserInput* input, Tensor head)
{
  Transformer* const t     = d->own;
  const uint32_t     width = d->sizes.width;
  transformer_lay_out(d, t, shape_of(d, input, input->notes));
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
  affine_backward(d->device,
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
  op_rotate(device,
            2 * d->sizes.heads,
            input->position,
            t->cosines,
            t->sines,
            true,
            tensor_columns(t->dqkv, 0, 2 * width));
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
  affine_backward(device,
                  input->tokens,
                  d->p[TOKEN_WEIGHT],
                  t->dx,
                  d->g[TOKEN_WEIGHT],
                  d->g[TOKEN_BIAS],
                  0.0f,
                  (Tensor){ 0 });
  op_scatter_add(device, input->position, t->dx, d->g[POSITION]);
  op_gelu_backward(device, t->time_pre, t->dtime, t->dtime);
  affine_backward(device,
                  input->time,
                  d->p[TIME_WEIGHT],
                  t->dtime,
                  d->g[TIME_WEIGHT],
                  d->g[TIME_BIAS],
                  0.0f,
                  (Tensor){ 0 });
}

void
transformer_backward(Denoiser* d, const DenoiserInput* input, Tensor dhead)
{
  Transformer* const t      = d->own;
  Device* const      device = d->device;
  const Tensor dfinal = tensor_columns(t->dmodulation, 0, 2 * d->sizes.width);
  affine_backward(device,
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
  affine_backward(device,
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
    affine_backward(device,
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

static void
norm_affine(Denoiser*            d,
            Transformer*         t,
            const DenoiserInput* input,
            Tensor               modulation,
            uint32_t             weight, // its bias follows
            bool                 gelu,
            Tensor               y)
{
  op_norm_affine(d->device,
                 t->x,
                 input->level,
                 modulation,
                 d->p[weight],
                 d->packed[weight],
                 d->p[weight + 1],
                 gelu,
                 t->scratch,
                 y);
}

// x += gate * (in weight^T + bias).
static void
affine_gated(Denoiser*            d,
             Transformer*         t,
             const DenoiserInput* input,
             Tensor               in,
             uint32_t             weight, // its bias follows
             Tensor               gate)
{
  op_affine_gated(d->device,
                  in,
                  d->p[weight],
                  d->packed[weight],
                  d->p[weight + 1],
                  input->level,
                  gate,
                  tensor_columns(t->scratch, 0, d->sizes.width),
                  t->x);
}

void
transformer_levels(Denoiser* d, Tensor time)
{
  Transformer* const t      = d->own;
  const uint32_t     m      = time.rows;
  const Tensor       middle = tensor_rows(t->known_time, 0, m);
  embed_time(d, time, tensor_rows(t->known_time_pre, 0, m), middle);
  for (uint32_t l = 0; l < d->sizes.layers; ++l) {
    layer_affine(
      d, l, MODULATION_WEIGHT, middle, tensor_rows(t->known[l], 0, m));
  }
  denoiser_affine(
    d, FINAL_WEIGHT, FINAL_BIAS, middle, tensor_rows(t->known_final, 0, m));
}

// Lays out and embeds; makes the modulations known where they are not.
static void
sample_open(Denoiser*            d,
            Transformer*         t,
            const DenoiserInput* input,
            uint32_t             keys)
{
  transformer_lay_out(d, t, shape_of(d, input, keys));
  embed_notes(d, t, input);
  if (input->time.data) {
    transformer_levels(d, input->time);
  }
}

// What the levels that this input's `level` counts from make of `all`.
static Tensor
known_rows(const DenoiserInput* input, Tensor all)
{
  return input->time.data ? tensor_rows(all, 0, input->time.rows)
                          : tensor_rows(all, input->known, 1);
}

// Block l up to queries, keys and values, not yet turned.
static void
sample_begin(Denoiser*            d,
             Transformer*         t,
             const DenoiserInput* input,
             uint32_t             l)
{
  const Layer* const layer = &t->layer[l];
  norm_affine(d,
              t,
              input,
              shift_scale(d, known_rows(input, t->known[l]), 0),
              FIRST_LAYER + l * LAYER_PARAMETERS + QKV_WEIGHT,
              false,
              layer->qkv);
}

// From there to its end, among the keys and values of `seen`, which end with
// this call's own.
static void
sample_end(Denoiser*            d,
           Transformer*         t,
           const DenoiserInput* input,
           uint32_t             l,
           uint32_t             before,
           Tensor               seen)
{
  const Layer* const layer      = &t->layer[l];
  const Tensor       modulation = known_rows(input, t->known[l]);
  const uint32_t     first      = FIRST_LAYER + l * LAYER_PARAMETERS;
  op_attend(d->device,
            input->sequences,
            d->sizes.heads,
            layer->qkv,
            input->position,
            t->cosines,
            t->sines,
            before,
            seen,
            layer->probabilities,
            layer->mixed);
  affine_gated(
    d, t, input, layer->mixed, first + OUT_WEIGHT, gate(d, modulation, 0));
  norm_affine(d,
              t,
              input,
              shift_scale(d, modulation, 1),
              first + UP_WEIGHT,
              true,
              layer->active);
  affine_gated(
    d, t, input, layer->active, first + DOWN_WEIGHT, gate(d, modulation, 1));
}

void
transformer_context(Denoiser* d, const DenoiserInput* input)
{
  Transformer* const t    = d->own;
  const uint32_t     last = d->sizes.layers - 1;
  t->clean_notes          = input->notes;
  t->seen_notes           = 0;
  if (!input->notes) {
    return;
  }
  transformer_lay_out_store(d, t, t->clean, 0, input->sequences * input->notes);
  sample_open(d, t, input, input->notes);
  for (uint32_t l = 0; l < last; ++l) {
    sample_begin(d, t, input, l);
    sample_end(d, t, input, l, 0, t->clean[l]);
  }
  // Nobody asks what the last block makes of clean notes.
  sample_begin(d, t, input, last);
  rotate(d, t, input, t->layer[last].qkv);
  op_copy(d->device, own_keys(d, &t->layer[last]), t->clean[last]);
}

// One row a sequence; `store` has no gaps.
static Tensor
by_sequence(Tensor store, uint32_t sequences)
{
  const uint32_t each = store.rows / sequences * store.columns;
  return (Tensor){ store.data, sequences, each, each };
}

// Copies each sequence's clean keys to the front of its block, where room is
// left for its own.
static void
gather_clean(Denoiser* d, Transformer* t, const DenoiserInput* input)
{
  const uint32_t clean = t->clean_notes;
  const uint32_t all   = clean + input->notes;
  if (t->seen_notes == all) {
    return;
  }
  t->seen_notes = all;
  transformer_lay_out_store(
    d, t, t->seen, d->sizes.layers, input->sequences * all);
  for (uint32_t l = 0; clean && l < d->sizes.layers; ++l) {
    const Tensor to = by_sequence(t->seen[l], input->sequences);
    op_copy(d->device,
            by_sequence(t->clean[l], input->sequences),
            tensor_columns(to, 0, clean * t->clean[l].columns));
  }
}

void
transformer_step(Denoiser* d, const DenoiserInput* input, Tensor head)
{
  Transformer* const t = d->own;
  gather_clean(d, t, input);
  sample_open(d, t, input, t->seen_notes);
  for (uint32_t l = 0; l < d->sizes.layers; ++l) {
    sample_begin(d, t, input, l);
    sample_end(d, t, input, l, t->clean_notes, t->seen[l]);
  }
  norm_affine(
    d, t, input, known_rows(input, t->known_final), HEAD_WEIGHT, false, head);
}
