// The VAE: its table of weights, its memory, and what callers ask of it.
#include "vae_internal.h"

#include "arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- Weights -----------------------------------------------------------------

Status
vae_check_sizes(const VaeSizes* sizes, Error* error)
{
  const struct {
    const char* name;
    uint32_t    value;
  } all[] = {
    { "pitch_embedding", sizes->pitch_embedding },
    { "encoder_hidden", sizes->encoder_hidden },
    { "latent", sizes->latent },
    { "decoder_hidden", sizes->decoder_hidden },
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    if (all[i].value < 1 || all[i].value > VAE_SIZE_MAX) {
      return error_set(error,
                       STATUS_BAD_ARGUMENT,
                       "%s is %u; it must be 1 to %u",
                       all[i].name,
                       all[i].value,
                       VAE_SIZE_MAX);
    }
  }
  return STATUS_OK;
}

size_t
vae_parameters(const VaeSizes* sizes, Parameter* parameters)
{
  const uint32_t  in     = sizes->pitch_embedding + CHANNEL_COUNT;
  const uint32_t  he     = sizes->encoder_hidden;
  const uint32_t  h      = sizes->decoder_hidden;
  const uint32_t  z      = sizes->latent;
  const Parameter list[] = {
    [PITCH_EMBEDDING]    = { "pitch_embedding",
                             ENCODING_PITCHES,
                             sizes->pitch_embedding,
                             0 },
    [FORWARD_INPUT]      = { "encoder.forward.input", 4 * he, in, 0 },
    [FORWARD_RECURRENT]  = { "encoder.forward.recurrent", 4 * he, he, 0 },
    [FORWARD_BIAS]       = { "encoder.forward.bias", 1, 4 * he, 0 },
    [BACKWARD_INPUT]     = { "encoder.backward.input", 4 * he, in, 0 },
    [BACKWARD_RECURRENT] = { "encoder.backward.recurrent", 4 * he, he, 0 },
    [BACKWARD_BIAS]      = { "encoder.backward.bias", 1, 4 * he, 0 },
    [LATENT_WEIGHT]     = { "encoder.latent.weight", STEPS * 2 * z, 2 * he, 0 },
    [LATENT_BIAS]       = { "encoder.latent.bias", 1, 2 * z, 0 },
    [DECODER_INPUT]     = { "decoder.input", 4 * h, in, 0 },
    [DECODER_RECURRENT] = { "decoder.recurrent", 4 * h, h, 0 },
    [DECODER_LATENT]    = { "decoder.latent.weight", STEPS * 4 * h, z, 0 },
    [DECODER_BIAS]      = { "decoder.latent.bias", 1, STEPS * 4 * h, 0 },
    [STATE_WEIGHT]      = { "decoder.state.weight", 2 * h, z, 0 },
    [STATE_BIAS]        = { "decoder.state.bias", 1, 2 * h, 0 },
    [OVERWRITE_WEIGHT]  = { "decoder.overwrite.weight", 6 * h, z, 0 },
    [OVERWRITE_BIAS]    = { "decoder.overwrite.bias", 1, 6 * h, 0 },
    [PITCH_HEAD]        = { "decoder.pitch.weight", ENCODING_PITCHES, h, 0 },
    [CHANNEL_HEAD]      = { "decoder.channels.weight", CHANNEL_COUNT, h, 0 },
    [HEAD_BIAS]         = { "decoder.head.bias", 1, HEAD_COLUMNS, 0 },
  };
  memcpy(parameters, list, sizeof list);
  return parameters_lay_out(parameters, PARAMETER_END);
}

static void
view_parameters(const Parameter* table, Tensor flat, Tensor* views)
{
  for (int i = 0; i < PARAMETER_END; ++i) {
    views[i] = parameter_view(&table[i], flat);
  }
}

static void
add_to_columns(float* data, uint32_t first, uint32_t count, float value)
{
  for (uint32_t i = 0; i < count; ++i) {
    data[first + i] += value;
  }
}

