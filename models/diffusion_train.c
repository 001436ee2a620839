// Training's forward process, loss and gradient.
#include "diffusion_internal.h"

#include <math.h>

void
diffusion_pass_rows(DiffusionPass* p,
                    Tensor         to,
                    float (*value)(const DiffusionPass*, uint32_t row))
{
  for (uint32_t r = 0; r < p->rows; ++r) {
    p->d->host[r] = value(p, r);
  }
  tensor_write(p->d->device, to, p->d->host);
}

static uint32_t
time_of(const DiffusionPass* p, uint32_t row)
{
  return p->batch->clean[row] != 0.0f ? 0 : p->batch->t[row / p->batch->notes];
}

static float
alpha_of(const DiffusionPass* p, uint32_t row)
{
  return (float)noise_alpha(&p->d->schedule, time_of(p, row));
}

static float
sigma_of(const DiffusionPass* p, uint32_t row)
{
  return (float)noise_sigma(&p->d->schedule, time_of(p, row));
}

static float
noised_of(const DiffusionPass* p, uint32_t row)
{
  return 1.0f - p->batch->clean[row];
}

static float
flag_of(const DiffusionPass* p, uint32_t row)
{
  return p->batch->clean[row];
}

static float
position_of(const DiffusionPass* p, uint32_t row)
{
  return (float)(row % p->batch->notes);
}

// Clean notes share the last row of the levels.
static float
level_of(const DiffusionPass* p, uint32_t row)
{
  return p->batch->clean[row] != 0.0f ? (float)p->batch->sequences
                                      : (float)(row / p->batch->notes);
}

// The weight of a squared error in what the network predicts, such that in x_0
// it is the clamped signal to noise ratio (Hang et al. 2023, eq. 8 and 9).
static float
error_weight_of(const DiffusionPass* p, uint32_t row)
{
  const uint32_t t = time_of(p, row);
  if (!t) {
    return 0.0f;
  }
  const double snr = noise_snr(&p->d->schedule, t);
  const double of_x =
    fmin(fmax(snr, (double)p->batch->snr_low), (double)p->batch->snr_high);
  switch (p->d->settings.prediction) {
    case PREDICT_NOISE:
      return (float)(of_x / snr);
    case PREDICT_V:
      return (float)(of_x / (snr + 1.0));
    case PREDICT_DATA:
      break;
  }
  return (float)of_x;
}

// x_0 = a x_t + b out, for a network that predicts noise or v.
static float
a_of(const DiffusionPass* p, uint32_t row)
{
  return p->d->settings.prediction == PREDICT_NOISE ? 1.0f / alpha_of(p, row)
                                                    : alpha_of(p, row);
}

static float
b_of(const DiffusionPass* p, uint32_t row)
{
  const float sigma = sigma_of(p, row);
  return p->d->settings.prediction == PREDICT_NOISE ? -sigma / alpha_of(p, row)
                                                    : -sigma;
}

static void
write_allowed(DiffusionPass* p)
{
  const uint32_t     notes = p->batch->notes;
  const float* const clean = p->batch->clean;
  float* const       host  = p->d->host;
  for (uint32_t r = 0; r < p->rows; ++r) {
    const float* const of_sequence = clean + r / notes * notes;
    for (uint32_t k = 0; k < notes; ++k) {
      host[(size_t)r * notes + k] =
        clean[r] == 0.0f || of_sequence[k] != 0.0f ? 1.0f : 0.0f;
    }
  }
  tensor_write(p->d->device, p->d->allowed, host);
}

static uint32_t
time_of_sequence(const DiffusionPass* p, uint32_t sequence)
{
  return p->batch->t[sequence];
}

void
diffusion_pass_write_time(DiffusionPass* p,
                          uint32_t (*time)(const DiffusionPass*,
                                           uint32_t sequence))
{
  const uint32_t* const next = p->batch->next;
  float* const          host = p->d->host;
  for (uint32_t s = 0; s <= p->batch->sequences; ++s) {
    const bool is_clean = s == p->batch->sequences;
    diffusion_time_features(&p->d->settings,
                            is_clean ? 0 : time(p, s),
                            is_clean || !next ? 0 : next[s],
                            host + (size_t)s * DENOISER_TIME_FEATURES);
  }
  tensor_write(p->d->device, p->d->time, host);
}

// x_t = alpha x_0 + sigma noise, clean notes as they are.
static void
add_noise(DiffusionPass* p)
{
  Diffusion* const            d = p->d;
  const DiffusionBatch* const b = p->batch;
  diffusion_embed(d, b->pitch, b->channels, d->x0);
  diffusion_pass_rows(p, d->alpha, alpha_of);
  diffusion_pass_rows(p, d->sigma, sigma_of);
  diffusion_write_key(d, b->seed, b->first_sequence * SEQUENCE_NOTES);
  op_normals(d->device, d->key, RNG_USE_NOISE, 0, d->noise);
  op_combine_rows(d->device, d->alpha, d->x0, d->sigma, d->noise, d->x);
}

static void
write_input(DiffusionPass* p)
{
  Diffusion* const d = p->d;
  diffusion_pass_rows(p, d->position, position_of);
  diffusion_pass_rows(p, d->level, level_of);
  diffusion_pass_rows(p, d->noised, noised_of);
  diffusion_pass_rows(p, d->error_weight, error_weight_of);
  diffusion_pass_rows(p, diffusion_token_flag(d->tokens), flag_of);
  write_allowed(p);
  diffusion_pass_write_time(p, time_of_sequence);
  if (d->settings.prediction != PREDICT_DATA) {
    diffusion_pass_rows(p, d->a, a_of);
    diffusion_pass_rows(p, d->b, b_of);
  }
  p->input = (DenoiserInput){
    .sequences = p->batch->sequences,
    .notes     = p->batch->notes,
    .tokens    = d->tokens,
    .position  = d->position,
    .level     = d->level,
    .time      = d->time,
    .allowed   = d->allowed,
  };
}

