// Sums over a whole tensor, and LAMB and AdamW over all tensors of a network at
// once. The thread of the Device.
#include "elementwise.h"
#include "ops.h"

#include <float.h>

#define BLOCK_WARPS (BLOCK / WARP)

// The sum over a block, in a fixed order, known to thread 0. Each NUMBER has
// memory of its own, so that a kernel may ask for several without barriers
// between them.
template<int NUMBER, typename T>
__device__ static T
block_sum(T value)
{
  __shared__ T   warps[BLOCK_WARPS];
  const uint32_t warp = threadIdx.x / WARP;
  value               = warp_sum(value);
  if (threadIdx.x % WARP == 0) {
    warps[warp] = value;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (uint32_t i = 1; i < BLOCK_WARPS; ++i) {
      value += warps[i];
    }
  }
  return value;
}

// --- Sums ------------------------------------------------------------------

#define SUM_BLOCKS_MAX 512u

__device__ static inline void
finish_sum(double total, float beta, float* out)
{
  *out = (float)(total + (beta == 0.0f ? 0.0 : (double)beta * (double)*out));
}

// Of V squares the sum in single precision, as the CPU's: none can cancel.
template<bool SQUARES, int V>
__device__ static inline double
pack_sum(Pack<V> v)
{
  if (SQUARES) {
    float sum = v.at[0] * v.at[0];
    for (int j = 1; j < V; ++j) {
      sum += v.at[j] * v.at[j];
    }
    return (double)sum;
  }
  double sum = (double)v.at[0];
  for (int j = 1; j < V; ++j) {
    sum += (double)v.at[j];
  }
  return sum;
}

// One block: the whole sum into out. More: each block's into partial.
template<bool SQUARES, int V>
static __global__ void
__launch_bounds__(BLOCK) sum_kernel(const float* x,
                                    size_t       rows,
                                    size_t       packs,
                                    size_t       stride,
                                    double*      partial,
                                    float        beta,
                                    float*       out)
{
  double sum = 0.0;
  for (size_t r = blockIdx.y; r < rows; r += gridDim.y) {
#pragma unroll 4
    for (size_t p = (size_t)blockIdx.x * BLOCK + threadIdx.x; p < packs;
         p += (size_t)gridDim.x * BLOCK) {
      sum += pack_sum<SQUARES, V>(pack_load<V>(x + r * stride + p * V));
    }
  }
  sum = block_sum<0>(sum);
  if (threadIdx.x == 0) {
    if (gridDim.x * gridDim.y == 1) {
      finish_sum(sum, beta, out);
    } else {
      partial[blockIdx.y * gridDim.x + blockIdx.x] = sum;
    }
  }
}

static __global__ void
__launch_bounds__(BLOCK) sum_finish_kernel(const double* partial,
                                           uint32_t      count,
                                           float         beta,
                                           float*        out)
{
  double sum = 0.0;
  for (uint32_t i = threadIdx.x; i < count; i += BLOCK) {
    sum += partial[i];
  }
  sum = block_sum<0>(sum);
  if (threadIdx.x == 0) {
    finish_sum(sum, beta, out);
  }
}

static inline uint32_t
at_most(size_t wanted, size_t limit)
{
  return (uint32_t)(wanted < limit ? wanted : limit);
}

