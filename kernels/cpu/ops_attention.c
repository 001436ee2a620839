// Attention of many short sequences: one head of one sequence at a time, its
// products done here because they are too small for BLAS. Compiled once for
// each instruction set; the thread of the Device; scratch is on the stack.
#include "cpu/simd.h"

#include <math.h>
#include <string.h>

#define QUERIES 32u // rows of scores at a time
#define DEPTH 64u   // columns of a head transposed at a time
#define TILE_ROWS 4u

// A matrix of a small product: element (r, c) is data[r * row + c * column].
typedef struct {
  const float* data;
  size_t       row;
  size_t       column;
} Matrix;

// rows x (vectors * LANES) of c (+)= a b with the sums in registers; `rows` and
// `vectors` are constants where this is inlined.
static inline __attribute__((always_inline)) void
product_tile(uint32_t     rows,
             uint32_t     vectors,
             uint32_t     depth,
             Matrix       a,
             const float* b,
             size_t       b_stride,
             bool         add,
             float*       c,
             size_t       c_stride)
{
  Lanes sum[TILE_ROWS][2];
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t v = 0; v < vectors; ++v) {
      sum[r][v] = add ? *lanes_in(c + r * c_stride + v * LANES) : (Lanes){ 0 };
    }
  }
  for (uint32_t k = 0; k < depth; ++k) {
    for (uint32_t r = 0; r < rows; ++r) {
      const float factor = a.data[r * a.row + k * a.column];
      for (uint32_t v = 0; v < vectors; ++v) {
        sum[r][v] += factor * *lanes_in(b + k * b_stride + v * LANES);
      }
    }
  }
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t v = 0; v < vectors; ++v) {
      *lanes_of(c + r * c_stride + v * LANES) = sum[r][v];
    }
  }
}

// c[rows, columns] (+)= a[rows, depth] b[depth, columns].
static void
product(uint32_t     rows,
        uint32_t     columns,
        uint32_t     depth,
        Matrix       a,
        const float* b,
        size_t       b_stride,
        bool         add,
        float*       c,
        size_t       c_stride)
{
  uint32_t r = 0;
  while (r < rows) {
    const bool   four = r + TILE_ROWS <= rows;
    const Matrix ar   = { a.data + r * a.row, a.row, a.column };
    float* const cr   = c + r * c_stride;
    uint32_t     i    = 0;
    for (; i + 2 * LANES <= columns; i += 2 * LANES) {
      if (four) {
        product_tile(4, 2, depth, ar, b + i, b_stride, add, cr + i, c_stride);
      } else {
        product_tile(1, 2, depth, ar, b + i, b_stride, add, cr + i, c_stride);
      }
    }
    for (; i + LANES <= columns; i += LANES) {
      if (four) {
        product_tile(4, 1, depth, ar, b + i, b_stride, add, cr + i, c_stride);
      } else {
        product_tile(1, 1, depth, ar, b + i, b_stride, add, cr + i, c_stride);
      }
    }
    for (; i < columns; ++i) {
      for (uint32_t j = 0; j < (four ? TILE_ROWS : 1); ++j) {
        float sum = add ? cr[j * c_stride + i] : 0.0f;
        for (uint32_t k = 0; k < depth; ++k) {
          sum += ar.data[j * a.row + k * a.column] * b[k * b_stride + i];
        }
        cr[j * c_stride + i] = sum;
      }
    }
    r += four ? TILE_ROWS : 1;
  }
}

// One head of one sequence.
typedef struct {
  uint32_t queries;
  uint32_t keys;
  uint32_t keys_padded; // to whole lanes
  uint32_t width;
  float    scale;
} Head;

static Head
head_of(uint32_t sequences, uint32_t heads, Tensor q, Tensor k)
{
  const uint32_t keys  = k.rows / sequences;
  const uint32_t width = q.columns / heads;
  return (Head){ .queries     = q.rows / sequences,
                 .keys        = keys,
                 .keys_padded = (keys + LANES - 1) / LANES * LANES,
                 .width       = width,
                 .scale       = 1.0f / sqrtf((float)width) };
}

// out[rows, keys_padded] = x[rows, width] y[keys, width]^T. y is transposed
// first, so that the inner loop runs over keys.
static void
product_transposed(const Head*  head,
                   uint32_t     rows,
                   const float* x,
                   size_t       x_stride,
                   const float* y,
                   size_t       y_stride,
                   float        out[][ATTENTION_KEYS_MAX])
{
  float transposed[DEPTH][ATTENTION_KEYS_MAX];
  for (uint32_t first = 0; first < head->width; first += DEPTH) {
    const uint32_t depth =
      head->width - first < DEPTH ? head->width - first : DEPTH;
    for (uint32_t c = 0; c < depth; ++c) {
      for (uint32_t k = 0; k < head->keys; ++k) {
        transposed[c][k] = y[k * y_stride + first + c];
      }
      for (uint32_t k = head->keys; k < head->keys_padded; ++k) {
        transposed[c][k] = 0.0f;
      }
    }
    product(rows,
            head->keys_padded,
            depth,
            (Matrix){ x + first, x_stride, 1 },
            transposed[0],
            ATTENTION_KEYS_MAX,
            first > 0,
            out[0],
            ATTENTION_KEYS_MAX);
  }
}

