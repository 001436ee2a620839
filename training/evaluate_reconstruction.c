// `meander-train evaluate`: how a VAE reconstructs test windows, and the spread
// of its samples.
#include "evaluation.h"
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
  Model*         model;
  float*         z;     // [batch][latent]
  NoteEvent*     truth; // [batch][WINDOW_NOTES]
  NoteEvent*     ours;
  Reconstruction reconstruction;
  Spread         real;
  Spread         prior;
  double         real_scale; // scale consistency, summed over windows
  double         prior_scale;
} Sums;

static double
sum_scales(const NoteEvent* windows, uint32_t count)
{
  double sum = 0.0;
  for (uint32_t i = 0; i < count; ++i) {
    sum += scale_consistency(windows + (size_t)i * WINDOW_NOTES, WINDOW_NOTES);
  }
  return sum;
}

static Status
add_batch(Sums*             s,
          const Evaluation* e,
          uint64_t          first,
          uint32_t          count,
          Error*            error)
{
  for (uint32_t i = 0; i < count; ++i) {
    dataset_window(
      e->data, true, first + i, 0, s->truth + (size_t)i * WINDOW_NOTES);
  }
  Status status = model_encode(s->model, s->truth, count, s->z, error);
  if (status == STATUS_OK) {
    const ModelRequest request = {
      .z = s->z, .count = count, .seed = e->seed, .first_window = first
    };
    status = model_generate(s->model, &request, s->ours, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const size_t at = (size_t)i * WINDOW_NOTES;
    reconstruction_add(&s->reconstruction, s->truth + at, s->ours + at);
  }
  s->real_scale += sum_scales(s->truth, count);
  spread_add(&s->real, s->truth, count * WINDOW_NOTES);

  const WindowMaker maker = { .model       = s->model,
                              .temperature = e->temperature,
                              .seed        = e->seed };
  status                  = make_windows(&maker, first, count, s->ours, error);
  s->prior_scale += sum_scales(s->ours, count);
  spread_add(&s->prior, s->ours, count * WINDOW_NOTES);
  return status;
}

static void
print_sums(const Sums* s, uint64_t windows)
{
  static const char* const fields[SPREAD_COUNT] = {
    "pitch", "velocity", "step", "duration"
  };
  printf("windows=%llu\n", (unsigned long long)windows);
  printf("pitch_accuracy=%.4f\n", reconstruction_accuracy(&s->reconstruction));
  printf("iou=%.4f\n", reconstruction_iou(&s->reconstruction));
  printf("latent_active=%u\nlatent_size=%u\n",
         model_active_latents(s->model),
         model_latent_size(s->model));
  printf("real_scale_consistency=%.4f\nprior_scale_consistency=%.4f\n",
         s->real_scale / (double)windows,
         s->prior_scale / (double)windows);
  for (int f = 0; f < SPREAD_COUNT; ++f) {
    const double real  = spread_deviation(&s->real, f);
    const double prior = spread_deviation(&s->prior, f);
    printf("real_%s_mean=%.4f\nreal_%s_std=%.4f\n",
           fields[f],
           spread_mean(&s->real, f),
           fields[f],
           real);
    printf("prior_%s_mean=%.4f\nprior_%s_std=%.4f\n",
           fields[f],
           spread_mean(&s->prior, f),
           fields[f],
           prior);
    printf("spread_ratio_%s=%.4f\n", fields[f], prior / real);
  }
}

Status
evaluate_reconstruction(const Evaluation*     e,
                        const EvaluatedModel* model,
                        uint64_t              windows,
                        Error*                error)
{
  const uint64_t all   = dataset_window_count(e->data, true);
  windows              = windows && windows < all ? windows : all;
  const uint32_t batch = model_batch_max(model->model);
  const size_t   notes = (size_t)batch * WINDOW_NOTES;
  Sums           sums  = {
               .model = model->model,
               .z =
                 malloc((size_t)batch * model_latent_size(model->model) * sizeof(float)),
               .truth = malloc(notes * sizeof(NoteEvent)),
               .ours  = malloc(notes * sizeof(NoteEvent)),
  };
  Status status =
    sums.z && sums.truth && sums.ours
      ? STATUS_OK
      : error_set(error, STATUS_NO_MEMORY, "no memory to evaluate");
  for (uint64_t first = 0; first < windows && status == STATUS_OK;
       first += batch) {
    const uint64_t left = windows - first;
    status =
      add_batch(&sums, e, first, left < batch ? (uint32_t)left : batch, error);
  }
  if (status == STATUS_OK) {
    print_sums(&sums, windows);
  }
  free(sums.z);
  free(sums.truth);
  free(sums.ours);
  return status;
}
