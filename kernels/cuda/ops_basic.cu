// Ops on elements and on rows, sums over rows, and rows by index. The thread of
// the Device.
#include "elementwise.h"
#include "ops.h"

// --- Elements --------------------------------------------------------------

struct Same {
  static constexpr bool BY_ROW = true; // not packed: one row stands for all
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    y[0] = x[0];
  }
};

void
cuda_broadcast_row(Device* device, Tensor bias, Tensor y)
{
  bias.stride = 0;
  map(device, "broadcast_row", Same{}, { bias }, { y });
}

struct Tanh {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    y[0] = device_tanh(x[0]);
  }
};

void
cuda_tanh(Device* device, Tensor x, Tensor y)
{
  map(device, "tanh", Tanh{}, { x }, { y });
}

struct TanhBackward {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    y[0] = x[1] * (1.0f - x[0] * x[0]);
  }
};

void
cuda_tanh_backward(Device* device, Tensor y, Tensor dy, Tensor dx)
{
  map(device, "tanh_backward", TanhBackward{}, { y, dy }, { dx });
}

struct Accumulate {
  static constexpr bool BY_ROW = false;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    y[0] = x[1] + x[0];
  }
};

void
cuda_accumulate(Device* device, Tensor x, Tensor y)
{
  map(device, "accumulate", Accumulate{}, { x, y }, { y });
}

struct Combine {
  static constexpr bool BY_ROW = false;
  float                 a;
  float                 b;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    y[0] = a * x[0] + b * x[1];
  }
};

void
cuda_combine(Device* device, float a, Tensor x, float b, Tensor y, Tensor out)
{
  map(device, "combine", Combine{ a, b }, { x, y }, { out });
}

struct CombineRows {
  static constexpr bool BY_ROW = true;
  Tensor                a;
  Tensor                b;
  __device__ inline void
  operator()(uint32_t r, const float* x, float* y) const
  {
    y[0] = *row_of(a, r) * x[0] + *row_of(b, r) * x[1];
  }
};

void
cuda_combine_rows(Device* device,
                  Tensor  a,
                  Tensor  x,
                  Tensor  b,
                  Tensor  y,
                  Tensor  out)
{
  map(device, "combine_rows", CombineRows{ a, b }, { x, y }, { out });
}

struct Clamp {
  static constexpr bool BY_ROW = false;
  float                 low;
  float                 high;
  __device__ inline void
  operator()(uint32_t, const float* x, float* y) const
  {
    const float at_least = x[0] > low ? x[0] : low; // NaN: low
    y[0]                 = at_least < high ? at_least : high;
  }
};

void
cuda_clamp(Device* device, float low, float high, Tensor x)
{
  map(device, "clamp", Clamp{ low, high }, { x }, { x });
}

struct ScaleRows {
  static constexpr bool BY_ROW = true;
  Tensor                factor;
  __device__ inline void
  operator()(uint32_t r, const float* x, float* y) const
  {
    y[0] = x[0] * *row_of(factor, r);
  }
};

void
cuda_scale_rows(Device* device, Tensor factor, Tensor x)
{
  map(device, "scale_rows", ScaleRows{ factor }, { x }, { x });
}

struct SelectRows {
  static constexpr bool BY_ROW = true;
  Tensor                choice;
  __device__ inline void
  operator()(uint32_t r, const float* x, float* y) const
  {
    y[0] = *row_of(choice, r) != 0.0f ? x[0] : x[1];
  }
};

void
cuda_select_rows(Device* device, Tensor choice, Tensor a, Tensor b, Tensor out)
{
  map(device, "select_rows", SelectRows{ choice }, { a, b }, { out });
}

// --- Rows by index ---------------------------------------------------------

