// The reference system's denoiser (RESEARCH.md) behind denoiser.h: a
// bidirectional LSTM encoder, a bottleneck, an LSTM decoder with memory
// overwrite, a linear head. The thread of the Device.
//
// Where it differs from the reference, because that hurt it: the bottleneck is
// a vector for each note, not one for the window; the decoder reads the noised
// note and its noise level too; each note carries its own level, so that clean
// and noised ones are told apart.
//
// Before the decoder reads note t, each layer's (h, c) is overwritten by gates
// driven by the bottleneck's vector at t. All LSTMs start from a learned
// function of the mean of the sequence's level embeddings. `allowed` is
// ignored: a recurrent network cannot hide one note from another. Nothing can
// be cached over the sampling steps either, since the backward direction comes
// from what changes: each step runs over the clean notes again.
#include "denoiser_lstm_internal.h"

#include "arena.h"

#include <stdio.h>
#include <stdlib.h>

// --- Weights -----------------------------------------------------------------

static void
entry(Parameter* to, const char* name, uint32_t rows, uint32_t columns)
{
  *to = (Parameter){ .rows = rows, .columns = columns };
  snprintf(to->name, sizeof to->name, "%s", name);
}

// "name.layer.what" of one layer's weight.
static void
layer_entry(Parameter*  to,
            const char* name,
            uint32_t    layer,
            const char* what,
            uint32_t    rows,
            uint32_t    columns)
{
  *to = (Parameter){ .rows = rows, .columns = columns };
  snprintf(to->name, sizeof to->name, "%s.%u.%s", name, layer, what);
}

static void
chain_entries(Parameter*  to,
              const char* name,
              uint32_t    layer,
              uint32_t    width,
              uint32_t    columns)
{
  layer_entry(to + CHAIN_INPUT, name, layer, "input", 4 * width, columns);
  layer_entry(to + CHAIN_RECURRENT, name, layer, "recurrent", 4 * width, width);
  layer_entry(to + CHAIN_BIAS, name, layer, "bias", 1, 4 * width);
}

static void
lstm_parameters(const DenoiserSizes* sizes, Parameter* table, uint32_t* count)
{
  const uint32_t k     = sizes->time_width;
  const uint32_t w     = sizes->width;
  const uint32_t b     = sizes->bottleneck;
  const uint32_t first = sizes->input + k;
  const uint32_t start = chains_of(sizes) * 2 * w;
  entry(&table[TIME_WEIGHT], "time.weight", k, DENOISER_TIME_FEATURES);
  entry(&table[TIME_BIAS], "time.bias", 1, k);
  entry(&table[LEVEL_WEIGHT], "level.weight", k, k);
  entry(&table[LEVEL_BIAS], "level.bias", 1, k);
  entry(&table[START_WEIGHT], "start.weight", start, k);
  entry(&table[START_BIAS], "start.bias", 1, start);
  entry(&table[BOTTLENECK_WEIGHT], "bottleneck.weight", b, 2 * w);
  entry(&table[BOTTLENECK_BIAS], "bottleneck.bias", 1, b);
  entry(&table[HEAD_WEIGHT], "head.weight", sizes->output, w);
  entry(&table[HEAD_BIAS], "head.bias", 1, sizes->output);
  for (uint32_t l = 0; l < sizes->layers; ++l) {
    Parameter* const encoder   = table + chain_parameter(2 * l);
    Parameter* const decoder   = table + chain_parameter(2 * sizes->layers + l);
    Parameter* const overwrite = table + overwrite_parameter(sizes, l);
    const uint32_t   columns   = l ? 2 * w : first;
    chain_entries(encoder, "encoder.forward", l, w, columns);
    chain_entries(
      encoder + CHAIN_PARAMETERS, "encoder.backward", l, w, columns);
    chain_entries(decoder, "decoder", l, w, l ? w : first);
    layer_entry(
      overwrite + OVERWRITE_WEIGHT, "overwrite", l, "weight", 6 * w, b);
    layer_entry(overwrite + OVERWRITE_BIAS, "overwrite", l, "bias", 1, 6 * w);
  }
  *count = overwrite_parameter(sizes, sizes->layers);
}