// What the head says x_0 is; 0 for clean notes.
void
diffusion_pass_estimate(DiffusionPass* p)
{
  Diffusion* const d = p->d;
  if (d->settings.prediction == PREDICT_DATA) {
    diffusion_expect(d, d->head, 1.0f, d->estimate);
  } else {
    op_combine_rows(d->device, d->a, d->x, d->b, d->head, d->estimate);
    op_clamp(d->device, -ESTIMATE_MAX, ESTIMATE_MAX, d->estimate);
  }
  op_scale_rows(d->device, d->noised, d->estimate);
}

double
diffusion_pass_sum_loss(DiffusionPass* p)
{
  double total = 0;
  tensor_read(p->d->device, p->d->loss, p->d->host);
  for (uint32_t r = 0; r < p->rows; ++r) {
    total += (double)p->d->host[r];
  }
  return total;
}

static double
sum_error(DiffusionPass* p, Tensor truth, uint32_t column, uint32_t count)
{
  Diffusion* const d = p->d;
  op_squared_error(d->device,
                   tensor_columns(d->estimate, column, count),
                   tensor_columns(truth, column, count),
                   1.0f,
                   d->loss,
                   tensor_columns(d->scratch, column, count));
  op_scale_rows(d->device, d->noised, d->loss);
  return diffusion_pass_sum_loss(p);
}

void
diffusion_pass_report(DiffusionPass* p, Tensor truth, DiffusionLoss* loss)
{
  Diffusion* const d = p->d;
  for (uint32_t r = 0; r < p->rows; ++r) {
    loss->notes += p->batch->clean[r] == 0.0f;
  }
  loss->code_error += sum_error(p, truth, 0, d->code_columns);
  for (uint32_t i = 0; i < CHANNEL_COUNT; ++i) {
    loss->squared_error[i] += sum_error(p, truth, d->code_columns + i, 1);
  }
}

// dhead of PREDICT_DATA: cross-entropy of the pitch, squared errors of the
// channels.
static void
data_gradient(DiffusionPass* p, DiffusionLoss* loss)
{
  Diffusion* const d        = p->d;
  const float      scale    = p->batch->gradient_scale;
  const Tensor     dpitch   = diffusion_pitch_head(d->dhead);
  const Tensor     dchannel = diffusion_channel_head(d->dhead);
  op_cross_entropy(
    d->device, diffusion_pitch_head(d->head), d->pitch, scale, d->loss, dpitch);
  op_scale_rows(d->device, d->noised, dpitch);
  op_scale_rows(d->device, d->noised, d->loss);
  loss->pitch_nats += diffusion_pass_sum_loss(p);
  op_squared_error(d->device,
                   diffusion_channel_head(d->head),
                   tensor_columns(d->x0, d->code_columns, CHANNEL_COUNT),
                   scale * p->batch->channel_weight,
                   d->loss,
                   dchannel);
  op_scale_rows(d->device, d->error_weight, dchannel);
}

// dhead where the network predicts noise, or v = alpha noise - sigma x_0.
static void
noise_gradient(DiffusionPass* p)
{
  Diffusion* const d      = p->d;
  Tensor           target = d->noise;
  if (d->settings.prediction == PREDICT_V) {
    target = d->target;
    op_copy(d->device, d->x0, target);
    op_scale_rows(d->device, d->sigma, target);
    op_fill(d->device, d->ones, -1.0f);
    op_combine_rows(d->device, d->alpha, d->noise, d->ones, target, target);
  }
  op_squared_error(
    d->device, d->head, target, p->batch->gradient_scale, d->loss, d->dhead);
  op_scale_rows(d->device, d->error_weight, d->dhead);
}

void
diffusion_pass_begin(DiffusionPass*        p,
                     Diffusion*            d,
                     const DiffusionBatch* batch)
{
  *p = (DiffusionPass){ .d     = d,
                        .batch = batch,
                        .rows  = batch->sequences * batch->notes };
  diffusion_lay_out(d, p->rows, batch->sequences + 1, batch->notes, 0);
  add_noise(p);
  write_input(p);
  diffusion_tokens(d, d->x, NULL, d->tokens);
}

static void
forward(DiffusionPass* p)
{
  Diffusion* const d = p->d;
  if (p->batch->self_condition && d->settings.self_condition) {
    denoiser_forward(d->net, &p->input, d->head);
    diffusion_pass_estimate(p);
    diffusion_tokens(d, d->x, &d->estimate, d->tokens);
  }
  denoiser_forward(d->net, &p->input, d->head);
}

// Loss and dhead.
static void
measure(DiffusionPass*        p,
        Diffusion*            d,
        const DiffusionBatch* batch,
        DiffusionLoss*        loss)
{
  diffusion_pass_begin(p, d, batch);
  forward(p);
  if (d->settings.prediction == PREDICT_DATA) {
    data_gradient(p, loss);
  } else {
    noise_gradient(p);
  }
  diffusion_pass_estimate(p);
  diffusion_pass_report(p, d->x0, loss);
}

void
diffusion_train_step(Diffusion*            d,
                     const DiffusionBatch* batch,
                     DiffusionLoss*        loss)
{
  DiffusionPass pass;
  measure(&pass, d, batch, loss);
  denoiser_backward(d->net, &pass.input, d->dhead);
}

void
diffusion_judge(Diffusion* d, const DiffusionBatch* batch, DiffusionLoss* loss)
{
  DiffusionPass pass;
  measure(&pass, d, batch, loss);
}
