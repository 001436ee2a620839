// Sums of rows by an index, in a fixed order and without atomic sums: out[m, :]
// += the terms of all rows r with index[r] = m. Rows usually come in runs of
// one index, with one index (clean notes) found everywhere; this is made for
// that and right for all others. Only kernels/cuda/*.cu include this.
//
// Rows fall into spans of 32. Three steps, each a kernel (after a memset):
//  1. note_ranges: the first and the last span that each m occurs in.
//  2. within a kernel that reads the rows anyway, add_span(): a block sums a
//     span's rows by index. An m of this span alone goes to out; of others the
//     sum goes to scratch while there is room. What has none, and a span with
//     more than SPAN_INDICES of them, is left to step 3. Where in scratch a sum
//     lies may differ from run to run; what is added to what, and in which
//     order, does not.
//  3. add_ranges: sums what the spans left, in their order. An m whose spans
//     are few takes one warp, others all warps of a block for 32 columns.
#pragma once

#include "elementwise.h"

#define SPAN 32u
#define SPAN_INDICES 6u
#define SPAN_CROWDED 0xffffffffu // more indices than that
#define NEAR_SPANS 4u            // up to this, one warp adds them
#define NOWHERE 0xffffffffu
#define NO_SLOT 0xffffffffu

// What a span has for one m.
struct SpanShare {
  uint32_t m;
  uint32_t rows; // by bits
  uint32_t slot; // of the sums; NO_SLOT: nothing, or only the rows
};

// The scratch of one op: all in CudaDevice.scratch.
struct SpanSums {
  uint32_t*  first; // [M] of each m's spans; NOWHERE if it does not occur
  uint32_t*  past;  // [M] ~ the last span
  uint32_t*  next;  // the slot taken last, from ~0 on
  uint32_t*  count; // [spans] of shares, or SPAN_CROWDED
  SpanShare* share; // [spans][SPAN_INDICES]
  float*     sums;  // [slots][columns]
  uint32_t   slots;
  uint32_t   spans;
  uint32_t   rows;
  Tensor     index;
  Tensor     out; // [M, columns]
};

static __global__ void
__launch_bounds__(BLOCK) note_ranges(SpanSums s)
{
  for (uint32_t r = blockIdx.x * BLOCK + threadIdx.x; r < s.rows;
       r += gridDim.x * BLOCK) {
    const uint32_t m = device_index(s.index, r, s.out.rows);
    atomicMin(&s.first[m], r / SPAN);
    atomicMin(&s.past[m], ~(r / SPAN));
  }
}

struct SpanIndices {
  uint32_t  count;
  SpanShare share[SPAN_INDICES];
  bool      alone[SPAN_INDICES]; // no other span has that m
};

// All of one warp's lanes; `found` is in shared memory.
__device__ static inline void
find_indices(const SpanSums& s, uint32_t span, SpanIndices* found)
{
  const uint32_t lane = threadIdx.x % WARP;
  const uint32_t r    = span * SPAN + lane;
  const bool     real = r < s.rows;
  const uint32_t m    = real ? device_index(s.index, r, s.out.rows) : 0;
  uint32_t       left = __ballot_sync(WARP_ALL, real);
  uint32_t       n    = 0;
  SpanShare      own  = { 0, 0, NO_SLOT }; // lane n's: the n-th
  while (left && n < SPAN_INDICES) {
    const uint32_t one   = __shfl_sync(WARP_ALL, m, __ffs((int)left) - 1);
    const uint32_t equal = __ballot_sync(WARP_ALL, real && m == one);
    if (lane == n) {
      own.m    = one;
      own.rows = equal;
    }
    left &= ~equal;
    ++n;
  }
  const uint32_t count = left ? SPAN_CROWDED : n;
  if (lane == 0) {
    found->count  = count;
    s.count[span] = count;
  }
  if (!left && lane < n) {
    const bool alone = s.first[own.m] == ~s.past[own.m];
    if (!alone) {
      const uint32_t slot = atomicAdd(s.next, 1u) + 1u;
      own.slot            = slot < s.slots ? slot : NO_SLOT;
    }
    found->share[lane]                          = own;
    found->alone[lane]                          = alone;
    s.share[(size_t)span * SPAN_INDICES + lane] = own;
  }
}

// The sum of column c of the rows in `bits`, in their order.
template<typename Terms>
__device__ static inline float
sum_of_rows(const Terms& terms, uint32_t span, uint32_t bits, uint32_t c)
{
  float sum = 0.0f;
#pragma unroll 1
  for (uint32_t first = 0; first < SPAN; first += 8) {
    if (!(bits >> first & 0xffu)) {
      continue;
    }
    float term[8];
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) {
      term[i] =
        bits >> (first + i) & 1u ? terms.at(span * SPAN + first + i, c) : 0.0f;
    }
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) {
      // The same rounding wherever this is compiled into: no fused product.
      sum = __fadd_rn(sum, term[i]);
    }
  }
  return sum;
}

