// The Frechet distance of two sets of feature vectors, each taken for a
// Gaussian: ||m1 - m2||^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Dowson and Landau
// 1982; Heusel et al. 2017). Pure but for scratch memory; any thread.
#pragma once

#include "status.h"

#include <stdint.h>

#define FRECHET_COLUMNS_MAX 256u

// Of two Gaussians: means[columns], covariances[columns][columns] symmetric and
// positive semi-definite.
Status frechet_gaussians(uint32_t      columns,
                         const double* mean1,
                         const double* covariance1,
                         const double* mean2,
                         const double* covariance2,
                         double*       distance,
                         Error*        error);

// Of two samples a, b[rows][columns].
Status frechet_samples(uint32_t     rows,
                       uint32_t     columns,
                       const float* a,
                       const float* b,
                       double*      distance,
                       Error*       error);

// From samples the distance comes out too large by about b / N. This is the a
// of FD = a + b/N, fitted by least squares to N = rows, rows / 2 and rows / 4
// of both sides (each the mean over disjoint parts; Chong and Forsyth 2020). It
// may fall slightly below 0. Rows must be in random order, 8 at least.
Status frechet_unbiased(uint32_t     rows,
                        uint32_t     columns,
                        const float* a,
                        const float* b,
                        double*      distance,
                        Error*       error);
