// Distillation: a teacher's many steps into a student's one.
#include "diffusion_internal.h"

// A teacher on its way from t to next.
typedef struct {
  DiffusionPass pass; // first: the row functions below take it from here
  uint32_t      substeps;
  uint32_t      at; // the substep to come
} Teacher;

static const Teacher*
teacher_of(const DiffusionPass* pass)
{
  return (const Teacher*)(const void*)pass;
}

static bool
is_clean(const DiffusionPass* pass, uint32_t row)
{
  return pass->batch->clean[row] != 0.0f;
}

// The time after i substeps of a row's sequence.
static uint32_t
time_at(const DiffusionPass* pass, uint32_t row, uint32_t i)
{
  const Teacher* const t     = teacher_of(pass);
  const uint32_t       s     = row / pass->batch->notes;
  const uint32_t       begin = pass->batch->t[s];
  const uint32_t       end   = pass->batch->next[s];
  return begin - (uint32_t)((uint64_t)(begin - end) * i / t->substeps);
}

// DDIM with eta 0: x_s = (alpha_s - alpha_t sigma_s / sigma_t) x_0 + (sigma_s /
// sigma_t) x_t.
static double
x0_share(const DiffusionPass* pass, uint32_t t, uint32_t s)
{
  const NoiseSchedule* const n = &pass->d->schedule;
  return noise_alpha(n, s) -
         noise_alpha(n, t) * noise_sigma(n, s) / noise_sigma(n, t);
}

static double
xt_share(const DiffusionPass* pass, uint32_t t, uint32_t s)
{
  return noise_sigma(&pass->d->schedule, s) /
         noise_sigma(&pass->d->schedule, t);
}

static float
next_x0_share(const DiffusionPass* pass, uint32_t row)
{
  const uint32_t i = teacher_of(pass)->at;
  return is_clean(pass, row) ? 0.0f
                             : (float)x0_share(pass,
                                               time_at(pass, row, i),
                                               time_at(pass, row, i + 1));
}

static float
next_xt_share(const DiffusionPass* pass, uint32_t row)
{
  const uint32_t i = teacher_of(pass)->at;
  return is_clean(pass, row) ? 1.0f
                             : (float)xt_share(pass,
                                               time_at(pass, row, i),
                                               time_at(pass, row, i + 1));
}

// The share of this substep's estimate in where the whole jump ends. They sum
// to 1; where the jump ends in data only the last one counts.
static float
mean_share(const DiffusionPass* pass, uint32_t row)
{
  const Teacher* const t = teacher_of(pass);
  const uint32_t       a = time_at(pass, row, t->at);
  const uint32_t       b = time_at(pass, row, t->at + 1);
  const uint32_t       z = time_at(pass, row, t->substeps);
  if (is_clean(pass, row)) {
    return t->at + 1 == t->substeps ? 1.0f : 0.0f;
  }
  const double carried = b == z ? 1.0 : xt_share(pass, b, z);
  return (float)(x0_share(pass, a, b) * carried /
                 x0_share(pass, time_at(pass, row, 0), z));
}

static float
one(const DiffusionPass* pass, uint32_t row)
{
  (void)pass;
  (void)row;
  return 1.0f;
}

static void
write_time(Teacher* t)
{
  Diffusion* const      d    = t->pass.d;
  const DiffusionBatch* b    = t->pass.batch;
  float* const          host = d->host;
  for (uint32_t s = 0; s <= b->sequences; ++s) {
    const uint32_t time =
      s < b->sequences ? time_at(&t->pass, s * b->notes, t->at) : 0;
    diffusion_time_features(
      &d->settings, time, 0, host + (size_t)s * DENOISER_TIME_FEATURES);
  }
  tensor_write(d->device, d->time, host);
}

// Its estimates' mean: probabilities in d->mean, values in d->target.
static void
run_teacher(Teacher* t)
{
  Diffusion* const d = t->pass.d;
  op_fill(d->device, d->mean, 0.0f);
  op_fill(d->device, d->target, 0.0f);
  diffusion_pass_rows(&t->pass, d->ones, one);
  for (t->at = 0; t->at < t->substeps; ++t->at) {
    write_time(t);
    diffusion_tokens(d, d->x, t->at > 0);
    denoiser_forward(d->net, &t->pass.input, d->head);
    diffusion_pass_estimate(&t->pass);
    diffusion_pass_rows(&t->pass, d->a, mean_share);
    op_combine_rows(
      d->device, d->a, d->probabilities, d->ones, d->mean, d->mean);
    op_combine_rows(
      d->device, d->a, d->estimate, d->ones, d->target, d->target);
    diffusion_pass_rows(&t->pass, d->a, next_x0_share);
    diffusion_pass_rows(&t->pass, d->b, next_xt_share);
    op_combine_rows(d->device, d->a, d->estimate, d->b, d->x, d->x);
  }
}

void
diffusion_distil_step(Diffusion*            student,
                      Diffusion*            teacher,
                      const DiffusionBatch* batch,
                      uint32_t              substeps,
                      DiffusionLoss*        loss)
{
  Teacher t = { .substeps = substeps };
  diffusion_pass_begin(&t.pass, teacher, batch);
  run_teacher(&t);

  DiffusionPass    pass;
  Diffusion* const d = student;
  diffusion_pass_begin(&pass, d, batch);
  denoiser_forward(d->net, &pass.input, d->head);
  const Tensor dpitch   = diffusion_pitch_head(d->dhead);
  const Tensor dchannel = diffusion_channel_head(d->dhead);
  op_soft_cross_entropy(d->device,
                        diffusion_pitch_head(d->head),
                        teacher->mean,
                        d->noised,
                        batch->gradient_scale,
                        d->loss,
                        dpitch);
  loss->pitch_nats += diffusion_pass_sum_loss(&pass);
  op_squared_error(
    d->device,
    diffusion_channel_head(d->head),
    tensor_columns(teacher->target, d->code_columns, CHANNEL_COUNT),
    batch->gradient_scale * batch->channel_weight,
    d->loss,
    dchannel);
  op_scale_rows(d->device, d->error_weight, dchannel);
  diffusion_pass_estimate(&pass);
  diffusion_pass_report(&pass, teacher->target, loss);
  denoiser_backward(d->net, &pass.input, d->dhead);
}
