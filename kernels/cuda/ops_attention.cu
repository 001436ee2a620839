// Attention of many short sequences. Forward and backward move each tensor once
// (5 and 8 tensors the size of q, where a head has as many columns as keys), so
// that a batch is bound by memory: 131,072 rows of 160 are 0.42 GB forward and
// 0.67 GB backward. At batch 1 a block takes fewer queries, so that there are
// more blocks. The thread of the Device.
#include "attention.cuh"
#include "ops.h"

#define MANY 4u // queries of a warp in a batch; 1 at batch 1

// Blocks that a multiprocessor's registers must have room for; 0: as many as
// the compiler finds good. One query a warp is in a hurry, and there are few
// blocks.
template<uint32_t ROWS, int V>
constexpr uint32_t BLOCKS = V == 1      ? 2
                            : ROWS == 1 ? 1
                                        : 0;

static Heads
heads_of(uint32_t sequences, uint32_t heads, uint32_t keys, Tensor q)
{
  const uint32_t width = q.columns / heads;
  return { heads, q.rows / sequences, keys, width, 1.0f / sqrtf((float)width) };
}

// --- Forward ---------------------------------------------------------------

// Tiles of tensors as they are.
template<int V>
struct PlainSource {
  Heads    h;
  Tensor   q, k, v;
  uint32_t sequence;
  uint32_t column; // of the head

  __device__ void
  queries(uint32_t first,
          uint32_t rows,
          uint32_t room,
          uint32_t c,
          uint32_t columns,
          float*   tile) const
  {
    load_tile<V>(
      q, sequence * h.queries + first, rows, column + c, columns, room, tile);
  }
  __device__ void
  keys(uint32_t c, uint32_t columns, float* tile) const
  {
    load_tile<V>(k,
                 sequence * h.keys,
                 h.keys,
                 column + c,
                 columns,
                 whole_fours(h.keys),
                 tile);
  }
  __device__ void
  values(uint32_t c, uint32_t columns, float* tile) const
  {
    load_tile<V>(v,
                 sequence * h.keys,
                 h.keys,
                 column + c,
                 columns,
                 whole_fours(h.keys),
                 tile);
  }
};

template<uint32_t ROWS, uint32_t SETS, int V>
static __global__ void
__launch_bounds__(THREADS, BLOCKS<ROWS, V>)
  attention_kernel(Heads  h,
                   Tensor q,
                   Tensor k,
                   Tensor v,
                   Tensor allowed,
                   Tensor probabilities,
                   Tensor out)
{
  DYNAMIC_SHARED(float, shared);
  const uint32_t       sequence = blockIdx.x / h.heads;
  const uint32_t       head     = blockIdx.x % h.heads;
  const PlainSource<V> source   = { h, q, k, v, sequence, head * h.width };
  attend_tile<ROWS, SETS>(h,
                          source,
                          sequence,
                          head,
                          blockIdx.y * ROWS * WARPS,
                          allowed,
                          probabilities,
                          out,
                          shared);
}

// Queries of a warp: one where that makes blocks for idle multiprocessors.
static uint32_t
queries_of_warp(const CudaDevice* cuda, uint32_t heads, const Heads& h)
{
  const size_t blocks =
    (size_t)heads * ((h.queries + MANY * WARPS - 1) / (MANY * WARPS));
  return h.queries <= WARPS || blocks < 2 * cuda->multiprocessors ? 1 : MANY;
}

static dim3
attention_grid(uint32_t heads, uint32_t queries, uint32_t rows)
{
  return dim3(heads, (queries + rows * WARPS - 1) / (rows * WARPS));
}

template<uint32_t ROWS, uint32_t SETS, int V>
static void
launch_attention(CudaDevice*  cuda,
                 uint32_t     sequences,
                 const Heads& h,
                 Tensor       q,
                 Tensor       k,
                 Tensor       v,
                 Tensor       allowed,
                 Tensor       probabilities,
                 Tensor       out)
{
  LAUNCH((attention_kernel<ROWS, SETS, V>),
         attention_grid(sequences * h.heads, h.queries, ROWS),
         THREADS,
         forward_floats(ROWS * WARPS, SETS, h.keys) * sizeof(float),
         cuda->stream,
         h,
         q,
         k,
         v,
         allowed,
         probabilities,
         out);
}

