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

static NoisePosterior
jump(const DiffusionPass* pass, uint32_t t, uint32_t s)
{
  return noise_ddim(&pass->d->schedule, t, s, 0.0);
}

// Of a row in the substep to come.
static NoisePosterior
next_jump(const DiffusionPass* pass, uint32_t row)
{
  const uint32_t i = teacher_of(pass)->at;
  return jump(pass, time_at(pass, row, i), time_at(pass, row, i + 1));
}

static float
next_x0_share(const DiffusionPass* pass, uint32_t row)
{
  return is_clean(pass, row) ? 0.0f : (float)next_jump(pass, row).x0_share;
}

static float
next_xt_share(const DiffusionPass* pass, uint32_t row)
{
  return is_clean(pass, row) ? 1.0f : (float)next_jump(pass, row).xt_share;
}

// The share of this substep's estimate in where the whole jump ends. They sum
// to 1; where the jump ends in data only the last one counts.
static float
mean_share(const DiffusionPass* pass, uint32_t row)
{
  const Teacher* const t = teacher_of(pass);
  const uint32_t       b = time_at(pass, row, t->at + 1);
  const uint32_t       z = time_at(pass, row, t->substeps);
  if (is_clean(pass, row)) {
    return t->at + 1 == t->substeps ? 1.0f : 0.0f;
  }
  const double carried = b == z ? 1.0 : jump(pass, b, z).xt_share;
  return (float)(next_jump(pass, row).x0_share * carried /
                 jump(pass, time_at(pass, row, 0), z).x0_share);
}

static float
one(const DiffusionPass* pass, uint32_t row)
{
  (void)pass;
  (void)row;
  return 1.0f;
}

static uint32_t
time_now(const DiffusionPass* pass, uint32_t sequence)
{
  return time_at(pass, sequence * pass->batch->notes, teacher_of(pass)->at);
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
    diffusion_pass_write_time(&t->pass, time_now);
    diffusion_tokens(d, d->x, t->at > 0 ? &d->told : NULL, d->tokens);
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
    diffusion_tell(d, d->estimate, t->at > 0, TEACHER_REACH);
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