template<bool SQUARES>
static void
sum_launch(Device* device, const char* op, Tensor x, float beta, Tensor out)
{
  CudaDevice* const cuda    = cuda_of(device);
  double* const     partial = reinterpret_cast<double*>(cuda->scratch);
  const size_t      room    = cuda->scratch_floats / 2;
  size_t            rows    = x.rows;
  size_t            width   = x.columns;
  bool              fours   = by_four(x);
  if (is_packed(x)) {
    width *= rows;
    rows  = 1;
    fours = (uintptr_t)x.data % 16 == 0 && width % 4 == 0;
  }
  const size_t packs = fours ? width / 4 : width;
  size_t       limit = 2 * (size_t)cuda->multiprocessors;
  limit = at_most(limit, room < SUM_BLOCKS_MAX ? room : SUM_BLOCKS_MAX);
  // What a block does in a few rounds is not worth a second launch.
  const bool     few    = rows * packs <= 8 * BLOCK || limit < 2;
  const size_t   across = (packs - 1) / (4 * BLOCK) + 1;
  const uint32_t wide   = few ? 1 : at_most(across, limit);
  const uint32_t tall   = few ? 1 : at_most(rows, limit / wide);
  const dim3     grid(wide, tall);
  if (fours) {
    LAUNCH((sum_kernel<SQUARES, 4>),
           grid,
           BLOCK,
           0,
           cuda->stream,
           x.data,
           rows,
           packs,
           x.stride,
           partial,
           beta,
           out.data);
  } else {
    LAUNCH((sum_kernel<SQUARES, 1>),
           grid,
           BLOCK,
           0,
           cuda->stream,
           x.data,
           rows,
           packs,
           x.stride,
           partial,
           beta,
           out.data);
  }
  if (cuda_launched(device, op) && wide * tall > 1) {
    LAUNCH(sum_finish_kernel,
           1,
           BLOCK,
           0,
           cuda->stream,
           partial,
           wide * tall,
           beta,
           out.data);
    cuda_launched(device, op);
  }
}

void
cuda_sum(Device* device, Tensor x, float beta, Tensor out)
{
  sum_launch<false>(device, "sum", x, beta, out);
}

void
cuda_square_sum(Device* device, Tensor x, float beta, Tensor out)
{
  sum_launch<true>(device, "square_sum", x, beta, out);
}

// --- Optimiser -------------------------------------------------------------

// A block works on a chunk of one segment. LAMB needs the norms of whole
// segments: a first kernel writes each chunk's part of both to scratch, a
// second one adds them and descends. AdamW does both in the first.
#define CHUNK 4096u

// All that the kernels take by value, below the 4 KiB that every GPU accepts.
struct Segments {
  uint32_t first[OPTIMISER_SEGMENTS_MAX];
  uint32_t count[OPTIMISER_SEGMENTS_MAX];
  uint32_t chunk[OPTIMISER_SEGMENTS_MAX]; // the segment's first
  uint32_t decays[OPTIMISER_SEGMENTS_MAX / 32];
  uint32_t segments;
  uint32_t chunks;
  uint32_t chunk_size; // a multiple of CHUNK
};

struct Tables {
  float*       gradient;
  float*       moment1;
  float*       moment2;
  float*       weight;
  float*       average;
  const float* now;
  const float* square_sum;
  float2*      norms; // of each chunk: squares of weight, of update
  bool         fours; // the tables begin at multiples of 16 bytes
};

static_assert(sizeof(Segments) + sizeof(Tables) + sizeof(OptimiserRule) <= 4000,
              "kernel parameters");

// Where this block works.
struct Place {
  uint32_t segment;
  size_t   begin;
  size_t   end;
};

__device__ static inline Place
place_of_block(const Segments& s)
{
  uint32_t low  = 0;
  uint32_t high = s.segments;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (s.chunk[middle] <= blockIdx.x) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const size_t first = s.first[low];
  const size_t end   = first + s.count[low];
  const size_t begin =
    first + (size_t)(blockIdx.x - s.chunk[low]) * s.chunk_size;
  return { low,
           begin,
           begin + s.chunk_size < end ? begin + s.chunk_size : end };
}

// Calls f.run<4> on what is aligned of [begin, end) and f.run<1> on the rest.
template<typename F>
__device__ static inline void
over(const Place& place, bool fours, F& f)
{
  const size_t up     = (place.begin + 3) / 4 * 4;
  const size_t down   = place.end / 4 * 4;
  const bool   inside = fours && up < down;
  const size_t middle = inside ? up : place.end;
  for (size_t i = place.begin + threadIdx.x; i < middle; i += BLOCK) {
    f.template run<1>(i);
  }
  if (inside) {
    for (size_t i = up + threadIdx.x * 4; i < down; i += BLOCK * 4) {
      f.template run<4>(i);
    }
    for (size_t i = down + threadIdx.x; i < place.end; i += BLOCK) {
      f.template run<1>(i);
    }
  }
}

