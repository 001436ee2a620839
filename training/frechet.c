// The Frechet distance of two sets of feature vectors.
#include "frechet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SWEEPS_MAX 60
#define PARTS_MAX 4u

// Eigenvalues of symmetric a[n][n], destroyed, by cyclic Jacobi rotations
// (Golub and Van Loan, 8.5), left on its diagonal; columns of vectors[n][n]
// (NULL: not wanted) are the eigenvectors.
static void
eigen_symmetric(uint32_t n, double* a, double* vectors)
{
  for (uint32_t i = 0; vectors && i < n * n; ++i) {
    vectors[i] = i % (n + 1) == 0;
  }
  double all = 0.0;
  for (uint32_t i = 0; i < n * n; ++i) {
    all += a[i] * a[i];
  }
  for (int sweep = 0; sweep < SWEEPS_MAX; ++sweep) {
    double off = 0.0;
    for (uint32_t p = 0; p < n; ++p) {
      for (uint32_t q = p + 1; q < n; ++q) {
        const double apq = a[p * n + q];
        off += apq * apq;
        if (apq * apq <= 1e-32 * all) {
          continue;
        }
        const double theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
        const double t =
          copysign(1.0, theta) / (fabs(theta) + sqrt(theta * theta + 1.0));
        const double c = 1.0 / sqrt(t * t + 1.0);
        const double s = t * c;
        for (uint32_t k = 0; k < n; ++k) {
          const double x = a[k * n + p];
          const double y = a[k * n + q];
          a[k * n + p]   = c * x - s * y;
          a[k * n + q]   = s * x + c * y;
        }
        for (uint32_t k = 0; k < n; ++k) {
          const double x = a[p * n + k];
          const double y = a[q * n + k];
          a[p * n + k]   = c * x - s * y;
          a[q * n + k]   = s * x + c * y;
        }
        for (uint32_t k = 0; vectors && k < n; ++k) {
          const double x     = vectors[k * n + p];
          const double y     = vectors[k * n + q];
          vectors[k * n + p] = c * x - s * y;
          vectors[k * n + q] = s * x + c * y;
        }
      }
    }
    if (off <= 1e-24 * all) {
      return;
    }
  }
}

// c = a b, all [n][n].
static void
multiply(uint32_t n, const double* a, const double* b, double* c)
{
  memset(c, 0, (size_t)n * n * sizeof *c);
  for (uint32_t i = 0; i < n; ++i) {
    for (uint32_t k = 0; k < n; ++k) {
      for (uint32_t j = 0; j < n; ++j) {
        c[i * n + j] += a[i * n + k] * b[k * n + j];
      }
    }
  }
}

// Tr((S1 S2)^(1/2)) = Tr((R S2 R)^(1/2)) with R the square root of S1;
// scratch[4][n][n].
static double
trace_of_root(uint32_t n, const double* s1, const double* s2, double* scratch)
{
  const size_t  size    = (size_t)n * n;
  double* const a       = scratch;
  double* const vectors = scratch + size;
  double* const root    = scratch + 2 * size;
  double* const product = scratch + 3 * size;
  memcpy(a, s1, size * sizeof *a);
  eigen_symmetric(n, a, vectors);
  memset(root, 0, size * sizeof *root);
  for (uint32_t k = 0; k < n; ++k) {
    const double value = sqrt(fmax(a[k * n + k], 0.0));
    for (uint32_t i = 0; i < n; ++i) {
      for (uint32_t j = 0; j < n; ++j) {
        root[i * n + j] += value * vectors[i * n + k] * vectors[j * n + k];
      }
    }
  }
  multiply(n, root, s2, product);
  multiply(n, product, root, a);
  eigen_symmetric(n, a, NULL);
  double trace = 0.0;
  for (uint32_t i = 0; i < n; ++i) {
    trace += sqrt(fmax(a[i * n + i], 0.0));
  }
  return trace;
}

static Status
no_memory(Error* error)
{
  return error_set(error, STATUS_NO_MEMORY, "no memory for a Frechet distance");
}

