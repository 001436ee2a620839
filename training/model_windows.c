// What a model makes, as sets of windows or streams.
#include "model_windows.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>

// `given`[count][before]
static Status
continue_windows(const WindowMaker* maker,
                 uint64_t           first,
                 uint32_t           count,
                 const NoteEvent*   given,
                 uint32_t           before,
                 NoteEvent*         out,
                 Error*             error)
{
  const size_t latent = model_latent_size(maker->model);
  float* const z      = malloc(count * latent * sizeof *z);
  if (!z) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %u windows", count);
  }
  model_sample_prior(maker->model, maker->seed, first, count, z);
  ModelRequest request = {
    .z            = z,
    .count        = count,
    .temperature  = maker->temperature,
    .seed         = maker->seed,
    .first_window = first,
    .before       = before,
    .given        = before ? given : NULL,
  };
  if (maker->spec) {
    request.sampler = maker->spec->sampler;
    request.steps   = maker->spec->steps;
    request.eta     = maker->spec->eta;
  }
  const Status status = model_generate(maker->model, &request, out, error);
  free(z);
  return status;
}

Status
make_windows(const WindowMaker* maker,
             uint64_t           first,
             uint32_t           count,
             NoteEvent*         out,
             Error*             error)
{
  return continue_windows(maker, first, count, NULL, 0, out, error);
}

Status
make_window_set(const WindowMaker* maker,
                uint64_t           first,
                uint32_t           count,
                WindowSet*         out,
                double*            wall_s,
                Error*             error)
{
  Status         status  = window_set_create(out, count, WINDOW_NOTES, error);
  const double   start_s = clock_now_s();
  const uint32_t batch   = model_batch_max(maker->model);
  for (uint32_t i = 0; i < count && status == STATUS_OK; i += batch) {
    const uint32_t left = count - i;
    status              = make_windows(maker,
                          first + i,
                          left < batch ? left : batch,
                          out->events + (size_t)i * WINDOW_NOTES,
                          error);
  }
  *wall_s = clock_now_s() - start_s;
  if (status != STATUS_OK) {
    window_set_free(out);
  }
  return status;
}

// One batch of streams, window by window. `given` and `made` are scratch of
// model_batch_max() * SEQUENCE_NOTES.
static Status
make_streams(const WindowMaker* maker,
             uint64_t           first,
             uint32_t           count,
             NoteEvent*         out,
             NoteEvent*         given,
             NoteEvent*         made,
             Error*             error)
{
  const uint32_t context = model_context_max(maker->model);
  for (uint32_t at = 0; at < SEQUENCE_NOTES; at += WINDOW_NOTES) {
    const uint32_t before = at < context ? at : context;
    for (uint32_t i = 0; i < count; ++i) {
      memcpy(given + (size_t)i * before,
             out + (size_t)i * SEQUENCE_NOTES + at - before,
             before * sizeof *given);
    }
    // Windows of a stream differ in the upper bits of their number.
    const uint64_t number = ((uint64_t)(at / WINDOW_NOTES) << 32) + first;
    const Status   status =
      continue_windows(maker, number, count, given, before, made, error);
    if (status != STATUS_OK) {
      return status;
    }
    for (uint32_t i = 0; i < count; ++i) {
      memcpy(out + (size_t)i * SEQUENCE_NOTES + at,
             made + (size_t)i * WINDOW_NOTES,
             WINDOW_NOTES * sizeof *made);
    }
  }
  return STATUS_OK;
}

Status
make_stream_set(const WindowMaker* maker,
                uint32_t           count,
                WindowSet*         out,
                double*            wall_s,
                Error*             error)
{
  const uint32_t   batch   = model_batch_max(maker->model);
  const size_t     notes   = (size_t)batch * SEQUENCE_NOTES;
  NoteEvent* const scratch = malloc(2 * notes * sizeof *scratch);
  if (!scratch) {
    return error_set(
      error, STATUS_NO_MEMORY, "no memory for %u streams", count);
  }
  Status       status  = window_set_create(out, count, SEQUENCE_NOTES, error);
  const double start_s = clock_now_s();
  for (uint32_t i = 0; i < count && status == STATUS_OK; i += batch) {
    const uint32_t left = count - i;
    status              = make_streams(maker,
                          i,
                          left < batch ? left : batch,
                          out->events + (size_t)i * SEQUENCE_NOTES,
                          scratch,
                          scratch + notes,
                          error);
  }
  *wall_s = clock_now_s() - start_s;
  free(scratch);
  if (status != STATUS_OK) {
    window_set_free(out);
  }
  return status;
}
