// Denoising: clean notes around, the sampler's predictor, and notes out of
// vectors.
#include "diffusion_internal.h"

#include <string.h>

// What a recording was made for: no padding, see replay_run().
// Nothing that a knob moves but the number of steps: the rest is in tensors.
typedef struct {
  uint32_t    count, notes, before, after;
  SamplerForm form;
  uint32_t    told; // steps whose estimate the next one is told
  uint32_t    is_biased;
} SampleKey;
_Static_assert(sizeof(SampleKey) <= REPLAY_KEY_BYTES, "a key fits its slot");

typedef struct {
  Diffusion*       d;
  const SampleKey* key;
  DenoiserInput    input;
  bool             is_told; // the step at hand, see diffusion_tell()
} Denoising;

// --- What is written before --------------------------------------------------

// Of the `notes` notes a sequence that come after `first` others, those from
// the `gap`-th on after `skip` more.
static void
write_position(Diffusion* d,
               uint32_t   notes,
               uint32_t   first,
               uint32_t   gap,
               uint32_t   skip,
               Tensor     position)
{
  for (uint32_t r = 0; r < position.rows; ++r) {
    const uint32_t i = r % notes;
    d->host[r]       = (float)(first + i + (i >= gap ? skip : 0));
  }
  tensor_write(d->device, position, d->host);
}

// How x_0 follows from x and what a network that does not predict it says.
static void
fill_estimate(const Diffusion* d, uint32_t t, float row[STEP_COLUMNS])
{
  const bool  noise = d->settings.prediction == PREDICT_NOISE;
  const float alpha = (float)noise_alpha(&d->schedule, t);
  const float sigma = (float)noise_sigma(&d->schedule, t);
  row[STEP_A]       = noise ? 1.0f / alpha : alpha;
  row[STEP_B]       = noise ? -sigma / alpha : -sigma;
}

static void
write_steps(Diffusion* d, const SamplerPlan* plan, float temperature)
{
  memset(d->host, 0, STEP_COLUMNS * sizeof *d->host);
  diffusion_time_features(&d->settings, 0, 0, d->host);
  d->host[STEP_TEMPERATURE] = temperature;
  for (uint32_t i = 0; i < plan->steps; ++i) {
    float* const   row = d->host + (size_t)(i + 1) * STEP_COLUMNS;
    const uint32_t t   = sampler_time(plan, i);
    memset(row, 0, STEP_COLUMNS * sizeof *row);
    diffusion_time_features(&d->settings, t, sampler_time(plan, i + 1), row);
    sampler_factors(&d->schedule, plan, i, row + STEP_FACTORS);
    fill_estimate(d, t, row);
  }
  tensor_write(d->device, tensor_rows(d->steps, 0, plan->steps + 1), d->host);
}

static void
write_given(Diffusion* d, const DiffusionRequest* q)
{
  tensor_write(d->device, d->given.pitch, q->given_pitch);
  tensor_write(d->device,
               tensor_columns(d->given.x, d->code_columns, CHANNEL_COUNT),
               q->given_channels);
  write_position(
    d, q->before + q->after, 0, q->before, q->notes, d->given.position);
}

// The request's bias; where pitches are chosen by the nearest code, also what
// that choice needs: all codes but scalars are of one length, so 2 x.c - |c|^2
// decides.
static void
write_bias(Diffusion* d, const float* bias)
{
  float host[ENCODING_PITCHES];
  for (uint32_t pitch = 0; pitch < ENCODING_PITCHES; ++pitch) {
    host[pitch] =
      (bias ? bias[pitch] : 0.0f) -
      (d->settings.prediction == PREDICT_DATA ? 0.0f : d->code_squares[pitch]);
  }
  tensor_write(d->device, d->pitch_bias, host);
}

static void
lay_out(Diffusion* d, const DiffusionRequest* q)
{
  diffusion_lay_out(
    d, q->count * q->notes, 1, q->notes, q->count * (q->before + q->after));
}

static void
write_request(Diffusion* d, const DiffusionRequest* q)
{
  lay_out(d, q);
  if (q->before + q->after) {
    write_given(d, q);
  }
  write_position(d, q->notes, q->before, q->notes, 0, d->position);
  write_steps(d, &q->plan, q->temperature);
  write_bias(d, q->pitch_bias);
  tensor_write(d->device, d->x, q->x);
  diffusion_write_key(d, q->seed, q->first_sequence * q->notes);
}

// --- The ops ----------------------------------------------------------------

static void
remember_given(Diffusion* d, const SampleKey* key)
{
  DenoiserInput input = { .sequences = key->count };
  if (key->before + key->after) {
    op_gather(d->device,
              d->codes,
              d->given.pitch,
              tensor_columns(d->given.x, 0, d->code_columns));
    op_fill(d->device, d->given.level, 0.0f);
    op_fill(d->device, diffusion_token_flag(d->given.tokens), 1.0f);
    diffusion_tokens(d, d->given.x, NULL, d->given.tokens);
    denoiser_levels(d->net, tensor_rows(d->times, 0, 1));
    input.notes    = key->before + key->after;
    input.tokens   = d->given.tokens;
    input.position = d->given.position;
    input.level    = d->given.level;
  }
  denoiser_context(d->net, &input);
}