Status
frechet_gaussians(uint32_t      columns,
                  const double* mean1,
                  const double* covariance1,
                  const double* mean2,
                  const double* covariance2,
                  double*       distance,
                  Error*        error)
{
  if (columns < 1 || columns > FRECHET_COLUMNS_MAX) {
    return error_set(error, STATUS_BAD_ARGUMENT, "%u features", columns);
  }
  double* const scratch =
    malloc((size_t)4 * columns * columns * sizeof *scratch);
  if (!scratch) {
    return no_memory(error);
  }
  double sum = 0.0;
  for (uint32_t i = 0; i < columns; ++i) {
    const double d = mean1[i] - mean2[i];
    sum += d * d + covariance1[i * columns + i] + covariance2[i * columns + i];
  }
  *distance =
    sum - 2.0 * trace_of_root(columns, covariance1, covariance2, scratch);
  free(scratch);
  return STATUS_OK;
}

static void
fit(uint32_t     rows,
    uint32_t     columns,
    const float* x,
    double*      mean,
    double*      covariance)
{
  memset(mean, 0, columns * sizeof *mean);
  memset(covariance, 0, (size_t)columns * columns * sizeof *covariance);
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t i = 0; i < columns; ++i) {
      mean[i] += (double)x[(size_t)r * columns + i] / rows;
    }
  }
  for (uint32_t r = 0; r < rows; ++r) {
    const float* const row = x + (size_t)r * columns;
    double             centred[FRECHET_COLUMNS_MAX];
    for (uint32_t i = 0; i < columns; ++i) {
      centred[i] = (double)row[i] - mean[i];
    }
    for (uint32_t i = 0; i < columns; ++i) {
      for (uint32_t j = 0; j < columns; ++j) {
        covariance[i * columns + j] += centred[i] * centred[j] / (rows - 1);
      }
    }
  }
}

Status
frechet_samples(uint32_t     rows,
                uint32_t     columns,
                const float* a,
                const float* b,
                double*      distance,
                Error*       error)
{
  if (rows < 2 || columns < 1 || columns > FRECHET_COLUMNS_MAX) {
    return error_set(
      error, STATUS_BAD_ARGUMENT, "%u rows of %u features", rows, columns);
  }
  const size_t  one      = (size_t)columns * (columns + 1);
  double* const gaussian = malloc(2 * one * sizeof *gaussian);
  if (!gaussian) {
    return no_memory(error);
  }
  double* const second = gaussian + one;
  fit(rows, columns, a, gaussian, gaussian + columns);
  fit(rows, columns, b, second, second + columns);
  const Status status = frechet_gaussians(columns,
                                          gaussian,
                                          gaussian + columns,
                                          second,
                                          second + columns,
                                          distance,
                                          error);
  free(gaussian);
  return status;
}

Status
frechet_unbiased(uint32_t     rows,
                 uint32_t     columns,
                 const float* a,
                 const float* b,
                 double*      distance,
                 Error*       error)
{
  double sum_x = 0.0, sum_y = 0.0, sum_xx = 0.0, sum_xy = 0.0, points = 0.0;
  for (uint32_t parts = 1; parts <= PARTS_MAX; parts *= 2) {
    const uint32_t of_part = rows / parts;
    double         y       = 0.0;
    for (uint32_t part = 0; part < parts; ++part) {
      const size_t at = (size_t)part * of_part * columns;
      double       d  = 0.0;
      const Status status =
        frechet_samples(of_part, columns, a + at, b + at, &d, error);
      if (status != STATUS_OK) {
        return status;
      }
      y += d / parts;
    }
    const double x = 1.0 / of_part;
    sum_x += x;
    sum_y += y;
    sum_xx += x * x;
    sum_xy += x * y;
    points += 1.0;
  }
  const double slope =
    (points * sum_xy - sum_x * sum_y) / (points * sum_xx - sum_x * sum_x);
  *distance = (sum_y - slope * sum_x) / points;
  return STATUS_OK;
}
