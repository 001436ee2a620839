// The VAE's autoregressive LSTM decoder with memory overwrite.
#include "vae_internal.h"

static Tensor
h_of(const Vae* vae, Tensor state)
{
  return tensor_columns(state, 0, vae->sizes.decoder_hidden);
}

static Tensor
c_of(const Vae* vae, Tensor state)
{
  return tensor_columns(
    state, vae->sizes.decoder_hidden, vae->sizes.decoder_hidden);
}

void
vae_decoder_begin(Vae* vae)
{
  Device* const device = vae->device;
  const Tensor  first  = at_step(vae, vae->state, 0);
  vae_affine(vae, STATE_WEIGHT, STATE_BIAS, vae->z, first);
  op_tanh(device, first, first);
  vae_affine(vae, OVERWRITE_WEIGHT, OVERWRITE_BIAS, vae->z, vae->pre);
  op_overwrite_gates(device, vae->pre, vae->keep, vae->add);
  vae_affine(vae, DECODER_LATENT, DECODER_BIAS, vae->z, vae->latent_gates);
}

void
vae_decoder_feed_start(Vae* vae)
{
  op_fill(
    vae->device, at_step(vae, vae->fed_pitch, 0), (float)ENCODING_START_PITCH);
  op_fill(vae->device, at_step(vae, vae->fed_channels, 0), 0.0f);
}

void
vae_decoder_choose(Vae* vae, uint32_t t)
{
  op_uniforms(vae->device, vae->key, RNG_USE_TOKENS, t, vae->uniform);
  op_sample(vae->device,
            vae_pitch_logits(vae, t),
            vae->temperature,
            vae->uniform,
            at_step(vae, vae->chosen, t));
}

void
vae_decoder_step(Vae* vae, uint32_t t)
{
  Device* const  device = vae->device;
  const uint32_t wide   = 4 * vae->sizes.decoder_hidden;
  const Tensor   fed    = at_step(vae, vae->fed, t);
  const Tensor   gates  = at_step(vae, vae->gates, t);
  const Tensor   before = at_step(vae, vae->state, t);
  const Tensor   raw    = at_step(vae, vae->raw, t);
  const Tensor   head   = at_step(vae, vae->head, t);

  vae_embed(vae,
            at_step(vae, vae->fed_pitch, t),
            at_step(vae, vae->fed_channels, t),
            fed);
  op_copy(device, tensor_columns(vae->latent_gates, t * wide, wide), gates);
  op_matmul(device, false, true, 1.0f, fed, vae->p[DECODER_INPUT], 1.0f, gates);
  op_matmul(device,
            false,
            true,
            1.0f,
            h_of(vae, before),
            vae->p[DECODER_RECURRENT],
            1.0f,
            gates);
  op_lstm_cell(
    device, gates, c_of(vae, before), c_of(vae, raw), h_of(vae, raw));
  op_overwrite(
    device, raw, vae->keep, vae->add, at_step(vae, vae->state, t + 1));

  op_broadcast_row(device, vae->p[HEAD_BIAS], head);
  op_matmul(device,
            false,
            true,
            1.0f,
            h_of(vae, raw),
            vae->p[PITCH_HEAD],
            1.0f,
            tensor_columns(head, 0, ENCODING_PITCHES));
  op_matmul(device,
            false,
            true,
            1.0f,
            h_of(vae, raw),
            vae->p[CHANNEL_HEAD],
            1.0f,
            tensor_columns(head, ENCODING_PITCHES, CHANNEL_COUNT));
}

// dhead -> gradients of both heads, and dhidden_top.
static void
heads_backward(Vae* vae)
{
  Device* const device = vae->device;
  const Tensor  h      = h_of(vae, vae->raw);
  const Tensor  dpitch = tensor_columns(vae->dhead, 0, ENCODING_PITCHES);
  const Tensor  dchannels =
    tensor_columns(vae->dhead, ENCODING_PITCHES, CHANNEL_COUNT);
  op_sum_rows(device, vae->dhead, 1.0f, vae->g[HEAD_BIAS]);
  op_matmul(device, true, false, 1.0f, dpitch, h, 1.0f, vae->g[PITCH_HEAD]);
  op_matmul(
    device, true, false, 1.0f, dchannels, h, 1.0f, vae->g[CHANNEL_HEAD]);
  op_matmul(device,
            false,
            false,
            1.0f,
            dpitch,
            vae->p[PITCH_HEAD],
            0.0f,
            vae->dhidden_top);
  op_matmul(device,
            false,
            false,
            1.0f,
            dchannels,
            vae->p[CHANNEL_HEAD],
            1.0f,
            vae->dhidden_top);
}

