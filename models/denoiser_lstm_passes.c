// The LSTM denoiser's embeddings, encoder, bottleneck, decoder and head,
// forward and backward. The thread of the Device.
#include "denoiser_lstm_internal.h"

// --- Forward -----------------------------------------------------------------

// level = tanh of two layers over the time features, row by row.
void
lstm_embed_levels(Lstm* lstm, Tensor time)
{
  const Tensor middle = tensor_rows(lstm->middle, 0, time.rows);
  const Tensor level  = tensor_rows(lstm->level, 0, time.rows);
  denoiser_affine(lstm->denoiser, TIME_WEIGHT, TIME_BIAS, time, middle);
  op_tanh(lstm->device, middle, middle);
  denoiser_affine(lstm->denoiser, LEVEL_WEIGHT, LEVEL_BIAS, middle, level);
  op_tanh(lstm->device, level, level);
}

void
lstm_embed_notes(Lstm* lstm, const DenoiserInput* input, Tensor rows)
{
  const uint32_t columns = lstm->sizes.input;
  const Tensor   levels  = input->time.data
                             ? tensor_rows(lstm->level, 0, input->time.rows)
                             : tensor_rows(lstm->level, input->known, 1);
  if (input->time.data) {
    lstm_embed_levels(lstm, input->time);
  }
  op_copy(lstm->device, input->tokens, tensor_columns(rows, 0, columns));
  op_gather(lstm->device,
            levels,
            input->level,
            tensor_columns(rows, columns, lstm->sizes.time_width));
}

// The state of every chain before its first step.
static void
start_forward(Lstm* lstm)
{
  const Tensor* const p = lstm->denoiser->p;
  const Tensor        embedding =
    tensor_columns(lstm->x, lstm->sizes.input, lstm->sizes.time_width);
  op_fill(lstm->device, lstm->sum, 0.0f);
  for (uint32_t t = 0; t < lstm->notes; ++t) {
    op_accumulate(lstm->device, at_step(lstm, embedding, t), lstm->sum);
  }
  op_broadcast_row(lstm->device, p[START_BIAS], lstm->start);
  op_matmul(lstm->device,
            false,
            true,
            1.0f / (float)lstm->notes,
            lstm->sum,
            p[START_WEIGHT],
            1.0f,
            lstm->start);
  op_tanh(lstm->device, lstm->start, lstm->start);
}

// Step number `i` in the order in which a chain reads.
static uint32_t
step_of(const Lstm* lstm, const Chain* chain, uint32_t i)
{
  return chain->reverse ? lstm->notes - 1 - i : i;
}

static Tensor
h_of(const Lstm* lstm, Tensor state)
{
  return tensor_columns(state, 0, lstm->sizes.width);
}

static Tensor
c_of(const Lstm* lstm, Tensor state)
{
  return tensor_columns(state, lstm->sizes.width, lstm->sizes.width);
}

typedef struct {
  Tensor h;
  Tensor c;
} State;

// What the cell finds at step number `i`.
static State
state_at(const Lstm* lstm, const Chain* chain, uint32_t i)
{
  if (chain->state.data) {
    const Tensor state = at_step(lstm, chain->state, i);
    return (State){ h_of(lstm, state), c_of(lstm, state) };
  }
  if (i == 0) {
    return (State){ h_of(lstm, chain->start), c_of(lstm, chain->start) };
  }
  const uint32_t t = step_of(lstm, chain, i - 1);
  return (State){ at_step(lstm, chain->h, t), at_step(lstm, chain->c, t) };
}

// What a decoder's step left for step i, before it is overwritten.
static Tensor
left_at(const Lstm* lstm, const Chain* chain, uint32_t i)
{
  return i ? at_step(lstm, chain->left, i - 1) : chain->start;
}