static void
lstm_initialise(const Denoiser* denoiser, float* host)
{
  const DenoiserSizes* const sizes = &denoiser->sizes;
  const uint32_t             w     = sizes->width;
  // Forget gates start open (Jozefowicz et al. 2015), the overwrite's too.
  for (uint32_t i = 0; i < chains_of(sizes); ++i) {
    const uint32_t bias = chain_parameter(i) + CHAIN_BIAS;
    for (uint32_t k = 0; k < w; ++k) {
      host[denoiser->table[bias].offset + w + k] = 1.0f;
    }
  }
  for (uint32_t l = 0; l < sizes->layers; ++l) {
    const uint32_t bias = overwrite_parameter(sizes, l) + OVERWRITE_BIAS;
    for (uint32_t k = 0; k < 2 * w; ++k) {
      host[denoiser->table[bias].offset + k] = 1.0f;
    }
  }
}

// --- Memory ------------------------------------------------------------------

// What only the pass through one chain needs, unless training keeps it.
static void
cut_chain(Chain* chain, Arena* m, uint32_t r, uint32_t w, bool decoder)
{
  chain->gates = arena_cut(m, r, 4 * w);
  if (decoder) {
    chain->pre   = arena_cut(m, r, 6 * w);
    chain->keep  = arena_cut(m, r, 2 * w);
    chain->add   = arena_cut(m, r, 2 * w);
    chain->state = arena_cut(m, r, 2 * w);
  } else {
    chain->c = arena_cut(m, r, w);
  }
}

static void
cut_training(Lstm* lstm, Arena* m, uint32_t s, uint32_t r)
{
  const DenoiserSizes* const sizes      = &lstm->sizes;
  const uint32_t             k          = sizes->time_width;
  const uint32_t             w          = sizes->width;
  const uint32_t             levels_max = lstm->denoiser->sequences_max + 1;
  lstm->dhead                           = arena_cut(m, r, sizes->output);
  lstm->dhidden[0]                      = arena_cut(m, r, 2 * w);
  lstm->dhidden[1]                      = arena_cut(m, r, 2 * w);
  lstm->dgates                          = arena_cut(m, r, 4 * w);
  lstm->dkeep                           = arena_cut(m, r, 2 * w);
  lstm->dadd                            = arena_cut(m, r, 2 * w);
  lstm->dpre                            = arena_cut(m, r, 6 * w);
  lstm->dbottleneck                     = arena_cut(m, r, sizes->bottleneck);
  lstm->dstart       = arena_cut(m, s, chains_of(sizes) * 2 * w);
  lstm->dsum         = arena_cut(m, s, k);
  lstm->dembedding   = arena_cut(m, r, k);
  lstm->row_of_level = arena_cut(m, r, 1);
  lstm->dlevel       = arena_cut(m, levels_max, k);
  lstm->dmiddle      = arena_cut(m, levels_max, k);
}

// Joins each chain to what it reads and writes.
static void
join_chains(Lstm* lstm)
{
  const uint32_t w      = lstm->sizes.width;
  const uint32_t layers = lstm->sizes.layers;
  for (uint32_t i = 0; i < chains_of(&lstm->sizes); ++i) {
    Chain* const   chain   = &lstm->chain[i];
    const bool     decoder = i >= 2 * layers;
    const uint32_t l       = decoder ? i - 2 * layers : i / 2;
    chain->reverse         = !decoder && i % 2;
    chain->start           = tensor_columns(lstm->start, i * 2 * w, 2 * w);
    chain->dstart          = tensor_columns(lstm->dstart, i * 2 * w, 2 * w);
    if (decoder) {
      chain->h  = tensor_columns(chain->left, 0, w);
      chain->c  = tensor_columns(chain->left, w, w);
      chain->in = l ? lstm->chain[i - 1].h : lstm->x;
    } else {
      chain->h  = tensor_columns(lstm->hidden[l], i % 2 * w, w);
      chain->in = l ? lstm->hidden[l - 1] : lstm->x;
    }
  }
}