template<int V>
static __global__ void
__launch_bounds__(BLOCK)
  gather_kernel(Tensor table, Tensor index, Tensor out, uint32_t packs)
{
  const size_t row_step  = (size_t)gridDim.y * blockDim.y;
  const size_t pack_step = (size_t)gridDim.x * blockDim.x;
  for (size_t row = (size_t)blockIdx.y * blockDim.y + threadIdx.y;
       row < out.rows;
       row += row_step) {
    const uint32_t     r    = (uint32_t)row;
    const float* const from = row_of(table, device_index(index, r, table.rows));
    float* const       to   = row_of(out, r);
    for (size_t p = (size_t)blockIdx.x * blockDim.x + threadIdx.x; p < packs;
         p += pack_step) {
      pack_store(to + p * V, pack_load<V>(from + p * V));
    }
  }
}

void
cuda_gather(Device* device, Tensor table, Tensor index, Tensor out)
{
  CudaDevice* const cuda  = cuda_of(device);
  const bool        fours = by_four(table) && by_four(out);
  const uint32_t    packs = fours ? out.columns / 4 : out.columns;
  const MapShape    shape = map_shape(cuda, out.rows, packs);
  if (fours) {
    LAUNCH(gather_kernel<4>,
           shape.grid,
           shape.block,
           0,
           cuda->stream,
           table,
           index,
           out,
           packs);
  } else {
    LAUNCH(gather_kernel<1>,
           shape.grid,
           shape.block,
           0,
           cuda->stream,
           table,
           index,
           out,
           packs);
  }
  cuda_launched(device, "gather");
}

// --- Sums over rows --------------------------------------------------------

#define SUM_LANES (BLOCK / WARP) // rows that a block adds side by side

// Each block sums a chunk of rows of WARP * V columns. One chunk: into the
// elements of `out`, which has x.columns elements in rows of any length. More:
// into row blockIdx.y of `partial`, [chunks, x.columns].
template<int V>
static __global__ void
__launch_bounds__(BLOCK) sum_rows_kernel(Tensor   x,
                                         uint32_t chunk_rows,
                                         float*   partial,
                                         float    beta,
                                         Tensor   out)
{
  __shared__ Pack<V> lanes[SUM_LANES][WARP];
  const size_t       first   = (size_t)blockIdx.y * chunk_rows;
  const size_t       end     = first + chunk_rows;
  const uint32_t     last    = (uint32_t)(end < x.rows ? end : x.rows);
  const size_t       column  = ((size_t)blockIdx.x * WARP + threadIdx.x) * V;
  Pack<V>            sum     = {};
  const bool         present = column < x.columns;
  if (present) {
    const float* const from = x.data + column;
#pragma unroll 8
    for (size_t r = first + threadIdx.y; r < last; r += SUM_LANES) {
      const Pack<V> more = pack_load<V>(from + r * x.stride);
      for (int j = 0; j < V; ++j) {
        sum.at[j] += more.at[j];
      }
    }
  }
  lanes[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || !present) {
    return;
  }
  for (uint32_t i = 1; i < SUM_LANES; ++i) {
    for (int j = 0; j < V; ++j) {
      sum.at[j] += lanes[i][threadIdx.x].at[j];
    }
  }
  if (gridDim.y > 1) {
    pack_store(partial + (size_t)blockIdx.y * x.columns + column, sum);
    return;
  }
  for (int j = 0; j < V; ++j) {
    const uint32_t at = (uint32_t)column + (uint32_t)j;
    float* const   to = row_of(out, at / out.columns) + at % out.columns;
    *to               = sum.at[j] + (beta == 0.0f ? 0.0f : beta * *to);
  }
}

