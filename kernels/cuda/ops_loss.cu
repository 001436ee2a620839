// Softmax, losses, the choice of a token, the latent. One warp a row, in three
// passes over it, the last two of which find it in the cache. The thread of the
// Device.
#include "elementwise.h"
#include "ops.h"

#define ROW_WARPS 4u
#define ROW_BLOCK (ROW_WARPS * WARP)

// The rows of a warp, and its lane.
#define FOR_EACH_ROW(r, rows)                                                  \
  for (size_t r = (size_t)blockIdx.x * ROW_WARPS + threadIdx.x / WARP;         \
       r < (rows);                                                             \
       r += (size_t)gridDim.x * ROW_WARPS)

// Launches kernel<4> or kernel<1> over the rows, by whether `fours`.
#define LAUNCH_ROWS(kernel, fours, rows, ...)                                   \
  do {                                                                          \
    CudaDevice* const cuda_ = cuda_of(device);                                  \
    const unsigned    grid_ = cuda_grid(cuda_, (size_t)(rows)*WARP, ROW_BLOCK); \
    if (fours) {                                                                \
      LAUNCH((kernel<4>), grid_, ROW_BLOCK, 0, cuda_->stream, __VA_ARGS__);     \
    } else {                                                                    \
      LAUNCH((kernel<1>), grid_, ROW_BLOCK, 0, cuda_->stream, __VA_ARGS__);     \
    }                                                                           \
  } while (0)

__device__ static inline uint32_t
lane_of_thread(void)
{
  return threadIdx.x % WARP;
}

// The largest of a row as the CPU finds it: NaN only where x[0] is.
template<int V>
__device__ static inline float
row_top(const float* x, uint32_t n)
{
  float best = x[0];
  for (size_t i = lane_of_thread() * V; i < n; i += WARP * V) {
    const Pack<V> v = pack_load<V>(x + i);
    for (int j = 0; j < V; ++j) {
      best = v.at[j] > best ? v.at[j] : best;
    }
  }
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const float other = __shfl_xor_sync(WARP_ALL, best, lanes);
    best              = other > best ? other : best;
  }
  return best;
}

// The first column that holds `top`; else the last.
__device__ static inline uint32_t
row_first(const float* x, uint32_t n, float top)
{
  for (size_t i = 0; i < n; i += WARP) {
    const size_t   at  = i + lane_of_thread();
    const unsigned hit = __ballot_sync(WARP_ALL, at < n && x[at] == top);
    if (hit) {
      return (uint32_t)i + (uint32_t)__ffs((int)hit) - 1;
    }
  }
  return n - 1;
}

// exp(scale * (x - top)). The product is rounded, so that it is the same number
// in every pass.
__device__ static inline float
row_exp(float x, float top, float scale)
{
  return bounded_exp(__fmul_rn(x - top, scale));
}

template<int V>
__device__ static inline float
row_exp_sum(const float* x, uint32_t n, float top, float scale)
{
  float sum = 0.0f;
  for (size_t i = lane_of_thread() * V; i < n; i += WARP * V) {
    const Pack<V> v = pack_load<V>(x + i);
    for (int j = 0; j < V; ++j) {
      sum += row_exp(v.at[j], top, scale);
    }
  }
  return warp_sum(sum);
}

// --- Softmax ---------------------------------------------------------------

template<int V>
static __global__ void
__launch_bounds__(ROW_BLOCK)
  softmax_kernel(Tensor logits, const float* told, Tensor probabilities)
{
  const uint32_t n           = logits.columns;
  const float    temperature = *told;
  const float    scale       = 1.0f / temperature;
  FOR_EACH_ROW(r, logits.rows)
  {
    const float* const x      = row_of(logits, (uint32_t)r);
    float* const       p      = row_of(probabilities, (uint32_t)r);
    const float        top    = row_top<V>(x, n);
    uint32_t           best   = 0;
    float              factor = 0.0f;
    if (temperature == 0.0f) {
      best = row_first(x, n, top);
    } else {
      factor = 1.0f / row_exp_sum<V>(x, n, top, scale);
    }
    __syncwarp(); // p may be x
    for (size_t i = lane_of_thread() * V; i < n; i += WARP * V) {
      Pack<V> v = pack_load<V>(x + i);
      for (int j = 0; j < V; ++j) {
        v.at[j] = temperature == 0.0f ? (i + (size_t)j == best ? 1.0f : 0.0f)
                                      : row_exp(v.at[j], top, scale) * factor;
      }
      pack_store(p + i, v);
    }
  }
}

