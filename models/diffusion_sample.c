// Denoising: clean notes around, the sampler's predictor, and notes out of
// vectors.
#include "diffusion_internal.h"

#include <string.h>

typedef struct {
  Diffusion*              d;
  const DiffusionRequest* request;
  DenoiserInput           input;
  bool                    is_told; // the step at hand, see diffusion_tell()
} Denoising;

static void
write_position(Diffusion*              d,
               const DiffusionRequest* q,
               uint32_t                notes,
               bool                    given)
{
  for (uint32_t r = 0; r < q->count * notes; ++r) {
    const uint32_t i = r % notes;
    d->host[r]       = (float)(given && i < q->before ? i
                               : given                ? i + q->notes
                                                      : i + q->before);
  }
  tensor_write(d->device, d->position, d->host);
}

static DenoiserInput
make_input(Diffusion* d, const DiffusionRequest* q, uint32_t notes, bool given)
{
  diffusion_lay_out(d, q->count * notes, 1, notes);
  write_position(d, q, notes, given);
  op_fill(d->device, d->level, 0.0f);
  op_fill(d->device, diffusion_token_flag(d), given ? 1.0f : 0.0f);
  return (DenoiserInput){
    .sequences = q->count,
    .notes     = notes,
    .tokens    = d->tokens,
    .position  = d->position,
    .level     = d->level,
    .time      = d->time,
  };
}

static void
write_time(Diffusion* d, uint32_t t, uint32_t next)
{
  float features[DENOISER_TIME_FEATURES];
  diffusion_time_features(&d->settings, t, next, features);
  tensor_write(d->device, d->time, features);
}

static void
remember_given(Diffusion* d, const DiffusionRequest* q)
{
  const uint32_t given = q->before + q->after;
  DenoiserInput  input = { .sequences = q->count };
  if (given) {
    input = make_input(d, q, given, true);
    diffusion_embed(d, q->given_pitch, q->given_channels, d->x);
    diffusion_tokens(d, d->x, NULL);
    write_time(d, 0, 0);
  }
  denoiser_context(d->net, &input);
}

static void
bias_pitch(Diffusion* d, const DiffusionRequest* q, Tensor logits)
{
  if (q->pitch_bias) {
    op_matmul(
      d->device, false, false, 1.0f, d->ones, d->pitch_bias, 1.0f, logits);
  }
}

// SamplerPredict.
static void
predict(void* context, Tensor x, uint32_t t, uint32_t next, Tensor x0)
{
  Denoising* const           s = context;
  Diffusion* const           d = s->d;
  const NoiseSchedule* const n = &d->schedule;
  write_time(d, t, next);
  diffusion_tokens(d, x, s->is_told ? &d->told : NULL);
  denoiser_step(d->net, &s->input, d->head);
  const float alpha = (float)noise_alpha(n, t);
  const float sigma = (float)noise_sigma(n, t);
  switch (d->settings.prediction) {
    case PREDICT_DATA:
      bias_pitch(d, s->request, diffusion_pitch_head(d->head));
      diffusion_expect(d, d->head, s->request->temperature, x0);
      break;
    case PREDICT_NOISE:
      op_combine(d->device, 1.0f / alpha, x, -sigma / alpha, d->head, x0);
      break;
    case PREDICT_V:
      op_combine(d->device, alpha, x, -sigma, d->head, x0);
      break;
  }
  op_clamp(d->device, -ESTIMATE_MAX, ESTIMATE_MAX, x0);
  // A student was made without.
  const bool tell =
    d->settings.student_steps == 0 && next > UNTOLD_SHARE * n->steps;
  if (tell) {
    diffusion_tell(d, x0, s->is_told, diffusion_reach(s->request->plan.steps));
  }
  s->is_told = tell;
}

// The pitch whose code is nearest to the estimate: all codes but scalars are of
// one length, so 2 x.c - |c|^2 decides.
static void
nearest_pitch(Diffusion* d, const DiffusionRequest* q, Tensor x0)
{
  float codes[ENCODING_PITCHES * PITCH_CODE_COLUMNS_MAX];
  float bias[ENCODING_PITCHES];
  tensor_read(d->device, d->codes, codes);
  for (uint32_t pitch = 0; pitch < ENCODING_PITCHES; ++pitch) {
    bias[pitch] = q->pitch_bias ? q->pitch_bias[pitch] : 0.0f;
    for (uint32_t k = 0; k < d->code_columns; ++k) {
      const float c = codes[pitch * d->code_columns + k];
      bias[pitch] -= c * c;
    }
  }
  tensor_write(d->device, d->pitch_bias, bias);
  op_matmul(d->device,
            false,
            true,
            2.0f,
            tensor_columns(x0, 0, d->code_columns),
            d->codes,
            0.0f,
            d->probabilities);
  op_matmul(d->device,
            false,
            false,
            1.0f,
            d->ones,
            d->pitch_bias,
            1.0f,
            d->probabilities);
}

void
diffusion_sample(Diffusion*              d,
                 const DiffusionRequest* q,
                 float*                  pitch,
                 float*                  channels)
{
  remember_given(d, q);
  Denoising s = { .d = d, .request = q };
  s.input     = make_input(d, q, q->notes, false);
  tensor_write(d->device, d->x, q->x);
  diffusion_write_key(d, q->seed, q->first_sequence * q->notes);
  op_fill(d->device, d->ones, 1.0f);
  if (q->pitch_bias) {
    tensor_write(d->device, d->pitch_bias, q->pitch_bias);
  }
  const SamplerRun run = {
    .device   = d->device,
    .schedule = &d->schedule,
    .predict  = predict,
    .context  = &s,
    .key      = d->key,
    .x        = d->x,
    .x0       = d->x0,
    .previous = d->previous,
    .noise    = d->noise,
  };
  sampler_run(&run, &q->plan);
  if (d->settings.prediction != PREDICT_DATA) {
    nearest_pitch(d, q, d->x0);
  }
  op_sample(d->device, d->probabilities, 0.0f, d->ones, d->pitch);
  tensor_read(d->device, d->pitch, pitch);
  tensor_read(
    d->device, tensor_columns(d->x, d->code_columns, CHANNEL_COUNT), channels);
}

void
diffusion_encode(Diffusion*   d,
                 uint32_t     rows,
                 const float* pitch,
                 const float* channels,
                 float*       x)
{
  diffusion_lay_out(d, rows, 1, 1);
  diffusion_embed(d, pitch, channels, d->x);
  tensor_read(d->device, d->x, x);
}