static void
add_bias(Diffusion* d, Tensor logits)
{
  const Tensor bias = tensor_reshape(d->pitch_bias, 0, ENCODING_PITCHES, 1);
  op_matmul(d->device, false, true, 1.0f, d->ones, bias, 1.0f, logits);
}

// Levels are made known for many steps at once.
static void
choose_level(Denoising* s, uint32_t step)
{
  const uint32_t i = step % DENOISER_LEVELS_MAX;
  if (i == 0) {
    const uint32_t left = s->key->form.steps - step;
    denoiser_levels(
      s->d->net,
      tensor_rows(s->d->times,
                  1 + step,
                  left < DENOISER_LEVELS_MAX ? left : DENOISER_LEVELS_MAX));
  }
  s->input.known = i;
}

static Tensor
step_cell(const Diffusion* d, uint32_t row, uint32_t column)
{
  return tensor_columns(tensor_rows(d->steps, row, 1), column, 1);
}

// SamplerPredict.
static void
predict(void* context, Tensor x, uint32_t step, Tensor x0)
{
  Denoising* const s = context;
  Diffusion* const d = s->d;
  choose_level(s, step);
  diffusion_tokens(d, x, s->is_told ? &d->told : NULL, d->tokens);
  denoiser_step(d->net, &s->input, d->head);
  if (d->settings.prediction == PREDICT_DATA) {
    if (s->key->is_biased) {
      add_bias(d, diffusion_pitch_head(d->head));
    }
    diffusion_expect(d, d->head, step_cell(d, 0, STEP_TEMPERATURE), x0);
  } else {
    op_combine_rows(d->device,
                    step_cell(d, 1 + step, STEP_A),
                    x,
                    step_cell(d, 1 + step, STEP_B),
                    d->head,
                    x0);
  }
  op_clamp(d->device, -ESTIMATE_MAX, ESTIMATE_MAX, x0);
  const bool tell = step < s->key->told;
  if (tell) {
    diffusion_tell(d, x0, s->is_told, diffusion_reach(s->key->form.steps));
  }
  s->is_told = tell;
}

// Times fall, so those that are told come first. A student was made without.
static uint32_t
told_steps(const Diffusion* d, const SamplerPlan* plan)
{
  uint32_t told = 0;
  while (d->settings.student_steps == 0 && told < plan->steps &&
         sampler_time(plan, told + 1) > UNTOLD_SHARE * d->schedule.steps) {
    ++told;
  }
  return told;
}

// How near each pitch's code is to the estimate, see write_bias().
static void
compare_codes(Diffusion* d)
{
  op_matmul(d->device,
            false,
            true,
            2.0f,
            tensor_columns(d->x0, 0, d->code_columns),
            d->codes,
            0.0f,
            d->probabilities);
  add_bias(d, d->probabilities);
}

void
diffusion_sample_ops(void* owner, const void* key_bytes)
{
  Diffusion* const d = owner;
  SampleKey        key;
  memcpy(&key, key_bytes, sizeof key);
  op_fill(d->device, d->ones, 1.0f);
  remember_given(d, &key);
  op_fill(d->device, d->level, 0.0f);
  op_fill(d->device, diffusion_token_flag(d->tokens), 0.0f);
  Denoising        s   = { .d     = d,
                           .key   = &key,
                           .input = { .sequences = key.count,
                                      .notes     = key.notes,
                                      .tokens    = d->tokens,
                                      .position  = d->position,
                                      .level     = d->level } };
  const SamplerRun run = {
    .device  = d->device,
    .predict = predict,
    .context = &s,
    .factors = tensor_columns(
      tensor_rows(d->steps, 1, key.form.steps), STEP_FACTORS, SAMPLER_FACTORS),
    .key      = d->key,
    .x        = d->x,
    .x0       = d->x0,
    .previous = d->previous,
    .noise    = d->noise,
  };
  sampler_run(&run, key.form);
  if (d->settings.prediction != PREDICT_DATA) {
    compare_codes(d);
  }
  op_sample(d->device, d->probabilities, d->greedy, d->ones, d->pitch);
}

static SampleKey
key_of(const Diffusion* d, const DiffusionRequest* q)
{
  return (SampleKey){ .count     = q->count,
                      .notes     = q->notes,
                      .before    = q->before,
                      .after     = q->after,
                      .form      = sampler_form(&q->plan),
                      .told      = told_steps(d, &q->plan),
                      .is_biased = q->pitch_bias != NULL };
}

bool
diffusion_prepare(Diffusion* d, const DiffusionRequest* q)
{
  const SampleKey key = key_of(d, q);
  lay_out(d, q);
  return replay_prepare(&d->sampling, &key, sizeof key);
}

void
diffusion_sample(Diffusion*              d,
                 const DiffusionRequest* q,
                 float*                  pitch,
                 float*                  channels)
{
  const SampleKey key = key_of(d, q);
  write_request(d, q);
  replay_run(&d->sampling, &key, sizeof key);
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
  diffusion_lay_out(d, rows, 1, 1, 0);
  diffusion_embed(d, pitch, channels, d->x);
  tensor_read(d->device, d->x, x);
}