void
cuda_softmax(Device* device,
             Tensor  logits,
             Tensor  temperature,
             Tensor  probabilities)
{
  LAUNCH_ROWS(softmax_kernel,
              by_four(logits) && by_four(probabilities),
              logits.rows,
              logits,
              temperature.data,
              probabilities);
  cuda_launched(device, "softmax");
}

// --- Losses ----------------------------------------------------------------

template<int V>
static __global__ void
__launch_bounds__(ROW_BLOCK) cross_entropy_kernel(Tensor logits,
                                                  Tensor target,
                                                  float  scale,
                                                  Tensor loss,
                                                  Tensor dlogits)
{
  const uint32_t n = logits.columns;
  FOR_EACH_ROW(r, logits.rows)
  {
    const float* const x      = row_of(logits, (uint32_t)r);
    float* const       d      = row_of(dlogits, (uint32_t)r);
    const uint32_t     want   = device_index(target, (uint32_t)r, n);
    const float        top    = row_top<V>(x, n);
    const float        held   = x[want] - top;
    const float        total  = row_exp_sum<V>(x, n, top, 1.0f);
    const float        factor = scale / total;
    __syncwarp(); // d may be x, loss may be target
    for (size_t i = lane_of_thread() * V; i < n; i += WARP * V) {
      Pack<V> v = pack_load<V>(x + i);
      for (int j = 0; j < V; ++j) {
        v.at[j] = row_exp(v.at[j], top, 1.0f) * factor -
                  (i + (size_t)j == want ? scale : 0.0f);
      }
      pack_store(d + i, v);
    }
    if (lane_of_thread() == 0) {
      *row_of(loss, (uint32_t)r) = logf(total) - held;
    }
  }
}

void
cuda_cross_entropy(Device* device,
                   Tensor  logits,
                   Tensor  target,
                   float   scale,
                   Tensor  loss,
                   Tensor  dlogits)
{
  LAUNCH_ROWS(cross_entropy_kernel,
              by_four(logits) && by_four(dlogits),
              logits.rows,
              logits,
              target,
              scale,
              loss,
              dlogits);
  cuda_launched(device, "cross_entropy");
}

// sum of target * (x - top).
template<int V>
__device__ static inline float
row_held(const float* x, const float* target, uint32_t n, float top)
{
  float sum = 0.0f;
  for (size_t i = lane_of_thread() * V; i < n; i += WARP * V) {
    const Pack<V> v = pack_load<V>(x + i);
    const Pack<V> t = pack_load<V>(target + i);
    for (int j = 0; j < V; ++j) {
      sum += t.at[j] * (v.at[j] - top);
    }
  }
  return warp_sum(sum);
}

template<int V>
static __global__ void
__launch_bounds__(ROW_BLOCK) soft_cross_entropy_kernel(Tensor logits,
                                                       Tensor target,
                                                       Tensor weight,
                                                       float  scale,
                                                       Tensor loss,
                                                       Tensor dlogits)
{
  const uint32_t n = logits.columns;
  FOR_EACH_ROW(r, logits.rows)
  {
    const float* const x      = row_of(logits, (uint32_t)r);
    const float* const t      = row_of(target, (uint32_t)r);
    float* const       d      = row_of(dlogits, (uint32_t)r);
    const float        w      = *row_of(weight, (uint32_t)r);
    float              top    = 0.0f;
    float              factor = 0.0f;
    float              nats   = 0.0f;
    if (w != 0.0f) { // else all is 0 whatever the logits, NaN included
      top               = row_top<V>(x, n);
      const float held  = row_held<V>(x, t, n, top);
      const float total = row_exp_sum<V>(x, n, top, 1.0f);
      factor            = 1.0f / total;
      nats              = w * (logf(total) - held);
    }
    __syncwarp(); // d may be x or t
    for (size_t i = lane_of_thread() * V; i < n; i += WARP * V) {
      Pack<V>       v = pack_load<V>(x + i);
      const Pack<V> u = pack_load<V>(t + i);
      for (int j = 0; j < V; ++j) {
        const float p = row_exp(v.at[j], top, 1.0f) * factor;
        v.at[j]       = w != 0.0f ? w * scale * (p - u.at[j]) : 0.0f;
      }
      pack_store(d + i, v);
    }
    if (lane_of_thread() == 0) {
      *row_of(loss, (uint32_t)r) = nats;
    }
  }
}

