// Training's forward process, loss and gradient. A pass is ops alone, so that
// it can be recorded: what changes from pass to pass was written to tensors
// before, and what follows from a level of noise stands in tables over t = 0 ..
// T.
#include "diffusion_internal.h"

#include <math.h>

#define WAVES (DENOISER_TIME_FEATURES / 2)

// --- Tables ------------------------------------------------------------------

// Of level t; x_0 = a x_t + b out, for a network that predicts noise or v. The
// weight of a squared error in what the network predicts is error_scale times
// the clamped signal to noise ratio, so that in x_0 it is that ratio (Hang et
// al. 2023, eq. 8 and 9).
static void
fill_level(const Diffusion* d, uint32_t t, float row[LEVEL_COLUMNS])
{
  const bool   noise      = d->settings.prediction == PREDICT_NOISE;
  const double alpha      = noise_alpha(&d->schedule, t);
  const double sigma      = noise_sigma(&d->schedule, t);
  const double snr        = t ? noise_snr(&d->schedule, t) : 0.0;
  const double scale      = noise                                 ? 1.0 / snr
                            : d->settings.prediction == PREDICT_V ? 1.0 / (snr + 1.0)
                                                                  : 1.0;
  row[LEVEL_ALPHA]        = (float)alpha;
  row[LEVEL_SIGMA]        = (float)sigma;
  row[LEVEL_ERROR_WEIGHT] = (float)snr;
  row[LEVEL_ERROR_SCALE]  = t ? (float)scale : 0.0f; // clean notes have none
  row[LEVEL_A]            = (float)(noise ? 1.0 / alpha : alpha);
  row[LEVEL_B]            = (float)(noise ? -sigma / alpha : -sigma);
}

Status
diffusion_make_tables(Diffusion* d, Error* error)
{
  const uint32_t levels = d->settings.noise_steps + 1;
  Status         status =
    tensor_allocate(d->device, levels, LEVEL_COLUMNS, &d->levels, error);
  if (status == STATUS_OK) {
    status = tensor_allocate(d->device, levels, WAVES, &d->waves, error);
  }
  if (status == STATUS_OK) {
    status =
      tensor_allocate(d->device, 1, DIFFUSION_SUM_CELLS, &d->sums, error);
  }
  for (uint32_t t = 0; t < levels && status == STATUS_OK; ++t) {
    float row[LEVEL_COLUMNS], features[DENOISER_TIME_FEATURES];
    fill_level(d, t, row);
    diffusion_time_features(&d->settings, t, 0, features);
    tensor_write(d->device, tensor_rows(d->levels, t, 1), row);
    tensor_write(d->device, tensor_rows(d->waves, t, 1), features);
  }
  return status;
}

// --- What is written before a pass -------------------------------------------

static void
set_shape(Diffusion* d, uint32_t sequences, uint32_t notes)
{
  diffusion_lay_out(d, sequences * notes, sequences + 1, notes, 0);
}

DiffusionNotes
diffusion_notes(Diffusion* d, uint32_t sequences, uint32_t notes)
{
  set_shape(d, sequences, notes);
  return (DiffusionNotes){
    .pitch    = d->pitch,
    .channels = tensor_columns(d->x0, d->code_columns, CHANNEL_COUNT),
    .clean    = d->clean,
  };
}

// d->t: of each sequence, and 0 for clean notes; and a student's way from
// there.
static void
write_times(Diffusion* d, const DiffusionBatch* batch)
{
  const uint32_t        s    = batch->pass.sequences;
  const uint32_t* const t    = batch->t;
  const uint32_t* const next = batch->next;
  float* const          ways = d->host + s + 1;
  for (uint32_t i = 0; i < s; ++i) {
    d->host[i] = (float)t[i];
    ways[i]    = (float)(next ? t[i] - next[i] : t[i]);
  }
  d->host[s] = ways[s] = 0.0f;
  tensor_write(d->device, d->t, d->host);
  if (d->settings.student_steps) {
    tensor_write(d->device, d->way, ways);
  }
}

void
diffusion_write_batch(Diffusion* d, const DiffusionBatch* batch)
{
  set_shape(d, batch->pass.sequences, batch->pass.notes);
  diffusion_write_key(d, batch->seed, batch->first_sequence * SEQUENCE_NOTES);
  write_times(d, batch);
}

// --- The pass ----------------------------------------------------------------

void
diffusion_pass_embed_times(Diffusion* d, Tensor t)
{
  const Tensor half = tensor_columns(d->time, WAVES, WAVES);
  op_gather(d->device, d->waves, t, tensor_columns(d->time, 0, WAVES));
  if (d->settings.student_steps) {
    op_gather(d->device, d->waves, d->way, half);
  } else {
    op_fill(d->device, half, 0.0f);
  }
}

// What each row has of its level of noise.
static void
find_levels(Diffusion* d, const DiffusionPass* pass)
{
  const Tensor weight = tensor_columns(d->at_level, LEVEL_ERROR_WEIGHT, 1);
  op_gather(d->device, d->levels, d->t, d->at_level);
  op_clamp(d->device, pass->snr_low, pass->snr_high, weight);
  op_scale_rows(
    d->device, tensor_columns(d->at_level, LEVEL_ERROR_SCALE, 1), weight);
  op_gather(d->device, d->at_level, d->level, d->at_row);
}