Status
vae_initialise(Vae* vae, uint64_t seed, Error* error)
{
  const size_t total = vae->weights.columns;
  float* const data  = calloc(total, sizeof *data);
  if (!data) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %zu weights", total);
  }
  const uint32_t he = vae->sizes.encoder_hidden;
  const uint32_t h  = vae->sizes.decoder_hidden;
  for (int i = 0; i < PARAMETER_END; ++i) {
    const Parameter* const entry = &vae->table[i];
    float* const           to    = data + entry->offset;
    const size_t           count = parameter_size(entry);
    const float            bound = entry->rows == 1 ? 0.0f
                                   : i == PITCH_EMBEDDING
                                     ? 1.0f
                                     : 1.0f / sqrtf((float)entry->columns);
    Rng                    rng   = rng_make(seed, RNG_USE_WEIGHTS, (uint64_t)i);
    for (size_t k = 0; k < count; ++k) {
      to[k] = bound * (2.0f * rng_uniform(&rng) - 1.0f);
    }
  }
  // Forget gates start open (Jozefowicz et al. 2015).
  add_to_columns(data + vae->table[FORWARD_BIAS].offset, he, he, 1.0f);
  add_to_columns(data + vae->table[BACKWARD_BIAS].offset, he, he, 1.0f);
  for (uint32_t t = 0; t < STEPS; ++t) {
    add_to_columns(
      data + vae->table[DECODER_BIAS].offset, (4 * t + 1) * h, h, 1.0f);
  }
  tensor_write(vae->device, vae->weights, data);
  free(data);
  return device_status(vae->device, error);
}

// --- Memory
// --------------------------------------------------------------------

static void
cut_training(Vae* vae, Arena* m, uint32_t b)
{
  const uint32_t r  = STEPS * b;
  const uint32_t he = vae->sizes.encoder_hidden;
  const uint32_t h  = vae->sizes.decoder_hidden;
  const uint32_t z  = vae->sizes.latent;
  vae->force        = arena_cut(m, r, 1);
  vae->noise        = arena_cut(m, b, z);
  vae->beta         = arena_cut(m, 1, 1);
  vae->loss         = arena_cut(m, r, 1);
  vae->dhead        = arena_cut(m, r, HEAD_COLUMNS);
  vae->dhidden_top  = arena_cut(m, r, h);
  vae->dgates       = arena_cut(m, r, 4 * h);
  vae->dstate       = arena_cut(m, b, 2 * h);
  vae->draw         = arena_cut(m, b, 2 * h);
  vae->dkeep        = arena_cut(m, b, 2 * h);
  vae->dadd         = arena_cut(m, b, 2 * h);
  vae->dpre         = arena_cut(m, b, 6 * h);
  vae->dz           = arena_cut(m, b, z);
  vae->kl           = arena_cut(m, b, 1);
  vae->dstats       = arena_cut(m, b, 2 * z);
  vae->dhidden      = arena_cut(m, r, 2 * he);
  vae->dh           = arena_cut(m, b, he);
  vae->dc           = arena_cut(m, b, he);
  vae->dx = arena_cut(m, r, vae->sizes.pitch_embedding + CHANNEL_COUNT);
  for (int i = 0; i < 2; ++i) {
    vae->direction[i].dgates = arena_cut(m, r, 4 * he);
  }
}

// Lays every tensor out for a batch of `b`; returns the floats used.
static size_t
lay_out(Vae* vae, uint32_t b)
{
  const uint32_t r  = STEPS * b;
  const uint32_t in = vae->sizes.pitch_embedding + CHANNEL_COUNT;
  const uint32_t he = vae->sizes.encoder_hidden;
  const uint32_t h  = vae->sizes.decoder_hidden;
  const uint32_t z  = vae->sizes.latent;
  Arena          m  = { .memory = vae->memory };
  vae->batch        = b;
  vae->pitch        = arena_cut(&m, r, 1);
  vae->channels     = arena_cut(&m, r, CHANNEL_COUNT);
  vae->z            = arena_cut(&m, b, z);
  vae->x            = arena_cut(&m, r, in);
  for (int i = 0; i < 2; ++i) {
    vae->direction[i].gates = arena_cut(&m, r, 4 * he);
    vae->direction[i].c     = arena_cut(&m, r, he);
  }
  vae->hidden       = arena_cut(&m, r, 2 * he);
  vae->stats        = arena_cut(&m, b, 2 * z);
  vae->latent_gates = arena_cut(&m, b, STEPS * 4 * h);
  vae->pre          = arena_cut(&m, b, 6 * h);
  vae->keep         = arena_cut(&m, b, 2 * h);
  vae->add          = arena_cut(&m, b, 2 * h);
  vae->state        = arena_cut(&m, r + b, 2 * h);
  vae->raw          = arena_cut(&m, r, 2 * h);
  vae->gates        = arena_cut(&m, r, 4 * h);
  vae->fed_pitch    = arena_cut(&m, r, 1);
  vae->fed_channels = arena_cut(&m, r, CHANNEL_COUNT);
  vae->fed          = arena_cut(&m, r, in);
  vae->head         = arena_cut(&m, r, HEAD_COLUMNS);
  vae->chosen       = arena_cut(&m, r, 1);
  vae->uniform      = arena_cut(&m, b, 1);
  vae->ones         = arena_cut(&m, b, 1);
  vae->key          = arena_cut(&m, 1, RNG_KEY_FLOATS);
  vae->x_prior      = arena_cut(&m, b, z);
  vae->pitch_bias   = arena_cut(&m, 1, ENCODING_PITCHES);
  if (vae->training) {
    cut_training(vae, &m, b);
  }
  return m.used;
}