void
cuda_soft_cross_entropy(Device* device,
                        Tensor  logits,
                        Tensor  target,
                        Tensor  weight,
                        float   scale,
                        Tensor  loss,
                        Tensor  dlogits)
{
  LAUNCH_ROWS(soft_cross_entropy_kernel,
              by_four(logits) && by_four(target) && by_four(dlogits),
              logits.rows,
              logits,
              target,
              weight,
              scale,
              loss,
              dlogits);
  cuda_launched(device, "soft_cross_entropy");
}

template<int V>
static __global__ void
__launch_bounds__(ROW_BLOCK) squared_error_kernel(Tensor y,
                                                  Tensor target,
                                                  float  scale,
                                                  Tensor loss,
                                                  Tensor dy)
{
  FOR_EACH_ROW(r, y.rows)
  {
    const float* const x   = row_of(y, (uint32_t)r);
    const float* const t   = row_of(target, (uint32_t)r);
    float* const       d   = row_of(dy, (uint32_t)r);
    float              sum = 0.0f;
    for (size_t i = lane_of_thread() * V; i < y.columns; i += WARP * V) {
      Pack<V>       v = pack_load<V>(x + i);
      const Pack<V> u = pack_load<V>(t + i);
      for (int j = 0; j < V; ++j) {
        const float error = v.at[j] - u.at[j];
        sum += error * error;
        v.at[j] = scale * 2.0f * error;
      }
      pack_store(d + i, v);
    }
    sum = warp_sum(sum);
    if (lane_of_thread() == 0) {
      *row_of(loss, (uint32_t)r) = sum;
    }
  }
}

void
cuda_squared_error(Device* device,
                   Tensor  y,
                   Tensor  target,
                   float   scale,
                   Tensor  loss,
                   Tensor  dy)
{
  LAUNCH_ROWS(squared_error_kernel,
              by_four(y) && by_four(target) && by_four(dy),
              y.rows,
              y,
              target,
              scale,
              loss,
              dy);
  cuda_launched(device, "squared_error");
}

// --- Tokens ----------------------------------------------------------------

// The lane's exponential of columns i .. i + 31; 0 behind the end.
__device__ static inline float
sample_exp(const float* x, uint32_t n, size_t i, float top, float scale)
{
  const size_t at = i + lane_of_thread();
  return at < n ? row_exp(x[at], top, scale) : 0.0f;
}

// Adds up one by one, as the CPU does, in all lanes alike: the same choice but
// where the exponentials' rounding decides, sums that never fall, and so never
// a column of no weight.
__device__ static uint32_t
sample_row(const float* x, uint32_t n, float temperature, float uniform)
{
  const float top = row_top<1>(x, n);
  if (temperature == 0.0f) {
    return row_first(x, n, top);
  }
  const float scale = 1.0f / temperature;
  float       total = 0.0f;
  for (size_t i = 0; i < n; i += WARP) {
    const float own = sample_exp(x, n, i, top, scale);
#pragma unroll
    for (int lane = 0; lane < (int)WARP; ++lane) {
      total += __shfl_sync(WARP_ALL, own, lane);
    }
  }
  const float target = uniform * total;
  float       sum    = 0.0f;
  for (size_t i = 0; i < n; i += WARP) {
    const float own    = sample_exp(x, n, i, top, scale);
    float       so_far = 0.0f; // up to the lane's own column
#pragma unroll
    for (int lane = 0; lane < (int)WARP; ++lane) {
      sum += __shfl_sync(WARP_ALL, own, lane);
      so_far = lane == (int)lane_of_thread() ? sum : so_far;
    }
    const bool     past = i + lane_of_thread() < n && so_far > target;
    const unsigned hit  = __ballot_sync(WARP_ALL, past);
    if (hit) {
      return (uint32_t)i + (uint32_t)__ffs((int)hit) - 1;
    }
  }
  return n - 1;
}

static __global__ void
__launch_bounds__(ROW_BLOCK) sample_kernel(Tensor       logits,
                                           const float* temperature,
                                           Tensor       uniform,
                                           Tensor       index)
{
  FOR_EACH_ROW(r, logits.rows)
  {
    const uint32_t choice = sample_row(row_of(logits, (uint32_t)r),
                                       logits.columns,
                                       *temperature,
                                       *row_of(uniform, (uint32_t)r));
    if (lane_of_thread() == 0) {
      *row_of(index, (uint32_t)r) = (float)choice;
    }
  }
}