// Tables of instances: [keys beyond 32][rows of four floats].
template<uint32_t ROWS>
static decltype(&launch_attention<ROWS, 1, 1>)
attention_launcher(bool many_keys, bool four)
{
  return many_keys ? (four ? launch_attention<ROWS, 2, 4>
                           : launch_attention<ROWS, 2, 1>)
                   : (four ? launch_attention<ROWS, 1, 4>
                           : launch_attention<ROWS, 1, 1>);
}

void
cuda_attention(Device*  device,
               uint32_t sequences,
               uint32_t heads,
               Tensor   q,
               Tensor   k,
               Tensor   v,
               Tensor   allowed,
               Tensor   probabilities,
               Tensor   out)
{
  CudaDevice* const cuda = cuda_of(device);
  const Heads       h    = heads_of(sequences, heads, k.rows / sequences, q);
  const bool  four = by_four(q) && by_four(k) && by_four(v) && h.width % 4 == 0;
  const bool  many = h.keys > WARP;
  auto* const launch = queries_of_warp(cuda, sequences * heads, h) == 1
                         ? attention_launcher<1>(many, four)
                         : attention_launcher<MANY>(many, four);
  launch(cuda, sequences, h, q, k, v, allowed, probabilities, out);
  cuda_launched(device, "attention");
}

// --- Sampling --------------------------------------------------------------

// The same where own keys and values are not yet among those seen: they come
// from qkv, queries and keys turned on the way.
template<int V>
struct SamplingSource {
  Heads    h;
  Tensor   qkv, position, cosines, sines, seen;
  uint32_t sequence;
  uint32_t head;
  uint32_t before;
  bool     keeps; // writes own keys and values to `seen`

  // V turned columns from column c of the head on, of row r of qkv from column
  // `at` on.
  __device__ Pack<V>
             turned(uint32_t r, uint32_t at, uint32_t c) const
  {
    const uint32_t     half  = h.width / 2;
    const bool         lower = c < half;
    const uint32_t     pair  = lower ? c + half : c - half;
    const uint32_t     i     = lower ? c : pair;
    const uint32_t     place = device_index(position, r, cosines.rows);
    const float* const x     = row_of(qkv, r) + at;
    Pack<V>            a     = pack_load<V>(x + c);
    const Pack<V>      b     = pack_load<V>(x + pair);
    const Pack<V>      cos   = pack_load<V>(row_of(cosines, place) + i);
    const Pack<V>      sin   = pack_load<V>(row_of(sines, place) + i);
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const float turn = sin.at[j] * b.at[j];
      a.at[j]          = a.at[j] * cos.at[j] + (lower ? -turn : turn);
    }
    return a;
  }

  __device__ void
  queries(uint32_t first,
          uint32_t rows,
          uint32_t room,
          uint32_t c,
          uint32_t columns,
          float*   tile) const
  {
    constexpr uint32_t PACKS = CHUNK / V;
    for (uint32_t t = threadIdx.x; t < room * PACKS; t += THREADS) {
      const uint32_t r    = t / PACKS;
      const uint32_t i    = t % PACKS * V;
      Pack<V>        pack = {};
      if (r < rows && i < columns) {
        pack = turned(sequence * h.queries + first + r, head * h.width, c + i);
      }
      pack_store<V>(tile + r * PITCH + i, pack);
    }
  }

  // Keys (TURN) or values.
  template<bool TURN>
  __device__ void
  all(uint32_t c, uint32_t columns, float* tile) const
  {
    constexpr uint32_t PACKS = CHUNK / V;
    const uint32_t     d     = h.heads * h.width;
    const uint32_t     at    = head * h.width;
    for (uint32_t t = threadIdx.x; t < whole_fours(h.keys) * PACKS;
         t += THREADS) {
      const uint32_t r    = t / PACKS;
      const uint32_t i    = t % PACKS * V;
      Pack<V>        pack = {};
      if (r < h.keys && i < columns) {
        float* const kept =
          row_of(seen, sequence * h.keys + r) + (TURN ? at : d + at) + c + i;
        if (r < before) {
          pack = pack_load<V>(kept);
        } else {
          const uint32_t own = sequence * h.queries + r - before;
          pack               = TURN ? turned(own, d + at, c + i)
                                    : pack_load<V>(row_of(qkv, own) + 2 * d + at + c + i);
          if (keeps) {
            pack_store<V>(kept, pack);
          }
        }
      }
      pack_store<V>(tile + r * PITCH + i, pack);
    }
  }
  __device__ void
  keys(uint32_t c, uint32_t columns, float* tile) const
  {
    all<true>(c, columns, tile);
  }
  __device__ void
  values(uint32_t c, uint32_t columns, float* tile) const
  {
    all<false>(c, columns, tile);
  }
};

