// Training's forward process, loss and gradient.
#include "diffusion_internal.h"

#include <math.h>

typedef struct {
  Diffusion*            d;
  const DiffusionBatch* batch;
  uint32_t              rows;
  DenoiserInput         input;
} Pass;

static void
write_rows(Pass* p, Tensor to, float (*value)(const Pass*, uint32_t row))
{
  for (uint32_t r = 0; r < p->rows; ++r) {
    p->d->host[r] = value(p, r);
  }
  tensor_write(p->d->device, to, p->d->host);
}

static uint32_t
time_of(const Pass* p, uint32_t row)
{
  return p->batch->clean[row] != 0.0f ? 0 : p->batch->t[row / p->batch->notes];
}

static float
alpha_of(const Pass* p, uint32_t row)
{
  return (float)noise_alpha(&p->d->schedule, time_of(p, row));
}

static float
sigma_of(const Pass* p, uint32_t row)
{
  return (float)noise_sigma(&p->d->schedule, time_of(p, row));
}

static float
noised_of(const Pass* p, uint32_t row)
{
  return 1.0f - p->batch->clean[row];
}

static float
flag_of(const Pass* p, uint32_t row)
{
  return p->batch->clean[row];
}

static float
position_of(const Pass* p, uint32_t row)
{
  return (float)(row % p->batch->notes);
}

// Clean notes share the last row of the levels.
static float
level_of(const Pass* p, uint32_t row)
{
  return p->batch->clean[row] != 0.0f ? (float)p->batch->sequences
                                      : (float)(row / p->batch->notes);
}

// The weight of a squared error in what the network predicts, such that in x_0
// it is the clamped signal to noise ratio (Hang et al. 2023, eq. 8 and 9).
static float
error_weight_of(const Pass* p, uint32_t row)
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
a_of(const Pass* p, uint32_t row)
{
  return p->d->settings.prediction == PREDICT_NOISE ? 1.0f / alpha_of(p, row)
                                                    : alpha_of(p, row);
}

static float
b_of(const Pass* p, uint32_t row)
{
  const float sigma = sigma_of(p, row);
  return p->d->settings.prediction == PREDICT_NOISE ? -sigma / alpha_of(p, row)
                                                    : -sigma;
}

static void
write_allowed(Pass* p)
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

static void
write_time(Pass* p)
{
  float* const host = p->d->host;
  for (uint32_t s = 0; s <= p->batch->sequences; ++s) {
    const uint32_t t = s < p->batch->sequences ? p->batch->t[s] : 0;
    diffusion_time_features(
      &p->d->settings, t, 0, host + (size_t)s * DENOISER_TIME_FEATURES);
  }
  tensor_write(p->d->device, p->d->time, host);
}

// x_t = alpha x_0 + sigma noise, clean notes as they are.
static void
add_noise(Pass* p)
{
  Diffusion* const            d = p->d;
  const DiffusionBatch* const b = p->batch;
  diffusion_embed(d, b->pitch, b->channels, d->x0);
  write_rows(p, d->alpha, alpha_of);
  write_rows(p, d->sigma, sigma_of);
  op_normals(d->device,
             b->seed,
             RNG_USE_NOISE,
             b->first_sequence * SEQUENCE_NOTES,
             0,
             d->noise);
  op_combine_rows(d->device, d->alpha, d->x0, d->sigma, d->noise, d->x);
}

static void
write_input(Pass* p)
{
  Diffusion* const d = p->d;
  write_rows(p, d->position, position_of);
  write_rows(p, d->level, level_of);
  write_rows(p, d->noised, noised_of);
  write_rows(p, d->error_weight, error_weight_of);
  write_rows(p, diffusion_token_flag(d), flag_of);
  write_allowed(p);
  write_time(p);
  if (d->settings.prediction != PREDICT_DATA) {
    write_rows(p, d->a, a_of);
    write_rows(p, d->b, b_of);
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
static void
estimate(Pass* p)
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

static double
sum_loss(Pass* p)
{
  double total = 0;
  tensor_read(p->d->device, p->d->loss, p->d->host);
  for (uint32_t r = 0; r < p->rows; ++r) {
    total += (double)p->d->host[r];
  }
  return total;
}

static double
sum_error(Pass* p, uint32_t column, uint32_t count)
{
  Diffusion* const d = p->d;
  op_squared_error(d->device,
                   tensor_columns(d->estimate, column, count),
                   tensor_columns(d->x0, column, count),
                   1.0f,
                   d->loss,
                   tensor_columns(d->scratch, column, count));
  op_scale_rows(d->device, d->noised, d->loss);
  return sum_loss(p);
}

static void
report(Pass* p, DiffusionLoss* loss)
{
  Diffusion* const d = p->d;
  for (uint32_t r = 0; r < p->rows; ++r) {
    loss->notes += p->batch->clean[r] == 0.0f;
  }
  loss->code_error += sum_error(p, 0, d->code_columns);
  for (uint32_t i = 0; i < CHANNEL_COUNT; ++i) {
    loss->squared_error[i] += sum_error(p, d->code_columns + i, 1);
  }
}

// dhead of PREDICT_DATA: cross-entropy of the pitch, squared errors of the
// channels.
static void
data_gradient(Pass* p, DiffusionLoss* loss)
{
  Diffusion* const d        = p->d;
  const float      scale    = p->batch->gradient_scale;
  const Tensor     dpitch   = diffusion_pitch_head(d->dhead);
  const Tensor     dchannel = diffusion_channel_head(d->dhead);
  op_cross_entropy(
    d->device, diffusion_pitch_head(d->head), d->pitch, scale, d->loss, dpitch);
  op_scale_rows(d->device, d->noised, dpitch);
  op_scale_rows(d->device, d->noised, d->loss);
  loss->pitch_nats += sum_loss(p);
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
noise_gradient(Pass* p)
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

static Pass
begin(Diffusion* d, const DiffusionBatch* batch)
{
  Pass pass = { .d     = d,
                .batch = batch,
                .rows  = batch->sequences * batch->notes };
  diffusion_lay_out(d, pass.rows, batch->sequences + 1, batch->notes);
  add_noise(&pass);
  write_input(&pass);
  diffusion_tokens(d, d->x, false);
  if (batch->self_condition && d->settings.self_condition) {
    denoiser_forward(d->net, &pass.input, d->head);
    estimate(&pass);
    diffusion_tokens(d, d->x, true);
  }
  denoiser_forward(d->net, &pass.input, d->head);
  return pass;
}

void
diffusion_train_step(Diffusion*            d,
                     const DiffusionBatch* batch,
                     DiffusionLoss*        loss)
{
  Pass pass = begin(d, batch);
  if (d->settings.prediction == PREDICT_DATA) {
    data_gradient(&pass, loss);
  } else {
    noise_gradient(&pass);
  }
  estimate(&pass);
  report(&pass, loss);
  denoiser_backward(d->net, &pass.input, d->dhead);
}

void
diffusion_judge(Diffusion* d, const DiffusionBatch* batch, DiffusionLoss* loss)
{
  Pass pass = begin(d, batch);
  if (d->settings.prediction == PREDICT_DATA) {
    data_gradient(&pass, loss);
  }
  estimate(&pass);
  report(&pass, loss);
}
