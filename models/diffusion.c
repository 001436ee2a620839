// The diffusion model: settings, pitch codes, memory, and what training and
// sampling share.
#include "diffusion_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char* const pitch_code_names[] = { "scalar", "bits", "embedding", NULL };
const char* const prediction_names[] = { "noise", "v", "data", NULL };
const char* const noise_kind_names[] = { "linear", "cosine", NULL };

static const uint32_t code_columns[] = {
  [PITCH_SCALAR]    = 1,
  [PITCH_BITS]      = 7,
  [PITCH_EMBEDDING] = PITCH_CODE_COLUMNS_MAX,
};

// --- Settings ----------------------------------------------------------------

uint32_t
diffusion_columns(const DiffusionSettings* settings)
{
  return code_columns[settings->pitch_code] + CHANNEL_COUNT;
}

Status
diffusion_check_settings(DiffusionSettings* settings, Error* error)
{
  const uint32_t columns = diffusion_columns(settings);
  settings->net.input    = columns * (settings->self_condition ? 2 : 1) + 1;
  settings->net.output   = settings->prediction == PREDICT_DATA
                             ? ENCODING_PITCHES + CHANNEL_COUNT
                             : columns;
  if (settings->noise_steps < 2 || settings->noise_steps > NOISE_STEPS_MAX) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "noise_steps is %u; it must be 2 to %u",
                     settings->noise_steps,
                     NOISE_STEPS_MAX);
  }
  if (settings->student_steps > settings->noise_steps) {
    return error_set(error,
                     STATUS_BAD_ARGUMENT,
                     "student_steps is %u; the schedule has %u",
                     settings->student_steps,
                     settings->noise_steps);
  }
  return denoiser_check_sizes(&settings->net, error);
}

// --- Pitch codes -------------------------------------------------------------

#define TAU 6.283185307179586

static void
scalar_code(uint32_t pitch, float* code)
{
  // Real music: mean 62, deviation 14 (RESEARCH.md).
  code[0] = ((float)pitch - 62.0f) / 14.0f;
}

static void
bits_code(uint32_t pitch, float* code)
{
  for (uint32_t i = 0; i < code_columns[PITCH_BITS]; ++i) {
    code[i] = pitch >> i & 1 ? 1.0f : -1.0f;
  }
}

// Points on circles: the pitch class by steps of 1 to 5 semitones (that of the
// fifths is 5), the height by circles of 4, 8 and 16 octaves (only nearness
// counts there). Each column has a mean square of 1, so all codes are equally
// long.
static void
embedding_code(uint32_t pitch, float* code)
{
  static const double periods[] = { 12,       12 / 2.0, 12 / 3.0, 12 / 4.0,
                                    12 / 5.0, 48,       96,       192 };
  for (uint32_t i = 0; i < sizeof periods / sizeof *periods; ++i) {
    const double angle = TAU * pitch / periods[i];
    code[2 * i]        = (float)(sqrt(2.0) * cos(angle));
    code[2 * i + 1]    = (float)(sqrt(2.0) * sin(angle));
  }
}

static Status
make_codes(Diffusion* d, Error* error)
{
  static void (*const makers[])(uint32_t, float*) = {
    [PITCH_SCALAR]    = scalar_code,
    [PITCH_BITS]      = bits_code,
    [PITCH_EMBEDDING] = embedding_code,
  };
  float  host[ENCODING_PITCHES * PITCH_CODE_COLUMNS_MAX];
  float  turned[ENCODING_PITCHES * PITCH_CODE_COLUMNS_MAX];
  Status status = tensor_allocate(
    d->device, ENCODING_PITCHES, d->code_columns, &d->codes, error);
  if (status == STATUS_OK) {
    status = tensor_allocate(
      d->device, d->code_columns, ENCODING_PITCHES, &d->code_rows, error);
  }
  if (status == STATUS_OK) {
    for (uint32_t pitch = 0; pitch < ENCODING_PITCHES; ++pitch) {
      float* const code = host + pitch * d->code_columns;
      makers[d->settings.pitch_code](pitch, code);
      for (uint32_t k = 0; k < d->code_columns; ++k) {
        d->code_squares[pitch] += code[k] * code[k];
        turned[k * ENCODING_PITCHES + pitch] = code[k];
      }
    }
    tensor_write(d->device, d->codes, host);
    tensor_write(d->device, d->code_rows, turned);
  }
  return status;
}