// Lays every tensor out for s sequences, r rows in all; returns the floats
// used. What does not fit is empty, and the first op on it records the fault.
static size_t
lay_out(Lstm* lstm, uint32_t s, uint32_t r)
{
  const DenoiserSizes* const sizes    = &lstm->sizes;
  const bool                 training = lstm->denoiser->training;
  const uint32_t             k        = sizes->time_width;
  const uint32_t             w        = sizes->width;
  const uint32_t             needed   = lstm->denoiser->sequences_max + 1;
  const uint32_t             levels_max =
    training || needed > DENOISER_LEVELS_MAX ? needed : DENOISER_LEVELS_MAX;
  Arena m       = { .memory = lstm->memory };
  lstm->numbers = arena_cut(&m, lstm->rows_max, 1);
  lstm->ones    = arena_cut(&m, lstm->rows_max, 1);
  if (!training) {
    lstm->given          = arena_cut(&m, lstm->rows_max, sizes->input + k);
    lstm->given_position = arena_cut(&m, lstm->rows_max, 1);
  }
  lstm->middle = arena_cut(&m, levels_max, k);
  lstm->level  = arena_cut(&m, levels_max, k);

  lstm->position = arena_cut(&m, r, 1);
  lstm->place    = arena_cut(&m, r, 1);
  lstm->order    = arena_cut(&m, r, 1);
  lstm->stride   = arena_cut(&m, s, 1);
  lstm->rows     = arena_cut(&m, r, sizes->input + k);
  lstm->x        = arena_cut(&m, r, sizes->input + k);
  lstm->sum      = arena_cut(&m, s, k);
  lstm->start    = arena_cut(&m, s, chains_of(sizes) * 2 * w);
  for (uint32_t l = 0; l < sizes->layers; ++l) {
    lstm->hidden[l]                         = arena_cut(&m, r, 2 * w);
    lstm->chain[2 * sizes->layers + l].left = arena_cut(&m, r, 2 * w);
  }
  lstm->bottleneck = arena_cut(&m, r, sizes->bottleneck);
  lstm->head       = arena_cut(&m, r, sizes->output);
  if (training) {
    cut_training(lstm, &m, s, r);
  }
  size_t end = m.used;
  for (uint32_t i = 0; i < chains_of(sizes); ++i) {
    Arena own = m;
    cut_chain(&lstm->chain[i], &own, r, w, i >= 2 * sizes->layers);
    end = own.used > end ? own.used : end;
    m   = training ? own : m;
  }
  join_chains(lstm);
  return end;
}

static void
lstm_close(Denoiser* denoiser)
{
  Lstm* const lstm = denoiser->own;
  tensor_free(denoiser->device, &lstm->memory);
  free(lstm);
}

// What stands in memory for good.
static Status
write_constants(Lstm* lstm, Error* error)
{
  float* const host = malloc(lstm->rows_max * sizeof *host);
  if (!host) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %u notes", lstm->rows_max);
  }
  for (uint32_t i = 0; i < lstm->rows_max; ++i) {
    host[i] = (float)i;
  }
  tensor_write(lstm->device, lstm->numbers, host);
  op_fill(lstm->device, lstm->ones, 1.0f);
  free(host);
  return STATUS_OK;
}

static Status
lstm_open(Denoiser* denoiser, Error* error)
{
  Lstm* const lstm = calloc(1, sizeof *lstm);
  if (!lstm) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for an LSTM");
  }
  denoiser->own  = lstm;
  lstm->denoiser = denoiser;
  lstm->device   = denoiser->device;
  lstm->sizes    = denoiser->sizes;
  lstm->rows_max = denoiser->rows_max;
  // A sampling step runs over the clean notes too.
  const uint64_t longest = (uint64_t)denoiser->sequences_max * SEQUENCE_NOTES;
  if (!denoiser->training && lstm->rows_max < longest) {
    lstm->rows_max = longest < UINT32_MAX ? (uint32_t)longest : UINT32_MAX;
  }
  const size_t floats = lay_out(lstm, denoiser->sequences_max, lstm->rows_max);
  if (floats > UINT32_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "%u notes at once are too many for this network",
                     lstm->rows_max);
  }
  const Status status = tensor_allocate(
    denoiser->device, 1, (uint32_t)floats, &lstm->memory, error);
  if (status != STATUS_OK) {
    return status;
  }
  lay_out(lstm, denoiser->sequences_max, lstm->rows_max);
  return write_constants(lstm, error);
}

// --- Order of rows -----------------------------------------------------------

// A column, a value a row, as a row for each sequence of so many notes.
static Tensor
by_sequence(const Lstm* lstm, Tensor column, uint32_t notes)
{
  return (Tensor){ column.data, lstm->sequences, notes, notes };
}

