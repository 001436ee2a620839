// The VAE's bidirectional LSTM encoder, forward and backward.
#include "vae_internal.h"

void
vae_embed(Vae* vae, Tensor pitch, Tensor channels, Tensor x)
{
  const uint32_t e = vae->sizes.pitch_embedding;
  op_gather(
    vae->device, vae->p[PITCH_EMBEDDING], pitch, tensor_columns(x, 0, e));
  op_copy(vae->device, channels, tensor_columns(x, e, CHANNEL_COUNT));
}

void
vae_embed_backward(Vae* vae, Tensor pitch, Tensor dx)
{
  const Tensor dembedding = tensor_columns(dx, 0, vae->sizes.pitch_embedding);
  op_scatter_add(vae->device, pitch, dembedding, vae->g[PITCH_EMBEDDING]);
}

// Step number `i` in the order in which a direction reads.
static uint32_t
step_of(int backward, uint32_t i)
{
  return backward ? STEPS - 1 - i : i;
}

static Tensor
hidden_of(const Vae* vae, Tensor hidden, int backward)
{
  const uint32_t n = vae->sizes.encoder_hidden;
  return tensor_columns(hidden, backward ? n : 0, n);
}

static void
direction_forward(Vae* vae, int backward)
{
  Device* const                 device = vae->device;
  const EncoderDirection* const d      = &vae->direction[backward];
  const Tensor* const p = vae->p + (backward ? BACKWARD_INPUT : FORWARD_INPUT);
  const Tensor        zero   = tensor_rows(vae->zero, 0, vae->batch);
  const Tensor        hidden = hidden_of(vae, vae->hidden, backward);

  // The inputs of all steps in one product.
  op_affine(device, vae->x, p[0], (Tensor){ 0 }, p[2], d->gates);
  Tensor h = zero;
  Tensor c = zero;
  for (uint32_t i = 0; i < STEPS; ++i) {
    const uint32_t t     = step_of(backward, i);
    const Tensor   gates = at_step(vae, d->gates, t);
    if (i > 0) {
      op_matmul(device, false, true, 1.0f, h, p[1], 1.0f, gates);
    }
    h                  = at_step(vae, hidden, t);
    const Tensor c_new = at_step(vae, d->c, t);
    op_lstm_cell(device, gates, c, c_new, h);
    c = c_new;
  }
}

void
vae_encoder_forward(Vae* vae)
{
  Device* const  device = vae->device;
  const uint32_t wide   = 2 * vae->sizes.latent;
  vae_embed(vae, vae->pitch, vae->channels, vae->x);
  direction_forward(vae, 0);
  direction_forward(vae, 1);
  op_broadcast_row(device, vae->p[LATENT_BIAS], vae->stats);
  for (uint32_t t = 0; t < STEPS; ++t) {
    const Tensor weight = tensor_rows(vae->p[LATENT_WEIGHT], t * wide, wide);
    op_matmul(device,
              false,
              true,
              1.0f,
              at_step(vae, vae->hidden, t),
              weight,
              1.0f,
              vae->stats);
  }
}

static void
direction_backward(Vae* vae, int backward)
{
  Device* const                 device = vae->device;
  const EncoderDirection* const d      = &vae->direction[backward];
  const int           first  = backward ? BACKWARD_INPUT : FORWARD_INPUT;
  const Tensor* const p      = vae->p + first;
  const Tensor* const g      = vae->g + first;
  const Tensor        zero   = tensor_rows(vae->zero, 0, vae->batch);
  const Tensor        hidden = hidden_of(vae, vae->hidden, backward);
  const Tensor        dtop   = hidden_of(vae, vae->dhidden, backward);

  op_fill(device, vae->dc, 0.0f);
  for (uint32_t i = STEPS; i-- > 0;) {
    const uint32_t t      = step_of(backward, i);
    const Tensor   dgates = at_step(vae, d->dgates, t);
    const Tensor   c_prev =
      i > 0 ? at_step(vae, d->c, step_of(backward, i - 1)) : zero;
    op_copy(device, at_step(vae, dtop, t), vae->dh);
    if (i + 1 < STEPS) {
      const Tensor later = at_step(vae, d->dgates, step_of(backward, i + 1));
      op_matmul(device, false, false, 1.0f, later, p[1], 1.0f, vae->dh);
    }
    op_lstm_cell_backward(device,
                          at_step(vae, d->gates, t),
                          c_prev,
                          at_step(vae, d->c, t),
                          vae->dh,
                          vae->dc,
                          dgates);
  }
  // A step's recurrent input is the hidden state one step earlier in reading
  // order: rows one block apart.
  const uint32_t rows = (STEPS - 1) * vae->batch;
  const Tensor dlater = tensor_rows(d->dgates, backward ? 0 : vae->batch, rows);
  const Tensor before = tensor_rows(hidden, backward ? vae->batch : 0, rows);
  op_matmul(device, true, false, 1.0f, d->dgates, vae->x, 1.0f, g[0]);
  op_matmul(device, true, false, 1.0f, dlater, before, 1.0f, g[1]);
  op_sum_rows(device, d->dgates, 1.0f, g[2]);
  op_matmul(device,
            false,
            false,
            1.0f,
            d->dgates,
            p[0],
            backward ? 1.0f : 0.0f,
            vae->dx);
}

void
vae_encoder_backward(Vae* vae)
{
  Device* const  device = vae->device;
  const uint32_t wide   = 2 * vae->sizes.latent;
  op_sum_rows(device, vae->dstats, 1.0f, vae->g[LATENT_BIAS]);
  for (uint32_t t = 0; t < STEPS; ++t) {
    const Tensor weight = tensor_rows(vae->p[LATENT_WEIGHT], t * wide, wide);
    const Tensor dw     = tensor_rows(vae->g[LATENT_WEIGHT], t * wide, wide);
    op_matmul(device,
              true,
              false,
              1.0f,
              vae->dstats,
              at_step(vae, vae->hidden, t),
              1.0f,
              dw);
    op_matmul(device,
              false,
              false,
              1.0f,
              vae->dstats,
              weight,
              0.0f,
              at_step(vae, vae->dhidden, t));
  }
  direction_backward(vae, 0);
  direction_backward(vae, 1);
  vae_embed_backward(vae, vae->pitch, vae->dx);
}