static Status
make_temperatures(Diffusion* d, Error* error)
{
  Status status = tensor_allocate(d->device, 1, 1, &d->greedy, error); // zero
  if (status == STATUS_OK) {
    status = tensor_allocate(d->device, 1, 1, &d->plain, error);
  }
  if (status == STATUS_OK) {
    op_fill(d->device, d->plain, 1.0f);
  }
  return status;
}

// --- Memory ------------------------------------------------------------------

static void
cut_training(Diffusion* d,
             Arena*     m,
             uint32_t   rows,
             uint32_t   levels,
             uint32_t   notes)
{
  d->clean        = arena_cut(m, rows, 1);
  d->noised       = arena_cut(m, rows, 1);
  d->allowed      = arena_cut(m, rows, notes);
  d->t            = arena_cut(m, levels, 1);
  d->way          = arena_cut(m, levels, 1);
  d->at_level     = arena_cut(m, levels, LEVEL_COLUMNS);
  d->at_row       = arena_cut(m, rows, LEVEL_COLUMNS);
  d->alpha        = tensor_columns(d->at_row, LEVEL_ALPHA, 1);
  d->sigma        = tensor_columns(d->at_row, LEVEL_SIGMA, 1);
  d->error_weight = tensor_columns(d->at_row, LEVEL_ERROR_WEIGHT, 1);
  d->a            = tensor_columns(d->at_row, LEVEL_A, 1);
  d->b            = tensor_columns(d->at_row, LEVEL_B, 1);
  d->shares       = arena_cut(m, rows, SHARE_COLUMNS);
  d->target       = arena_cut(m, rows, d->columns);
  d->dhead        = arena_cut(m, rows, d->settings.net.output);
  d->loss         = arena_cut(m, rows, 1);
  d->scratch      = arena_cut(m, rows, d->columns);
  d->mean         = arena_cut(m, rows, ENCODING_PITCHES);
}

static void
cut_sampling(Diffusion* d, Arena* m, uint32_t given)
{
  d->steps          = arena_cut(m, 1 + d->settings.noise_steps, STEP_COLUMNS);
  d->times          = tensor_columns(d->steps, 0, DENOISER_TIME_FEATURES);
  d->given.pitch    = arena_cut(m, given, 1);
  d->given.x        = arena_cut(m, given, d->columns);
  d->given.tokens   = arena_cut(m, given, d->settings.net.input);
  d->given.position = arena_cut(m, given, 1);
  d->given.level    = arena_cut(m, given, 1);
}

size_t
diffusion_lay_out(Diffusion* d,
                  uint32_t   rows,
                  uint32_t   levels,
                  uint32_t   notes,
                  uint32_t   given)
{
  const uint32_t c = d->columns;
  Arena          m = { .memory = d->memory };
  d->pitch         = arena_cut(&m, rows, 1);
  d->x0            = arena_cut(&m, rows, c);
  d->x             = arena_cut(&m, rows, c);
  d->estimate      = arena_cut(&m, rows, c);
  d->told          = arena_cut(&m, rows, c);
  d->last          = arena_cut(&m, rows, c);
  d->noise         = arena_cut(&m, rows, c);
  d->previous      = arena_cut(&m, rows, c);
  d->tokens        = arena_cut(&m, rows, d->settings.net.input);
  d->position      = arena_cut(&m, rows, 1);
  d->level         = arena_cut(&m, rows, 1);
  d->time          = arena_cut(&m, levels, DENOISER_TIME_FEATURES);
  d->head          = arena_cut(&m, rows, d->settings.net.output);
  d->probabilities = arena_cut(&m, rows, ENCODING_PITCHES);
  d->pitch_bias    = arena_cut(&m, 1, ENCODING_PITCHES);
  d->key           = arena_cut(&m, 1, RNG_KEY_FLOATS);
  d->ones          = arena_cut(&m, rows, 1);
  if (d->training) {
    cut_training(d, &m, rows, levels, notes);
  } else {
    cut_sampling(d, &m, given);
  }
  return m.used;
}