// weight -= rate * update; the average follows.
template<int V>
__device__ static inline void
descend(const Tables& t, size_t i, float rate, float keep, Pack<V> w, Pack<V> u)
{
  Pack<V> a = pack_load<V>(t.average + i);
  for (int j = 0; j < V; ++j) {
    w.at[j] -= rate * u.at[j];
    a.at[j] = keep * a.at[j] + (1.0f - keep) * w.at[j];
  }
  pack_store(t.weight + i, w);
  pack_store(t.average + i, a);
}

// Adam's update with decay, written over the gradient (which is spent).
template<bool LAMB>
struct Update {
  Tables t;
  float  beta1, beta2, epsilon, decay, correction1, correction2, clip, rate,
    keep;
  float weight_squares, update_squares;

  template<int V>
  __device__ inline void
  run(size_t i)
  {
    Pack<V>       g = pack_load<V>(t.gradient + i);
    Pack<V>       m = pack_load<V>(t.moment1 + i);
    Pack<V>       v = pack_load<V>(t.moment2 + i);
    const Pack<V> w = pack_load<V>(t.weight + i);
    for (int j = 0; j < V; ++j) {
      const float gj = g.at[j] * clip;
      m.at[j]        = beta1 * m.at[j] + (1.0f - beta1) * gj;
      v.at[j]        = beta2 * v.at[j] + (1.0f - beta2) * gj * gj;
      g.at[j] =
        (m.at[j] * correction1) / (sqrtf(v.at[j] * correction2) + epsilon) +
        decay * w.at[j];
      if (LAMB) {
        weight_squares += w.at[j] * w.at[j];
        update_squares += g.at[j] * g.at[j];
      }
    }
    pack_store(t.gradient + i, g);
    pack_store(t.moment1 + i, m);
    pack_store(t.moment2 + i, v);
    if (!LAMB) {
      descend<V>(t, i, rate, keep, w, g);
    }
  }
};

template<bool LAMB>
static __global__ void
__launch_bounds__(BLOCK)
  update_kernel(const Segments s, const Tables t, const OptimiserRule rule)
{
  const float norm = sqrtf(*t.square_sum);
  if (!(norm <= FLT_MAX)) {
    return;
  }
  const Place place = place_of_block(s);
  const bool  decays =
    (s.decays[place.segment / 32] >> place.segment % 32 & 1u) != 0;
  Update<LAMB> update;
  update.t              = t;
  update.beta1          = rule.beta1;
  update.beta2          = rule.beta2;
  update.epsilon        = rule.epsilon;
  update.decay          = decays ? rule.weight_decay : 0.0f;
  update.correction1    = 1.0f / t.now[OPTIMISER_NOW_CORRECTION1];
  update.correction2    = 1.0f / t.now[OPTIMISER_NOW_CORRECTION2];
  update.clip           = rule.clip_norm > 0.0f && norm > rule.clip_norm
                            ? rule.clip_norm / norm
                            : 1.0f;
  update.rate           = t.now[OPTIMISER_NOW_RATE];
  update.keep           = t.now[OPTIMISER_NOW_AVERAGE];
  update.weight_squares = 0.0f;
  update.update_squares = 0.0f;
  over(place, t.fours, update);
  if (LAMB) {
    const double w = block_sum<0>((double)update.weight_squares);
    const double u = block_sum<1>((double)update.update_squares);
    if (threadIdx.x == 0) {
      t.norms[blockIdx.x] = make_float2((float)w, (float)u);
    }
  }
}

struct Descent {
  Tables t;
  float  rate, keep;