static void
chain_forward(Lstm* lstm, uint32_t number)
{
  Device* const       device = lstm->device;
  const Chain* const  chain  = &lstm->chain[number];
  const uint32_t      first  = chain_parameter(number);
  const Tensor* const p      = lstm->denoiser->p + first;

  // The inputs of all steps in one product.
  denoiser_affine(lstm->denoiser,
                  first + CHAIN_INPUT,
                  first + CHAIN_BIAS,
                  chain->in,
                  chain->gates);
  for (uint32_t i = 0; i < lstm->notes; ++i) {
    const uint32_t t     = step_of(lstm, chain, i);
    const Tensor   gates = at_step(lstm, chain->gates, t);
    if (chain->state.data) {
      op_overwrite(device,
                   left_at(lstm, chain, i),
                   at_step(lstm, chain->keep, i),
                   at_step(lstm, chain->add, i),
                   at_step(lstm, chain->state, i));
    }
    const State found = state_at(lstm, chain, i);
    op_matmul(
      device, false, true, 1.0f, found.h, p[CHAIN_RECURRENT], 1.0f, gates);
    op_lstm_cell(device,
                 gates,
                 found.c,
                 at_step(lstm, chain->c, t),
                 at_step(lstm, chain->h, t));
  }
}

// From `rows` to `head`, both directions of time at once.
void
lstm_network_forward(Lstm* lstm)
{
  Device* const  device = lstm->device;
  const uint32_t layers = lstm->sizes.layers;
  op_gather(device, lstm->rows, lstm->order, lstm->x);
  start_forward(lstm);
  for (uint32_t i = 0; i < 2 * layers; ++i) {
    chain_forward(lstm, i);
  }
  denoiser_affine(lstm->denoiser,
                  BOTTLENECK_WEIGHT,
                  BOTTLENECK_BIAS,
                  lstm->hidden[layers - 1],
                  lstm->bottleneck);
  for (uint32_t l = 0; l < layers; ++l) {
    const Chain* const chain = &lstm->chain[2 * layers + l];
    const uint32_t     gates = overwrite_parameter(&lstm->sizes, l);
    denoiser_affine(lstm->denoiser,
                    gates + OVERWRITE_WEIGHT,
                    gates + OVERWRITE_BIAS,
                    lstm->bottleneck,
                    chain->pre);
    op_overwrite_gates(device, chain->pre, chain->keep, chain->add);
    chain_forward(lstm, 2 * layers + l);
  }
  denoiser_affine(lstm->denoiser,
                  HEAD_WEIGHT,
                  HEAD_BIAS,
                  lstm->chain[3 * layers - 1].h,
                  lstm->head);
}

// --- Backward ----------------------------------------------------------------

// Gradients of the weights and of the input, from dgates. `din` takes the
// input's last columns.
static void
chain_products_backward(Lstm* lstm, uint32_t number, float beta, Tensor din)
{
  Device* const       device = lstm->device;
  const Chain* const  chain  = &lstm->chain[number];
  const Tensor* const p      = lstm->denoiser->p + chain_parameter(number);
  const Tensor* const g      = lstm->denoiser->g + chain_parameter(number);
  const Tensor        dgates = lstm->dgates;
  const Tensor        weight = tensor_columns(
    p[CHAIN_INPUT], chain->in.columns - din.columns, din.columns);
  op_matmul(device, true, false, 1.0f, dgates, chain->in, 1.0f, g[CHAIN_INPUT]);
  op_sum_rows(device, dgates, 1.0f, g[CHAIN_BIAS]);
  op_matmul(device, false, false, 1.0f, dgates, weight, beta, din);

  const Tensor drecurrent = g[CHAIN_RECURRENT];
  if (chain->state.data) {
    const Tensor h = h_of(lstm, chain->state);
    op_matmul(device, true, false, 1.0f, dgates, h, 1.0f, drecurrent);
    return;
  }
  const Tensor dfirst = at_step(lstm, dgates, step_of(lstm, chain, 0));
  const Tensor first  = h_of(lstm, chain->start);
  op_matmul(device, true, false, 1.0f, dfirst, first, 1.0f, drecurrent);
  if (lstm->notes > 1) {
    // What a later step found is what the step before it in reading order
    // left: rows one block apart.
    const uint32_t block  = lstm->sequences;
    const uint32_t rows   = dgates.rows - block;
    const uint32_t later  = chain->reverse ? 0 : block;
    const Tensor   dlater = tensor_rows(dgates, later, rows);
    const Tensor   before = tensor_rows(chain->h, block - later, rows);
    op_matmul(device, true, false, 1.0f, dlater, before, 1.0f, drecurrent);
  }
}