static Status
allocate(Diffusion* d, const Diffusion* owner, Error* error)
{
  const uint32_t levels =
    d->training ? d->rows_max / SHORTEST_NOTES : d->sequences_max;
  Status status = noise_schedule_make(
    d->settings.noise, d->settings.noise_steps, &d->schedule, error);
  if (status == STATUS_OK) {
    status = denoiser_create(d->device,
                             &d->settings.net,
                             d->rows_max,
                             levels,
                             d->training,
                             owner ? owner->net : NULL,
                             &d->net,
                             error);
  }
  if (status == STATUS_OK) {
    status = make_codes(d, error);
  }
  if (status == STATUS_OK) {
    status = make_temperatures(d, error);
  }
  if (status == STATUS_OK && d->training) {
    status = diffusion_make_tables(d, error);
  }
  const size_t need =
    diffusion_lay_out(d, d->rows_max, levels + 1, SEQUENCE_NOTES, d->rows_max);
  if (status == STATUS_OK && need > UINT32_MAX) {
    status = error_set(
      error, STATUS_LIMIT, "%u notes in one call are too many", d->rows_max);
  }
  if (status == STATUS_OK) {
    status = tensor_allocate(d->device, 1, (uint32_t)need, &d->memory, error);
  }
  const uint32_t times = 1 + d->settings.noise_steps;
  const size_t   rows  = d->rows_max > times ? d->rows_max : times;
  d->host              = malloc(rows * STEP_COLUMNS * sizeof(float));
  return status != STATUS_OK || d->host
           ? status
           : error_set(error, STATUS_NO_MEMORY, "no memory for a diffusion");
}

// Recordings: of four contexts, with and without a bias; of fewer steps in the
// last of them; of phrases that are played in between.
#define SAMPLE_SLOTS 32u

Status
diffusion_create(Device*                  device,
                 const DiffusionSettings* settings,
                 uint32_t                 sequences_max,
                 bool                     training,
                 const Diffusion*         owner,
                 Diffusion**              out,
                 Error*                   error)
{
  *out                      = NULL;
  DiffusionSettings checked = *settings;
  Status            status  = diffusion_check_settings(&checked, error);
  if (status != STATUS_OK) {
    return status;
  }
  Diffusion* const d = calloc(1, sizeof *d);
  if (!d) {
    return error_set(error, STATUS_NO_MEMORY, "no memory for a diffusion");
  }
  d->device        = device;
  d->settings      = checked;
  d->training      = training;
  d->sequences_max = sequences_max;
  d->rows_max      = sequences_max * SEQUENCE_NOTES;
  d->code_columns  = code_columns[settings->pitch_code];
  d->columns       = diffusion_columns(settings);
  status           = allocate(d, owner, error);
  if (status != STATUS_OK) {
    diffusion_free(d);
    return status;
  }
  replay_open(&d->sampling, device, SAMPLE_SLOTS, diffusion_sample_ops, d);
  *out = d;
  return STATUS_OK;
}

void
diffusion_free(Diffusion* d)
{
  if (d) {
    replay_close(&d->sampling);
    denoiser_free(d->net);
    tensor_free(d->device, &d->codes);
    tensor_free(d->device, &d->code_rows);
    tensor_free(d->device, &d->greedy);
    tensor_free(d->device, &d->plain);
    tensor_free(d->device, &d->levels);
    tensor_free(d->device, &d->waves);
    tensor_free(d->device, &d->sums);
    tensor_free(d->device, &d->route);
    tensor_free(d->device, &d->memory);
    free(d->host);
    free(d);
  }
}