// Step 2, by all threads of a block. Terms: at(row, column of out).
template<typename Terms>
__device__ static inline void
add_span(const SpanSums& s, const Terms& terms, uint32_t span)
{
  __shared__ SpanIndices found;
  __syncthreads();
  if (threadIdx.x < WARP) {
    find_indices(s, span, &found);
  }
  __syncthreads();
  if (found.count == SPAN_CROWDED) {
    return;
  }
  const uint32_t columns = s.out.columns;
  for (uint32_t n = 0; n < found.count; ++n) {
    const SpanShare share = found.share[n];
    const bool      alone = found.alone[n];
    if (!alone && share.slot == NO_SLOT) {
      continue;
    }
    for (uint32_t c = threadIdx.x; c < columns; c += blockDim.x) {
      const float sum = sum_of_rows(terms, span, share.rows, c);
      if (alone) {
        row_of(s.out, share.m)[c] += sum;
      } else {
        s.sums[(size_t)share.slot * columns + c] = sum;
      }
    }
  }
}

// What a span has for m; a thread's own search.
__device__ static inline SpanShare
find_share(const SpanSums& s, uint32_t span, uint32_t m)
{
  SpanShare      share = { m, 0, NO_SLOT };
  const uint32_t count = s.count[span];
  if (count == SPAN_CROWDED) {
    const uint32_t rows = min(SPAN, s.rows - span * SPAN);
#pragma unroll 1
    for (uint32_t r = 0; r < rows; ++r) {
      const uint32_t own = device_index(s.index, span * SPAN + r, s.out.rows);
      share.rows |= (own == m ? 1u : 0u) << r;
    }
    return share;
  }
#pragma unroll
  for (uint32_t n = 0; n < SPAN_INDICES; ++n) {
    const SpanShare one = s.share[(size_t)span * SPAN_INDICES + n];
    if (n < count && one.m == m) {
      share = one;
    }
  }
  return share;
}

template<typename Terms>
__device__ static inline float
value_of(const SpanSums& s,
         const Terms&    terms,
         uint32_t        span,
         SpanShare       share,
         uint32_t        c)
{
  if (share.slot != NO_SLOT) {
    return s.sums[(size_t)share.slot * s.out.columns + c];
  }
  return share.rows ? sum_of_rows(terms, span, share.rows, c) : 0.0f;
}

#define SUM_WARPS 16u // of a block of add_ranges
#define SUM_BLOCK (SUM_WARPS * WARP)

// By one warp: all columns of an m of few spans.
template<typename Terms>
__device__ static inline void
add_near(const SpanSums& s, const Terms& terms, uint32_t m)
{
  const uint32_t last = ~s.past[m];
  for (uint32_t span = s.first[m]; span <= last; ++span) {
    const SpanShare share = find_share(s, span, m);
    if (!share.rows) {
      continue;
    }
    for (uint32_t c = threadIdx.x % WARP; c < s.out.columns; c += WARP) {
      row_of(s.out, m)[c] += value_of(s, terms, span, share, c);
    }
  }
}

// By a block: 32 columns, from `column` on, of an m of many spans. A warp takes
// every SUM_WARPS-th 32 spans: its lanes search one each, then add together.
template<typename Terms>
__device__ static inline void
add_far(const SpanSums& s, const Terms& terms, uint32_t m, uint32_t column)
{
  __shared__ float part[SUM_WARPS][WARP];
  const uint32_t   lane = threadIdx.x % WARP;
  const uint32_t   warp = threadIdx.x / WARP;
  const uint32_t   last = ~s.past[m];
  const uint32_t   c    = column + lane;
  const bool       in   = c < s.out.columns;
  float            sum  = 0.0f;
  for (uint32_t first = s.first[m] + warp * WARP; first <= last;
       first += SUM_BLOCK) {
    const SpanShare none = { m, 0, NO_SLOT };
    const SpanShare own =
      first + lane <= last ? find_share(s, first + lane, m) : none;
    if (__any_sync(WARP_ALL, own.rows && own.slot == NO_SLOT)) {
#pragma unroll 1
      for (uint32_t i = 0; i < WARP; ++i) {
        const SpanShare share = { m,
                                  __shfl_sync(WARP_ALL, own.rows, (int)i),
                                  __shfl_sync(WARP_ALL, own.slot, (int)i) };
        const float value = in ? value_of(s, terms, first + i, share, c) : 0.0f;
        sum               = __fadd_rn(sum, value);
      }
      continue;
    }
#pragma unroll 8
    for (uint32_t i = 0; i < WARP; ++i) {
      const uint32_t slot = __shfl_sync(WARP_ALL, own.slot, (int)i);
      const float    value =
        in && slot != NO_SLOT ? s.sums[(size_t)slot * s.out.columns + c] : 0.0f;
      sum = __fadd_rn(sum, value);
    }
  }
  part[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && in) {
    float total = 0.0f;
    for (uint32_t w = 0; w < SUM_WARPS; ++w) {
      total += part[w][lane];
    }
    row_of(s.out, m)[c] += total;
  }
  __syncthreads();
}

