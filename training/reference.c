// Held-out music, and how far a set of windows or streams is from it.
#include "reference.h"

#include "c2st.h"
#include "frechet.h"
#include "window_features.h"

#include <math.h>
#include <stdlib.h>

_Static_assert(STREAM_FEATURE_COUNT <= FRECHET_COLUMNS_MAX,
               "features fit a Frechet distance");

static Status
no_memory(Error* error)
{
  return error_set(error, STATUS_NO_MEMORY, "no memory to compare windows");
}

// rows[set->count][columns] for free(), or NULL.
static float*
describe(const WindowSet* set, uint32_t features, uint32_t columns)
{
  float* const rows = malloc((size_t)set->count * columns * sizeof *rows);
  for (uint32_t i = 0; rows && i < set->count; ++i) {
    const NoteEvent* const e   = set->events + (size_t)i * set->notes;
    float*                 row = rows + (size_t)i * columns;
    if (features == STREAM_FEATURE_COUNT) {
      features_of_stream(e, set->notes, row);
    } else {
      features_of_window(e, set->notes, row);
    }
    row += features;
    for (uint32_t k = 0; k < set->notes; ++k) {
      *row++ = e[k].pitch;
      *row++ = e[k].velocity;
      *row++ = e[k].step_s;
      *row++ = e[k].duration_s;
      *row++ = k ? (float)(e[k].pitch - e[k - 1].pitch) : 0.0f;
    }
  }
  return rows;
}

static void
fit_scale(Reference* r, uint32_t count, const float* rows)
{
  for (uint32_t f = 0; f < r->features; ++f) {
    double sum    = 0.0;
    double square = 0.0;
    for (uint32_t i = 0; i < count; ++i) {
      const double x = (double)rows[(size_t)i * r->columns + f];
      sum += x / count;
      square += x * x / count;
    }
    const double deviation = sqrt(fmax(square - sum * sum, 0.0));
    r->mean[f]             = (float)sum;
    r->scale[f]            = deviation > 1e-6 ? (float)(1.0 / deviation) : 1.0f;
  }
}

Status
reference_create(const WindowSet* test,
                 const WindowSet* train,
                 Reference*       out,
                 Error*           error)
{
  *out              = (Reference){ .test     = test,
                                   .features = test->notes > WINDOW_NOTES
                                                 ? (uint32_t)STREAM_FEATURE_COUNT
                                                 : (uint32_t)FEATURE_COUNT };
  out->columns      = out->features + REFERENCE_NOTE_COLUMNS * test->notes;
  out->rows         = describe(test, out->features, out->columns);
  out->mean         = malloc(out->features * sizeof(float));
  out->scale        = malloc(out->features * sizeof(float));
  float* const rows = describe(train, out->features, out->columns);
  if (!out->rows || !out->mean || !out->scale || !rows) {
    free(rows);
    reference_free(out);
    return no_memory(error);
  }
  fit_scale(out, train->count, rows);
  free(rows);
  return STATUS_OK;
}

void
reference_free(Reference* reference)
{
  free(reference->rows);
  free(reference->mean);
  free(reference->scale);
  *reference = (Reference){ 0 };
}

// z-scored features out[count][features].
static void
scale_features(const Reference* r,
               uint32_t         count,
               const float*     rows,
               float*           out)
{
  for (uint32_t i = 0; i < count; ++i) {
    for (uint32_t f = 0; f < r->features; ++f) {
      *out++ = (rows[(size_t)i * r->columns + f] - r->mean[f]) * r->scale[f];
    }
  }
}

static Status
compare_features(const Reference* r,
                 uint32_t         count,
                 const float*     rows,
                 double*          distance,
                 Error*           error)
{
  const size_t size = (size_t)count * r->features;
  float* const z    = malloc(2 * size * sizeof *z);
  if (!z) {
    return no_memory(error);
  }
  scale_features(r, count, r->rows, z);
  scale_features(r, count, rows, z + size);
  const Status status =
    frechet_unbiased(count, r->features, z, z + size, distance, error);
  free(z);
  return status;
}

Status
reference_compare(const Reference* reference,
                  const WindowSet* other,
                  uint64_t         seed,
                  Difference*      out,
                  Error*           error)
{
  const WindowSet* const test = reference->test;
  float* const rows = describe(other, reference->features, reference->columns);
  if (!rows) {
    return no_memory(error);
  }
  const C2stSet real   = { test->count, reference->rows, test->half };
  const C2stSet theirs = { other->count, rows, other->half };
  Status        status =
    c2st(reference->columns, &real, &theirs, seed, &out->auc, error);
  if (status == STATUS_OK) {
    status =
      compare_features(reference,
                       test->count < other->count ? test->count : other->count,
                       rows,
                       &out->frechet,
                       error);
  }
  free(rows);
  return status;
}
