// Products of few rows with a weight matrix, as sampling at batch 1 makes them:
// BLAS would pack the weights anew for each, at more cost than the product.
// Everything else goes to BLAS. Compiled once for each instruction set; the
// thread of the Device; scratch is on the stack.
#include "cpu/simd.h"

#ifdef __AVX2__
#define ROWS_MAX 32u // above, BLAS is as fast
#else
#define ROWS_MAX 0u // without registers for a tile BLAS wins always
#endif
#define DEPTH_MAX 1024u
#define VECTORS_MAX 3u // of LANES rows of a
#define SUMS 12u       // a tile's sums, in vectors: what the registers hold

// Columns of a tile: 12, 6 or 3. Three vectors would leave no register for a
// weight with 4.
static inline __attribute__((always_inline)) uint32_t
tile_columns(uint32_t vectors)
{
  return vectors < 3 ? SUMS / vectors : 3;
}

// Of c = a b^T: columns [0, tile_columns()) of vectors * LANES rows, from
// `panel`, which is a transposed, so that one weight meets a vector of rows.
// `vectors` is a constant where this is inlined.
static inline __attribute__((always_inline)) void
tile(uint32_t     vectors,
     uint32_t     depth,
     const float* panel,
     const float* b,
     size_t       b_stride,
     Lanes        sum[SUMS])
{
  const uint32_t columns = tile_columns(vectors);
  Lanes          s[SUMS];
  for (uint32_t i = 0; i < columns * vectors; ++i) {
    s[i] = (Lanes){ 0 };
  }
  for (uint32_t k = 0; k < depth; ++k) {
#pragma GCC unroll 12
    for (uint32_t j = 0; j < columns; ++j) {
      const float weight = b[j * b_stride + k];
#pragma GCC unroll 3
      for (uint32_t v = 0; v < vectors; ++v) {
        s[j * vectors + v] +=
          weight * *lanes_in(panel + (k * vectors + v) * LANES);
      }
    }
  }
  for (uint32_t i = 0; i < columns * vectors; ++i) {
    sum[i] = s[i];
  }
}

static inline __attribute__((always_inline)) void
few_rows(uint32_t vectors,
         float    alpha,
         Tensor   a,
         Tensor   b,
         float    beta,
         Tensor   c)
{
  const uint32_t height  = vectors * LANES;
  const uint32_t columns = tile_columns(vectors);
  const uint32_t depth   = a.columns;
  float          panel[DEPTH_MAX * VECTORS_MAX * LANES];
  for (uint32_t r = 0; r < height; ++r) {
    for (uint32_t k = 0; k < depth; ++k) {
      panel[k * height + r] = r < a.rows ? row(a, r)[k] : 0.0f;
    }
  }
  for (uint32_t n = 0; n < c.columns; n += columns) {
    // The last tile lies over the one before rather than past the end.
    const uint32_t end   = n + columns < c.columns ? n + columns : c.columns;
    const uint32_t first = end - columns;
    Lanes          sum[SUMS];
    tile(vectors, depth, panel, row(b, first), b.stride, sum);
    for (uint32_t i = 0; i < columns * vectors; ++i) {
      sum[i] *= alpha;
    }
    for (uint32_t r = 0; r < a.rows; ++r) {
      const float* const column = (const float*)sum + r;
      float* const       cr     = row(c, r);
      for (uint32_t i = n; beta != 0.0f && i < end; ++i) {
        cr[i] = column[(i - first) * height] + beta * cr[i];
      }
      for (uint32_t i = n; beta == 0.0f && i < end; ++i) {
        cr[i] = column[(i - first) * height];
      }
    }
  }
}

void
VARIANT(matmul)(Device* device,
                bool    transpose_a,
                bool    transpose_b,
                float   alpha,
                Tensor  a,
                Tensor  b,
                float   beta,
                Tensor  c)
{
  if (transpose_a || !transpose_b || c.rows < 2 || c.rows > ROWS_MAX ||
      c.columns < SUMS || a.columns > DEPTH_MAX) {
    cpu_matmul(device, transpose_a, transpose_b, alpha, a, b, beta, c);
    return;
  }
  uint32_t count;
  for (uint32_t first = 0; first < c.rows; first += count) {
    const uint32_t left = c.rows - first;
    // Two vectors are fastest; three do for what two leave little of.
    count           = left <= 3 * LANES ? left : 2 * LANES;
    const Tensor ar = tensor_rows(a, first, count);
    const Tensor cr = tensor_rows(c, first, count);
    if (count <= LANES) {
      few_rows(1, alpha, ar, b, beta, cr);
    } else if (count <= 2 * LANES) {
      few_rows(2, alpha, ar, b, beta, cr);
    } else {
      few_rows(3, alpha, ar, b, beta, cr);
    }
  }
}