// dtop: gradient of the chain's h. din = beta * din + its share. Leaves dstart
// and, of a decoder's chain, dkeep and dadd.
static void
chain_backward(Lstm* lstm, uint32_t number, Tensor dtop, float beta, Tensor din)
{
  Device* const      device = lstm->device;
  const Chain* const chain  = &lstm->chain[number];
  const Tensor       weight =
    lstm->denoiser->p[chain_parameter(number) + CHAIN_RECURRENT];
  const Tensor dstate = chain->dstart;
  const Tensor dh     = h_of(lstm, dstate);
  op_fill(device, dstate, 0.0f);
  if (chain->state.data) {
    op_fill(device, lstm->dkeep, 0.0f);
    op_fill(device, lstm->dadd, 0.0f);
  }
  for (uint32_t i = lstm->notes; i-- > 0;) {
    const uint32_t t      = step_of(lstm, chain, i);
    const Tensor   dgates = at_step(lstm, lstm->dgates, t);
    op_accumulate(device, at_step(lstm, dtop, t), dh);
    op_lstm_cell_backward(device,
                          at_step(lstm, chain->gates, t),
                          state_at(lstm, chain, i).c,
                          at_step(lstm, chain->c, t),
                          dh,
                          c_of(lstm, dstate),
                          dgates);
    op_matmul(device, false, false, 1.0f, dgates, weight, 0.0f, dh);
    if (chain->state.data) {
      op_overwrite_backward(device,
                            left_at(lstm, chain, i),
                            at_step(lstm, chain->keep, i),
                            dstate,
                            dstate,
                            at_step(lstm, lstm->dkeep, i),
                            at_step(lstm, lstm->dadd, i));
    }
  }
  chain_products_backward(lstm, number, beta, din);
}

// Where a layer's gradient from above lies; below the first layer, that of the
// level embeddings.
static Tensor
dhidden_of(const Lstm* lstm, int layer)
{
  return layer < 0 ? lstm->dembedding : lstm->dhidden[layer % 2];
}

// dhead -> dbottleneck, and what reaches dembedding (written) from here.
static void
decoder_backward(Lstm* lstm)
{
  Device* const       device = lstm->device;
  const Tensor* const p      = lstm->denoiser->p;
  const Tensor* const g      = lstm->denoiser->g;
  const int           layers = (int)lstm->sizes.layers;
  const uint32_t      first  = 2 * lstm->sizes.layers;
  affine_backward(device,
                  lstm->chain[first + (uint32_t)layers - 1].h,
                  p[HEAD_WEIGHT],
                  lstm->dhead,
                  g[HEAD_WEIGHT],
                  g[HEAD_BIAS],
                  0.0f,
                  h_of(lstm, dhidden_of(lstm, layers - 1)));
  for (int l = layers - 1; l >= 0; --l) {
    const uint32_t number = first + (uint32_t)l;
    const uint32_t gates  = overwrite_parameter(&lstm->sizes, (uint32_t)l);
    const Tensor   below  = dhidden_of(lstm, l - 1);
    chain_backward(lstm,
                   number,
                   h_of(lstm, dhidden_of(lstm, l)),
                   0.0f,
                   l ? h_of(lstm, below) : below);
    op_overwrite_gates_backward(
      device, lstm->chain[number].pre, lstm->dkeep, lstm->dadd, lstm->dpre);
    affine_backward(device,
                    lstm->bottleneck,
                    p[gates + OVERWRITE_WEIGHT],
                    lstm->dpre,
                    g[gates + OVERWRITE_WEIGHT],
                    g[gates + OVERWRITE_BIAS],
                    l == layers - 1 ? 0.0f : 1.0f,
                    lstm->dbottleneck);
  }
}