// Finds the places of `notes` notes a sequence, rows `first` on: position * S +
// number of the sequence.
static void
find_places(Lstm* lstm, uint32_t first, uint32_t notes, Tensor position)
{
  const uint32_t count = lstm->sequences * notes;
  const Tensor   own   = tensor_rows(lstm->position, first, count);
  const Tensor   place = tensor_rows(lstm->place, first, count);
  op_copy(lstm->device, position, own);
  op_combine_rows(lstm->device,
                  lstm->stride,
                  by_sequence(lstm, own, notes),
                  tensor_rows(lstm->numbers, 0, lstm->sequences),
                  by_sequence(lstm, lstm->ones, notes),
                  by_sequence(lstm, place, notes));
}

// Prepares for sequences of `given` clean notes and `made` others, whose
// positions are those. What is too large gets no rows, and the first op records
// the fault.
static void
begin(Lstm*    lstm,
      uint32_t sequences,
      uint32_t given,
      uint32_t made,
      Tensor   position)
{
  Device* const  device = lstm->device;
  const uint64_t rows   = ((uint64_t)given + made) * sequences;
  const uint32_t r      = rows <= lstm->rows_max ? (uint32_t)rows : 0;
  const uint32_t hidden = r ? sequences * given : 0;
  lstm->sequences       = sequences;
  lstm->notes           = r ? given + made : 0;
  lay_out(lstm, sequences, r);
  op_fill(device, lstm->stride, (float)sequences);
  if (hidden) {
    find_places(lstm, 0, given, tensor_rows(lstm->given_position, 0, hidden));
  }
  find_places(lstm, hidden, made, position);
  op_fill(device, lstm->order, 0.0f);
  op_scatter_add(
    device, lstm->place, tensor_rows(lstm->numbers, 0, r), lstm->order);
}

// --- Passes ----------------------------------------------------------------

static void
lstm_forward(Denoiser* denoiser, const DenoiserInput* input, Tensor head)
{
  Lstm* const lstm = denoiser->own;
  begin(lstm, input->sequences, 0, input->notes, input->position);
  lstm_embed_notes(lstm, input, lstm->rows);
  lstm_network_forward(lstm);
  op_gather(lstm->device, lstm->head, lstm->place, head);
}

static void
lstm_levels(Denoiser* denoiser, Tensor time)
{
  lstm_embed_levels(denoiser->own, time);
}

static void
lstm_context(Denoiser* denoiser, const DenoiserInput* input)
{
  Lstm* const    lstm   = denoiser->own;
  const uint64_t rows   = (uint64_t)input->sequences * input->notes;
  lstm->given_sequences = input->sequences;
  lstm->given_notes     = input->notes;
  if (rows == 0) {
    return;
  }
  const uint32_t r = rows <= lstm->rows_max ? (uint32_t)rows : 0;
  lstm_embed_notes(lstm, input, tensor_rows(lstm->given, 0, r));
  op_copy(
    lstm->device, input->position, tensor_rows(lstm->given_position, 0, r));
}

static void
lstm_step(Denoiser* denoiser, const DenoiserInput* input, Tensor head)
{
  Lstm* const    lstm   = denoiser->own;
  Device* const  device = lstm->device;
  const uint32_t s      = input->sequences;
  const bool     same   = !lstm->given_notes || lstm->given_sequences == s;
  const uint32_t given  = same ? lstm->given_notes : 0;
  const uint32_t made   = same ? input->notes : 0;
  const uint32_t hidden = s * given;
  begin(lstm, s, given, made, input->position);
  if (given) {
    op_copy(device,
            tensor_rows(lstm->given, 0, hidden),
            tensor_rows(lstm->rows, 0, hidden));
  }
  lstm_embed_notes(lstm, input, tensor_rows(lstm->rows, hidden, s * made));
  lstm_network_forward(lstm);
  op_gather(
    device, lstm->head, tensor_rows(lstm->place, hidden, s * made), head);
}

static void
lstm_backward(Denoiser* denoiser, const DenoiserInput* input, Tensor dhead)
{
  Lstm* const lstm = denoiser->own;
  op_gather(lstm->device, dhead, lstm->order, lstm->dhead);
  lstm_network_backward(lstm, input);
}

const DenoiserClass denoiser_lstm = {
  .name       = "lstm",
  .parameters = lstm_parameters,
  .open       = lstm_open,
  .close      = lstm_close,
  .initialise = lstm_initialise,
  .forward    = lstm_forward,
  .backward   = lstm_backward,
  .levels     = lstm_levels,
  .context    = lstm_context,
  .step       = lstm_step,
};