template<uint32_t ROWS, uint32_t SETS, int V>
static __global__ void
__launch_bounds__(THREADS, BLOCKS<ROWS, V>) attend_kernel(Heads    h,
                                                          Tensor   qkv,
                                                          Tensor   position,
                                                          Tensor   cosines,
                                                          Tensor   sines,
                                                          uint32_t before,
                                                          Tensor   seen,
                                                          Tensor   out)
{
  DYNAMIC_SHARED(float, shared);
  const uint32_t          sequence = blockIdx.x / h.heads;
  const uint32_t          head     = blockIdx.x % h.heads;
  const SamplingSource<V> source   = {
      h,    qkv,      position, cosines, sines,
      seen, sequence, head,     before,  blockIdx.y == 0
  };
  const Tensor none = {};
  attend_tile<ROWS, SETS>(h,
                          source,
                          sequence,
                          head,
                          blockIdx.y * ROWS * WARPS,
                          none,
                          none,
                          out,
                          shared);
}

template<uint32_t ROWS, uint32_t SETS, int V>
static void
launch_attend(CudaDevice*  cuda,
              uint32_t     sequences,
              const Heads& h,
              Tensor       qkv,
              Tensor       position,
              Tensor       cosines,
              Tensor       sines,
              uint32_t     before,
              Tensor       seen,
              Tensor       out)
{
  LAUNCH((attend_kernel<ROWS, SETS, V>),
         attention_grid(sequences * h.heads, h.queries, ROWS),
         THREADS,
         forward_floats(ROWS * WARPS, SETS, h.keys) * sizeof(float),
         cuda->stream,
         h,
         qkv,
         position,
         cosines,
         sines,
         before,
         seen,
         out);
}

template<uint32_t ROWS>
static decltype(&launch_attend<ROWS, 1, 1>)
attend_launcher(bool many_keys, bool four)
{
  return many_keys
           ? (four ? launch_attend<ROWS, 2, 4> : launch_attend<ROWS, 2, 1>)
           : (four ? launch_attend<ROWS, 1, 4> : launch_attend<ROWS, 1, 1>);
}

void
cuda_attend(Device*  device,
            uint32_t sequences,
            uint32_t heads,
            Tensor   qkv,
            Tensor   position,
            Tensor   cosines,
            Tensor   sines,
            uint32_t before,
            Tensor   seen,
            Tensor   probabilities,
            Tensor   out)
{
  (void)probabilities;
  CudaDevice* const cuda = cuda_of(device);
  const Heads       h = heads_of(sequences, heads, seen.rows / sequences, out);
  const bool        four = by_four(qkv) && by_four(cosines) && by_four(sines) &&
                    by_four(seen) && h.width % 8 == 0;
  const bool  many   = h.keys > WARP;
  auto* const launch = queries_of_warp(cuda, sequences * heads, h) == 1
                         ? attend_launcher<1>(many, four)
                         : attend_launcher<MANY>(many, four);
  launch(cuda, sequences, h, qkv, position, cosines, sines, before, seen, out);
  cuda_launched(device, "attend");
}