void
vae_set_batch(Vae* vae, uint32_t batch)
{
  if (vae->batch != batch) {
    lay_out(vae, batch);
  }
}

void
vae_write_key(Vae* vae, uint64_t seed, uint64_t first_window)
{
  float key[RNG_KEY_FLOATS];
  rng_key(seed, first_window, key);
  tensor_write(vae->device, vae->key, key);
}

static Status
allocate(Vae* vae, const Vae* owner, Error* error)
{
  Device* const device = vae->device;
  const size_t  total  = vae_parameters(&vae->sizes, vae->table);
  const size_t  floats = lay_out(vae, vae->batch_max);
  if (total > UINT32_MAX || floats > UINT32_MAX) {
    return error_set(error,
                     STATUS_LIMIT,
                     "a batch of %u windows is too large for this network",
                     vae->batch_max);
  }
  const uint32_t he     = vae->sizes.encoder_hidden;
  Status         status = STATUS_OK;
  if (owner) {
    vae->weights = owner->weights;
  } else {
    vae->owns_weights = true;
    status = tensor_allocate(device, 1, (uint32_t)total, &vae->weights, error);
  }
  if (status == STATUS_OK && vae->training) {
    status =
      tensor_allocate(device, 1, (uint32_t)total, &vae->gradients, error);
  }
  if (status == STATUS_OK && vae->training) {
    status = tensor_allocate(device, 1, VAE_SUMS, &vae->sums, error);
  }
  if (status == STATUS_OK) {
    status = tensor_allocate(device, vae->batch_max, he, &vae->zero, error);
  }
  if (status == STATUS_OK) {
    status = tensor_allocate(device, 1, 1, &vae->temperature, error);
  }
  if (status == STATUS_OK) {
    op_fill(device, vae->temperature, 1.0f);
    status = tensor_allocate(device, 1, (uint32_t)floats, &vae->memory, error);
  }
  return status;
}

#define DECODE_SLOTS 16u
static void decode_ops(void* owner, const void* key);

Status
vae_create(Device*         device,
           const VaeSizes* sizes,
           uint32_t        batch_max,
           bool            training,
           const Vae*      owner,
           Vae**           out,
           Error*          error)
{
  *out          = NULL;
  Status status = vae_check_sizes(sizes, error);
  if (status != STATUS_OK) {
    return status;
  }
  Vae* const vae = calloc(1, sizeof *vae);
  if (!vae) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a VAE");
  }
  vae->device    = device;
  vae->sizes     = *sizes;
  vae->batch_max = batch_max;
  vae->training  = training;
  status         = allocate(vae, owner, error);
  if (status != STATUS_OK) {
    vae_free(vae);
    return status;
  }
  view_parameters(vae->table, vae->weights, vae->p);
  if (training) {
    view_parameters(vae->table, vae->gradients, vae->g);
  }
  lay_out(vae, batch_max);
  replay_open(&vae->decoding, device, DECODE_SLOTS, decode_ops, vae);
  *out = vae;
  return STATUS_OK;
}