Denoiser*
diffusion_net(const Diffusion* d)
{
  return d->net;
}

const NoiseSchedule*
diffusion_schedule(const Diffusion* d)
{
  return &d->schedule;
}

const DiffusionSettings*
diffusion_settings(const Diffusion* d)
{
  return &d->settings;
}

// --- What training and sampling share ----------------------------------------

void
diffusion_embed(Diffusion*   d,
                const float* pitch,
                const float* channels,
                Tensor       x)
{
  tensor_write(d->device, d->pitch, pitch);
  op_gather(
    d->device, d->codes, d->pitch, tensor_columns(x, 0, d->code_columns));
  tensor_write(
    d->device, tensor_columns(x, d->code_columns, CHANNEL_COUNT), channels);
}

void
diffusion_write_key(Diffusion* d, uint64_t seed, uint64_t first_row)
{
  float key[RNG_KEY_FLOATS];
  rng_key(seed, first_row, key);
  tensor_write(d->device, d->key, key);
}

void
diffusion_tokens(Diffusion* d, Tensor x, const Tensor* estimate, Tensor tokens)
{
  const uint32_t c = d->columns;
  op_copy(d->device, x, tensor_columns(tokens, 0, c));
  if (!d->settings.self_condition) {
    return;
  }
  const Tensor to = tensor_columns(tokens, c, c);
  if (estimate) {
    op_copy(d->device, *estimate, to);
  } else {
    op_fill(d->device, to, 0.0f);
  }
}

double
diffusion_reach(uint32_t steps)
{
  return fmin(3.0, 10.0 / sqrt(steps));
}

void
diffusion_tell(Diffusion* d, Tensor x0, bool again, double reach)
{
  if (again) {
    op_combine(
      d->device, (float)(1.0 + reach), x0, (float)-reach, d->last, d->told);
    op_clamp(d->device, -ESTIMATE_MAX, ESTIMATE_MAX, d->told);
  } else {
    op_copy(d->device, x0, d->told);
  }
  op_copy(d->device, x0, d->last);
}

Tensor
diffusion_token_flag(Tensor tokens)
{
  return tensor_columns(tokens, tokens.columns - 1, 1);
}

// Sines and cosines of `value` in 0..1000 at falling frequencies (Vaswani et
// al. 2017, section 3.5).
static void
waves(double value, uint32_t count, float* out)
{
  for (uint32_t i = 0; i < count / 2; ++i) {
    const double angle = value * pow(10000.0, -2.0 * i / count);
    out[2 * i]         = (float)sin(angle);
    out[2 * i + 1]     = (float)cos(angle);
  }
}

void
diffusion_time_features(const DiffusionSettings* settings,
                        uint32_t                 t,
                        uint32_t                 next,
                        float features[DENOISER_TIME_FEATURES])
{
  const uint32_t half  = DENOISER_TIME_FEATURES / 2;
  const double   scale = 1000.0 / settings->noise_steps;
  waves(t * scale, half, features);
  if (settings->student_steps) {
    waves((t - next) * scale, half, features + half);
  } else {
    memset(features + half, 0, half * sizeof *features);
  }
}

Tensor
diffusion_pitch_head(Tensor head)
{
  return tensor_columns(head, 0, ENCODING_PITCHES);
}

Tensor
diffusion_channel_head(Tensor head)
{
  return tensor_columns(head, ENCODING_PITCHES, CHANNEL_COUNT);
}

void
diffusion_expect(Diffusion* d, Tensor head, Tensor temperature, Tensor x0)
{
  op_softmax(
    d->device, diffusion_pitch_head(head), temperature, d->probabilities);
  op_matmul(d->device,
            false,
            true,
            1.0f,
            d->probabilities,
            d->code_rows,
            0.0f,
            tensor_columns(x0, 0, d->code_columns));
  op_copy(d->device,
          diffusion_channel_head(head),
          tensor_columns(x0, d->code_columns, CHANNEL_COUNT));
}