// --- Backward ----------------------------------------------------------------

// Shared memory of a backward block, in floats.
static uint32_t
backward_floats(uint32_t sets, uint32_t keys)
{
  constexpr uint32_t ROWS = MANY * WARPS;
  return (2 * ROWS + 2 * whole_fours(keys)) * PITCH +
         2 * ROWS * (sets * WARP + 4);
}

// The gradient of the scores before scale and softmax, from that of the
// probabilities p.
template<uint32_t SETS>
__device__ static inline void
softmax_backward(float scale, const float* p, float* gradient)
{
  float along = 0.0f;
#pragma unroll
  for (uint32_t s = 0; s < SETS; ++s) {
    along += p[s] * gradient[s];
  }
  const float mean = warp_sum(along);
#pragma unroll
  for (uint32_t s = 0; s < SETS; ++s) {
    gradient[s] = p[s] * (gradient[s] - mean) * scale;
  }
}

// (+)= sum over queries i of left[i][key .. key + 3] * x[i][lane], for each of
// four keys.
__device__ static inline void
mix_queries(const float* left,
            uint32_t     pitch,
            const float* x,
            uint32_t     queries,
            float*       sum)
{
  const uint32_t lane = threadIdx.x % WARP;
#pragma unroll
  for (uint32_t j = 0; j < 4; ++j) {
    sum[j] = 0.0f;
  }
#pragma unroll 4
  for (uint32_t i = 0; i < queries; ++i) {
    const Pack<4> f     = pack_load<4>(left + i * pitch);
    const float   value = x[i * PITCH + lane];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      sum[j] += f.at[j] * value;
    }
  }
}

// Rows first .. first + 3 of x, as far as there are `rows` of them, at columns
// lane, lane + 32; zeros elsewhere.
template<uint32_t SETS>
__device__ static inline void
load_rows(Tensor   x,
          uint32_t first,
          uint32_t rows,
          uint32_t columns,
          float (*to)[SETS])
{
#pragma unroll
  for (uint32_t i = 0; i < MANY; ++i) {
#pragma unroll
    for (uint32_t s = 0; s < SETS; ++s) {
      const uint32_t c = threadIdx.x % WARP + s * WARP;
      to[i][s] = i < rows && c < columns ? row_of(x, first + i)[c] : 0.0f;
    }
  }
}

// Four rows of one column, from `row` to below `end`.
__device__ static inline void
store_four(const float* value,
           Tensor       to,
           uint32_t     row,
           uint32_t     end,
           uint32_t     column,
           bool         adds)
{
#pragma unroll
  for (uint32_t j = 0; j < 4; ++j) {
    if (row + j < end) {
      float* const at = row_of(to, row + j) + column;
      *at             = adds ? *at + value[j] : value[j];
    }
  }
}