void
vae_free(Vae* vae)
{
  if (!vae) {
    return;
  }
  replay_close(&vae->decoding);
  tensor_free(vae->device, &vae->prior_factor);
  tensor_free(vae->device, &vae->prior_mean);
  if (vae->owns_weights) {
    tensor_free(vae->device, &vae->weights);
  }
  tensor_free(vae->device, &vae->gradients);
  tensor_free(vae->device, &vae->sums);
  tensor_free(vae->device, &vae->temperature);
  tensor_free(vae->device, &vae->zero);
  tensor_free(vae->device, &vae->memory);
  free(vae);
}

Tensor
vae_weights(const Vae* vae)
{
  return vae->weights;
}

Tensor
vae_gradients(const Vae* vae)
{
  return vae->gradients;
}

// --- Use
// -----------------------------------------------------------------------

void
vae_encode(Vae*         vae,
           uint32_t     count,
           const float* pitch,
           const float* channels,
           float*       mean)
{
  Device* const  device = vae->device;
  const uint32_t z      = vae->sizes.latent;
  vae_set_batch(vae, count);
  tensor_write(device, vae->pitch, pitch);
  tensor_write(device, vae->channels, channels);
  vae_encoder_forward(vae);
  tensor_read(device, tensor_columns(vae->stats, 0, z), mean);
}

Status
vae_set_prior(Vae* vae, const LatentPrior* prior, Error* error)
{
  const uint32_t z = vae->sizes.latent;
  Status status = tensor_allocate(vae->device, 1, z, &vae->prior_mean, error);
  if (status == STATUS_OK) {
    status = tensor_allocate(vae->device, z, z, &vae->prior_factor, error);
  }
  if (status == STATUS_OK) {
    tensor_write(vae->device, vae->prior_mean, prior->mean);
    tensor_write(vae->device, vae->prior_factor, prior->factor);
  }
  return status;
}

// What a recording of the decoder was made for.
typedef struct {
  uint32_t count;
  uint32_t is_biased;
} DecodeKey;

static void
decode_ops(void* owner, const void* key_bytes)
{
  Vae* const    vae    = owner;
  Device* const device = vae->device;
  DecodeKey     key;
  memcpy(&key, key_bytes, sizeof key);
  if (key.is_biased) {
    op_fill(device, vae->ones, 1.0f);
  }
  if (vae->prior_factor.data) {
    op_affine(device,
              vae->x_prior,
              vae->prior_factor,
              (Tensor){ 0 },
              vae->prior_mean,
              vae->z);
  }
  vae_decoder_begin(vae);
  vae_decoder_feed_start(vae);
  for (uint32_t t = 0; t < STEPS; ++t) {
    vae_decoder_step(vae, t);
    if (key.is_biased) {
      op_matmul(device,
                false,
                true,
                1.0f,
                vae->ones,
                tensor_reshape(vae->pitch_bias, 0, ENCODING_PITCHES, 1),
                1.0f,
                vae_pitch_logits(vae, t));
    }
    vae_decoder_choose(vae, t);
    if (t + 1 < STEPS) {
      op_copy(device,
              at_step(vae, vae->chosen, t),
              at_step(vae, vae->fed_pitch, t + 1));
      op_copy(device,
              vae_channel_head(vae, t),
              at_step(vae, vae->fed_channels, t + 1));
    }
  }
}

void
vae_decode(Vae*         vae,
           uint32_t     count,
           const float* z,
           float        temperature,
           const float* pitch_bias,
           uint64_t     seed,
           uint64_t     first_window,
           float*       pitch,
           float*       channels)
{
  Device* const   device = vae->device;
  const DecodeKey key    = { count, pitch_bias != NULL };
  vae_set_batch(vae, count);
  tensor_write(device, vae->prior_factor.data ? vae->x_prior : vae->z, z);
  vae_write_key(vae, seed, first_window);
  tensor_write(device, vae->temperature, &temperature);
  if (pitch_bias) {
    tensor_write(device, vae->pitch_bias, pitch_bias);
  }
  replay_run(&vae->decoding, &key, sizeof key);
  if (vae->training) {
    op_fill(device, vae->temperature, 1.0f);
  }
  tensor_read(device, vae->chosen, pitch);
  tensor_read(device,
              tensor_columns(vae->head, ENCODING_PITCHES, CHANNEL_COUNT),
              channels);
}
