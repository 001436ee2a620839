// What attention's forward kernels share: tiles of a head in shared memory, and
// a warp's work on a few queries. Only kernels/cuda/*.cu include this.
//
// A block has eight warps and takes one head of one sequence. A head's columns
// pass through shared memory CHUNK at a time, so that every width fits. While
// scores are made, a lane is a key (two, above 32 keys); while values are mixed
// it is a column. Rows of a tile lie PITCH floats apart, so that lanes that
// read 16 bytes each of neighbouring rows meet no bank conflict.
#pragma once

#include "elementwise.h"

#define CHUNK 32u
#define PITCH (CHUNK + 4u)
#define WARPS 8u
#define THREADS (WARPS * WARP)

// The sizes of an attention; queries, keys: of one sequence.
struct Heads {
  uint32_t heads;
  uint32_t queries;
  uint32_t keys;
  uint32_t width;
  float    scale;
};

__host__ __device__ static inline uint32_t
whole_fours(uint32_t rows)
{
  return (rows + 3) / 4 * 4;
}

// A tile [room, CHUNK] of source's rows first .. first + rows - 1 and columns
// column .. column + columns - 1, zeros elsewhere. V: floats a load.
template<int V>
__device__ static inline void
load_tile(Tensor   source,
          uint32_t first,
          uint32_t rows,
          uint32_t column,
          uint32_t columns,
          uint32_t room,
          float*   tile)
{
  constexpr uint32_t PACKS = CHUNK / V;
  for (uint32_t t = threadIdx.x; t < room * PACKS; t += THREADS) {
    const uint32_t r    = t / PACKS;
    const uint32_t c    = t % PACKS * V;
    Pack<V>        pack = {};
    if (r < rows && c < columns) {
      pack = pack_load<V>(row_of(source, first + r) + column + c);
    }
    pack_store<V>(tile + r * PITCH + c, pack);
  }
}

// score[i][s] += row i of `rows` . key lane + 32 s. All of a warp's lanes.
template<uint32_t ROWS, uint32_t SETS>
__device__ static inline void
add_scores(const float* rows,
           const float* keys,
           uint32_t     count,
           float (*score)[SETS])
{
  const float* key[SETS];
#pragma unroll
  for (uint32_t s = 0; s < SETS; ++s) {
    const uint32_t k = threadIdx.x % WARP + s * WARP;
    key[s]           = keys + (k < count ? k : count - 1) * PITCH;
  }
#pragma unroll
  for (uint32_t c = 0; c < CHUNK; c += 4) {
    Pack<4> y[SETS];
#pragma unroll
    for (uint32_t s = 0; s < SETS; ++s) {
      y[s] = pack_load<4>(key[s] + c);
    }
#pragma unroll
    for (uint32_t i = 0; i < ROWS; ++i) {
      const Pack<4> x = pack_load<4>(rows + i * PITCH + c);
#pragma unroll
      for (uint32_t s = 0; s < SETS; ++s) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          score[i][s] += x.at[j] * y[s].at[j];
        }
      }
    }
  }
}

// sum[i] = sum over keys k of factor[i][k] * tile[k][lane]. Factors and tile
// hold zeros from `count` to whole fours.
template<uint32_t ROWS>
__device__ static inline void
mix(const float* factor,
    uint32_t     pitch,
    const float* tile,
    uint32_t     count,
    float*       sum)
{
  const uint32_t lane = threadIdx.x % WARP;
#pragma unroll
  for (uint32_t i = 0; i < ROWS; ++i) {
    sum[i] = 0.0f;
  }
#pragma unroll 4
  for (uint32_t k = 0; k < count; k += 4) {
    Pack<4> f[ROWS];
#pragma unroll
    for (uint32_t i = 0; i < ROWS; ++i) {
      f[i] = pack_load<4>(factor + i * pitch + k);
    }
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
      const float value = tile[(k + j) * PITCH + lane];
#pragma unroll
      for (uint32_t i = 0; i < ROWS; ++i) {
        sum[i] += f[i].at[j] * value;
      }
    }
  }
}