// Whether the spans of m left anything, and whether one warp is enough.
enum SpanRange { RANGE_DONE, RANGE_NEAR, RANGE_FAR };

__device__ static inline SpanRange
range_of(const SpanSums& s, uint32_t m)
{
  const uint32_t first = s.first[m];
  const uint32_t last  = ~s.past[m];
  if (first == NOWHERE || (first == last && s.count[first] != SPAN_CROWDED)) {
    return RANGE_DONE;
  }
  return last - first < NEAR_SPANS ? RANGE_NEAR : RANGE_FAR;
}

// Step 3. The first far_blocks blocks: (slice of all m, 32 columns); each m of
// the others' is a warp's.
template<typename Terms>
static __global__ void
__launch_bounds__(SUM_BLOCK, 1)
  add_ranges(SpanSums s, Terms terms, uint32_t far_blocks, uint32_t tiles)
{
  if (blockIdx.x >= far_blocks) {
    const uint32_t step = (gridDim.x - far_blocks) * SUM_WARPS;
    for (uint32_t m =
           (blockIdx.x - far_blocks) * SUM_WARPS + threadIdx.x / WARP;
         m < s.out.rows;
         m += step) {
      if (range_of(s, m) == RANGE_NEAR) {
        add_near(s, terms, m);
      }
    }
    return;
  }
  __shared__ uint32_t far_ones[SUM_BLOCK];
  __shared__ uint32_t far_count;
  const uint32_t      slice  = blockIdx.x / tiles;
  const uint32_t      slices = far_blocks / tiles;
  for (uint32_t base = slice * SUM_BLOCK; base < s.out.rows;
       base += slices * SUM_BLOCK) {
    if (threadIdx.x == 0) {
      far_count = 0;
    }
    __syncthreads();
    const uint32_t m = base + threadIdx.x;
    if (m < s.out.rows && range_of(s, m) == RANGE_FAR) {
      far_ones[atomicAdd(&far_count, 1u)] = m; // any order: each is by itself
    }
    __syncthreads();
    const uint32_t count = far_count;
    for (uint32_t i = 0; i < count; ++i) {
      add_far(s, terms, far_ones[i], blockIdx.x % tiles * WARP);
    }
    __syncthreads();
  }
}

// --- On the host -----------------------------------------------------------

// Step 1 and the scratch. False: an error was recorded.
static inline bool
begin_sums(Device*     device,
           const char* op,
           Tensor      index,
           Tensor      out,
           SpanSums*   s)
{
  CudaDevice* const cuda  = cuda_of(device);
  const size_t      spans = (index.rows - 1) / SPAN + 1;
  const size_t      marks = 2 * (size_t)out.rows + 1;
  const size_t      fixed =
    marks + spans * (1 + SPAN_INDICES * sizeof(SpanShare) / sizeof(float));
  if (fixed > cuda->scratch_floats) {
    return cuda_check(device, cudaErrorMemoryAllocation, op);
  }
  const size_t slots = (cuda->scratch_floats - fixed) / out.columns;
  s->first           = reinterpret_cast<uint32_t*>(cuda->scratch);
  s->past            = s->first + out.rows;
  s->next            = s->past + out.rows;
  s->count           = s->next + 1;
  s->share           = reinterpret_cast<SpanShare*>(s->count + spans);
  s->sums            = cuda->scratch + fixed;
  s->slots           = slots < NO_SLOT ? (uint32_t)slots : NO_SLOT;
  s->spans           = (uint32_t)spans;
  s->rows            = index.rows;
  s->index           = index;
  s->out             = out;
  if (!cuda_check(
        device,
        cudaMemsetAsync(s->first, 0xff, marks * sizeof(uint32_t), cuda->stream),
        op)) {
    return false;
  }
  LAUNCH(note_ranges,
         cuda_grid(cuda, index.rows, BLOCK),
         BLOCK,
         0,
         cuda->stream,
         *s);
  return cuda_launched(device, op);
}

// Step 3.
template<typename Terms>
static void
end_sums(Device* device, const char* op, const SpanSums& s, Terms terms)
{
  CudaDevice* const cuda        = cuda_of(device);
  const uint32_t    tiles       = (s.out.columns - 1) / WARP + 1;
  const uint32_t    slices      = (s.out.rows - 1) / SUM_BLOCK + 1;
  const uint32_t    near_wanted = (s.out.rows - 1) / SUM_WARPS + 1;
  const uint32_t    near_most   = 8 * cuda->multiprocessors;
  const uint32_t    near = near_wanted < near_most ? near_wanted : near_most;
  const uint32_t    far  = tiles * (slices < 64 ? slices : 64);
  LAUNCH((add_ranges<Terms>),
         far + near,
         SUM_BLOCK,
         0,
         cuda->stream,
         s,
         terms,
         far,
         tiles);
  cuda_launched(device, op);
}