// dbottleneck -> what reaches dembedding (added) from here.
static void
encoder_backward(Lstm* lstm)
{
  const Tensor* const p      = lstm->denoiser->p;
  const Tensor* const g      = lstm->denoiser->g;
  const uint32_t      w      = lstm->sizes.width;
  const int           layers = (int)lstm->sizes.layers;
  affine_backward(lstm->device,
                  lstm->hidden[layers - 1],
                  p[BOTTLENECK_WEIGHT],
                  lstm->dbottleneck,
                  g[BOTTLENECK_WEIGHT],
                  g[BOTTLENECK_BIAS],
                  0.0f,
                  dhidden_of(lstm, layers - 1));
  for (int l = layers - 1; l >= 0; --l) {
    for (uint32_t direction = 0; direction < 2; ++direction) {
      chain_backward(lstm,
                     2 * (uint32_t)l + direction,
                     tensor_columns(dhidden_of(lstm, l), direction * w, w),
                     l == 0 || direction ? 1.0f : 0.0f,
                     dhidden_of(lstm, l - 1));
    }
  }
}

// dstart -> dembedding of every step (added).
static void
start_backward(Lstm* lstm)
{
  Device* const       device = lstm->device;
  const Tensor* const p      = lstm->denoiser->p;
  const Tensor* const g      = lstm->denoiser->g;
  const Tensor        dstart = lstm->dstart;
  const float         share  = 1.0f / (float)lstm->notes;
  op_tanh_backward(device, lstm->start, dstart, dstart);
  op_sum_rows(device, dstart, 1.0f, g[START_BIAS]);
  op_matmul(
    device, true, false, share, dstart, lstm->sum, 1.0f, g[START_WEIGHT]);
  op_matmul(
    device, false, false, share, dstart, p[START_WEIGHT], 0.0f, lstm->dsum);
  for (uint32_t t = 0; t < lstm->notes; ++t) {
    op_accumulate(device, lstm->dsum, at_step(lstm, lstm->dembedding, t));
  }
}

// dembedding -> the gradients of the two layers that made the embeddings.
static void
levels_backward(Lstm* lstm, const DenoiserInput* input)
{
  Device* const       device  = lstm->device;
  const Tensor* const p       = lstm->denoiser->p;
  const Tensor* const g       = lstm->denoiser->g;
  const uint32_t      count   = input->time.rows;
  const Tensor        middle  = tensor_rows(lstm->middle, 0, count);
  const Tensor        level   = tensor_rows(lstm->level, 0, count);
  const Tensor        dmiddle = tensor_rows(lstm->dmiddle, 0, count);
  const Tensor        dlevel  = tensor_rows(lstm->dlevel, 0, count);
  op_gather(device, input->level, lstm->order, lstm->row_of_level);
  op_fill(device, dlevel, 0.0f);
  op_scatter_add(device, lstm->row_of_level, lstm->dembedding, dlevel);
  op_tanh_backward(device, level, dlevel, dlevel);
  affine_backward(device,
                  middle,
                  p[LEVEL_WEIGHT],
                  dlevel,
                  g[LEVEL_WEIGHT],
                  g[LEVEL_BIAS],
                  0.0f,
                  dmiddle);
  op_tanh_backward(device, middle, dmiddle, dmiddle);
  affine_backward(device,
                  input->time,
                  p[TIME_WEIGHT],
                  dmiddle,
                  g[TIME_WEIGHT],
                  g[TIME_BIAS],
                  0.0f,
                  (Tensor){ 0 });
}

void
lstm_network_backward(Lstm* lstm, const DenoiserInput* input)
{
  decoder_backward(lstm);
  encoder_backward(lstm);
  start_backward(lstm);
  levels_backward(lstm, input);
}