static bool
sum_rows_launch(Device*     device,
                const char* op,
                Tensor      x,
                uint32_t    chunk_rows,
                float       beta,
                Tensor      out)
{
  CudaDevice* const cuda   = cuda_of(device);
  const uint32_t    chunks = (x.rows - 1) / chunk_rows + 1;
  const bool        fours  = by_four(x);
  const uint32_t    packs  = fours ? x.columns / 4 : x.columns;
  const dim3        grid((packs - 1) / WARP + 1, chunks);
  const dim3        block(WARP, SUM_LANES);
  if (fours) {
    LAUNCH(sum_rows_kernel<4>,
           grid,
           block,
           0,
           cuda->stream,
           x,
           chunk_rows,
           cuda->scratch,
           beta,
           out);
  } else {
    LAUNCH(sum_rows_kernel<1>,
           grid,
           block,
           0,
           cuda->stream,
           x,
           chunk_rows,
           cuda->scratch,
           beta,
           out);
  }
  return cuda_launched(device, op);
}

void
cuda_sum_rows(Device* device, Tensor x, float beta, Tensor out)
{
  // Few rows: one launch. Many: chunks that fill the GPU, summed in a second
  // one; as many as have room in scratch.
  const CudaDevice* const cuda   = cuda_of(device);
  const uint32_t          tile   = WARP * (by_four(x) ? 4 : 1);
  const uint32_t          tiles  = (x.columns - 1) / tile + 1;
  const size_t            room   = cuda->scratch_floats / x.columns;
  size_t                  chunks = cuda->multiprocessors * 8 / tiles;
  chunks                         = chunks < 256 ? chunks : 256;
  chunks                         = chunks < room ? chunks : room;
  chunks = chunks < x.rows / 128 ? chunks : x.rows / 128;
  if (chunks < 2) {
    sum_rows_launch(device, "sum_rows", x, x.rows, beta, out);
    return;
  }
  const uint32_t chunk_rows = (uint32_t)((x.rows - 1) / chunks + 1);
  if (sum_rows_launch(device, "sum_rows", x, chunk_rows, beta, out)) {
    const uint32_t made    = (x.rows - 1) / chunk_rows + 1;
    const Tensor   partial = { cuda->scratch, made, x.columns, x.columns };
    sum_rows_launch(device, "sum_rows", partial, made, beta, out);
  }
}

// --- Rows added by index ---------------------------------------------------

// A warp owns a row of the table and SCATTER_COLUMNS of its columns. It finds
// the rows that go there among SCATTER_TILE at a time and adds them in order.
#define SCATTER_WARPS (BLOCK / WARP)
#define SCATTER_TILE 512u
#define SCATTER_K 5 // columns a lane: 160 a warp, the width of the transformer
#define SCATTER_COLUMNS (WARP * SCATTER_K)
#define SCATTER_AT_ONCE 4 // rows that are under way at a time

// The rows `list`ed (offsets from row `base`), added to the lane's columns.
__device__ static inline void
add_listed(Tensor          x,
           size_t          base,
           const uint16_t* list,
           uint32_t        count,
           size_t          column,
           float (&sum)[SCATTER_K])
{
  for (uint32_t i = 0; i < count; i += SCATTER_AT_ONCE) {
    float more[SCATTER_AT_ONCE][SCATTER_K];
#pragma unroll
    for (uint32_t q = 0; q < SCATTER_AT_ONCE; ++q) {
      const uint32_t at   = i + q < count ? i + q : i;
      const float*   from = x.data + (base + list[at]) * x.stride;
#pragma unroll
      for (uint32_t k = 0; k < SCATTER_K; ++k) {
        const size_t c = column + k * WARP;
        more[q][k]     = i + q < count && c < x.columns ? from[c] : 0.0f;
      }
    }
#pragma unroll
    for (uint32_t q = 0; q < SCATTER_AT_ONCE; ++q) {
#pragma unroll
      for (uint32_t k = 0; k < SCATTER_K; ++k) {
        sum[k] += more[q][k];
      }
    }
  }
}