DenoiserInput
diffusion_pass_begin(Diffusion* d, const DiffusionPass* pass)
{
  op_gather(
    d->device, d->codes, d->pitch, tensor_columns(d->x0, 0, d->code_columns));
  op_mask(d->device,
          pass->notes,
          d->clean,
          d->noised,
          d->position,
          d->level,
          d->allowed);
  find_levels(d, pass);
  diffusion_pass_embed_times(d, d->t);
  op_normals(d->device, d->key, RNG_USE_NOISE, 0, d->noise);
  // x_t = alpha x_0 + sigma noise, clean notes as they are.
  op_combine_rows(d->device, d->alpha, d->x0, d->sigma, d->noise, d->x);
  op_copy(d->device, d->clean, diffusion_token_flag(d->tokens));
  diffusion_tokens(d, d->x, NULL, d->tokens);
  return (DenoiserInput){
    .sequences = pass->sequences,
    .notes     = pass->notes,
    .tokens    = d->tokens,
    .position  = d->position,
    .level     = d->level,
    .time      = d->time,
    .allowed   = d->allowed,
  };
}

void
diffusion_pass_estimate(Diffusion* d)
{
  if (d->settings.prediction == PREDICT_DATA) {
    diffusion_expect(d, d->head, d->plain, d->estimate);
  } else {
    op_combine_rows(d->device, d->a, d->x, d->b, d->head, d->estimate);
    op_clamp(d->device, -ESTIMATE_MAX, ESTIMATE_MAX, d->estimate);
  }
  op_scale_rows(d->device, d->noised, d->estimate);
}

void
diffusion_pass_add(Diffusion* d, Tensor loss, uint32_t cell)
{
  op_sum(d->device, loss, 1.0f, tensor_columns(d->sums, cell, 1));
}

static void
add_error(Diffusion* d,
          Tensor     truth,
          uint32_t   column,
          uint32_t   count,
          uint32_t   cell)
{
  op_squared_error(d->device,
                   tensor_columns(d->estimate, column, count),
                   tensor_columns(truth, column, count),
                   1.0f,
                   d->loss,
                   tensor_columns(d->scratch, column, count));
  op_scale_rows(d->device, d->noised, d->loss);
  diffusion_pass_add(d, d->loss, cell);
}

void
diffusion_pass_report(Diffusion* d, Tensor truth)
{
  diffusion_pass_add(d, d->noised, DIFFUSION_SUM_NOTES);
  add_error(d, truth, 0, d->code_columns, DIFFUSION_SUM_CODE);
  for (uint32_t i = 0; i < CHANNEL_COUNT; ++i) {
    add_error(d, truth, d->code_columns + i, 1, DIFFUSION_SUM_CHANNELS + i);
  }
}

void
diffusion_take_loss(Diffusion* d, DiffusionLoss* loss)
{
  float sums[DIFFUSION_SUM_CELLS] = { 0 };
  tensor_read(d->device, d->sums, sums);
  op_fill(d->device, d->sums, 0.0f);
  loss->notes += (uint64_t)sums[DIFFUSION_SUM_NOTES];
  loss->pitch_nats += (double)sums[DIFFUSION_SUM_PITCH];
  loss->code_error += (double)sums[DIFFUSION_SUM_CODE];
  for (uint32_t i = 0; i < CHANNEL_COUNT; ++i) {
    loss->squared_error[i] += (double)sums[DIFFUSION_SUM_CHANNELS + i];
  }
}

// dhead of PREDICT_DATA: cross-entropy of the pitch, squared errors of the
// channels.
static void
data_gradient(Diffusion* d, const DiffusionPass* pass)
{
  const float  scale    = pass->gradient_scale;
  const Tensor dpitch   = diffusion_pitch_head(d->dhead);
  const Tensor dchannel = diffusion_channel_head(d->dhead);
  op_cross_entropy(
    d->device, diffusion_pitch_head(d->head), d->pitch, scale, d->loss, dpitch);
  op_scale_rows(d->device, d->noised, dpitch);
  op_scale_rows(d->device, d->noised, d->loss);
  diffusion_pass_add(d, d->loss, DIFFUSION_SUM_PITCH);
  op_squared_error(d->device,
                   diffusion_channel_head(d->head),
                   tensor_columns(d->x0, d->code_columns, CHANNEL_COUNT),
                   scale * pass->channel_weight,
                   d->loss,
                   dchannel);
  op_scale_rows(d->device, d->error_weight, dchannel);
}

// dhead where the network predicts noise, or v = alpha noise - sigma x_0.
static void
noise_gradient(Diffusion* d, const DiffusionPass* pass)
{
  Tensor target = d->noise;
  if (d->settings.prediction == PREDICT_V) {
    target = d->target;
    op_copy(d->device, d->x0, target);
    op_scale_rows(d->device, d->sigma, target);
    op_fill(d->device, d->ones, -1.0f);
    op_combine_rows(d->device, d->alpha, d->noise, d->ones, target, target);
  }
  op_squared_error(
    d->device, d->head, target, pass->gradient_scale, d->loss, d->dhead);
  op_scale_rows(d->device, d->error_weight, d->dhead);
}

// To d->head, d->dhead and d->sums.
static DenoiserInput
forward(Diffusion* d, const DiffusionPass* pass)
{
  const DenoiserInput input = diffusion_pass_begin(d, pass);
  if (pass->self_condition && d->settings.self_condition) {
    denoiser_forward(d->net, &input, d->head);
    diffusion_pass_estimate(d);
    diffusion_tokens(d, d->x, &d->estimate, d->tokens);
  }
  denoiser_forward(d->net, &input, d->head);
  if (d->settings.prediction == PREDICT_DATA) {
    data_gradient(d, pass);
  } else {
    noise_gradient(d, pass);
  }
  diffusion_pass_estimate(d);
  diffusion_pass_report(d, d->x0);
  return input;
}

void
diffusion_learn(Diffusion* d, const DiffusionPass* pass)
{
  const DenoiserInput input = forward(d, pass);
  denoiser_backward(d->net, &input, d->dhead);
}

void
diffusion_judge(Diffusion* d, const DiffusionPass* pass)
{
  (void)forward(d, pass);
}
