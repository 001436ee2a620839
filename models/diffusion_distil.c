// Distillation: a teacher's many steps into a student's one.
#include "diffusion_internal.h"

// A teacher on its way from t to next.
typedef struct {
  DiffusionPass pass; // first: time_now() takes it from here
  uint32_t      substeps;
  uint32_t      at; // the substep to come
} Teacher;

// The time after i substeps of a sequence.
static uint32_t
time_at(const Teacher* t, uint32_t sequence, uint32_t i)
{
  const uint32_t begin = t->pass.batch->t[sequence];
  const uint32_t end   = t->pass.batch->next[sequence];
  return begin - (uint32_t)((uint64_t)(begin - end) * i / t->substeps);
}

static uint32_t
time_now(const DiffusionPass* pass, uint32_t sequence)
{
  const Teacher* const t = (const Teacher*)(const void*)pass;
  return time_at(t, sequence, t->at);
}

static NoisePosterior
jump(const Teacher* t, uint32_t from, uint32_t to)
{
  return noise_ddim(&t->pass.d->schedule, from, to, 0.0);
}

// Of a sequence in the substep to come: DDIM's shares, and that of its estimate
// in where the whole jump ends. The latter sum to 1; where the jump ends in
// data only the last one counts.
static void
find_shares(const Teacher* t, uint32_t sequence, float shares[SHARE_COLUMNS])
{
  const uint32_t       a       = time_at(t, sequence, t->at);
  const uint32_t       b       = time_at(t, sequence, t->at + 1);
  const uint32_t       z       = time_at(t, sequence, t->substeps);
  const NoisePosterior now     = jump(t, a, b);
  const double         carried = b == z ? 1.0 : jump(t, b, z).xt_share;
  const double         whole   = jump(t, time_at(t, sequence, 0), z).x0_share;
  shares[SHARE_X0]             = (float)now.x0_share;
  shares[SHARE_XT]             = (float)now.xt_share;
  shares[SHARE_MEAN]           = (float)(now.x0_share * carried / whole);
}

// d->shares of every row.
static void
write_shares(Teacher* t)
{
  Diffusion* const d     = t->pass.d;
  const uint32_t   s     = t->pass.batch->sequences;
  float* const     clean = d->host + (size_t)s * SHARE_COLUMNS;
  for (uint32_t i = 0; i < s; ++i) {
    find_shares(t, i, d->host + (size_t)i * SHARE_COLUMNS);
  }
  clean[SHARE_X0]   = 0.0f;
  clean[SHARE_XT]   = 1.0f;
  clean[SHARE_MEAN] = t->at + 1 == t->substeps ? 1.0f : 0.0f;
  tensor_write(d->device, d->level_shares, d->host);
  op_gather(d->device, d->level_shares, d->level, d->shares);
}

// Its estimates' mean: probabilities in d->mean, values in d->target.
static void
run_teacher(Teacher* t)
{
  Diffusion* const d = t->pass.d;
  op_fill(d->device, d->mean, 0.0f);
  op_fill(d->device, d->target, 0.0f);
  op_fill(d->device, d->ones, 1.0f);
  for (t->at = 0; t->at < t->substeps; ++t->at) {
    diffusion_pass_write_times(&t->pass, time_now);
    diffusion_pass_embed_times(&t->pass);
    write_shares(t);
    const Tensor mean = tensor_columns(d->shares, SHARE_MEAN, 1);
    diffusion_tokens(d, d->x, t->at > 0 ? &d->told : NULL, d->tokens);
    denoiser_forward(d->net, &t->pass.input, d->head);
    diffusion_pass_estimate(&t->pass);
    op_combine_rows(
      d->device, mean, d->probabilities, d->ones, d->mean, d->mean);
    op_combine_rows(
      d->device, mean, d->estimate, d->ones, d->target, d->target);
    op_combine_rows(d->device,
                    tensor_columns(d->shares, SHARE_X0, 1),
                    d->estimate,
                    tensor_columns(d->shares, SHARE_XT, 1),
                    d->x,
                    d->x);
    diffusion_tell(d, d->estimate, t->at > 0, TEACHER_REACH);
  }
}

// The student's notes are the teacher's.
static void
share_notes(Diffusion* student, Diffusion* teacher, const DiffusionBatch* batch)
{
  const DiffusionNotes from =
    diffusion_notes(student, batch->sequences, batch->notes);
  const DiffusionNotes to =
    diffusion_notes(teacher, batch->sequences, batch->notes);
  op_copy(student->device, from.pitch, to.pitch);
  op_copy(student->device, from.channels, to.channels);
  op_copy(student->device, from.clean, to.clean);
}

// Not recorded: the teacher's substeps are written between the ops.
void
diffusion_distil_step(Diffusion*            student,
                      Diffusion*            teacher,
                      const DiffusionBatch* batch,
                      uint32_t              substeps)
{
  Teacher t = { .substeps = substeps };
  share_notes(student, teacher, batch);
  diffusion_pass_write(&t.pass, teacher, batch);
  diffusion_pass_begin(&t.pass);
  run_teacher(&t);

  DiffusionPass    pass;
  Diffusion* const d = student;
  diffusion_pass_write(&pass, d, batch);
  diffusion_pass_begin(&pass);
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
  diffusion_pass_add(&pass, d->loss, DIFFUSION_SUM_PITCH);
  op_squared_error(
    d->device,
    diffusion_channel_head(d->head),
    tensor_columns(teacher->target, d->code_columns, CHANNEL_COUNT),
    batch->gradient_scale * batch->channel_weight,
    d->loss,
    dchannel);
  op_scale_rows(d->device, d->error_weight, dchannel);
  diffusion_pass_estimate(&pass);
  diffusion_pass_report(&pass, teacher->target);
  denoiser_backward(d->net, &pass.input, d->dhead);
}