// Chunk blockIdx.z of the rows. One chunk: added to dtable. More: into
// partial[blockIdx.z, table row, column], packed.
static __global__ void
__launch_bounds__(BLOCK) scatter_kernel(Tensor   index,
                                        Tensor   dout,
                                        uint32_t chunk_rows,
                                        float*   partial,
                                        Tensor   dtable)
{
  __shared__ uint32_t target[SCATTER_TILE];
  __shared__ uint16_t lists[SCATTER_WARPS][SCATTER_TILE];
  const uint32_t      lane   = threadIdx.x % WARP;
  const uint32_t      warp   = threadIdx.x / WARP;
  const size_t        mine   = (size_t)blockIdx.x * SCATTER_WARPS + warp;
  const size_t        first  = (size_t)blockIdx.z * chunk_rows;
  const size_t        end    = first + chunk_rows;
  const size_t        last   = end < dout.rows ? end : dout.rows;
  const size_t        column = (size_t)blockIdx.y * SCATTER_COLUMNS + lane;
  float               sum[SCATTER_K] = {};
  for (size_t base = first; base < last; base += SCATTER_TILE) {
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < SCATTER_TILE; i += BLOCK) {
      target[i] = base + i < last
                    ? device_index(index, (uint32_t)(base + i), dtable.rows)
                    : UINT32_MAX;
    }
    __syncthreads();
    uint32_t count = 0;
    for (uint32_t i = 0; i < SCATTER_TILE; i += WARP) {
      const bool     hit    = target[i + lane] == mine;
      const unsigned hits   = __ballot_sync(WARP_ALL, hit);
      const unsigned before = hits & ((1u << lane) - 1);
      if (hit) {
        lists[warp][count + (uint32_t)__popc(before)] = (uint16_t)(i + lane);
      }
      count += (uint32_t)__popc(hits);
    }
    __syncwarp();
    add_listed(dout, base, lists[warp], count, column, sum);
  }
  if (mine >= dtable.rows) {
    return;
  }
  for (uint32_t k = 0; k < SCATTER_K; ++k) {
    const size_t c = column + k * WARP;
    if (c < dtable.columns && gridDim.z > 1) {
      partial[(blockIdx.z * (size_t)dtable.rows + mine) * dtable.columns + c] =
        sum[k];
    } else if (c < dtable.columns) {
      row_of(dtable, (uint32_t)mine)[c] += sum[k];
    }
  }
}

void
cuda_scatter_add(Device* device, Tensor index, Tensor dout, Tensor dtable)
{
  CudaDevice* const cuda  = cuda_of(device);
  const size_t      count = (size_t)dtable.rows * dtable.columns;
  const dim3        owners((dtable.rows - 1) / SCATTER_WARPS + 1,
                    (dtable.columns - 1) / SCATTER_COLUMNS + 1);
  // Few owners: rows are split into chunks, whose sums a second launch adds.
  const size_t used =
    (size_t)owners.y *
    (dtable.rows < SCATTER_WARPS ? dtable.rows : SCATTER_WARPS * owners.x);
  const size_t room   = count <= UINT32_MAX ? cuda->scratch_floats / count : 0;
  size_t       chunks = cuda->multiprocessors * 48 / used;
  chunks              = chunks < 256 ? chunks : 256;
  chunks              = chunks < room ? chunks : room;
  chunks              = chunks < dout.rows / 256 ? chunks : dout.rows / 256;
  chunks              = chunks > 0 ? chunks : 1;
  const uint32_t chunk_rows = (uint32_t)((dout.rows - 1) / chunks + 1);
  const uint32_t made       = (dout.rows - 1) / chunk_rows + 1;
  LAUNCH(scatter_kernel,
         dim3(owners.x, owners.y, made),
         BLOCK,
         0,
         cuda->stream,
         index,
         dout,
         chunk_rows,
         cuda->scratch,
         dtable);
  if (cuda_launched(device, "scatter_add") && made > 1) {
    const uint32_t width   = (uint32_t)count;
    const Tensor   partial = { cuda->scratch, made, width, width };
    sum_rows_launch(device, "scatter_add", partial, made, 1.0f, dtable);
  }
}