// probabilities = softmax(scale * score) over the keys that `allowed` (or NULL:
// all) shows.
static void
softmax_row(const Head*  head,
            float*       score,
            const float* allowed,
            float*       probabilities)
{
  const uint32_t n   = head->keys;
  float          top = -INFINITY;
  for (uint32_t i = 0; i < n; ++i) {
    const float s = !allowed || allowed[i] != 0.0f ? score[i] : -INFINITY;
    top           = s > top ? s : top;
  }
  for (uint32_t i = 0; i < n; ++i) {
    score[i] = fast_exp((score[i] - top) * head->scale);
  }
  if (allowed) {
    for (uint32_t i = 0; i < n; ++i) {
      score[i] = allowed[i] != 0.0f ? score[i] : 0.0f;
    }
  }
  const float factor = 1.0f / row_sum(score, n);
  for (uint32_t i = 0; i < n; ++i) {
    probabilities[i] = score[i] * factor;
  }
}

void
VARIANT(attention)(Device*  device,
                   uint32_t sequences,
                   uint32_t heads,
                   Tensor   q,
                   Tensor   k,
                   Tensor   v,
                   Tensor   allowed,
                   Tensor   probabilities,
                   Tensor   out)
{
  (void)device;
  const Head head = head_of(sequences, heads, q, k);
  float      scores[QUERIES][ATTENTION_KEYS_MAX];
  for (uint32_t sh = 0; sh < sequences * heads; ++sh) {
    const uint32_t s      = sh / heads;
    const uint32_t column = sh % heads * head.width;
    const uint32_t key    = s * head.keys;
    for (uint32_t first = 0; first < head.queries; first += QUERIES) {
      const uint32_t left  = head.queries - first;
      const uint32_t count = left < QUERIES ? left : QUERIES;
      const uint32_t query = s * head.queries + first;
      const uint32_t p     = sh * head.queries + first;
      product_transposed(&head,
                         count,
                         row(q, query) + column,
                         q.stride,
                         row(k, key) + column,
                         k.stride,
                         scores);
      for (uint32_t i = 0; i < count; ++i) {
        softmax_row(&head,
                    scores[i],
                    allowed.data ? row(allowed, query + i) : NULL,
                    row(probabilities, p + i));
      }
      product(count,
              head.width,
              head.keys,
              (Matrix){ row(probabilities, p), probabilities.stride, 1 },
              row(v, key) + column,
              v.stride,
              false,
              row(out, query) + column,
              out.stride);
    }
  }
}

// scores: in, gradient of the probabilities p; out, of the scores before scale
// and softmax.
static void
softmax_row_backward(const Head* head, const float* p, float* score)
{
  const uint32_t n    = head->keys;
  const float    mean = row_dot(p, score, n);
#pragma GCC ivdep
  for (uint32_t i = 0; i < n; ++i) {
    score[i] = p[i] * (score[i] - mean) * head->scale;
  }
}

void
VARIANT(attention_backward)(Device*  device,
                            uint32_t sequences,
                            uint32_t heads,
                            Tensor   q,
                            Tensor   k,
                            Tensor   v,
                            Tensor   probabilities,
                            Tensor   dout,
                            Tensor   dq,
                            Tensor   dk,
                            Tensor   dv)
{
  (void)device;
  const Head head = head_of(sequences, heads, q, k);
  float      scores[QUERIES][ATTENTION_KEYS_MAX];
  for (uint32_t sh = 0; sh < sequences * heads; ++sh) {
    const uint32_t s      = sh / heads;
    const uint32_t column = sh % heads * head.width;
    const uint32_t key    = s * head.keys;
    for (uint32_t first = 0; first < head.queries; first += QUERIES) {
      const uint32_t     left  = head.queries - first;
      const uint32_t     count = left < QUERIES ? left : QUERIES;
      const uint32_t     query = s * head.queries + first;
      const float* const p     = row(probabilities, sh * head.queries + first);
      const float* const d     = row(dout, query) + column;
      product_transposed(
        &head, count, d, dout.stride, row(v, key) + column, v.stride, scores);
      for (uint32_t i = 0; i < count; ++i) {
        softmax_row_backward(&head, p + i * probabilities.stride, scores[i]);
      }
      product(head.keys,
              head.width,
              count,
              (Matrix){ p, 1, probabilities.stride },
              d,
              dout.stride,
              first > 0,
              row(dv, key) + column,
              dv.stride);
      product(count,
              head.width,
              head.keys,
              (Matrix){ scores[0], ATTENTION_KEYS_MAX, 1 },
              row(k, key) + column,
              k.stride,
              false,
              row(dq, query) + column,
              dq.stride);
      product(head.keys,
              head.width,
              count,
              (Matrix){ scores[0], 1, ATTENTION_KEYS_MAX },
              row(q, query) + column,
              q.stride,
              first > 0,
              row(dk, key) + column,
              dk.stride);
    }
  }
}