// Unless they are chunks of a wider head, q and k are loaded along with dout
// and v.
template<uint32_t SETS, int V>
static __global__ void
__launch_bounds__(THREADS, V == 4 ? 3 : 2)
  attention_backward_kernel(Heads  h,
                            Tensor q,
                            Tensor k,
                            Tensor v,
                            Tensor probabilities,
                            Tensor dout,
                            Tensor dq,
                            Tensor dk,
                            Tensor dv)
{
  constexpr uint32_t ROWS = MANY * WARPS; // queries at a time
  constexpr uint32_t P    = SETS * WARP + 4;
  DYNAMIC_SHARED(float, shared);
  const uint32_t lane     = threadIdx.x % WARP;
  const uint32_t own      = threadIdx.x / WARP * MANY;
  const uint32_t sequence = blockIdx.x / h.heads;
  const uint32_t head     = blockIdx.x % h.heads;
  const uint32_t room     = whole_fours(h.keys);
  const uint32_t key      = sequence * h.keys;
  float* const   qs       = shared;
  float* const   ds       = qs + ROWS * PITCH; // of dout
  float* const   ks       = ds + ROWS * PITCH;
  float* const   vs       = ks + room * PITCH;
  float* const   ps       = vs + room * PITCH;
  float* const   gs       = ps + ROWS * P; // the gradient of the scores
  for (uint32_t first = 0; first < h.queries; first += ROWS) {
    const uint32_t left  = min(h.queries - first, ROWS);
    const uint32_t query = sequence * h.queries + first;
    const uint32_t p0 = (sequence * h.heads + head) * h.queries + first + own;
    float          g[MANY][SETS] = {};
    for (uint32_t c = 0; c < h.width; c += CHUNK) {
      const uint32_t column  = head * h.width + c;
      const uint32_t columns = min(h.width - c, CHUNK);
      __syncthreads();
      load_tile<V>(dout, query, left, column, columns, ROWS, ds);
      load_tile<V>(v, key, h.keys, column, columns, room, vs);
      if (h.width <= CHUNK) { // else later, chunk by chunk
        load_tile<V>(q, query, left, column, columns, ROWS, qs);
        load_tile<V>(k, key, h.keys, column, columns, room, ks);
      }
      __syncthreads();
      add_scores<MANY, SETS>(ds + own * PITCH, vs, h.keys, g);
    }
    float p[MANY][SETS];
    load_rows<SETS>(probabilities, p0, left - min(own, left), h.keys, p);
#pragma unroll
    for (uint32_t i = 0; i < MANY; ++i) {
      softmax_backward<SETS>(h.scale, p[i], g[i]);
#pragma unroll
      for (uint32_t s = 0; s < SETS; ++s) {
        ps[(own + i) * P + lane + s * WARP] = p[i][s];
        gs[(own + i) * P + lane + s * WARP] = g[i][s];
      }
    }
    __syncthreads();
    for (uint32_t c = 0; c < h.width; c += CHUNK) {
      const uint32_t column  = head * h.width + c;
      const uint32_t columns = min(h.width - c, CHUNK);
      if (h.width > CHUNK) {
        __syncthreads();
        load_tile<V>(dout, query, left, column, columns, ROWS, ds);
        load_tile<V>(q, query, left, column, columns, ROWS, qs);
        load_tile<V>(k, key, h.keys, column, columns, room, ks);
        __syncthreads();
      }
      float sum[MANY];
      mix<MANY>(gs + own * P, P, ks, h.keys, sum);
#pragma unroll
      for (uint32_t i = 0; i < MANY; ++i) {
        if (own + i < left && lane < columns) {
          row_of(dq, query + own + i)[column + lane] = sum[i];
        }
      }
      for (uint32_t at = own; at < h.keys; at += ROWS) {
        float of_v[4];
        float of_k[4];
        mix_queries(ps + at, P, ds, left, of_v);
        mix_queries(gs + at, P, qs, left, of_k);
        if (lane < columns) {
          // Later tiles add to what this same thread wrote.
          store_four(
            of_v, dv, key + at, key + h.keys, column + lane, first > 0);
          store_four(
            of_k, dk, key + at, key + h.keys, column + lane, first > 0);
        }
      }
    }
    __syncthreads();
  }
}

void
cuda_attention_backward(Device*  device,
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
  CudaDevice* const cuda = cuda_of(device);
  const Heads       h    = heads_of(sequences, heads, k.rows / sequences, q);
  const bool        four =
    by_four(q) && by_four(k) && by_four(v) && by_four(dout) && h.width % 4 == 0;
  const uint32_t sets   = h.keys > WARP ? 2 : 1;
  auto* const    kernel = sets == 2 ? (four ? attention_backward_kernel<2, 4>
                                            : attention_backward_kernel<2, 1>)
                                    : (four ? attention_backward_kernel<1, 4>
                                            : attention_backward_kernel<1, 1>);
  LAUNCH(kernel,
         sequences * heads,
         THREADS,
         backward_floats(sets, h.keys) * sizeof(float),
         cuda->stream,
         h,
         q,
         k,
         v,
         probabilities,
         dout,
         dq,
         dk,
         dv);
  cuda_launched(device, "attention_backward");
}