// score: in, scores of one query; out, their probabilities, 0 beyond the keys
// and where `allowed` (a row, or NULL: all) hides the key.
template<uint32_t SETS>
__device__ static inline void
softmax(const Heads& h, const float* allowed, float* score)
{
  const uint32_t lane = threadIdx.x % WARP;
  bool           seen[SETS];
  float          top = -INFINITY;
#pragma unroll
  for (uint32_t s = 0; s < SETS; ++s) {
    const uint32_t k = lane + s * WARP;
    seen[s]          = k < h.keys && (!allowed || allowed[k] != 0.0f);
    top              = seen[s] ? fmaxf(top, score[s]) : top;
  }
  top       = warp_max(top);
  float sum = 0.0f;
#pragma unroll
  for (uint32_t s = 0; s < SETS; ++s) {
    score[s] = seen[s] ? bounded_exp((score[s] - top) * h.scale) : 0.0f;
    sum += score[s];
  }
  const float factor = 1.0f / warp_sum(sum);
#pragma unroll
  for (uint32_t s = 0; s < SETS; ++s) {
    score[s] *= factor;
  }
}

// Shared memory of a forward block, in floats.
__host__ __device__ static inline uint32_t
forward_floats(uint32_t rows, uint32_t sets, uint32_t keys)
{
  return (rows + 2 * whole_fours(keys)) * PITCH + rows * (sets * WARP + 4);
}

// One tile of ROWS x WARPS queries, from `first` of the sequence on. Source
// fills tiles: queries(), keys() and values(), each (column of the head,
// columns, tile), with all of the block's threads.
template<uint32_t ROWS, uint32_t SETS, typename Source>
__device__ static inline void
attend_tile(const Heads&  h,
            const Source& source,
            uint32_t      sequence,
            uint32_t      head,
            uint32_t      first,
            Tensor        allowed,
            Tensor        probabilities,
            Tensor        out,
            float*        shared)
{
  constexpr uint32_t P    = SETS * WARP + 4;
  const uint32_t     lane = threadIdx.x % WARP;
  const uint32_t     own  = threadIdx.x / WARP * ROWS; // the warp's first query
  float* const       q    = shared;
  float* const       k    = q + ROWS * WARPS * PITCH;
  float* const       v    = k + whole_fours(h.keys) * PITCH;
  float* const       p    = v + whole_fours(h.keys) * PITCH + own * P;
  const uint32_t     left = min(h.queries - first, ROWS * WARPS); // of the tile
  float              score[ROWS][SETS] = {};
  for (uint32_t c = 0; c < h.width; c += CHUNK) {
    const uint32_t columns = min(h.width - c, CHUNK);
    __syncthreads();
    source.queries(first, left, ROWS * WARPS, c, columns, q);
    source.keys(c, columns, k);
    source.values(c, columns, v); // stays where there is one chunk
    __syncthreads();
    add_scores<ROWS, SETS>(q + own * PITCH, k, h.keys, score);
  }
#pragma unroll
  for (uint32_t i = 0; i < ROWS; ++i) {
    const bool     real = own + i < left; // the same in all lanes
    const uint32_t r    = sequence * h.queries + first + own + i;
    softmax<SETS>(
      h, real && allowed.data ? row_of(allowed, r) : nullptr, score[i]);
    const uint32_t row =
      (sequence * h.heads + head) * h.queries + first + own + i;
#pragma unroll
    for (uint32_t s = 0; s < SETS; ++s) {
      const uint32_t key = lane + s * WARP;
      p[i * P + key]     = score[i][s];
      if (real && probabilities.data && key < h.keys) {
        row_of(probabilities, row)[key] = score[i][s];
      }
    }
  }
  __syncwarp();
  for (uint32_t c = 0; c < h.width; c += CHUNK) {
    const uint32_t columns = min(h.width - c, CHUNK);
    if (h.width > CHUNK) {
      __syncthreads();
      source.values(c, columns, v);
      __syncthreads();
    }
    float sum[ROWS];
    mix<ROWS>(p, P, v, h.keys, sum);
#pragma unroll
    for (uint32_t i = 0; i < ROWS; ++i) {
      if (own + i < left && lane < columns) {
        const uint32_t r = sequence * h.queries + first + own + i;
        row_of(out, r)[head * h.width + c + lane] = sum[i];
      }
    }
  }
}