  template<int V>
  __device__ inline void
  run(size_t i)
  {
    descend<V>(t,
               i,
               rate,
               keep,
               pack_load<V>(t.weight + i),
               pack_load<V>(t.gradient + i));
  }
};

// ||weight|| / ||update|| of a segment, by each warp for itself; 1 where a norm
// is zero (a fresh bias, no gradient): plain Adam.
__device__ static inline float
trust_ratio(const Segments& s, const float2* norms, uint32_t segment)
{
  const uint32_t end =
    segment + 1 < s.segments ? s.chunk[segment + 1] : s.chunks;
  double weight = 0.0;
  double update = 0.0;
  for (uint32_t i = s.chunk[segment] + threadIdx.x % WARP; i < end; i += WARP) {
    weight += (double)norms[i].x;
    update += (double)norms[i].y;
  }
  const float weight_norm = (float)sqrt(warp_sum(weight));
  const float update_norm = (float)sqrt(warp_sum(update));
  return weight_norm > 0.0f && update_norm > 0.0f ? weight_norm / update_norm
                                                  : 1.0f;
}

static __global__ void
__launch_bounds__(BLOCK) descend_kernel(const Segments s, const Tables t)
{
  if (!(sqrtf(*t.square_sum) <= FLT_MAX)) {
    return;
  }
  const Place place = place_of_block(s);
  Descent     descent;
  descent.t = t;
  descent.rate =
    t.now[OPTIMISER_NOW_RATE] * trust_ratio(s, t.norms, place.segment);
  descent.keep = t.now[OPTIMISER_NOW_AVERAGE];
  over(place, t.fours, descent);
}

// The chunks of all segments that are not empty, of `size` elements.
static void
cut(Segments*               s,
    const OptimiserSegment* segments,
    uint32_t                count,
    uint32_t                size)
{
  *s            = Segments{};
  s->chunk_size = size;
  for (uint32_t i = 0; i < count; ++i) {
    if (segments[i].count) {
      const uint32_t k = s->segments++;
      s->first[k]      = segments[i].first;
      s->count[k]      = segments[i].count;
      s->chunk[k]      = s->chunks;
      s->decays[k / 32] |= (segments[i].decays ? 1u : 0u) << k % 32;
      s->chunks += (segments[i].count - 1) / size + 1;
    }
  }
}

void
cuda_optimise(Device*                 device,
              const OptimiserRule*    rule,
              const OptimiserSegment* segments,
              uint32_t                count,
              Tensor                  now,
              Tensor                  square_sum,
              const OptimiserTables*  tables)
{
  CudaDevice* const cuda = cuda_of(device);
  Segments          s;
  uint32_t          size = CHUNK;
  cut(&s, segments, count, size);
  while (s.chunks > cuda->scratch_floats / 2 && size < 1u << 31) {
    size *= 2;
    cut(&s, segments, count, size);
  }
  if (!s.chunks) {
    return;
  }
  const Tables t = {
    tables->gradient.data,
    tables->moment1.data,
    tables->moment2.data,
    tables->weight.data,
    tables->average.data,
    now.data,
    square_sum.data,
    reinterpret_cast<float2*>(cuda->scratch),
    ((uintptr_t)tables->gradient.data | (uintptr_t)tables->moment1.data |
     (uintptr_t)tables->moment2.data | (uintptr_t)tables->weight.data |
     (uintptr_t)tables->average.data) %
        16 ==
      0
  };
  if (rule->kind == OPTIMISER_ADAMW) {
    LAUNCH(update_kernel<false>, s.chunks, BLOCK, 0, cuda->stream, s, t, *rule);
    cuda_launched(device, "optimise");
    return;
  }
  LAUNCH(update_kernel<true>, s.chunks, BLOCK, 0, cuda->stream, s, t, *rule);
  if (cuda_launched(device, "optimise")) {
    LAUNCH(descend_kernel, s.chunks, BLOCK, 0, cuda->stream, s, t);
    cuda_launched(device, "optimise");
  }
}
