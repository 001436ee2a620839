// Distillation: a teacher's many steps into a student's one. As in training, a
// pass is ops alone; the teacher's way was written before, a block for each of
// its substeps.
#include "diffusion_internal.h"

// --- The teacher's way -------------------------------------------------------

Status
diffusion_make_teacher(Diffusion* d, uint32_t substeps, Error* error)
{
  const uint64_t levels = d->rows_max / SHORTEST_NOTES + 1;
  const uint64_t floats = levels * ROUTE_COLUMNS * substeps;
  return floats > UINT32_MAX
           ? error_set(
               error, STATUS_LIMIT, "%u substeps are too many", substeps)
           : tensor_allocate(d->device, 1, (uint32_t)floats, &d->route, error);
}

// A substep's row for each level of d->time.
static Tensor
route_at(const Diffusion* d, uint32_t substep)
{
  const uint32_t levels = d->time.rows;
  const size_t   floats = (size_t)levels * ROUTE_COLUMNS;
  return tensor_reshape(d->route, substep * floats, levels, ROUTE_COLUMNS);
}

// The time after i substeps of a sequence.
static uint32_t
time_at(const DiffusionBatch* batch, uint32_t sequence, uint32_t i)
{
  const uint32_t begin = batch->t[sequence];
  const uint32_t end   = batch->next[sequence];
  return begin - (uint32_t)((uint64_t)(begin - end) * i / batch->pass.substeps);
}

static NoisePosterior
jump(const Diffusion* d, uint32_t from, uint32_t to)
{
  return noise_ddim(&d->schedule, from, to, 0.0);
}

// Of a sequence in substep i: its time, DDIM's shares, and that of its estimate
// in where the whole jump ends. The latter sum to 1; where the jump ends in
// data only the last one counts.
static void
find_route(const Diffusion*      d,
           const DiffusionBatch* batch,
           uint32_t              sequence,
           uint32_t              i,
           float                 row[ROUTE_COLUMNS])
{
  const uint32_t       a       = time_at(batch, sequence, i);
  const uint32_t       b       = time_at(batch, sequence, i + 1);
  const uint32_t       z       = batch->next[sequence];
  const NoisePosterior now     = jump(d, a, b);
  const double         carried = b == z ? 1.0 : jump(d, b, z).xt_share;
  const double         whole   = jump(d, batch->t[sequence], z).x0_share;
  float* const         shares  = row + ROUTE_SHARES;
  row[ROUTE_TIME]              = (float)a;
  shares[SHARE_X0]             = (float)now.x0_share;
  shares[SHARE_XT]             = (float)now.xt_share;
  shares[SHARE_MEAN]           = (float)(now.x0_share * carried / whole);
}

static void
write_route(Diffusion* d, const DiffusionBatch* batch)
{
  const uint32_t s      = batch->pass.sequences;
  float* const   clean  = d->host + (size_t)s * ROUTE_COLUMNS;
  float* const   shares = clean + ROUTE_SHARES;
  for (uint32_t i = 0; i < batch->pass.substeps; ++i) {
    for (uint32_t k = 0; k < s; ++k) {
      find_route(d, batch, k, i, d->host + (size_t)k * ROUTE_COLUMNS);
    }
    clean[ROUTE_TIME]  = 0.0f;
    shares[SHARE_X0]   = 0.0f;
    shares[SHARE_XT]   = 1.0f;
    shares[SHARE_MEAN] = i + 1 == batch->pass.substeps ? 1.0f : 0.0f;
    tensor_write(d->device, route_at(d, i), d->host);
  }
}

void
diffusion_write_jumps(Diffusion*            student,
                      Diffusion*            teacher,
                      const DiffusionBatch* batch)
{
  diffusion_write_batch(student, batch);
  diffusion_write_batch(teacher, batch);
  write_route(teacher, batch);
}

// --- The pass ----------------------------------------------------------------

// The student's notes are the teacher's.
static void
share_notes(Diffusion* student, Diffusion* teacher, const DiffusionPass* pass)
{
  const DiffusionNotes from =
    diffusion_notes(student, pass->sequences, pass->notes);
  const DiffusionNotes to =
    diffusion_notes(teacher, pass->sequences, pass->notes);
  op_copy(student->device, from.pitch, to.pitch);
  op_copy(student->device, from.channels, to.channels);
  op_copy(student->device, from.clean, to.clean);
}

// Its estimates' mean: probabilities in d->mean, values in d->target.
static void
run_teacher(Diffusion* d, const DiffusionPass* pass)
{
  const DenoiserInput input = diffusion_pass_begin(d, pass);
  const Tensor        mean  = tensor_columns(d->shares, SHARE_MEAN, 1);
  op_fill(d->device, d->mean, 0.0f);
  op_fill(d->device, d->target, 0.0f);
  op_fill(d->device, d->ones, 1.0f);
  for (uint32_t i = 0; i < pass->substeps; ++i) {
    const Tensor route = route_at(d, i);
    diffusion_pass_embed_times(d, tensor_columns(route, ROUTE_TIME, 1));
    op_gather(d->device,
              tensor_columns(route, ROUTE_SHARES, SHARE_COLUMNS),
              d->level,
              d->shares);
    diffusion_tokens(d, d->x, i > 0 ? &d->told : NULL, d->tokens);
    denoiser_forward(d->net, &input, d->head);
    diffusion_pass_estimate(d);
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
    diffusion_tell(d, d->estimate, i > 0, TEACHER_REACH);
  }
}

void
diffusion_distil(Diffusion*           student,
                 Diffusion*           teacher,
                 const DiffusionPass* pass)
{
  share_notes(student, teacher, pass);
  run_teacher(teacher, pass);

  Diffusion* const    d        = student;
  const DenoiserInput input    = diffusion_pass_begin(d, pass);
  const Tensor        dpitch   = diffusion_pitch_head(d->dhead);
  const Tensor        dchannel = diffusion_channel_head(d->dhead);
  denoiser_forward(d->net, &input, d->head);
  op_soft_cross_entropy(d->device,
                        diffusion_pitch_head(d->head),
                        teacher->mean,
                        d->noised,
                        pass->gradient_scale,
                        d->loss,
                        dpitch);
  diffusion_pass_add(d, d->loss, DIFFUSION_SUM_PITCH);
  op_squared_error(
    d->device,
    diffusion_channel_head(d->head),
    tensor_columns(teacher->target, d->code_columns, CHANNEL_COUNT),
    pass->gradient_scale * pass->channel_weight,
    d->loss,
    dchannel);
  op_scale_rows(d->device, d->error_weight, dchannel);
  diffusion_pass_estimate(d);
  diffusion_pass_report(d, teacher->target);
  denoiser_backward(d->net, &input, d->dhead);
}