void
cuda_sample(Device* device,
            Tensor  logits,
            Tensor  temperature,
            Tensor  uniform,
            Tensor  index)
{
  CudaDevice* const cuda = cuda_of(device);
  LAUNCH(sample_kernel,
         cuda_grid(cuda, (size_t)logits.rows * WARP, ROW_BLOCK),
         ROW_BLOCK,
         0,
         cuda->stream,
         logits,
         temperature.data,
         uniform,
         index);
  cuda_launched(device, "sample");
}

// --- Latent ----------------------------------------------------------------

// in: mu, ln sigma^2, noise.
struct Latent {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    y[0] = x[0] + bounded_exp(0.5f * x[1]) * x[2];
  }
};

void
cuda_latent(Device* device, Tensor stats, Tensor noise, Tensor z)
{
  const uint32_t n = z.columns;
  map(device,
      "latent",
      Latent{},
      { columns_of(stats, 0, n), columns_of(stats, n, n), noise },
      { z });
}

// mu and log_variance: the halves of stats; so of dstats.
template<int V>
static __global__ void
__launch_bounds__(ROW_BLOCK) latent_backward_kernel(Tensor       mu,
                                                    Tensor       log_variance,
                                                    Tensor       noise,
                                                    Tensor       dz,
                                                    const float* beta,
                                                    float        free_nats,
                                                    Tensor       kl,
                                                    Tensor       dmu,
                                                    Tensor       dlog_variance)
{
  FOR_EACH_ROW(row, dz.rows)
  {
    const uint32_t     r   = (uint32_t)row;
    const float* const m   = row_of(mu, r);
    const float* const v   = row_of(log_variance, r);
    float              sum = 0.0f;
    for (size_t i = lane_of_thread() * V; i < dz.columns; i += WARP * V) {
      const Pack<V> mi = pack_load<V>(m + i);
      const Pack<V> vi = pack_load<V>(v + i);
      for (int j = 0; j < V; ++j) {
        sum += mi.at[j] * mi.at[j] + bounded_exp(vi.at[j]) - 1.0f - vi.at[j];
      }
    }
    const float nats   = 0.5f * warp_sum(sum);
    const float weight = nats > free_nats ? *beta : 0.0f;
    for (size_t i = lane_of_thread() * V; i < dz.columns; i += WARP * V) {
      Pack<V>       mi = pack_load<V>(m + i);
      Pack<V>       vi = pack_load<V>(v + i);
      const Pack<V> e  = pack_load<V>(row_of(noise, r) + i);
      const Pack<V> d  = pack_load<V>(row_of(dz, r) + i);
      for (int j = 0; j < V; ++j) {
        const float sigma = bounded_exp(0.5f * vi.at[j]);
        mi.at[j]          = d.at[j] + weight * mi.at[j];
        vi.at[j] =
          0.5f * (d.at[j] * e.at[j] * sigma + weight * (sigma * sigma - 1.0f));
      }
      pack_store(row_of(dmu, r) + i, mi);
      pack_store(row_of(dlog_variance, r) + i, vi);
    }
    if (lane_of_thread() == 0) {
      *row_of(kl, r) = nats;
    }
  }
}

void
cuda_latent_backward(Device* device,
                     Tensor  stats,
                     Tensor  noise,
                     Tensor  dz,
                     Tensor  beta,
                     float   free_nats,
                     Tensor  kl,
                     Tensor  dstats)
{
  const uint32_t n    = dz.columns;
  const Tensor   mu   = columns_of(stats, 0, n);
  const Tensor   v    = columns_of(stats, n, n);
  const Tensor   dmu  = columns_of(dstats, 0, n);
  const Tensor   dv   = columns_of(dstats, n, n);
  const bool     four = by_four(mu) && by_four(v) && by_four(noise) &&
                    by_four(dz) && by_four(dmu) && by_four(dv);
  LAUNCH_ROWS(latent_backward_kernel,
              four,
              dz.rows,
              mu,
              v,
              noise,
              dz,
              beta.data,
              free_nats,
              kl,
              dmu,
              dv);
  cuda_launched(device, "latent_backward");
}
