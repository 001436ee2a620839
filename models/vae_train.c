// The VAE's training pass: ops alone, so that it can be recorded; what changes
// from pass to pass was written to tensors before.
#include "vae_internal.h"

VaeNotes
vae_notes(Vae* vae, uint32_t count)
{
  vae_set_batch(vae, count);
  return (VaeNotes){ vae->pitch, vae->channels, vae->force };
}

// Runs the decoder, feeding the true previous note where `force` says so.
static void
decode_forced(Vae* vae)
{
  Device* const device = vae->device;
  vae_decoder_begin(vae);
  vae_decoder_feed_start(vae);
  for (uint32_t t = 0; t < STEPS; ++t) {
    vae_decoder_step(vae, t);
    if (t + 1 == STEPS) {
      break;
    }
    vae_decoder_choose(vae, t);
    const Tensor force = at_step(vae, vae->force, t + 1);
    op_select_rows(device,
                   force,
                   at_step(vae, vae->pitch, t),
                   at_step(vae, vae->chosen, t),
                   at_step(vae, vae->fed_pitch, t + 1));
    op_select_rows(device,
                   force,
                   at_step(vae, vae->channels, t),
                   vae_channel_head(vae, t),
                   at_step(vae, vae->fed_channels, t + 1));
  }
}

static void
add_loss(Vae* vae, Tensor loss, uint32_t cell)
{
  op_sum(vae->device, loss, 1.0f, tensor_columns(vae->sums, cell, 1));
}

// Losses and their gradients at the heads.
static void
score(Vae* vae, const VaePass* pass)
{
  Device* const device = vae->device;
  op_cross_entropy(device,
                   tensor_columns(vae->head, 0, ENCODING_PITCHES),
                   vae->pitch,
                   pass->gradient_scale,
                   vae->loss,
                   tensor_columns(vae->dhead, 0, ENCODING_PITCHES));
  add_loss(vae, vae->loss, VAE_SUM_PITCH);
  for (uint32_t i = 0; i < CHANNEL_COUNT; ++i) {
    const uint32_t column = ENCODING_PITCHES + i;
    op_squared_error(device,
                     tensor_columns(vae->head, column, 1),
                     tensor_columns(vae->channels, i, 1),
                     pass->gradient_scale * pass->channel_weight,
                     vae->loss,
                     tensor_columns(vae->dhead, column, 1));
    add_loss(vae, vae->loss, VAE_SUM_CHANNELS + i);
  }
}

void
vae_write_batch(Vae* vae, const VaeBatch* batch)
{
  const float beta = batch->pass.gradient_scale * batch->beta;
  vae_set_batch(vae, batch->pass.count);
  vae_write_key(vae, batch->seed, batch->first_window);
  tensor_write(vae->device, vae->beta, &beta);
}

void
vae_learn(Vae* vae, const VaePass* pass)
{
  Device* const device = vae->device;
  vae_encoder_forward(vae);
  op_normals(device, vae->key, RNG_USE_LATENT, 0, vae->noise);
  op_latent(device, vae->stats, vae->noise, vae->z);
  decode_forced(vae);
  score(vae, pass);
  vae_decoder_backward(vae);
  op_latent_backward(device,
                     vae->stats,
                     vae->noise,
                     vae->dz,
                     vae->beta,
                     pass->free_nats,
                     vae->kl,
                     vae->dstats);
  add_loss(vae, vae->kl, VAE_SUM_KL);
  vae_encoder_backward(vae);
}

void
vae_take_loss(Vae* vae, VaeLoss* loss)
{
  float sums[VAE_SUMS] = { 0 };
  tensor_read(vae->device, vae->sums, sums);
  op_fill(vae->device, vae->sums, 0.0f);
  loss->pitch_nats += (double)sums[VAE_SUM_PITCH];
  loss->kl_nats += (double)sums[VAE_SUM_KL];
  for (uint32_t i = 0; i < CHANNEL_COUNT; ++i) {
    loss->squared_error[i] += (double)sums[VAE_SUM_CHANNELS + i];
  }
}