// Through the steps, last to first: dhidden_top -> dgates; leaves the gradient
// of the first state in dstate.
static void
steps_backward(Vae* vae)
{
  Device* const device = vae->device;
  op_fill(device, vae->dstate, 0.0f);
  op_fill(device, vae->dkeep, 0.0f);
  op_fill(device, vae->dadd, 0.0f);
  for (uint32_t t = STEPS; t-- > 0;) {
    const Tensor raw    = at_step(vae, vae->raw, t);
    const Tensor before = at_step(vae, vae->state, t);
    const Tensor dgates = at_step(vae, vae->dgates, t);
    op_overwrite_backward(
      device, raw, vae->keep, vae->dstate, vae->draw, vae->dkeep, vae->dadd);
    op_accumulate(
      device, at_step(vae, vae->dhidden_top, t), h_of(vae, vae->draw));
    op_lstm_cell_backward(device,
                          at_step(vae, vae->gates, t),
                          c_of(vae, before),
                          c_of(vae, raw),
                          h_of(vae, vae->draw),
                          c_of(vae, vae->draw),
                          dgates);
    op_copy(device, c_of(vae, vae->draw), c_of(vae, vae->dstate));
    op_matmul(device,
              false,
              false,
              1.0f,
              dgates,
              vae->p[DECODER_RECURRENT],
              0.0f,
              h_of(vae, vae->dstate));
  }
}

// The latent's four ways into the decoder; dz is written, then added to.
static void
latent_ways_backward(Vae* vae)
{
  Device* const  device = vae->device;
  const uint32_t wide   = 4 * vae->sizes.decoder_hidden;
  for (uint32_t t = 0; t < STEPS; ++t) {
    affine_backward(device,
                    vae->z,
                    tensor_rows(vae->p[DECODER_LATENT], t * wide, wide),
                    at_step(vae, vae->dgates, t),
                    tensor_rows(vae->g[DECODER_LATENT], t * wide, wide),
                    tensor_columns(vae->g[DECODER_BIAS], t * wide, wide),
                    t > 0 ? 1.0f : 0.0f,
                    vae->dz);
  }
  op_tanh_backward(
    device, at_step(vae, vae->state, 0), vae->dstate, vae->dstate);
  affine_backward(device,
                  vae->z,
                  vae->p[STATE_WEIGHT],
                  vae->dstate,
                  vae->g[STATE_WEIGHT],
                  vae->g[STATE_BIAS],
                  1.0f,
                  vae->dz);
  op_overwrite_gates_backward(
    device, vae->pre, vae->dkeep, vae->dadd, vae->dpre);
  affine_backward(device,
                  vae->z,
                  vae->p[OVERWRITE_WEIGHT],
                  vae->dpre,
                  vae->g[OVERWRITE_WEIGHT],
                  vae->g[OVERWRITE_BIAS],
                  1.0f,
                  vae->dz);
}

void
vae_decoder_backward(Vae* vae)
{
  Device* const device = vae->device;
  heads_backward(vae);
  steps_backward(vae);
  op_matmul(device,
            true,
            false,
            1.0f,
            vae->dgates,
            vae->fed,
            1.0f,
            vae->g[DECODER_INPUT]);
  op_matmul(device,
            true,
            false,
            1.0f,
            vae->dgates,
            h_of(vae, tensor_rows(vae->state, 0, STEPS * vae->batch)),
            1.0f,
            vae->g[DECODER_RECURRENT]);
  // What was fed is data (a true note, or a choice that has no gradient), but
  // its embedding is a weight.
  op_matmul(device,
            false,
            false,
            1.0f,
            vae->dgates,
            vae->p[DECODER_INPUT],
            0.0f,
            vae->dx);
  vae_embed_backward(vae, vae->fed_pitch, vae->dx);
  latent_ways_backward(vae);
}
